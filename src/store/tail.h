/* tail.h - durable rows that are in no sorted file yet: an index over the records of the log, in
 * memory. Hash table for points; for ranges a skip list of prefixes (a channel, a user) and one of
 * keys below each. A new row in front of its list, as each new message is, costs no search.
 *
 * Each key keeps its versions, newest first, under the number of their commit; a reader sees those
 * up to the number that it began with. Nothing is ever taken out: a tail goes as a whole.
 * Thread: one writer; any number of readers at the same time, without locks. What is linked in is
 * complete and published by a release store, which pairs with the acquire load of who follows it.
 * Memory: one mapping of bytes_max, of which only what is used becomes resident; hash tables beside
 * it, each kept until the end, since a reader may look into it. */
#ifndef PARLEY_STORE_TAIL_H
#define PARLEY_STORE_TAIL_H

#include "base/err.h"
#include "store/record.h"

struct tail;

struct tail_row {
    const struct tail_row *older;
    uint64_t number; /* of the commit */
    const char *value;
    uint32_t value_len;
    bool deleted;
};

/* NULL: no memory. slots: how many keys to expect. */
struct tail *tail_new(uint64_t hash_seed, size_t bytes_max, uint32_t keys);
void tail_free(struct tail *t);
/* Empty again, for as many rows as before: its memory is resident already. Nobody reads it. */
void tail_reset(struct tail *t);

/* ---- writer ---- */

/* Bytes that a record of so many rows takes at most. */
size_t tail_room(size_t record_bytes, uint32_t rows);
size_t tail_room_max(const struct tail *t); /* of an empty one */
/* Room for a record and an index over its rows, so that tail_add cannot fail. Holds until the next
 * call. NULL: no room or no memory. */
MUST_USE uint8_t *tail_reserve(struct tail *t, size_t record_bytes, uint32_t rows);
/* The record now lies in the room that was reserved; its rows become visible, all at once. */
void tail_add(struct tail *t, uint64_t number, size_t record_bytes);
uint64_t tail_bytes(const struct tail *t); /* records, index and tables */
uint32_t tail_keys(const struct tail *t);

/* ---- readers ---- */

/* The newest commit that is whole; 0: none, the tail is empty. */
uint64_t tail_newest(const struct tail *t);
uint64_t tail_hash(const struct tail *t, enum cf cf, struct str_view key);
/* The row as of commit `number`; NULL: not in this tail. hash: of any tail with the same seed. */
const struct tail_row *tail_find(const struct tail *t, uint64_t hash, enum cf cf,
                                 struct str_view key, uint64_t number);

/* Rows in rising order, one per key, as of commit `number`. */
struct tail_cursor {
    bool valid, deleted;
    struct str_view key, value; /* live as long as the tail */
    /* private */
    struct str_view to;
    uint64_t number, since;
    const struct tail_node *group, *node;
    struct tail_sorted *sorted; /* of a family that is not scanned as a rule */
    uint32_t sorted_len, sorted_at;
};
/* from <= key < to; to.p NULL: to the end. Errors: ERR_NOMEM. */
MUST_USE enum err tail_seek(struct tail_cursor *c, const struct tail *t, enum cf cf,
                            struct str_view from, struct str_view to, uint64_t number);
/* What commits in (since, number] put in front of all older rows of the key's prefix. False: they
 * did something else to the prefix as well. Of a watched family (family.h). */
MUST_USE bool tail_front(struct tail_cursor *c, const struct tail *t, enum cf cf,
                         struct str_view key, uint64_t since, uint64_t number);
void tail_next(struct tail_cursor *c);
void tail_cursor_deinit(struct tail_cursor *c);

#endif
