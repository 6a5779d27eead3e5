/* id.h - ids and timestamps as Slack's clients read them.
 * An id is a u64 inside and a type letter + Crockford base32 (upper case, no leading zeros)
 * outside: C1A2B3... A ts is microseconds since 1970 inside and "seconds.micros" (10 digits, dot, 6
 * digits) outside. Source: slack-api reference, Ids and Timestamps. Thread: any. */
#ifndef PARLEY_BASE_ID_H
#define PARLEY_BASE_ID_H

#include "base/compiler.h"
#include "base/str_view.h"

enum { id_text_max = 14, ts_text_len = 17 }; /* letter + 13 digits; no NUL counted */
#define ID_NONE 0u
#define TS_NONE 0u

/* The first letter of an id. */
enum id_kind {
    ID_TEAM = 'T',
    ID_USER = 'U',
    ID_BOT = 'B',
    ID_APP = 'A',
    ID_CHANNEL = 'C', /* public and private channels */
    ID_GROUP = 'G',   /* group direct messages */
    ID_IM = 'D',
    ID_FILE = 'F',
    ID_USERGROUP = 'S',
    ID_SCHEDULED = 'Q'
};

/* Writes letter and digits, no NUL; returns the length. out has room for id_text_max. */
size_t id_format(char *out, enum id_kind kind, uint64_t id);
/* Exactly letter + 1..13 base32 digits, value > 0. False: *out untouched. */
MUST_USE bool id_parse(struct str_view s, enum id_kind kind, uint64_t *out);
/* A conversation id: C, G or D. */
MUST_USE bool id_parse_channel(struct str_view s, uint64_t *out);

/* Writes 17 bytes, no NUL. ts_us < 10^16. */
void ts_format(char out[ts_text_len], uint64_t ts_us);
/* "1517436010.000936"; Slack's clients also send "0" and "1517436010": 1..10 digits, optionally a
 * dot and 1..6 digits. False on anything else. */
MUST_USE bool ts_parse(struct str_view s, uint64_t *ts_us);

/* n base32 digits, 5 bits of each random byte: a secret, no number. No NUL. */
void id_random_digits(char *out, const uint8_t *random, size_t n);

/* A file's id: F and 20 base32 digits of 100 random bits, since who knows it may upload to it. Not
 * a number inside: it is its text. */
enum { file_id_len = 21, file_id_random_bytes = 13 };
struct file_id {
    char text[file_id_len]; /* no NUL */
};
void file_id_make(struct file_id *id, const uint8_t random[file_id_random_bytes]);
MUST_USE bool file_id_parse(struct str_view s, struct file_id *out); /* false: *out untouched */
static inline struct str_view file_id_view(const struct file_id *id)
{
    return (struct str_view){id->text, file_id_len};
}

#endif
