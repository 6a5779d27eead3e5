/* list.c - conversation objects: one by id, the channels of a team in order of name, with what
 * depends on the reader. */
#include "chan/channel_json.h"
#include "hist/internal.h"

enum { page_channels = 128, own_posts_scan_max = 1000 };

/* ---- unread ---- */

struct own {
    uint64_t uid, after_seq, own;
    uint32_t seen;
};

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct own *o = ctx;
    struct row_message row;
    if (o->seen++ == own_posts_scan_max || row_message_decode(&row, key, value) != ERR_OK ||
        row.seq <= o->after_seq)
        return false;
    o->own += row.uid == o->uid;
    return true;
}

/* head.seq - read_seq, without the reader's own posts among the newest own_posts_scan_max. */
static enum err unread_of(struct hist *h, uint64_t uid, uint64_t cid,
                          const struct row_chan_head *head, const struct row_cursor *cursor,
                          uint64_t *unread)
{
    struct key prefix;
    struct own own = {.uid = uid, .after_seq = cursor->read_seq};
    *unread = head->seq - MIN(head->seq, cursor->read_seq);
    if (*unread == 0)
        return ERR_OK;
    key_msg_prefix(&prefix, cid);
    TRY(view_scan_prefix(&h->view, CF_MSG, &prefix, on_row, &own));
    *unread -= MIN(*unread, own.own);
    return ERR_OK;
}

/* ---- one conversation ---- */

static enum err head_of(struct hist *h, uint64_t cid, struct row_chan_head *head)
{
    struct key k;
    struct str_view value;
    key_chan_head(&k, cid);
    TRY(view_get1(&h->view, CF_CHAN, &k, &h->scratch, &value));
    return value.p == NULL ? ERR_CORRUPT : row_chan_head_decode(head, key_view(&k), value);
}

static enum err read_state(struct hist *h, uint64_t uid, uint64_t cid,
                           const struct row_chan_head *head, struct channel_view *v)
{
    struct key k;
    struct str_view value;
    struct row_cursor cursor = {0};
    key_chan_cursor(&k, cid, uid);
    TRY(view_get1(&h->view, CF_CHAN, &k, &h->scratch, &value));
    if (value.p != NULL)
        TRY(row_cursor_decode(&cursor, key_view(&k), value));
    v->with_read = true;
    v->last_read_us = cursor.read_ts_us;
    v->latest_us = head->last_ts_us;
    return unread_of(h, uid, cid, head, &cursor, &v->unread);
}

enum err hist_info(struct hist *h, struct hist_info *m)
{
    struct row_chan_info info;
    struct row_chan_head head;
    struct channel_view v = {0};
    TRY(hist_may_read(h, &m->viewer, m->cid, &info, &v.is_member));
    TRY(head_of(h, m->cid, &head));
    v.with_num_members = m->num_members;
    v.num_members = head.members_len;
    if (v.is_member)
        TRY(read_state(h, m->viewer.uid, m->cid, &head, &v));
    struct json_out j = json_out_on(&m->out);
    channel_json(&j, &info, &v);
    return m->out.failed ? ERR_NOMEM : ERR_OK;
}

/* ---- many ---- */

struct named {
    struct str_view name;
    uint64_t cid;
    enum channel_kind kind;
};

struct names {
    struct hist *h;
    const struct hist_list *m;
    struct named *list; /* page_channels + 1 */
    uint32_t len;
    enum err err;
};

static uint32_t type_bit(enum channel_kind kind)
{
    static const uint32_t bits[] = {[CHANNEL_PUBLIC] = hist_types_public,
                                    [CHANNEL_PRIVATE] = hist_types_private,
                                    [CHANNEL_IM] = hist_types_im,
                                    [CHANNEL_MPIM] = hist_types_mpim};
    return bits[kind];
}

static bool on_name(void *ctx, struct str_view key, struct str_view value)
{
    struct names *n = ctx;
    struct row_channel_name row;
    n->err = row_channel_name_decode(&row, key, value);
    if (n->err != ERR_OK)
        return false;
    if ((n->m->types & type_bit(row.kind)) == 0 || (row.archived && n->m->exclude_archived))
        return true;
    struct str_view name = arena_dup(&n->h->scratch, key_channel_name_of(key));
    if (name.p == NULL) {
        n->err = ERR_NOMEM;
        return false;
    }
    n->list[n->len++] = (struct named){name, row.cid, row.kind};
    return n->len < page_channels;
}

/* Info, head, member and cursor rows of a page in one read. */
static enum err read_page(struct hist *h, const struct hist_list *m, const struct names *n,
                          struct view_get **out)
{
    struct view_get *gets = arena_alloc(&h->scratch, n->len * 3u * sizeof *gets + 1);
    struct key *keys = arena_alloc(&h->scratch, n->len * 3u * sizeof *keys + 1);
    if (gets == NULL || keys == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < n->len; i++) {
        struct key *k = &keys[i * 3];
        key_chan_info(&k[0], n->list[i].cid);
        key_chan_head(&k[1], n->list[i].cid);
        key_chan_member(&k[2], n->list[i].cid, m->viewer.uid);
        for (uint32_t j = 0; j < 3; j++)
            gets[i * 3 + j] = (struct view_get){.cf = CF_CHAN, .key = key_view(&k[j])};
    }
    *out = gets;
    return n->len == 0 ? ERR_OK : view_multi_get(&h->view, gets, n->len * 3, &h->scratch);
}

static bool visible(const struct hist_list *m, const struct named *named,
                    const struct view_get *gets)
{
    return gets[2].value.p != NULL || m->viewer.is_admin ||
           (named->kind == CHANNEL_PUBLIC && !m->members_only);
}

static enum err put_channel(struct hist *h, struct hist_list *m, struct json_out *j,
                            const struct named *named, const struct view_get *gets)
{
    struct row_chan_info info;
    struct row_chan_head head;
    struct channel_view v = {.is_member = gets[2].value.p != NULL};
    if (gets[0].value.p == NULL || gets[1].value.p == NULL)
        return ERR_CORRUPT;
    TRY(row_chan_info_decode(&info, gets[0].key, gets[0].value));
    TRY(row_chan_head_decode(&head, gets[1].key, gets[1].value));
    v.with_num_members = true;
    v.num_members = head.members_len;
    if (m->with_unread && v.is_member)
        TRY(read_state(h, m->viewer.uid, named->cid, &head, &v));
    channel_json(j, &info, &v);
    m->len++;
    return ERR_OK;
}

/* In order of name, page by page, until the limit is reached or the team has no more. */
enum err hist_list(struct hist *h, struct hist_list *m)
{
    struct json_out j = json_out_on(&m->out);
    struct str_view after = m->after, last = m->after; /* last: of those handed out */
    m->len = 0;
    m->next = SV_NONE;
    if (after.len > key_name_bytes_max) /* no name is that long: a forged cursor */
        return ERR_INVALID_CURSOR;
    for (;;) {
        struct key from, end;
        struct names n = {.h = h, .m = m};
        struct view_get *gets;
        n.list = arena_alloc(&h->scratch, page_channels * sizeof *n.list);
        if (n.list == NULL)
            return ERR_NOMEM;
        key_channel_name(&from, m->viewer.team, after);
        if (after.len > 0)
            from.b[from.len++] = 0; /* the first key behind that name */
        key_channel_names(&end, m->viewer.team);
        key_prefix_end(&end);
        TRY(view_scan(&h->view, CF_DIR, key_view(&from), key_view(&end), on_name, &n));
        TRY(n.err);
        TRY(read_page(h, m, &n, &gets));
        for (uint32_t i = 0; i < n.len; i++) {
            /* What the reader may not see leaves no trace, not in the cursor either. */
            if (!visible(m, &n.list[i], &gets[i * 3]))
                continue;
            if (m->len == m->limit) {
                m->next = arena_dup(m->arena, last);
                return m->next.p == NULL ? ERR_NOMEM : ERR_OK;
            }
            TRY(put_channel(h, m, &j, &n.list[i], &gets[i * 3]));
            last = n.list[i].name;
            if (m->out.failed)
                return ERR_NOMEM;
        }
        if (n.len < page_channels)
            return ERR_OK;
        after = n.list[n.len - 1].name;
    }
}
