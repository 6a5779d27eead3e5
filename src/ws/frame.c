#include "ws/frame.h"

#include <openssl/base64.h>
#include <openssl/sha.h>
#include <stdlib.h>

enum { empty_fragments_max = 64, first_payload_bytes = 256 };

void ws_decoder_init(struct ws_decoder *d, uint32_t message_max)
{
    memset(d, 0, sizeof *d);
    d->message_max = message_max;
}

void ws_decoder_deinit(struct ws_decoder *d)
{
    free(d->buf);
    free(d->control);
    d->buf = d->control = NULL;
}

/* ---- UTF-8, byte by byte ----
 * States: 0 between characters; else how many continuation bytes are due, with the range of the
 * next one. Packed in a byte: low 2 bits = bytes due, high bits = which first-continuation rule
 * applies. */
enum utf8_rule { ANY, E0, ED, F0, F4 };

static bool utf8_feed(uint8_t *state, const uint8_t *p, size_t n)
{
    uint8_t due = *state & 3, rule = *state >> 2;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i];
        if (due == 0) {
            if (c < 0x80)
                continue;
            rule = ANY;
            if (c >= 0xc2 && c <= 0xdf) {
                due = 1;
            } else if (c >= 0xe0 && c <= 0xef) {
                due = 2;
                rule = c == 0xe0 ? E0 : c == 0xed ? ED : ANY;
            } else if (c >= 0xf0 && c <= 0xf4) {
                due = 3;
                rule = c == 0xf0 ? F0 : c == 0xf4 ? F4 : ANY;
            } else {
                return false;
            }
            continue;
        }
        uint8_t low = rule == E0 ? 0xa0 : rule == F0 ? 0x90 : 0x80;
        uint8_t high = rule == ED ? 0x9f : rule == F4 ? 0x8f : 0xbf;
        if (c < low || c > high)
            return false;
        rule = ANY;
        due--;
    }
    *state = (uint8_t)(rule << 2 | due);
    return true;
}

/* ---- masking ---- */

void ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], size_t pos)
{
    uint8_t m[8];
    for (size_t i = 0; i < 8; i++)
        m[i] = mask[(pos + i) & 3];
    uint64_t wide;
    memcpy(&wide, m, 8);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t v;
        memcpy(&v, p + i, 8);
        v ^= wide;
        memcpy(p + i, &v, 8);
    }
    for (; i < n; i++)
        p[i] ^= m[i & 7];
}

/* ---- decoding ---- */

static enum ws_step fail(struct ws_decoder *d, uint16_t code, uint16_t *status)
{
    d->failed = true;
    *status = code;
    return WS_FAILED;
}

static bool is_control(uint8_t opcode)
{
    return opcode >= 8;
}

static size_t head_bytes(const struct ws_decoder *d)
{
    if (d->head_len < 2)
        return 2;
    uint8_t len = d->head[1] & 127;
    return 2u + 4u + (len == 126 ? 2u : len == 127 ? 8u : 0u);
}

/* The close code that a header deserves, or 0 when it is fine. RFC 6455 5.2, 5.4, 5.5. */
static uint16_t judge_head_start(const struct ws_decoder *d)
{
    uint8_t opcode = d->head[0] & 15, len = d->head[1] & 127;
    bool fin = (d->head[0] & 0x80) != 0;
    if ((d->head[0] & 0x70) != 0 || (d->head[1] & 0x80) == 0)
        return WS_STATUS_PROTOCOL;
    if (is_control(opcode))
        return opcode > WS_PONG || !fin || len > ws_control_max ? WS_STATUS_PROTOCOL : 0;
    if (opcode > WS_BINARY || (opcode == WS_CONTINUATION) != (d->message_opcode != 0))
        return WS_STATUS_PROTOCOL;
    return 0;
}

static uint64_t head_length(const struct ws_decoder *d)
{
    uint8_t len = d->head[1] & 127;
    uint64_t v = 0;
    if (len < 126)
        return len;
    for (unsigned i = 0; i < (len == 126 ? 2u : 8u); i++)
        v = v << 8 | d->head[2 + i];
    return v;
}

/* As soon as the length is whole, before the mask. */
static uint16_t judge_length(const struct ws_decoder *d)
{
    uint8_t short_len = d->head[1] & 127;
    uint64_t len = head_length(d);
    if ((short_len == 126 && len < 126) || (short_len == 127 && (len < 65536 || len >> 63 != 0)))
        return WS_STATUS_PROTOCOL;
    bool control = is_control(d->head[0] & 15);
    return !control && len > d->message_max - d->payload_len ? WS_STATUS_TOO_BIG : 0;
}

static uint16_t on_head(struct ws_decoder *d)
{
    uint64_t len = head_length(d);
    d->opcode = d->head[0] & 15;
    d->fin = (d->head[0] & 0x80) != 0;
    memcpy(d->mask, d->head + d->head_len - 4, 4);
    d->mask_pos = 0;
    d->frame_left = len;
    d->in_payload = true;
    d->head_len = 0;
    if (is_control(d->opcode)) {
        d->control_len = 0;
        return 0;
    }
    if (d->opcode != WS_CONTINUATION) {
        d->message_opcode = d->opcode;
        d->utf8_state = 0;
        d->empty_fragments = 0;
    }
    if (len == 0 && !d->fin && ++d->empty_fragments > empty_fragments_max)
        return WS_STATUS_POLICY;
    return 0;
}

static bool valid_close_code(uint16_t code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static enum ws_step end_control(struct ws_decoder *d, const uint8_t *p, size_t n,
                                struct ws_message *out, uint16_t *status)
{
    d->in_payload = false;
    *out = (struct ws_message){.opcode = (enum ws_opcode)d->opcode,
                               .payload = {(const char *)p, n},
                               .close_status = WS_STATUS_NONE};
    if (d->opcode != WS_CLOSE || n == 0)
        return WS_MESSAGE;
    if (n == 1)
        return fail(d, WS_STATUS_PROTOCOL, status);
    out->close_status = (uint16_t)(p[0] << 8 | p[1]);
    uint8_t utf8 = 0;
    if (!valid_close_code(out->close_status))
        return fail(d, WS_STATUS_PROTOCOL, status);
    if (!utf8_feed(&utf8, p + 2, n - 2) || utf8 != 0)
        return fail(d, WS_STATUS_BAD_DATA, status);
    return WS_MESSAGE;
}

static enum ws_step end_message(struct ws_decoder *d, struct str_view payload,
                                struct ws_message *out, uint16_t *status)
{
    if (d->message_opcode == WS_TEXT && d->utf8_state != 0)
        return fail(d, WS_STATUS_BAD_DATA, status);
    *out = (struct ws_message){.opcode = (enum ws_opcode)d->message_opcode, .payload = payload};
    d->message_opcode = 0;
    d->payload_len = 0;
    return WS_MESSAGE;
}

static bool append(struct ws_decoder *d, const uint8_t *p, size_t n)
{
    if (d->payload_cap - d->payload_len < n) {
        uint32_t cap = MAX((uint32_t)first_payload_bytes, d->payload_cap * 2);
        cap = MIN(MAX(cap, d->payload_len + (uint32_t)n), d->message_max);
        uint8_t *more = realloc(d->buf, cap);
        if (more == NULL)
            return false;
        d->buf = more;
        d->payload_cap = cap;
    }
    if (n > 0)
        memcpy(d->buf + d->payload_len, p, n);
    d->payload_len += (uint32_t)n;
    return true;
}

/* What is finished lets go of its buffer before the next byte is taken. */
static void drop_buffers(struct ws_decoder *d)
{
    if (d->message_opcode == 0 && d->buf != NULL) {
        free(d->buf);
        d->buf = NULL;
        d->payload_cap = 0;
    }
    if (d->control != NULL && !(d->in_payload && is_control(d->opcode))) {
        free(d->control);
        d->control = NULL;
    }
}

static enum ws_step take_control(struct ws_decoder *d, const uint8_t *in, size_t n,
                                 struct ws_message *out, uint16_t *status)
{
    if (d->frame_left == 0 && d->control_len == 0) /* in one piece: no copy */
        return end_control(d, in, n, out, status);
    if (d->control == NULL && (d->control = malloc(ws_control_max)) == NULL)
        return fail(d, WS_STATUS_INTERNAL, status);
    memcpy(d->control + d->control_len, in, n);
    d->control_len = (uint8_t)(d->control_len + n);
    return d->frame_left == 0 ? end_control(d, d->control, d->control_len, out, status) : WS_MORE;
}

static enum ws_step take_payload(struct ws_decoder *d, uint8_t *in, size_t n, size_t *used,
                                 struct ws_message *out, uint16_t *status)
{
    size_t take = (size_t)MIN((uint64_t)n, d->frame_left);
    ws_mask(in, take, d->mask, d->mask_pos);
    d->mask_pos = (uint8_t)((d->mask_pos + take) & 3);
    d->frame_left -= take;
    *used += take;
    if (is_control(d->opcode))
        return take_control(d, in, take, out, status);
    if (d->message_opcode == WS_TEXT && !utf8_feed(&d->utf8_state, in, take))
        return fail(d, WS_STATUS_BAD_DATA, status);
    if (d->frame_left == 0)
        d->in_payload = false;
    if (d->frame_left == 0 && d->fin && d->payload_len == 0) /* one frame in one piece: no copy */
        return end_message(d, (struct str_view){(const char *)in, take}, out, status);
    if (!append(d, in, take))
        return fail(d, WS_STATUS_INTERNAL, status);
    if (d->frame_left == 0 && d->fin)
        return end_message(d, (struct str_view){(const char *)d->buf, d->payload_len}, out, status);
    return WS_MORE;
}

enum ws_step ws_decode(struct ws_decoder *d, uint8_t *in, size_t n, size_t *used,
                       struct ws_message *out, uint16_t *status)
{
    *used = 0;
    if (d->failed)
        return fail(d, WS_STATUS_PROTOCOL, status);
    drop_buffers(d);
    while (*used < n || (d->in_payload && d->frame_left == 0)) {
        if (d->in_payload) {
            enum ws_step step = take_payload(d, in + *used, n - *used, used, out, status);
            if (step != WS_MORE || (*used == n && d->in_payload && d->frame_left > 0))
                return step;
            continue;
        }
        d->head[d->head_len++] = in[(*used)++];
        uint16_t code = d->head_len == 2 ? judge_head_start(d) : 0;
        if (code == 0 && d->head_len >= 2 && d->head_len + 4u == head_bytes(d))
            code = judge_length(d);
        if (code == 0 && d->head_len >= 2 && d->head_len == head_bytes(d))
            code = on_head(d);
        if (code != 0)
            return fail(d, code, status);
    }
    return WS_MORE;
}

/* ---- encoding ---- */

size_t ws_encode_header(uint8_t out[ws_header_max], enum ws_opcode opcode, uint64_t payload_len)
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (payload_len < 126) {
        out[1] = (uint8_t)payload_len;
        return 2;
    }
    unsigned bytes = payload_len < 65536 ? 2 : 8;
    out[1] = bytes == 2 ? 126 : 127;
    for (unsigned i = 0; i < bytes; i++)
        out[2 + i] = (uint8_t)(payload_len >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

size_t ws_encode_close(uint8_t out[2 + ws_control_max], uint16_t status, struct str_view reason)
{
    size_t n = MIN(reason.len, (size_t)ws_control_max - 2);
    while (n > 0 && n < reason.len && ((uint8_t)reason.p[n] & 0xc0) == 0x80)
        n--; /* cut between characters: half of one is bad data to the peer */
    out[0] = 0x80 | WS_CLOSE;
    if (status ==
        WS_STATUS_NONE) { /* never on the wire: an empty close is answered by an empty one */
        out[1] = 0;
        return 2;
    }
    out[1] = (uint8_t)(2 + n);
    out[2] = (uint8_t)(status >> 8);
    out[3] = (uint8_t)status;
    if (n > 0)
        memcpy(out + 4, reason.p, n);
    return 4 + n;
}

size_t ws_encode_client_header(uint8_t out[14], enum ws_opcode opcode, bool fin,
                               uint64_t payload_len, const uint8_t mask[4])
{
    size_t n = ws_encode_header(out, opcode, payload_len);
    if (!fin)
        out[0] &= 0x7f;
    out[1] |= 0x80;
    memcpy(out + n, mask, 4);
    return n + 4;
}

bool ws_accept_key(struct str_view key, char out[28])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    uint8_t raw[18], digest[SHA_DIGEST_LENGTH], text[29];
    size_t n;
    if (key.len != 24 || !EVP_DecodeBase64(raw, &n, sizeof raw, (const uint8_t *)key.p, key.len) ||
        n != 16)
        return false;
    SHA_CTX sha;
    SHA1_Init(&sha);
    SHA1_Update(&sha, key.p, key.len);
    SHA1_Update(&sha, guid, sizeof guid - 1);
    SHA1_Final(digest, &sha);
    EVP_EncodeBlock(text, digest, sizeof digest);
    memcpy(out, text, 28);
    return true;
}
