/* access.c - who may see a file: who uploaded it, and whoever may read a conversation that it is
 * shared in. The rest is told the same as of a file that is not there. */
#include "media/file_json.h"
#include "media/internal.h"

enum err file_read(struct media *m, const struct file_id *id, struct row_file *row)
{
    struct key k;
    struct str_view value;
    key_file(&k, id);
    TRY(view_get1(&m->conf.view, CF_FILE, &k, &m->scratch, &value));
    return value.p == NULL ? ERR_FILE_NOT_FOUND : file_decode(m, key_view(&k), value, row);
}

/* Shared in one conversation often, a file is asked about once: the newest share before that has
 * the answer. */
static bool known_before(const struct row_file *row, uint32_t i, bool *seen)
{
    for (uint32_t k = i; k-- > 0;) {
        if (row->shares[k].cid == row->shares[i].cid && share_is_shown(&row->shares[k])) {
            seen[i] = seen[k];
            return true;
        }
    }
    return false;
}

/* Those before i are known. Without a message the file is not there, whoever asks. */
static enum err see_share(struct media *m, const struct hist_viewer *v, const struct row_file *row,
                          uint32_t i, bool *seen)
{
    seen[i] = false;
    if (!share_is_shown(&row->shares[i]) || known_before(row, i, seen))
        return ERR_OK;
    enum err err = seer_may_read(&m->seer, v, row->shares[i].cid);
    seen[i] = err == ERR_OK;
    return err == ERR_CHANNEL_NOT_FOUND || err == ERR_NOT_IN_CHANNEL ? ERR_OK : err;
}

enum err file_shares_seen(struct media *m, const struct hist_viewer *v, const struct row_file *row,
                          bool seen[row_file_shares_max])
{
    for (uint32_t i = 0; i < row->shares_len; i++)
        TRY(see_share(m, v, row, i, seen));
    return ERR_OK;
}

enum err file_may_see(struct media *m, const struct hist_viewer *v, const struct row_file *row)
{
    bool seen[row_file_shares_max];
    if (row->team != v->team)
        return ERR_FILE_NOT_FOUND;
    if (row->uid == v->uid || v->is_admin)
        return ERR_OK;
    for (uint32_t i = 0; i < row->shares_len; i++) {
        TRY(see_share(m, v, row, i, seen));
        if (seen[i])
            return ERR_OK;
    }
    return ERR_FILE_NOT_FOUND;
}

enum err file_see(struct media *m, const struct hist_viewer *v, const struct file_id *id,
                  struct row_file *row)
{
    TRY(file_read(m, id, row));
    TRY(file_may_see(m, v, row));
    return (row->flags & FILE_DELETED) != 0 ? ERR_FILE_DELETED : ERR_OK;
}

enum err file_info(struct media *m, struct media_info *i)
{
    struct row_file row;
    bool seen[row_file_shares_max];
    TRY(file_see(m, &i->viewer, &i->id, &row));
    TRY(file_shares_seen(m, &i->viewer, &row, seen));
    file_json(&i->json, &i->id, &row, i->base_url, seen);
    return i->json.failed ? ERR_NOMEM : ERR_OK;
}
