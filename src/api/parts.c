#include "api/parts.h"

#include "http1/form.h"

bool is_form(const struct request *r)
{
    struct str_view type = r->fields.content_type;
    return type.p != NULL && sv_eq_nocase(media_type(type), SV("multipart/form-data"));
}

enum err parts_init(struct request *r, struct parts *p)
{
    return multipart_init(&p->m, &r->arena, r->fields.content_type);
}

void upload_refuse_here(struct request *r, enum err err)
{
    r->refused = err;
    transfer_leave(r);
}

/* Each byte earns its share of a second, but nobody earns more than the time that a body may stand
 * still. */
void upload_earn_time(struct request *r, size_t bytes)
{
    const struct conf *conf = r->a->conf.conf;
    uint64_t due_us = r->read_due_us + bytes * 1000000 / conf->files_rate_min_bytes_per_s;
    r->read_due_us = MIN(due_us, r->a->t->mono_us + conf->http_body_timeout_ms * 1000);
}

void upload_failed(struct request *r, enum err err)
{
    if (r->state != REQ_TRANSFER) {
        req_refuse(r, err);
        return;
    }
    r->state = REQ_RUNNING;
    answer_error(r, err);
}

/* Of one chunk at most: what is fed is not known to be content before. */
static size_t room(const struct request *r, const struct parts *p)
{
    const struct transfer *t = r->transfer;
    if (!p->in_file)
        return SIZE_MAX;
    return transfer_full(t) ? 0 : media_chunk_bytes - t->chunks[t->at].len;
}

static enum err on_data(struct request *r, struct parts *p, struct str_view data)
{
    size_t took;
    if (p->in_file)
        return transfer_put(r->transfer, data.p, data.len, &took);
    return p->on_field == NULL ? ERR_OK : p->on_field(r, p, data);
}

static enum err on_part_end(struct request *r, struct parts *p)
{
    enum err err = p->on_end == NULL ? ERR_OK : p->on_end(r, p);
    p->in_file = false;
    return err;
}

static enum err on_step(struct request *r, struct parts *p, enum multipart_step step,
                        struct str_view data)
{
    switch (step) {
    case MULTIPART_PART:
        return p->on_part(r, p);
    case MULTIPART_DATA:
        return on_data(r, p, data);
    case MULTIPART_PART_END:
        return on_part_end(r, p);
    case MULTIPART_FAILED:
        return multipart_end(&p->m);
    case MULTIPART_MORE:
        break;
    }
    return ERR_OK;
}

/* A part that nobody wants, a preamble, an epilogue have no other bound. */
static bool count_beside(const struct request *r, struct parts *p, size_t used, size_t content)
{
    p->beside_bytes = p->beside_bytes + used - content; /* content may have been held back before */
    return p->beside_bytes <= r->a->conf.conf->http_body_max;
}

size_t parts_take(struct request *r, struct parts *p, const uint8_t *in, size_t n)
{
    size_t at = 0;
    for (;;) {
        size_t used, most = room(r, p);
        struct str_view data;
        if (most == 0)
            return at;
        enum multipart_step step = multipart_feed(&p->m, in + at, n - at, most, &used, &data);
        at += used;
        size_t content = step == MULTIPART_DATA && p->in_file ? data.len : 0;
        enum err err = count_beside(r, p, used, content) ? on_step(r, p, step, data)
                                                         : ERR_POST_CONTENTS_TOO_LARGE;
        if (err != ERR_OK) {
            upload_refuse_here(r, err);
            return n;
        }
        if (step == MULTIPART_MORE)
            return at;
    }
}
