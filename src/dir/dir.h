/* dir/dir.h - the directory actor: the only writer of teams, users, tokens and channel names.
 * Thread: its loop, but for dir_load at start. */
#ifndef PARLEY_DIR_DIR_H
#define PARLEY_DIR_DIR_H

#include "base/conf.h"
#include "dir/read.h"
#include "ring/frame.h"
#include "ring/loop.h"
#include "store/view.h"

struct log;

struct dir_conf {
    actor_id self, log;
    const actor_id *acceptors, *fanouts, *chans; /* borrowed for the dir's life */
    uint16_t acceptors_len, fanouts_len, chans_len;
    uint32_t frames_max, tokens_max;
    uint8_t secret[32];                     /* keys the token hashes; DATA/secret.key */
    bool (*disk_full)(const struct log *l); /* NULL: never. What adds rows is refused then */
    const struct log *disk;
    struct view view;       /* of documents, read by the actor itself */
    const char *public_url; /* of pictures in events; NULL or empty: events have none */
};

MUST_USE enum err dir_new(struct dir **out, const struct dir_conf *c);
void dir_free(struct dir *d);
/* Reads every team, user, token and name from the store, before the threads start. */
MUST_USE enum err dir_load(struct dir *d, const struct view *v);
extern const struct actor_ops dir_actor_ops; /* self: struct dir * */

#endif
