/* direct.c - conversations that are known by their members: one for each set of them, whatever the
 * order and however many ask at once. Source: Slack conversations.open. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mutant.h"
#include "dir/internal.h"

enum { mpim_name_max = 200 };

static int by_uid(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The key's last bytes: what the set of members is known by. */
static struct str_view set_of(struct key *k, struct dir_direct_open *m)
{
    if (MUTANT(DIRECT_IN_ORDER, true, false))
        qsort(m->uids, m->len, sizeof *m->uids, by_uid);
    key_direct(k, m->team, m->uids, m->len);
    return (struct str_view){(const char *)k->b + k->len - key128_bytes, key128_bytes};
}

uint64_t direct_claim(const struct dir_direct_open *m)
{
    uint64_t h = m->team;
    for (uint32_t i = 0; i < m->len; i++)
        h += mix64(m->uids[i]); /* in any order */
    return mix64(h);
}

static enum err check_members(struct dir *d, const struct dir_direct_open *m)
{
    bool creator = false;
    for (uint32_t i = 0; i < m->len; i++) {
        const struct user_entry *e = tables_user(&d->tables, m->uids[i]);
        if (e == NULL || e->row.team != m->team)
            return ERR_USER_NOT_FOUND;
        if ((e->row.flags & USER_DELETED) != 0)
            return ERR_USER_DISABLED;
        creator |= m->uids[i] == m->creator;
    }
    return creator && m->len > 0 && m->len <= direct_members_max ? ERR_OK : ERR_INVALID_ARGUMENTS;
}

/* "!mpdm-ada--grace--linus-1.CID" and "!d.CID": unique, in front of all channels' names. */
static struct str_view stored_name(struct dir *d, const struct dir_direct_open *m, uint64_t cid,
                                   char out[mpim_name_max])
{
    struct buf b;
    buf_init_fixed(&b, out, mpim_name_max);
    if (m->len <= 2) {
        buf_printf(&b, "!d.%016llx", (unsigned long long)cid);
        return buf_view(&b);
    }
    buf_printf(&b, "!mpdm-");
    for (uint32_t i = 0; i < m->len; i++) {
        const struct user_entry *e = tables_user(&d->tables, m->uids[i]);
        size_t room = mpim_name_max - b.len - 32; /* long names are cut, not refused */
        if (e->row.name.len + 2 > room)
            break;
        buf_printf(&b, "%s%.*s", i == 0 ? "" : "--", SV_ARG(e->row.name));
    }
    buf_printf(&b, "-1.%llx", (unsigned long long)cid);
    return buf_view(&b);
}

static void put_member(struct dir *d, const struct row_chan_info *info, uint64_t uid)
{
    struct key k;
    struct row_member row = {.joined_us = d->turn->wall_us, .kind = info->kind};
    key_chan_member(&k, info->cid, uid);
    row_member_encode(batch_put_begin(&d->batch, CF_CHAN, &k), &k, &row);
    batch_put_end(&d->batch);
    key_chan_cursor(&k, info->cid, uid);
    row_cursor_encode(batch_put_begin(&d->batch, CF_CHAN, &k), &k, &(struct row_cursor){0});
    batch_put_end(&d->batch);
    key_membership(&k, uid, info->cid);
    row_member_encode(batch_put_begin(&d->batch, CF_USER, &k), &k, &row);
    batch_put_end(&d->batch);
}

static void put_rows(struct dir *d, const struct dir_direct_open *m, const struct key *set,
                     const struct row_chan_info *info)
{
    struct key k;
    row_channel_name_encode(batch_put_begin(&d->batch, CF_DIR, set), set,
                            &(struct row_channel_name){.cid = info->cid, .kind = info->kind});
    batch_put_end(&d->batch);
    key_chan_info(&k, info->cid);
    row_chan_info_encode(batch_put_begin(&d->batch, CF_CHAN, &k), &k, info);
    batch_put_end(&d->batch);
    key_chan_head(&k, info->cid);
    row_chan_head_encode(batch_put_begin(&d->batch, CF_CHAN, &k), &k,
                         &(struct row_chan_head){.members_len = m->len});
    batch_put_end(&d->batch);
    for (uint32_t i = 0; i < m->len; i++)
        put_member(d, info, m->uids[i]);
}

enum err direct_decide(struct dir *d, struct dir_direct_open *m)
{
    char name[mpim_name_max];
    struct key set;
    TRY(check_members(d, m));
    struct str_view known = set_of(&set, m);
    const struct name_entry *e = tables_name(&d->tables, TABLE_DIRECTS, m->team, known);
    m->made = false;
    if (e != NULL) {
        m->cid = e->id;
        m->kind = e->kind;
        return ERR_OK;
    }
    if (m->find_only)
        return ERR_CHANNEL_NOT_FOUND;
    if (d->conf.disk_full != NULL && d->conf.disk_full(d->conf.disk))
        return ERR_DISK_FULL;
    m->made = true;
    m->cid = dir_next_id(d);
    m->kind = m->len <= 2 ? CHANNEL_IM : CHANNEL_MPIM;
    uint64_t now_s = d->turn->wall_us / 1000000;
    struct row_chan_info info = {.cid = m->cid,
                                 .team = m->team,
                                 .creator = m->creator,
                                 .created_s = now_s,
                                 .updated_s = now_s,
                                 .kind = m->kind,
                                 .name = stored_name(d, m, m->cid, name)};
    if (m->kind == CHANNEL_IM)
        info.peer = m->uids[m->len == 2 && m->uids[0] == m->creator ? 1 : 0];
    put_rows(d, m, &set, &info);
    return ERR_OK;
}

enum err direct_publish(struct dir *d, struct dir_direct_open *m)
{
    struct key set;
    struct str_view known = set_of(&set, m);
    return !m->made ? ERR_OK
                    : tables_put_name(&d->tables, TABLE_DIRECTS, m->team, known, m->cid, m->kind);
}
