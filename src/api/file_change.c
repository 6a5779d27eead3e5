/* file_change.c - files.delete, files.sharedPublicURL, files.revokePublicURL: a file changes, then
 * whoever may see it hears of it: its owner, and the conversations that it is shared in. Once media
 * has changed it, the rest is done whether the client waits or not. */
#include "api/handlers.h"
#include "api/share.h"

enum { object_bytes = 2048 };

struct place {
    uint64_t cid, ts_us; /* ts_us: of the message that shows it */
};

struct file_change {
    struct media_delete gone;
    struct media_public link;
    const char *event;
    enum err err; /* answered once all have heard */
    struct file_id id;
    uint64_t owner;
    struct place *places;
    uint32_t places_len, at;
    struct chan_change change;
    struct dir_tell tell;
    void (*then)(struct request *r);
};

/* ---- telling ---- */

static void on_place(struct request *r, const struct cell *c);

static void on_owner(struct request *r, const struct cell *c)
{
    const struct file_change *w = r->work;
    (void)c; /* an event that is lost is lost: the change is made */
    w->then(r);
}

static void tell_next(struct request *r)
{
    struct file_change *w = r->work;
    if (w->at == w->places_len) {
        if (file_event(r, &w->tell, w->event, &w->id, w->owner) != ERR_OK)
            w->then(r);
        else
            req_send(r, r->a->conf.dir, DIR_TELL, ID_NONE, &w->tell, on_owner);
        return;
    }
    const struct place *p = &w->places[w->at++];
    w->change =
        (struct chan_change){.kind = p->ts_us != TS_NONE ? CHANGE_FILE_GONE : CHANGE_FILE_TELL,
                             .team = r->who.team,
                             .uid = r->who.uid,
                             .ts_us = p->ts_us,
                             .name = file_id_view(&w->id),
                             .text = sv_from(w->event),
                             .arena = &r->arena};
    req_send(r, req_chan(r, p->cid), CHAN_CHANGE, p->cid, &w->change, on_place);
}

/* The file is gone all the same, and its message may be deleted by now. One that still shows it is
 * not passed over: the caller asks again, and all are told again. */
static void on_place(struct request *r, const struct cell *c)
{
    struct file_change *w = r->work;
    if (err_http((enum err)c->err) >= 500)
        w->err = ERR_SERVICE_UNAVAILABLE;
    tell_next(r);
}

static struct file_change *work_new(struct request *r, const char *event)
{
    struct file_change *w = arena_zalloc(&r->arena, sizeof *w);
    r->base_url = file_base_url(r);
    if (w == NULL || r->base_url.p == NULL) {
        answer_error(r, ERR_NOMEM);
        return NULL;
    }
    if (!file_id_parse(arg(r, "file")->s, &w->id)) {
        answer_error(r, ERR_FILE_NOT_FOUND);
        return NULL;
    }
    w->event = event;
    r->work = w;
    return w;
}

/* ---- the end of a file ---- */

static void answer_gone(struct request *r)
{
    const struct file_change *w = r->work;
    if (w->err != ERR_OK) {
        answer_error(r, w->err);
        return;
    }
    answer_begin(r);
    answer_end(r);
}

/* Who deleted it before may have been cut off before its messages heard of it: they hear again. */

static void on_gone(struct request *r, const struct cell *c)
{
    struct file_change *w = r->work;
    const struct media_delete *m = &w->gone;
    bool again = c->err == ERR_FILE_DELETED && m->shares_len > 0;
    if (!again && answer_refused(r, c))
        return;
    w->err = (enum err)c->err;
    w->owner = m->owner;
    w->places = arena_alloc(&r->arena, (m->shares_len + 1) * sizeof *w->places);
    if (w->places == NULL)
        w->err = ERR_SERVICE_UNAVAILABLE;
    for (uint32_t i = 0; w->places != NULL && i < m->shares_len; i++)
        w->places[w->places_len++] = (struct place){m->shares[i].cid, m->shares[i].ts_us};
    tell_next(r);
}

void files_delete(struct request *r)
{
    struct file_change *w = work_new(r, "file_deleted");
    if (w == NULL)
        return;
    w->then = answer_gone;
    w->gone = (struct media_delete){.team = r->who.team,
                                    .uid = r->who.uid,
                                    .is_admin = req_is_admin(r),
                                    .is_guest = req_is_guest(r),
                                    .id = w->id,
                                    .arena = &r->arena};
    r->goes_on = true;
    req_send(r, r->a->conf.media, MEDIA_DELETE, ID_NONE, &w->gone, on_gone);
}

/* ---- its public link ---- */

static void answer_link(struct request *r)
{
    const struct file_change *w = r->work;
    answer_begin_sized(r, w->link.json.len + 64);
    json_key(&r->j, "file");
    json_raw(&r->j, buf_view(&w->link.json));
    r->body.failed |= w->link.json.failed;
    answer_end(r);
}

static uint32_t count_ids(struct request *r, struct json_member *members, uint32_t len,
                          struct json_member **ids, const char *name)
{
    const struct json_value *v = json_find(members, len, sv_from(name));
    uint32_t n = 0;
    if (v == NULL || json_read_array(r->a->json, &r->arena, v->s, ids, &n) != ERR_OK)
        return 0;
    return n;
}

/* Where the caller may know that it is, by its object. */
static void read_places(struct request *r, struct file_change *w)
{
    static const char *const lists[] = {"channels", "groups", "ims"};
    struct json_member *members, *ids[ARRAY_LEN(lists)];
    uint32_t len, n[ARRAY_LEN(lists)], all = 0;
    if (w->link.json.failed ||
        json_read_object(r->a->json, &r->arena, buf_view(&w->link.json), &members, &len) != ERR_OK)
        return;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        all += n[i] = count_ids(r, members, len, &ids[i], lists[i]);
    w->places = arena_alloc(&r->arena, (all + 1) * sizeof *w->places);
    for (size_t i = 0; i < ARRAY_LEN(lists) && w->places != NULL; i++) {
        for (uint32_t k = 0; k < n[i]; k++) {
            struct place p = {.ts_us = TS_NONE};
            if (id_parse_channel(ids[i][k].value.s, &p.cid))
                w->places[w->places_len++] = p;
        }
    }
}

static void on_link(struct request *r, const struct cell *c)
{
    struct file_change *w = r->work;
    if (answer_refused(r, c))
        return;
    w->owner = w->link.owner;
    read_places(r, w);
    tell_next(r);
}

static void change_link(struct request *r, const char *event, bool revoke)
{
    struct file_change *w = work_new(r, event);
    if (w == NULL)
        return;
    w->then = answer_link;
    w->link = (struct media_public){.team = r->who.team,
                                    .uid = r->who.uid,
                                    .is_admin = req_is_admin(r),
                                    .revoke = revoke,
                                    .id = w->id,
                                    .base_url = r->base_url};
    buf_init(&w->link.json, &r->arena, object_bytes);
    r->goes_on = true;
    req_send(r, r->a->conf.media, MEDIA_PUBLIC, ID_NONE, &w->link, on_link);
}

void files_shared_public_url(struct request *r)
{
    change_link(r, "file_public", false);
}

void files_revoke_public_url(struct request *r)
{
    change_link(r, "file_change", true);
}
