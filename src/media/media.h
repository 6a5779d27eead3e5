/* media/media.h - the actor that keeps files: streams of bytes up and down, what is known of a
 * file, and who may have it. It owns DATA/blobs (media/blob.h) and writes its rows through log.
 * Bytes and reads of the store block it: it has a loop of its own, and nobody waits for it but who
 * asked.
 *
 * A change of a file is decided, committed, and only then answered. Changes are committed in
 * groups, one group at a time; one that concerns a file or a content which the group concerns
 * already waits for the next, so that each is decided on rows that are durable. Bytes go before
 * rows: what a row speaks of is on disk. Rows go before bytes when a file is deleted. What a crash
 * leaves in between is bytes without a row: temporary files, removed at the start, and blobs,
 * removed by a sweep behind it (sweep.c).
 *
 * The words by which a file is found are rows of the same changes (index.c); queries are answered
 * from them (find.c). Thread: its loop. */
#ifndef PARLEY_MEDIA_MEDIA_H
#define PARLEY_MEDIA_MEDIA_H

#include "base/conf.h"
#include "ring/loop.h"
#include "store/log.h"
#include "store/view.h"

struct media_conf {
    actor_id self, log;
    struct view view;
    const char *data_directory;
    uint64_t media_bytes_max, document_bytes_max; /* of one file, by what its bytes are */
    uint32_t streams_max;                         /* up and down together */
    uint32_t reserved_max, reserved_user_max;     /* files without bytes */
    uint64_t upload_timeout_ms;                   /* then such a file is forgotten */
    bool indexes; /* files are found by their words; else ERR_NOT_ENABLED */
    /* The disk has too little space to begin anything new; may be NULL. Any thread. */
    bool (*disk_full)(const struct log *l);
    const struct log *disk;
};
/* The settings; actors, view and disk are left to the caller. */
void media_conf_from(struct media_conf *m, const struct conf *c);

struct media;
/* Reads which files are reserved. Errors: those of media/blob.h and of the store, ERR_NOMEM. */
MUST_USE enum err media_new(struct media **out, const struct media_conf *c);
/* Streams that are open are left as a crash leaves them. NULL is fine. */
void media_free(struct media *m);
extern const struct actor_ops media_actor_ops; /* self: struct media * */

#endif
