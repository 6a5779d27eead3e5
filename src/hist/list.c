/* list.c - conversation objects: one by id, the channels of a team in order of name, with what
 * depends on the reader. */
#include <stdlib.h>

#include "base/mutant.h"
#include "chan/channel_json.h"
#include "hist/internal.h"

enum {
    page_channels = 128,
    own_few_max = 4096,           /* memberships that are sorted in memory */
    own_posts_scan_max = 1000,    /* messages of one channel read for the reader's own */
    own_posts_request_max = 16384 /* and of all channels of one request: others wait behind it */
};

/* ---- unread ---- */

struct own {
    uint64_t uid, after_seq, own;
    uint32_t seen, max;
};

static bool on_row(void *ctx, struct str_view key, struct str_view value)
{
    struct own *o = ctx;
    struct row_message row;
    if (o->seen++ == o->max || row_message_decode(&row, key, value) != ERR_OK ||
        row.seq <= o->after_seq)
        return false;
    if ((row.flags & MSG_SYSTEM) == 0) /* those count for nobody: they took no number */
        o->own += MUTANT(UNREAD_COUNTS_OWN, row.uid == o->uid, false) ||
                  MUTANT(DELETED_IS_UNREAD, (row.flags & MSG_DELETED) != 0, false);
    return true;
}

/* head.seq - read_seq, without the reader's own posts and the deleted ones among the newest that
 * may be read for it. */
static enum err unread_of(struct hist *h, uint64_t uid, uint64_t cid,
                          const struct row_chan_head *head, const struct row_cursor *cursor,
                          uint64_t *unread)
{
    struct key prefix;
    struct own own = {.uid = uid,
                      .after_seq = cursor->read_seq,
                      .max = MIN(h->own_posts_left, (uint32_t)own_posts_scan_max)};
    *unread = head->seq - MIN(head->seq, cursor->read_seq);
    if (*unread == 0 || own.max == 0)
        return ERR_OK;
    key_msg_prefix(&prefix, cid);
    TRY(view_scan_prefix(&h->view, CF_MSG, &prefix, on_row, &own));
    h->own_posts_left -= MIN(own.seen, own.max);
    *unread -= MIN(*unread, own.own);
    return ERR_OK;
}

/* ---- one conversation ---- */

enum err hist_head(struct hist *h, uint64_t cid, struct row_chan_head *head)
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

static enum err read_closed(struct hist *h, uint64_t uid, uint64_t cid,
                            const struct row_chan_head *head, bool *closed)
{
    struct key k;
    struct str_view value;
    struct row_member row;
    key_chan_member(&k, cid, uid);
    TRY(view_get1(&h->view, CF_CHAN, &k, &h->scratch, &value));
    if (value.p == NULL)
        return ERR_OK;
    TRY(row_member_decode(&row, key_view(&k), value));
    *closed = row_is_closed(&row, head);
    return ERR_OK;
}

enum err hist_info(struct hist *h, struct hist_info *m)
{
    struct row_chan_info info;
    struct row_chan_head head;
    struct channel_view v = {0};
    h->own_posts_left = own_posts_request_max;
    TRY(seer_info(&h->seer, &m->viewer, m->cid, &info, &v.is_member));
    TRY(hist_head(h, m->cid, &head));
    v.viewer = m->viewer.uid;
    v.with_num_members = m->num_members;
    v.num_members = head.members_len;
    if (v.is_member)
        TRY(read_state(h, m->viewer.uid, m->cid, &head, &v));
    if (v.is_member && channel_is_direct(info.kind))
        TRY(read_closed(h, m->viewer.uid, m->cid, &head, &v.closed));
    m->kind = info.kind;
    m->member = v.is_member;
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

/* One request; what lies in scratch goes with each page. */
struct listing {
    struct hist *h;
    struct hist_list *m;
    struct json_out j;
    char last[key_name_bytes_max]; /* of those handed out: where the next request goes on */
    size_t last_len;
    bool full; /* the limit is reached */
};

static uint32_t type_bit(enum channel_kind kind)
{
    static const uint32_t bits[] = {[CHANNEL_PUBLIC] = hist_types_public,
                                    [CHANNEL_PRIVATE] = hist_types_private,
                                    [CHANNEL_IM] = hist_types_im,
                                    [CHANNEL_MPIM] = hist_types_mpim};
    return bits[kind];
}

/* Names of direct conversations begin with a mark that stands before all other names. */
enum { direct_mark = '!' };

static bool wanted(const struct hist_list *m, enum channel_kind kind, bool archived)
{
    return (m->types & type_bit(kind)) != 0 && !(archived && m->exclude_archived);
}

/* Info, head and member rows of a page in one read. */
static enum err read_page(struct hist *h, const struct hist_list *m, const struct named *list,
                          uint32_t len, struct view_get **out)
{
    struct view_get *gets = arena_alloc(&h->scratch, len * 3u * sizeof *gets + 1);
    struct key k[3];
    if (gets == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < len; i++) {
        key_chan_info(&k[0], list[i].cid);
        key_chan_head(&k[1], list[i].cid);
        key_chan_member(&k[2], list[i].cid, m->viewer.uid);
        for (uint32_t j = 0; j < 3; j++) {
            struct str_view key = arena_dup(&h->scratch, key_view(&k[j]));
            if (key.p == NULL)
                return ERR_NOMEM;
            gets[i * 3 + j] = (struct view_get){.cf = CF_CHAN, .key = key};
        }
    }
    *out = gets;
    return len == 0 ? ERR_OK : view_multi_get(&h->view, gets, len * 3, &h->scratch);
}

static bool visible(const struct hist_list *m, const struct named *named,
                    const struct view_get *gets)
{
    bool member = gets[2].value.p != NULL;
    return member || ((!m->members_only || m->of != ID_NONE) && !m->viewer.is_guest &&
                      (m->viewer.is_admin || named->kind == CHANNEL_PUBLIC));
}

static enum err put_channel(struct hist *h, struct hist_list *m, struct json_out *j,
                            const struct named *named, const struct view_get *gets)
{
    struct row_chan_info info;
    struct row_chan_head head;
    struct channel_view v = {.viewer = m->viewer.uid, .is_member = gets[2].value.p != NULL};
    if (gets[0].value.p == NULL || gets[1].value.p == NULL)
        return ERR_CORRUPT;
    TRY(row_chan_info_decode(&info, gets[0].key, gets[0].value));
    TRY(row_chan_head_decode(&head, gets[1].key, gets[1].value));
    if (v.is_member && channel_is_direct(info.kind)) {
        struct row_member row;
        TRY(row_member_decode(&row, gets[2].key, gets[2].value));
        v.closed = row_is_closed(&row, &head);
    }
    v.with_num_members = true;
    v.num_members = head.members_len;
    if (m->with_unread && v.is_member)
        TRY(read_state(h, m->viewer.uid, named->cid, &head, &v));
    channel_json(j, &info, &v);
    m->len++;
    return ERR_OK;
}

/* What the reader may not see leaves no trace, not in the cursor either. */
static enum err put_page(struct listing *l, const struct named *list, uint32_t len)
{
    struct hist_list *m = l->m;
    struct view_get *gets;
    TRY(read_page(l->h, m, list, len, &gets));
    for (uint32_t i = 0; i < len; i++) {
        if (!visible(m, &list[i], &gets[i * 3]))
            continue;
        if (m->len == m->limit) {
            l->full = true;
            m->next = arena_dup(m->arena, (struct str_view){l->last, l->last_len});
            return m->next.p == NULL ? ERR_NOMEM : ERR_OK;
        }
        TRY(put_channel(l->h, m, &l->j, &list[i], &gets[i * 3]));
        if (m->out.failed)
            return ERR_NOMEM;
        l->last_len = list[i].name.len;
        memcpy(l->last, list[i].name.p, l->last_len);
    }
    return ERR_OK;
}

/* ---- the channels of a team ---- */

struct names {
    const struct listing *l;
    struct named *list; /* page_channels */
    uint32_t len;
    enum err err;
};

static bool on_name(void *ctx, struct str_view key, struct str_view value)
{
    struct names *n = ctx;
    struct row_channel_name row;
    n->err = row_channel_name_decode(&row, key, value);
    if (n->err != ERR_OK)
        return false;
    if (!wanted(n->l->m, row.kind, row.archived))
        return true;
    struct str_view name = arena_dup(&n->l->h->scratch, key_channel_name_of(key));
    if (name.p == NULL) {
        n->err = ERR_NOMEM;
        return false;
    }
    n->list[n->len++] = (struct named){name, row.cid, row.kind};
    return n->len < page_channels;
}

static enum err list_team(struct listing *l)
{
    struct hist *h = l->h;
    struct key from, end;
    key_channel_names(&end, l->m->viewer.team);
    key_prefix_end(&end);
    struct str_view after = l->m->after;
    if (after.len > 0 && after.p[0] == direct_mark) /* no team has names before them */
        after = SV("");
    key_channel_name(&from, l->m->viewer.team, after);
    if (after.len > 0)
        from.b[from.len++] = 0; /* the first key behind that name */
    for (;;) {
        struct names n = {.l = l};
        arena_reset(&h->scratch);
        n.list = arena_alloc(&h->scratch, page_channels * sizeof *n.list);
        if (n.list == NULL)
            return ERR_NOMEM;
        TRY(view_scan(&h->view, CF_DIR, key_view(&from), key_view(&end), on_name, &n));
        TRY(n.err);
        TRY(put_page(l, n.list, n.len));
        if (l->full || n.len < page_channels)
            return ERR_OK;
        key_channel_name(&from, l->m->viewer.team, n.list[n.len - 1].name);
        from.b[from.len++] = 0;
    }
}

/* ---- the channels of a user ---- */

struct cids {
    uint64_t *p; /* own_few_max */
    uint32_t len;
    bool more;
};

static bool on_own(void *ctx, struct str_view key, struct str_view value)
{
    struct cids *c = ctx;
    (void)value;
    c->more = c->len == own_few_max;
    if (!c->more)
        c->p[c->len++] = key_membership_cid(key);
    return !c->more;
}

static int by_name(const void *a, const void *b)
{
    return sv_cmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* Those of cids that are asked for, behind `after`, in order of name. */
static enum err own_in_order(struct listing *l, uint32_t types, const struct cids *c,
                             struct named *list, uint32_t *len)
{
    struct hist *h = l->h;
    struct view_get *gets = arena_alloc(&h->scratch, c->len * sizeof *gets + 1);
    if (gets == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < c->len; i++) {
        struct key k;
        key_chan_info(&k, c->p[i]);
        gets[i] = (struct view_get){.cf = CF_CHAN, .key = arena_dup(&h->scratch, key_view(&k))};
        if (gets[i].key.p == NULL)
            return ERR_NOMEM;
    }
    if (c->len > 0)
        TRY(view_multi_get(&h->view, gets, c->len, &h->scratch));
    for (uint32_t i = 0; i < c->len; i++) {
        struct row_chan_info info;
        if (gets[i].value.p == NULL)
            return ERR_CORRUPT;
        TRY(row_chan_info_decode(&info, gets[i].key, gets[i].value));
        if ((types & type_bit(info.kind)) != 0 && wanted(l->m, info.kind, info.archived) &&
            sv_cmp(info.name, l->m->after) > 0)
            list[(*len)++] = (struct named){info.name, info.cid, info.kind};
    }
    qsort(list, *len, sizeof *list, by_name);
    return ERR_OK;
}

/* Costs what the user is a member of, not what the team has. *few false: too many to sort, nothing
 * was listed. */
static enum err list_own(struct listing *l, uint32_t types, bool *few)
{
    struct hist *h = l->h;
    struct key prefix;
    struct cids c = {.p = arena_alloc(&h->scratch, own_few_max * sizeof *c.p)};
    struct named *list = arena_alloc(&h->scratch, own_few_max * sizeof *list);
    uint32_t len = 0;
    if (c.p == NULL || list == NULL)
        return ERR_NOMEM;
    key_memberships(&prefix, l->m->of != ID_NONE ? l->m->of : l->m->viewer.uid);
    TRY(view_scan_prefix(&h->view, CF_USER, &prefix, on_own, &c));
    *few = !c.more;
    if (c.more)
        return ERR_OK;
    TRY(own_in_order(l, types, &c, list, &len));
    for (uint32_t i = 0; i < len && !l->full; i += page_channels)
        TRY(put_page(l, list + i, MIN(len - i, (uint32_t)page_channels)));
    return ERR_OK;
}

enum err hist_list(struct hist *h, struct hist_list *m)
{
    struct listing l = {.h = h, .m = m, .j = json_out_on(&m->out), .last_len = m->after.len};
    bool few = false;
    m->len = 0;
    m->next = SV_NONE;
    h->own_posts_left = own_posts_request_max;
    if (m->after.len > key_name_bytes_max) /* no name is that long: a forged cursor */
        return ERR_INVALID_CURSOR;
    if (m->after.len > 0)
        memcpy(l.last, m->after.p, m->after.len);
    if (m->members_only) {
        TRY(list_own(&l, m->types, &few));
        return few ? ERR_OK : list_team(&l);
    }
    bool at_directs = m->after.len == 0 || m->after.p[0] == direct_mark;
    if (at_directs && (m->types & (hist_types_im | hist_types_mpim)) != 0)
        TRY(list_own(&l, m->types & (hist_types_im | hist_types_mpim), &few));
    return l.full ? ERR_OK : list_team(&l);
}
