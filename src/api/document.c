#include "api/document.h"

struct document *document_new(struct request *r, uint64_t owner, enum document_kind kind)
{
    struct document *d = arena_zalloc(&r->arena, sizeof *d);
    if (d == NULL) {
        answer_error(r, ERR_NOMEM);
        return NULL;
    }
    d->owner = owner;
    d->kind = kind;
    r->work = d;
    return d;
}

static void write_it(struct request *r, struct document *d);

static void on_read(struct request *r, const struct cell *c)
{
    struct document *d = r->work;
    d->text = d->read.text;
    if (c->err != ERR_OK)
        answer_error(r, (enum err)c->err);
    else if (d->edit != NULL)
        write_it(r, d);
    else
        d->then(r, d);
}

static void read_it(struct request *r, struct document *d)
{
    d->read = (struct hist_document){
        .owner = d->owner, .kind = d->kind, .known = d->known, .arena = &r->arena};
    req_send(r, req_hist(r), HIST_DOCUMENT, d->owner, &d->read, on_read);
}

static void on_written(struct request *r, const struct cell *c)
{
    struct document *d = r->work;
    if (c->err == ERR_CHANGED && ++d->tries < document_tries_max)
        read_it(r, d);
    else if (c->err != ERR_OK)
        answer_error(r, (enum err)c->err);
    else
        d->then(r, d);
}

static void write_it(struct request *r, struct document *d)
{
    d->changed = false;
    d->to_team = (struct str_view){0};
    d->to_user_len = 0;
    enum err err = d->edit(r, d);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    if (!d->changed) {
        d->then(r, d);
        return;
    }
    d->write = (struct dir_document){.owner = d->owner,
                                     .kind = d->kind,
                                     .revision = d->read.revision,
                                     .text = d->next,
                                     .uid = r->who.uid,
                                     .team = r->who.team,
                                     .to_user = d->to_user,
                                     .to_user_len = d->to_user_len,
                                     .to_team = d->to_team};
    req_send(r, r->a->conf.dir, DIR_DOCUMENT, d->owner, &d->write, on_written);
}

void document_read(struct request *r, struct document *d, document_then *then)
{
    d->edit = NULL;
    d->then = then;
    read_it(r, d);
}

void document_change(struct request *r, struct document *d, document_edit *edit,
                     document_then *then)
{
    d->edit = edit;
    d->then = then;
    read_it(r, d);
}

void document_done(struct request *r, struct document *d)
{
    (void)d;
    answer_begin(r);
    answer_end(r);
}

enum err document_elements(struct request *r, const struct document *d,
                           struct json_member **elements, uint32_t *len)
{
    *elements = NULL;
    *len = 0;
    if (d->text.len == 0)
        return ERR_OK;
    enum err err = json_read_array(r->a->json, &r->arena, d->text, elements, len);
    return err == ERR_OK || err == ERR_NOMEM ? err : ERR_CORRUPT;
}

bool document_open(struct request *r, const struct document *d, struct json_member **elements,
                   uint32_t *len)
{
    enum err err = document_elements(r, d, elements, len);
    if (err != ERR_OK)
        answer_error(r, err);
    return err == ERR_OK;
}

struct str_view document_member(struct request *r, const struct json_member *element,
                                const char *name)
{
    struct json_member *members;
    uint32_t len;
    if (json_read_object(r->a->json, &r->arena, element->value.s, &members, &len) != ERR_OK)
        return SV_NONE;
    const struct json_value *v = json_find(members, len, sv_from(name));
    return v == NULL ? SV_NONE : v->s;
}

void document_tell_user(struct document *d, struct str_view event)
{
    d->one_event = event;
    d->to_user = &d->one_event;
    d->to_user_len = event.len > 0;
}

void document_put(struct json_out *j, const struct json_value *v)
{
    if (v->type == JSON_STRING)
        json_str(j, v->s);
    else
        json_raw(j, v->s);
}

struct json_out document_out(struct request *r, struct buf *b)
{
    buf_init(b, &r->arena, 512);
    return json_out_on(b);
}
