/* What RTM clients say, from a socket's text frames to the cells for chan: frames are separated by
 * the byte 1e. Each message gets at most one answer, every answer is a JSON object, what goes to
 * chan is text, and everything that was lent comes back. */
#include "fanout/fake_world.h"

enum { frame_bytes_max = 16384, record_separator = 0x1e };

static struct json_reader *json;

static void send_frame(struct str_view text)
{
    static uint8_t bytes[frame_bytes_max + 64];
    static const uint8_t mask[4] = {1, 2, 3, 4};
    size_t n = ws_encode_client_header(bytes, WS_TEXT, true, text.len, mask);
    memcpy(bytes + n, text.p, text.len);
    ws_mask(bytes + n, text.len, mask, 0);
    fanout_net_ops.on_data(w.f, w.socks[0].id, bytes, n + text.len, &w.t);
    end_turn();
}

/* The members that chan puts into the row make an object together with what chan adds. */
static void judge_post(struct fuzz *f, const struct chan_post *p)
{
    struct buf b;
    struct json_member *members;
    uint32_t len;
    buf_init(&b, &f->arena, 256);
    buf_putc(&b, '{');
    buf_put_sv(&b, p->members);
    buf_putc(&b, '}');
    CLAIM(!b.failed);
    CLAIM(json_read_object(json, &f->arena, buf_view(&b), &members, &len) == ERR_OK);
    const struct json_value *text = json_find(members, len, SV("text"));
    CLAIM(text != NULL && text->type == JSON_STRING && text->s.len > 0);
    CLAIM(p->uid == 101 && p->team == 7 && p->client_msg_id.len <= 255);
}

static void answer_chan(struct fuzz *f)
{
    static const enum err why[] = {ERR_OK, ERR_OK, ERR_NOT_IN_CHANNEL, ERR_SERVICE_UNAVAILABLE};
    struct cell *c;
    while (edge_peek(&w.req_chan, 1, &c) > 0) {
        judge_post(f, c->u.p);
        post_answer_as(why[rand_below(&f->rand, ARRAY_LEN(why))], 1700000000000001,
                       rand_below(&f->rand, 4) == 0 ? CHAN_F_DUPLICATE : 0);
    }
    struct cell typing;
    while (pop(&w.ev_chan, &typing))
        CLAIM(typing.type == CHAN_TYPING && (typing.cid == cid1 || typing.cid == cid2));
}

static uint32_t judge_answers(struct fuzz *f)
{
    uint32_t n = 0;
    uint8_t opcode;
    struct str_view payload;
    struct json_member *members;
    uint32_t len;
    while (frame(0, &opcode, &payload)) {
        if (opcode == WS_CLOSE)
            continue;
        CLAIM(opcode == WS_TEXT);
        CLAIM(json_read_object(json, &f->arena, payload, &members, &len) == ERR_OK);
        n++;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    struct str_view rest = {(const char *)data, MIN(n, (size_t)frame_bytes_max)};
    uint32_t frames = 0;
    if (json == NULL)
        CLAIM(json_reader_new(&json) == ERR_OK);
    fuzz_init(&f, data, n);
    begin(NULL);
    open_socket(0, 1, C12, 2);
    w.socks[0].read = 0;
    while (rest.p != NULL && rest.len > 0 && w.socks[0].closed == 0) {
        send_frame(sv_cut(&rest, record_separator));
        frames++;
        answer_chan(&f);
        read_all(0);
    }
    CLAIM(judge_answers(&f) <= frames);
    CLAIM(slab_used(&w.f->posts) == 0 && w.f->arenas.bytes_used == 0 && w.out.requests_out == 0);
    end();
    fuzz_deinit(&f);
    return 0;
}
