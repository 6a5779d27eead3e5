/* file.c - what changes of a file that has its bytes: where it is shared, its public link, its end.
 */
#include "chan/posted.h"
#include "media/file_json.h"
#include "media/internal.h"

enum { secret_bytes = 10, secret_len = 16 };

/* ---- rows ---- */

uint32_t file_types(const struct row_file *row)
{
    const struct type *t = type_find(row->filetype);
    unsigned flags = t == NULL ? 0 : t->flags;
    if ((row->flags & FILE_SNIPPET) != 0)
        return MEDIA_SNIPPETS;
    if (sv_starts(row->mimetype, SV("image/")) && (flags & TYPE_MEDIA) != 0)
        return MEDIA_IMAGES;
    if (sv_eq(row->filetype, SV("pdf")))
        return MEDIA_PDFS;
    return sv_eq(row->filetype, SV("zip")) ? MEDIA_ZIPS : 0;
}

void file_put(struct media *m, const struct file_id *id, const struct row_file *row)
{
    struct key k;
    key_file(&k, id);
    row_file_encode(batch_put_begin(&m->batch, CF_FILE, &k), &k, row);
    batch_put_end(&m->batch);
}

void file_put_listed(struct media *m, enum file_list list, uint64_t owner, const struct file_id *id,
                     const struct row_file *row)
{
    struct key k;
    struct row_file_listed listed = {.uid = row->uid,
                                     .types = file_types(row),
                                     .open = list == FILES_IN_CHANNEL && !file_is_in(row, owner)};
    key_file_listed(&k, list, owner, row->created_us, id);
    row_file_listed_encode(batch_put_begin(&m->batch, CF_FILE, &k), &k, &listed);
    batch_put_end(&m->batch);
}

static void delete_listed(struct media *m, enum file_list list, uint64_t owner,
                          const struct file_id *id, const struct row_file *row)
{
    struct key k;
    key_file_listed(&k, list, owner, row->created_us, id);
    batch_delete(&m->batch, CF_FILE, &k);
}

/* ---- where it is ---- */

/* shares_len: there is none. */
static uint32_t find_share(const struct row_file *row, uint64_t cid, uint64_t ts_us)
{
    uint32_t i = 0;
    while (i < row->shares_len && (row->shares[i].cid != cid || row->shares[i].ts_us != ts_us))
        i++;
    return i;
}

static void drop_share(struct row_file *row, uint32_t i)
{
    row->shares_len--;
    memmove(&row->shares[i], &row->shares[i + 1], (row->shares_len - i) * sizeof row->shares[0]);
}

/* A share without a ts: its message may be stored by now, or never be. The message's key is in the
 * batch of the message, so whoever asks for the key knows what there is, whatever media was told,
 * and whatever ended in between. Calls that were made again have one message. */
static enum err settle(struct media *m, struct row_file *row)
{
    for (uint32_t i = 0; i < row->shares_len;) {
        struct row_share *s = &row->shares[i];
        uint64_t ts_us = s->ts_us;
        if (!share_is_shown(s)) {
            enum err err = media_count(
                m, posted_ts(&m->conf.view, s->cid, row->uid, s->key, &m->scratch, &ts_us));
            if (err != ERR_OK && err != ERR_CORRUPT) /* of another's row: the file is whole */
                return err;
        }
        if (ts_us != s->ts_us && find_share(row, s->cid, ts_us) < row->shares_len) {
            drop_share(row, i);
            continue;
        }
        s->ts_us = ts_us;
        i++;
    }
    return ERR_OK;
}

enum err file_decode(struct media *m, struct str_view key, struct str_view value,
                     struct row_file *row)
{
    TRY(row_file_decode(row, key, value));
    return settle(m, row);
}

static bool has_share(const struct row_file *row, uint64_t cid, bool posted)
{
    uint32_t i = 0;
    while (i < row->shares_len &&
           (row->shares[i].cid != cid || (posted && !share_is_shown(&row->shares[i]))))
        i++;
    return i < row->shares_len;
}

bool file_is_in(const struct row_file *row, uint64_t cid)
{
    return has_share(row, cid, true);
}

/* ---- share ---- */

/* shares_len: there is none. */
static uint32_t find_open(const struct row_file *row, const struct media_share *s)
{
    uint32_t i = 0;
    while (i < row->shares_len &&
           (row->shares[i].cid != s->cid || row->shares[i].ts_us != TS_NONE ||
            !sv_eq(row->shares[i].key, s->key)))
        i++;
    return i;
}

/* What version 1 did not know of: now the file is there by a message. */
static void forget_unknown(struct row_file *row, uint64_t cid)
{
    for (uint32_t i = 0; i < row->shares_len;) {
        const struct row_share *s = &row->shares[i];
        if (s->cid == cid && s->ts_us == TS_NONE && s->key.len == 0)
            drop_share(row, i);
        else
            i++;
    }
}

static enum err add_share(struct row_file *row, const struct media_share *s)
{
    if (row->shares_len == row_file_shares_max)
        return ERR_FULL;
    row->shares[row->shares_len++] =
        (struct row_share){.cid = s->cid, .kind = s->kind, .ts_us = s->ts_us, .key = s->key};
    return ERR_OK;
}

/* Each message that is being posted has a share without a ts, which becomes its own or goes. A post
 * that is made again has the ts that it had: it is shared once. */
static enum err change_shares(struct row_file *row, const struct media_share *s)
{
    uint32_t open = find_open(row, s);
    if (s->undo || (s->ts_us != TS_NONE && find_share(row, s->cid, s->ts_us) < row->shares_len)) {
        if (open < row->shares_len)
            drop_share(row, open);
        return ERR_OK;
    }
    bool again = open < row->shares_len && row->shares_len == row_file_shares_max;
    if (s->ts_us == TS_NONE)
        return again ? ERR_OK : add_share(row, s);
    if (open == row->shares_len)
        TRY(add_share(row, s));
    else
        row->shares[open].ts_us = s->ts_us;
    forget_unknown(row, s->cid);
    return ERR_OK;
}

static void put_shared(struct media *m, const struct media_share *s, const struct row_file *row)
{
    file_put(m, &s->id, row);
    if (s->cid == ID_NONE)
        return;
    if (has_share(row, s->cid, false))
        file_put_listed(m, FILES_IN_CHANNEL, s->cid, &s->id, row);
    else
        delete_listed(m, FILES_IN_CHANNEL, s->cid, &s->id, row);
}

/* The object goes into a message that others read: it tells of no other place. */
static void describe_for(struct media_share *s, const struct row_file *row)
{
    bool seen[row_file_shares_max];
    for (uint32_t i = 0; i < row->shares_len; i++)
        seen[i] = row->shares[i].cid == s->cid;
    file_json(&s->json, &s->id, row, s->base_url, seen);
}

static bool is_own(const struct row_file *row, uint64_t team, uint64_t uid, bool is_admin)
{
    return row->team == team && (row->uid == uid || is_admin);
}

/* The file went while its message was on the way. Its tombstone keeps the ts: whoever deletes it
 * again finds this message, too. */
static enum err share_gone(struct media *m, struct media_share *s, struct row_file *row,
                           bool *writes)
{
    if (s->ts_us == TS_NONE || s->undo)
        return ERR_FILE_NOT_FOUND;
    TRY(change_shares(row, s));
    file_put(m, &s->id, row);
    *writes = true;
    return ERR_FILE_DELETED;
}

static enum err share(struct media *m, struct media_share *s, bool *writes)
{
    struct row_file row;
    struct file_words words;
    TRY(file_read(m, &s->id, &row));
    if (!is_own(&row, s->team, s->uid, false))
        return ERR_FILE_NOT_FOUND;
    if ((row.flags & FILE_DELETED) != 0)
        return share_gone(m, s, &row, writes);
    bool titled = s->title.p != NULL && !sv_eq(s->title, row.title);
    if (s->cid != ID_NONE)
        TRY(change_shares(&row, s));
    if (titled) {
        row.title = s->title;
        TRY(index_titled(m, &s->id, &row, &words));
    }
    describe_for(s, &row);
    if (s->json.failed) /* before a row is in the batch: what failed is not done */
        return ERR_NOMEM;
    *writes = titled || s->cid != ID_NONE;
    if (*writes)
        put_shared(m, s, &row);
    if (titled)
        index_write(m, &s->id, &row, &words);
    return ERR_OK;
}

void decide_share(struct media *m, struct media_op *op)
{
    op->err = share(m, op->request.u.p, &op->writes);
}

/* ---- public link ---- */

/* Whoever has the link has the file: the secret is not guessed, nor is the id. */
static struct str_view make_secret(struct media *m, char out[secret_len])
{
    uint8_t random[secret_len];
    rand_bytes(m->turn->rand, random, sizeof random);
    id_random_digits(out, random, secret_len);
    return (struct str_view){out, secret_len};
}

static enum err change_public(struct media *m, struct media_public *p, bool *writes)
{
    struct row_file row;
    char secret[secret_len];
    bool seen[row_file_shares_max];
    const struct hist_viewer v = {.team = p->team, .uid = p->uid};
    TRY(file_read(m, &p->id, &row));
    if (!is_own(&row, p->team, p->uid, p->is_admin) || (row.flags & FILE_DELETED) != 0)
        return ERR_FILE_NOT_FOUND;
    TRY(file_shares_seen(m, &v, &row, seen));
    p->owner = row.uid;
    bool changes = p->revoke == (row.secret.len > 0);
    if (changes)
        row.secret = p->revoke ? SV("") : make_secret(m, secret);
    file_json(&p->json, &p->id, &row, p->base_url, seen);
    if (p->json.failed)
        return ERR_NOMEM;
    *writes = changes;
    if (changes)
        file_put(m, &p->id, &row);
    return ERR_OK;
}

void decide_public(struct media *m, struct media_op *op)
{
    op->err = change_public(m, op->request.u.p, &op->writes);
}

/* ---- delete ---- */

static enum err may_delete(struct media *m, const struct media_delete *d, struct row_file *row)
{
    const struct hist_viewer v = {.team = d->team, .uid = d->uid, .is_guest = d->is_guest};
    TRY(file_read(m, &d->id, row));
    if (row->team != d->team || row->uid != d->uid)
        TRY(row->team == d->team && d->is_admin ? ERR_OK : file_may_see(m, &v, row));
    if ((row->flags & FILE_DELETED) != 0)
        return ERR_FILE_DELETED;
    return row->uid == d->uid || d->is_admin ? ERR_OK : ERR_CANT_DELETE_FILE;
}

static enum err tell_shares(struct media_delete *d, const struct row_file *row)
{
    d->owner = row->uid;
    d->shares_len = 0;
    d->shares = arena_alloc(d->arena, row_file_shares_max * sizeof *d->shares);
    if (d->shares == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < row->shares_len; i++) {
        if (row->shares[i].ts_us == TS_NONE)
            continue;
        d->shares[d->shares_len].cid = row->shares[i].cid;
        d->shares[d->shares_len++].ts_us = row->shares[i].ts_us;
    }
    return ERR_OK;
}

/* One file less has these bytes. */
static enum err release_blob(struct media *m, const struct row_file *row, struct media_op *op)
{
    struct key k;
    struct str_view value;
    struct row_blob blob;
    key_blob(&k, row->sha256);
    TRY(view_get1(&m->conf.view, CF_FILE, &k, &m->scratch, &value));
    if (value.p == NULL)
        return ERR_CORRUPT;
    TRY(row_blob_decode(&blob, key_view(&k), value));
    if (blob.files > 1) {
        blob.files--;
        row_blob_encode(batch_put_begin(&m->batch, CF_FILE, &k), &k, &blob);
        batch_put_end(&m->batch);
        return ERR_OK;
    }
    batch_delete(&m->batch, CF_FILE, &k);
    op->unreferenced = true;
    memcpy(op->sha256, row->sha256, sha256_bytes);
    return ERR_OK;
}

/* Its bytes, and the words that it was found by. */
static enum err release(struct media *m, const struct row_file *row, struct media_op *op)
{
    struct file_words words;
    TRY(index_deleted(m, &op->id, &words));
    TRY(release_blob(m, row, op));
    index_write(m, &op->id, row, &words);
    return ERR_OK;
}

/* Who could see it is still told that it is gone; nothing else of it stays. */
static void put_tombstone(struct media *m, const struct file_id *id, const struct row_file *row)
{
    struct row_file rest = {.team = row->team,
                            .uid = row->uid,
                            .created_us = row->created_us,
                            .flags = FILE_DELETED,
                            .shares_len = row->shares_len};
    memcpy(rest.shares, row->shares, row->shares_len * sizeof row->shares[0]);
    file_put(m, id, &rest);
    delete_listed(m, FILES_OF_TEAM, row->team, id, row);
    delete_listed(m, FILES_OF_USER, row->uid, id, row);
    for (uint32_t i = 0; i < row->shares_len; i++)
        delete_listed(m, FILES_IN_CHANNEL, row->shares[i].cid, id, row);
}

/* Whoever deleted it before may have been cut off before its messages were told. */
static bool is_told_again(const struct media_delete *d, const struct row_file *row, enum err err)
{
    return err == ERR_FILE_DELETED && (row->uid == d->uid || d->is_admin);
}

bool decide_delete(struct media *m, struct media_op *op)
{
    struct media_delete *d = op->request.u.p;
    struct row_file row;
    d->shares_len = 0;
    op->err = may_delete(m, d, &row);
    if (op->err == ERR_OK && !group_claim_blob(m, row.sha256))
        return false;
    if (op->err == ERR_OK || is_told_again(d, &row, op->err)) {
        enum err told = tell_shares(d, &row);
        op->err = told != ERR_OK ? told : op->err;
    }
    if (op->err == ERR_OK)
        op->err = release(m, &row, op);
    op->writes = op->err == ERR_OK;
    if (op->writes)
        put_tombstone(m, &d->id, &row);
    return true;
}
