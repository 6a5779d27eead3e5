/* ws/frame.h - WebSocket frames, server side. Bytes in, messages out; no sockets.
 * Source: RFC 6455 sections 5 and 7. Text is checked as it arrives: a bad byte fails at once (8.1).
 * Thread: one owner. */
#ifndef PARLEY_WS_FRAME_H
#define PARLEY_WS_FRAME_H

#include "base/arena.h"
#include "base/err.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

enum ws_status { /* RFC 6455 7.4.1 */
                 WS_STATUS_NORMAL = 1000,
                 WS_STATUS_GOING_AWAY = 1001,
                 WS_STATUS_PROTOCOL = 1002,
                 WS_STATUS_UNSUPPORTED = 1003,
                 WS_STATUS_NONE = 1005, /* only inside: a close frame without a code */
                 WS_STATUS_BAD_DATA = 1007,
                 WS_STATUS_POLICY = 1008,
                 WS_STATUS_TOO_BIG = 1009,
                 WS_STATUS_INTERNAL = 1011,
                 WS_STATUS_RESTART = 1012,
                 WS_STATUS_TRY_LATER = 1013
};

enum { ws_header_max = 10, ws_control_max = 125 };

struct ws_message {
    enum ws_opcode opcode;   /* WS_TEXT or WS_BINARY when whole; WS_PING, WS_PONG, WS_CLOSE */
    struct str_view payload; /* unmasked; valid until the next call with this decoder */
    uint16_t close_status;   /* WS_CLOSE: WS_STATUS_NONE when it has none */
};

enum ws_step { WS_MORE, WS_MESSAGE, WS_FAILED };

/* Kept small: one lies in every connection. Payload has a buffer only while it is partial. */
struct ws_decoder {
    uint32_t message_max;
    uint32_t payload_len, payload_cap; /* of buf */
    uint8_t empty_fragments;           /* of this message; a bound ends endless ones with 1008 */
    uint8_t opcode;                    /* of the present frame */
    uint8_t message_opcode;            /* of the fragmented message under way; 0: none */
    uint8_t utf8_state;                /* of the text under way */
    uint8_t *buf;                      /* of a message under way, heap; NULL when idle */
    uint8_t *control;                  /* of a split control frame, likewise */
    uint64_t frame_left;               /* payload bytes of the present frame still to come */
    uint8_t mask[4], mask_pos;
    uint8_t head[14], head_len; /* bytes of a partial frame header */
    uint8_t control_len;
    bool fin, in_payload, failed;
};
_Static_assert(sizeof(struct ws_decoder) == 64, "one cache line of each connection");

void ws_decoder_init(struct ws_decoder *d, uint32_t message_max);
void ws_decoder_deinit(struct ws_decoder *d);
/* Takes bytes until one message or control frame is whole; *used says how many. Call until WS_MORE,
 * with n 0 at last: that call frees the buffer of the message before, so an idle connection holds
 * none. in is unmasked in place. WS_FAILED: *status is the close code to send; nothing more may be
 * fed. */
enum ws_step ws_decode(struct ws_decoder *d, uint8_t *in, size_t n, size_t *used,
                       struct ws_message *out, uint16_t *status);

/* Header of an unmasked, unfragmented frame; returns its length (2, 4 or 10). */
size_t ws_encode_header(uint8_t out[ws_header_max], enum ws_opcode opcode, uint64_t payload_len);
/* Whole close frame: status and at most 123 bytes of reason; returns its length. */
size_t ws_encode_close(uint8_t out[2 + ws_control_max], uint16_t status, struct str_view reason);
/* Client side, for tools and tests: header with mask, and payload masked in place. */
size_t ws_encode_client_header(uint8_t out[14], enum ws_opcode opcode, bool fin,
                               uint64_t payload_len, const uint8_t mask[4]);
void ws_mask(uint8_t *p, size_t n, const uint8_t mask[4], size_t pos);

/* Sec-WebSocket-Accept of a key: 28 characters. False when the key is not base64 of 16 bytes. */
bool ws_accept_key(struct str_view key, char out[28]);

#endif
