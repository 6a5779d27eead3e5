/* One outcome however the bytes arrive; and as long as we find nothing wrong, wslay hands out the
 * same messages. */
#include "fuzz.h"
#include "ws/frame.h"

#ifdef HAVE_WSLAY
#include <wslay/wslay.h>
#endif

enum { message_max = 2048 };

/* Messages as opcode, length, bytes, in a row. */
struct outcome {
    struct buf messages;
    uint16_t status; /* 0: nothing wrong */
    bool closed;     /* a close came: what follows is not compared */
};

static void record(struct buf *b, unsigned opcode, const void *p, size_t n)
{
    buf_putc(b, (char)opcode);
    buf_put(b, &n, sizeof n);
    buf_put(b, p, n);
}

static void decode(struct fuzz *f, const uint8_t *data, size_t n, bool whole, struct outcome *o)
{
    struct ws_decoder d;
    ws_decoder_init(&d, message_max);
    *o = (struct outcome){0};
    buf_init(&o->messages, &f->arena, 64);
    for (size_t at = 0; at < n && o->status == 0 && !o->closed;) {
        size_t len = whole ? n - at : 1 + rand_below(&f->rand, MIN(n - at, (size_t)24)), done = 0;
        uint8_t *piece = (uint8_t *)fuzz_exact(data + at, len);
        for (bool more = true; more;) {
            struct ws_message m;
            uint16_t status = 0;
            size_t used;
            enum ws_step step = ws_decode(&d, piece + done, len - done, &used, &m, &status);
            done += used;
            CLAIM(done <= len);
            more = step == WS_MESSAGE;
            if (step == WS_FAILED) {
                CLAIM(status >= 1002 && status <= 1011);
                o->status = status;
            } else if (step == WS_MESSAGE) {
                CLAIM(m.payload.len <= message_max);
                if (m.opcode == WS_CLOSE) {
                    o->closed = true;
                    more = false;
                } else {
                    record(&o->messages, m.opcode, m.payload.p, m.payload.len);
                }
            } else {
                CLAIM(done == len);
            }
        }
        at += len;
        free(piece);
    }
    ws_decoder_deinit(&d);
}

#ifdef HAVE_WSLAY
struct second {
    const uint8_t *p;
    size_t n;
    struct buf messages;
};

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *arg)
{
    (void)flags;
    struct second *s = arg;
    if (s->n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    size_t take = MIN(len, s->n);
    memcpy(buf, s->p, take);
    s->p += take;
    s->n -= take;
    return (ssize_t)take;
}

static void on_msg(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                   void *arg)
{
    (void)ctx;
    struct second *s = arg;
    if (m->opcode != WSLAY_CONNECTION_CLOSE)
        record(&s->messages, m->opcode, m->msg, m->msg_length);
}

static void ask_wslay(struct fuzz *f, const uint8_t *data, size_t n, const struct outcome *o)
{
    struct wslay_event_callbacks callbacks = {.recv_callback = on_recv,
                                              .on_msg_recv_callback = on_msg};
    struct second s = {.p = data, .n = n};
    wslay_event_context_ptr ctx;
    buf_init(&s.messages, &f->arena, 64);
    CLAIM(wslay_event_context_server_init(&ctx, &callbacks, &s) == 0);
    wslay_event_config_set_max_recv_msg_length(ctx, message_max);
    CLAIM(wslay_event_recv(ctx) == 0);
    /* An error of the peer becomes a close that wslay wants to send. */
    CLAIM(o->closed || wslay_event_get_close_sent(ctx) == 0);
    CLAIM(sv_eq(buf_view(&s.messages), buf_view(&o->messages)));
    wslay_event_context_free(ctx);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    struct outcome one, many;
    fuzz_init(&f, data, n);
    decode(&f, data, n, true, &one);
    for (int i = 0; i < 3; i++) {
        decode(&f, data, n, false, &many);
        CLAIM(one.status == many.status && one.closed == many.closed);
        CLAIM(sv_eq(buf_view(&one.messages), buf_view(&many.messages)));
    }
#ifdef HAVE_WSLAY
    if (one.status == 0)
        ask_wslay(&f, data, n, &one);
#endif
    fuzz_deinit(&f);
    return 0;
}
