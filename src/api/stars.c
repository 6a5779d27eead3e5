/* stars.c - stars.*: messages and conversations that one keeps for later. What one may no longer
 * see stays starred and is not listed. Source: Slack stars.*, star_added, star_removed. */
#include "api/document.h"
#include "api/handlers.h"
#include "base/mutant.h"

enum { stars_max = 1000, page_default = 100, page_max = 200 };

struct item { /* channel as it was named: C, G or D */
    struct str_view channel, ts;
    uint64_t cid, ts_us; /* ts_us 0: the conversation itself */
};

static enum err asked(struct request *r, struct item *out)
{
    const struct arg_value *channel = arg(r, "channel"), *ts = arg(r, "timestamp");
    if (!channel->given)
        return ERR_NO_ITEM;
    *out = (struct item){channel->s, ts->given ? ts->s : SV(""), channel->n, ts->n};
    return ERR_OK;
}

static bool is_item(struct request *r, const struct json_member *element, const struct item *i)
{
    uint64_t cid, ts_us = 0;
    struct str_view ts = document_member(r, element, "ts");
    return id_parse_channel(document_member(r, element, "channel"), &cid) && cid == i->cid &&
           (ts.p == NULL || ts_parse(ts, &ts_us)) && ts_us == i->ts_us;
}

static void put_item(struct json_out *j, const struct item *i)
{
    json_kv_str(j, "type",
                i->ts_us != 0              ? SV("message")
                : i->channel.p[0] == ID_IM ? SV("im")
                                           : SV("channel"));
    json_kv_str(j, "channel", i->channel);
    if (i->ts_us != 0)
        json_kv_ts(j, "ts", i->ts_us);
}

static struct str_view event(struct request *r, const char *type, const struct item *i)
{
    struct buf b;
    struct json_out j = document_out(r, &b);
    json_obj(&j);
    json_kv_str(&j, "type", sv_from(type));
    json_kv_id(&j, "user", ID_USER, r->who.uid);
    json_key(&j, "item");
    json_obj(&j);
    put_item(&j, i);
    json_obj_end(&j);
    json_kv_ts(&j, "event_ts", r->a->t->wall_us);
    json_obj_end(&j);
    return b.failed ? SV("") : buf_view(&b);
}

/* ---- add and remove ---- */

static enum err edit_add(struct request *r, struct document *d)
{
    const struct item *item = d->own;
    struct json_member *all;
    uint32_t len;
    struct buf b;
    TRY(document_elements(r, d, &all, &len));
    for (uint32_t i = 0; i < len; i++) {
        if (is_item(r, &all[i], item))
            return ERR_ALREADY_STARRED;
    }
    if (len >= stars_max)
        return ERR_TOO_MANY_ITEMS;
    struct json_out j = document_out(r, &b);
    json_arr(&j);
    json_obj(&j);
    put_item(&j, item);
    json_kv_u64(&j, "date_create", r->a->t->wall_us / 1000000);
    json_obj_end(&j);
    for (uint32_t i = 0; i < MUTANT(STAR_PUSHES_OUT, len, MIN(len, 2u)); i++)
        document_put(&j, &all[i].value);
    json_arr_end(&j);
    d->changed = true;
    d->next = buf_view(&b);
    document_tell_user(d, event(r, "star_added", item));
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static enum err edit_remove(struct request *r, struct document *d)
{
    const struct item *item = d->own;
    struct json_member *all;
    uint32_t len, kept = 0;
    struct buf b;
    TRY(document_elements(r, d, &all, &len));
    struct json_out j = document_out(r, &b);
    json_arr(&j);
    for (uint32_t i = 0; i < len; i++) {
        if (is_item(r, &all[i], item))
            continue;
        document_put(&j, &all[i].value);
        kept++;
    }
    json_arr_end(&j);
    if (kept == len)
        return ERR_NOT_STARRED;
    d->changed = true;
    d->next = kept == 0 ? SV("") : buf_view(&b);
    document_tell_user(d, event(r, "star_removed", item));
    return b.failed ? ERR_NOMEM : ERR_OK;
}

static struct document *new_change(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_STARS);
    struct item *item = d == NULL ? NULL : arena_zalloc(&r->arena, sizeof *item);
    if (d == NULL)
        return NULL;
    enum err err = item == NULL ? ERR_NOMEM : asked(r, item);
    if (err != ERR_OK) {
        answer_error(r, err);
        return NULL;
    }
    d->own = item;
    return d;
}

struct look { /* whether the item is there for the caller, before it is starred */
    struct document *d;
    struct hist_message message;
    struct hist_info info;
};

static void on_looked(struct request *r, const struct cell *c)
{
    struct look *l = r->work;
    if (answer_refused(r, c))
        return;
    r->work = l->d;
    document_change(r, l->d, edit_add, document_done);
}

void stars_add(struct request *r)
{
    struct document *d = new_change(r);
    struct look *l = d == NULL ? NULL : arena_zalloc(&r->arena, sizeof *l);
    if (d == NULL)
        return;
    if (l == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    const struct item *item = d->own;
    l->d = d;
    r->work = l;
    if (item->ts_us != 0) {
        l->message =
            (struct hist_message){.viewer = req_viewer(r), .cid = item->cid, .ts_us = item->ts_us};
        buf_init(&l->message.out, &r->arena, 0);
        req_send(r, req_hist(r), HIST_MESSAGE, item->cid, &l->message, on_looked);
    } else {
        l->info = (struct hist_info){.viewer = req_viewer(r), .cid = item->cid};
        buf_init(&l->info.out, &r->arena, 0);
        req_send(r, req_hist(r), HIST_INFO, item->cid, &l->info, on_looked);
    }
}

void stars_remove(struct request *r)
{
    struct document *d = new_change(r);
    if (d != NULL)
        document_change(r, d, edit_remove, document_done);
}

/* ---- list ---- */

struct listing {
    struct document d;
    struct json_member *all;
    uint32_t len, at, end, count, page;
    struct item item;
    struct str_view created;
    struct hist_message message;
    struct hist_info info;
};

static void next_item(struct request *r, struct listing *l);

static void put_listed(struct request *r, const struct listing *l)
{
    json_obj(&r->j);
    put_item(&r->j, &l->item);
    json_key(&r->j, "date_create");
    json_raw(&r->j, l->created);
    if (l->item.ts_us != 0) {
        json_key(&r->j, "message");
        json_raw(&r->j, buf_view(&l->message.out));
    }
    json_obj_end(&r->j);
}

/* What is not there for the caller any more is passed by; any other error is no reason to say so.
 */
static void on_item(struct request *r, const struct cell *c)
{
    struct listing *l = r->work;
    if (c->err == ERR_OK)
        put_listed(r, l);
    else if (c->err != ERR_CHANNEL_NOT_FOUND && c->err != ERR_MESSAGE_NOT_FOUND &&
             c->err != ERR_NOT_IN_CHANNEL) {
        answer_error(r, (enum err)c->err);
        return;
    }
    next_item(r, l);
}

static bool read_item(struct request *r, struct listing *l, const struct json_member *element)
{
    l->item = (struct item){.channel = document_member(r, element, "channel"),
                            .ts = document_member(r, element, "ts")};
    l->created = document_member(r, element, "date_create");
    return id_parse_channel(l->item.channel, &l->item.cid) && l->created.p != NULL &&
           (l->item.ts.p == NULL || ts_parse(l->item.ts, &l->item.ts_us));
}

/* One after the other: each is looked at as it is now, by who asks. */
static void next_item(struct request *r, struct listing *l)
{
    while (l->at < l->end) {
        if (!read_item(r, l, &l->all[l->at++]))
            continue;
        r->work = l;
        if (l->item.ts_us != 0) {
            l->message = (struct hist_message){
                .viewer = req_viewer(r), .cid = l->item.cid, .ts_us = l->item.ts_us};
            buf_init(&l->message.out, &r->arena, 0);
            req_send(r, req_hist(r), HIST_MESSAGE, l->item.cid, &l->message, on_item);
        } else {
            l->info = (struct hist_info){.viewer = req_viewer(r), .cid = l->item.cid};
            buf_init(&l->info.out, &r->arena, 0);
            req_send(r, req_hist(r), HIST_INFO, l->item.cid, &l->info, on_item);
        }
        return;
    }
    json_arr_end(&r->j);
    paging_write(r, l->count, l->len, l->page);
    page_cursor_write(r, l->count, l->len, l->page);
    answer_end(r);
}

static void on_stars(struct request *r, struct document *d)
{
    struct listing *l = (struct listing *)(void *)((char *)d - offsetof(struct listing, d));
    if (!document_open(r, d, &l->all, &l->len))
        return;
    l->at = (uint32_t)MIN((uint64_t)(l->page - 1) * l->count, (uint64_t)l->len);
    l->end = MIN(l->at + l->count, l->len);
    answer_begin(r);
    json_key(&r->j, "items");
    json_arr(&r->j);
    next_item(r, l);
}

void stars_list(struct request *r)
{
    struct listing *l = arena_zalloc(&r->arena, sizeof *l);
    const struct arg_value *count = arg(r, "count"), *limit = arg(r, "limit");
    enum err err = l == NULL ? ERR_NOMEM : page_read(r, &l->page);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->arena.bytes_max = arena_list_max;
    l->count = (uint32_t)(limit->given ? limit->n : count->given ? count->n : page_default);
    l->count = MIN(l->count, (uint32_t)page_max);
    l->d = (struct document){.owner = r->who.uid, .kind = DOC_STARS};
    r->work = &l->d;
    document_read(r, &l->d, on_stars);
}
