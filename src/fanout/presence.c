/* presence.c - sockets that want to hear who comes and goes. Each user that somebody here watches
 * is looked at in every sweep; a change goes to those that watch, as lossily as typing. Source:
 * Slack RTM presence_sub, presence_query, presence_change (slack-api reference, section 6). */
#include <stdlib.h>
#include <string.h>

#include "dir/presence.h"
#include "fanout/internal.h"

enum { change_bytes = 160, sends_max = 4096 /* of one sweep; the rest is for the next */ };

/* ---- the table of watched users ---- */

static uint32_t *bucket_of(struct watches *w, uint64_t uid)
{
    return &w->buckets[mix64(uid) & (w->buckets_len - 1)];
}

static bool grow(struct watches *w)
{
    uint32_t cap = w->cap == 0 ? 64 : w->cap * 2;
    struct watch *all = realloc(w->all, cap * sizeof *all);
    if (all == NULL)
        return false;
    w->all = all;
    uint32_t *buckets = malloc(cap * 2 * sizeof *buckets);
    if (buckets == NULL)
        return false;
    free(w->buckets);
    memset(buckets, 0xff, cap * 2 * sizeof *buckets);
    w->buckets = buckets;
    w->buckets_len = cap * 2;
    w->cap = cap;
    for (uint32_t i = 0; i < w->len; i++) {
        if (all[i].by_len == 0)
            continue; /* in the list of free ones */
        uint32_t *at = bucket_of(w, all[i].uid);
        all[i].next = *at;
        *at = i;
    }
    return true;
}

static uint32_t find(struct watches *w, uint64_t uid)
{
    uint32_t i = w->buckets_len == 0 ? slot_none : *bucket_of(w, uid);
    while (i != slot_none && w->all[i].uid != uid)
        i = w->all[i].next;
    return i;
}

static uint32_t get(struct watches *w, uint64_t uid, struct presence *p, bool told)
{
    uint32_t i = find(w, uid);
    if (i != slot_none)
        return i;
    if (w->free == slot_none && w->len == w->cap && !grow(w))
        return slot_none;
    i = w->free;
    if (i != slot_none)
        w->free = w->all[i].next;
    else
        i = w->len++;
    uint32_t *at = bucket_of(w, uid);
    w->all[i] = (struct watch){.uid = uid, .p = p, .active = told, .next = *at};
    *at = i;
    return i;
}

static void drop(struct watches *w, uint32_t i)
{
    uint32_t *at = bucket_of(w, w->all[i].uid);
    while (*at != i)
        at = &w->all[*at].next;
    *at = w->all[i].next;
    free(w->all[i].by);
    w->all[i] = (struct watch){.next = w->free};
    w->free = i;
}

/* ---- who watches whom ---- */

/* Both sides know the other's place, so that a socket leaves in no more steps than it watches. */
static bool add(struct fanout *f, struct fan_conn *c, uint32_t i)
{
    struct watch *h = &f->watches.all[i];
    if (h->by_len == h->by_cap) {
        uint32_t cap = h->by_cap == 0 ? 2 : h->by_cap * 2;
        struct watched_by *more = realloc(h->by, cap * sizeof *more);
        if (more == NULL)
            return false;
        h->by = more;
        h->by_cap = cap;
    }
    h->by[h->by_len] = (struct watched_by){slab_index(c->self), c->watched->len};
    c->watched->to[c->watched->len++] = (struct watching){i, h->by_len++};
    return true;
}

static void unwatch(struct fanout *f, const struct watching *at)
{
    struct watch *h = &f->watches.all[at->watch];
    struct watched_by *last = &h->by[--h->by_len];
    if (at->by < h->by_len) {
        h->by[at->by] = *last;
        conn_at(f, last->slot)->watched->to[last->at].by = at->by;
    }
    if (h->by_len == 0)
        drop(&f->watches, at->watch);
}

void presence_forget(struct fanout *f, struct fan_conn *c)
{
    struct watched *list = c->watched;
    for (uint32_t k = 0; list != NULL && k < list->len; k++)
        unwatch(f, &list->to[k]);
    free(list);
    c->watched = NULL;
}

void presence_free(struct fanout *f)
{
    for (uint32_t i = 0; i < f->watches.len; i++)
        free(f->watches.all[i].by);
    free(f->watches.all);
    free(f->watches.buckets);
}

/* ---- telling ---- */

/* users: more than one only for a client that has said that it takes a list. Empty: no memory. */
static struct str_view change_text(struct fanout *f, const uint64_t *uids, uint32_t n, bool list,
                                   bool active)
{
    struct buf b;
    buf_init(&b, &f->scratch, change_bytes + n * (id_text_max + 3));
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "type", SV("presence_change"));
    if (list) {
        json_key(&j, "users");
        json_arr(&j);
        for (uint32_t i = 0; i < n; i++)
            json_id(&j, ID_USER, uids[i]);
        json_arr_end(&j);
    } else {
        json_kv_id(&j, "user", ID_USER, uids[0]);
    }
    json_kv_str(&j, "presence", active ? SV("active") : SV("away"));
    json_obj_end(&j);
    return b.failed ? SV("") : buf_view(&b);
}

static void tell(struct fanout *f, struct fan_conn *c, struct str_view text)
{
    if (text.len > 0 && c->state <= FAN_OPEN && queue_bytes(c) < f->conf.conf->ws_queue_soft_bytes)
        queue_text(f, c, false, text);
}

static void tell_all(struct fanout *f, struct fan_conn *c, const uint64_t *uids, uint32_t n,
                     bool active)
{
    if (c->batch_presence && n > 0)
        tell(f, c, change_text(f, uids, n, true, active));
    for (uint32_t i = 0; !c->batch_presence && i < n; i++)
        tell(f, c, change_text(f, &uids[i], 1, false, active));
}

/* ---- what clients ask ---- */

struct asked {
    uint64_t active[presence_ids_max], away[presence_ids_max];
    uint32_t active_len, away_len;
};

static void note(struct asked *a, uint64_t uid, bool active)
{
    if (active)
        a->active[a->active_len++] = uid;
    else
        a->away[a->away_len++] = uid;
}

static void tell_asked(struct fanout *f, struct fan_conn *c, const struct asked *a)
{
    tell_all(f, c, a->active, a->active_len, true);
    tell_all(f, c, a->away, a->away_len, false);
}

/* Members of c's workspace, each once, at most presence_ids_max; what is none is left out. */
static uint32_t read_ids(struct fanout *f, const struct fan_conn *c, struct str_view ids,
                         struct presence_id *out)
{
    struct json_member *all;
    uint32_t len, n = 0;
    if (json_read_array(f->json, &f->scratch, ids, &all, &len) != ERR_OK)
        return 0;
    for (uint32_t i = 0; i < len && n < presence_ids_max; i++) {
        const struct json_value *v = &all[i].value;
        struct presence_id id;
        if (v->type != JSON_STRING || !id_parse(v->s, ID_USER, &id.uid) ||
            (id.p = dir_presence(f->conf.dir, c->team, id.uid)) == NULL)
            continue;
        uint32_t k = 0;
        while (k < n && out[k].uid != id.uid)
            k++;
        if (k == n)
            out[n++] = id;
    }
    return n;
}

/* What those who watch were told last: who is told something else would not hear when that becomes
 * true again. The sweep that follows tells all of them. */
static bool told(struct fanout *f, const struct presence_id *id)
{
    uint32_t i = find(&f->watches, id->uid);
    return i != slot_none ? f->watches.all[i].active : presence_active(id->p);
}

void presence_query(struct fanout *f, struct fan_conn *c, struct str_view ids)
{
    struct presence_id all[presence_ids_max];
    struct asked *a = arena_zalloc(&f->scratch, sizeof *a);
    uint32_t n = a == NULL ? 0 : read_ids(f, c, ids, all);
    for (uint32_t i = 0; i < n; i++)
        note(a, all[i].uid, told(f, &all[i]));
    if (n > 0)
        tell_asked(f, c, a);
}

static bool knew(const struct fanout *f, const struct watched *list, uint64_t uid)
{
    uint32_t k = 0;
    while (list != NULL && k < list->len && f->watches.all[list->to[k].watch].uid != uid)
        k++;
    return list != NULL && k < list->len;
}

void presence_subscribe(struct fanout *f, struct fan_conn *c, struct str_view ids)
{
    struct presence_id all[presence_ids_max];
    struct asked *a = arena_zalloc(&f->scratch, sizeof *a);
    uint32_t n = a == NULL ? 0 : read_ids(f, c, ids, all);
    for (uint32_t i = 0; i < n; i++) {
        all[i].told = told(f, &all[i]);
        if (!knew(f, c->watched, all[i].uid))
            note(a, all[i].uid, all[i].told);
    }
    presence_forget(f, c);
    if (n == 0)
        return;
    c->watched = malloc(sizeof *c->watched + n * sizeof c->watched->to[0]);
    if (c->watched == NULL)
        return; /* the client asks again when it misses something */
    c->watched->len = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t watch = get(&f->watches, all[i].uid, all[i].p, all[i].told);
        if (watch != slot_none && !add(f, c, watch) && f->watches.all[watch].by_len == 0)
            drop(&f->watches, watch);
    }
    tell_asked(f, c, a);
}

/* ---- looking again ---- */

/* From the end of the list: who leaves meanwhile is replaced by the last, who was told. Returns how
 * many are left. */
static uint32_t tell_watchers(struct fanout *f, const struct watch *h, uint32_t left, uint32_t max)
{
    arena_reset(&f->scratch);
    struct str_view one = change_text(f, &h->uid, 1, false, h->active);
    struct str_view list = change_text(f, &h->uid, 1, true, h->active);
    left = MIN(left, h->by_len);
    for (; left > 0 && max > 0; left--, max--) {
        struct fan_conn *c = conn_at(f, h->by[left - 1].slot);
        tell(f, c, c->batch_presence ? list : one);
    }
    return left;
}

void presence_sweep(struct fanout *f)
{
    struct watches *w = &f->watches;
    uint32_t room = sends_max;
    for (uint32_t n = w->len; n > 0 && room > 0; n--) {
        struct watch *h = &w->all[w->at];
        if (w->left == 0 && h->by_len > 0 && presence_active(h->p) != h->active) {
            h->active = !h->active;
            w->left = h->by_len;
        }
        uint32_t before = w->left;
        if (before > 0)
            w->left = tell_watchers(f, h, before, room);
        room -= MIN(room, before - w->left);
        if (w->left == 0)
            w->at = w->at + 1 < w->len ? w->at + 1 : 0;
    }
}
