/* document.c - what users, channels and teams keep besides their rows: preferences, stars,
 * bookmarks and the like, one row per owner and kind. Read and made by who asks (api/document.c),
 * decided here by revision, since here is one writer. Not in the tables: few are read, and rarely.
 */
#include "base/id.h"
#include "base/mutant.h"
#include "dir/internal.h"

static enum err stored_revision(struct dir *d, const struct key *k, uint64_t *revision)
{
    struct str_view value;
    struct row_document row;
    *revision = 0;
    TRY(view_get1(&d->conf.view, CF_USER, k, &d->batch.arena, &value));
    if (value.p == NULL)
        return ERR_OK;
    TRY(row_document_decode(&row, key_view(k), value));
    *revision = row.revision;
    return ERR_OK;
}

enum err document_decide(struct dir *d, const struct dir_document *m)
{
    struct key k;
    uint64_t revision;
    if (m->text.len > document_bytes_max)
        return ERR_FULL;
    key_document(&k, m->owner, (uint8_t)m->kind);
    TRY(stored_revision(d, &k, &revision));
    if (MUTANT(DOCUMENT_LAST_WINS, revision != m->revision, false))
        return ERR_CHANGED;
    struct row_document row = {.revision = revision + MUTANT(REVISION_STAYS, 1, revision == 0),
                               .text = m->text};
    if (m->text.len == 0 && revision == 0)
        return ERR_OK;
    if (m->text.len == 0)
        row.text = SV(""); /* the row stays, and its revision with it */
    row_document_encode(batch_put_begin(&d->batch, CF_USER, &k), &k, &row);
    batch_put_end(&d->batch);
    return ERR_OK;
}

void document_publish(struct dir *d, const struct dir_document *m)
{
    for (uint32_t i = 0; i < m->to_user_len; i++)
        dir_emit(d, m->uid, m->team, 0, m->to_user[i]);
    if (m->to_team.len > 0)
        dir_emit(d, ID_NONE, m->team, 0, m->to_team);
}
