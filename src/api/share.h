/* api/share.h - files into conversations: each gets a message that shows them. media knows of the
 * message, by its key, before it is posted, so that nobody sees a file that he may not have, and of
 * its ts afterwards. The key is made of the files, the text, the blocks and the thread: the
 * same again posts nothing twice, also when that message was deleted meanwhile (its tombstone keeps
 * the key).
 * Source: slack-api reference, Files. */
#ifndef PARLEY_API_SHARE_H
#define PARLEY_API_SHARE_H

#include "api/internal.h"
#include "chan/chan_msg.h"
#include "dir/dir_msg.h"

enum { share_files_max = 20, share_channels_max = 20, share_key_max = 80 };

/* files: the objects, as the caller sees them: {...},{...} */
typedef void share_then(struct request *r, struct str_view files);

struct share {
    struct file_id ids[share_files_max];
    struct str_view titles[share_files_max]; /* p NULL: as it is */
    uint32_t files_len;
    struct {
        uint64_t cid;
        enum channel_kind kind; /* found out */
    } channels[share_channels_max];
    uint32_t channels_len;        /* 0: only the titles */
    struct str_view text, blocks; /* of the messages; may be empty */
    uint64_t thread_ts_us;        /* 0: none */
    bool uploaded;                /* the owner is told file_created */
    share_then *then;
    /* its own */
    int step;
    uint32_t file, channel;
    enum err err; /* why what was done is undone */
    bool news;    /* a message was posted that was not there */
    char key[share_key_max];
    struct buf json; /* objects of the present message, at last of the answer */
    struct hist_info info;
    struct media_share share;
    struct media_info known;
    struct chan_post post;
    struct chan_change erase;
    struct dir_tell tell;
};

/* s lies in r's arena, with what the caller knows filled in; then() follows, or an error. Nothing
 * is done unless the caller is in all of the conversations. */
void share_begin(struct request *r, struct share *s);

/* Adds the conversations of a list of ids and names. Errors: ERR_INVALID_CHANNEL,
 * ERR_CHANNEL_NOT_FOUND, ERR_CHANNELS_LIMIT_EXCEEDED. */
MUST_USE enum err share_add_channels(struct request *r, struct share *s, struct str_view list);
MUST_USE enum err share_add_channel(struct share *s, uint64_t cid);

/* {"type":..,"file_id":..,...}: to the sockets of uid, or if ID_NONE of the team's full members. */
MUST_USE enum err file_event(struct request *r, struct dir_tell *m, const char *type,
                             const struct file_id *id, uint64_t uid);
/* Our address as it stands in front of the paths of files. */
struct str_view file_base_url(struct request *r);

#endif
