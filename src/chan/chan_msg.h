/* chan/chan_msg.h - requests to chan. u.p is a struct below in the requester's arena, lent until
 * the answer; chan fills its out members. An answer that rests on rows comes only after they are
 * durable. */
#ifndef PARLEY_CHAN_MSG_H
#define PARLEY_CHAN_MSG_H

#include "base/id.h"
#include "ring/cell.h"
#include "store/row.h"

enum chan_msg {
    CHAN_POST = 1, /* request; struct chan_post */
    CHAN_JOIN,     /* request; struct chan_member_change */
    CHAN_LEAVE,    /* request; struct chan_member_change */
    CHAN_INVITE,   /* request; struct chan_member_change */
    /* request from dir: cid is new and durable, u.u[0] = the creator, ID_NONE: all of its members
     * made it, as of a direct conversation. Their sockets hear of it and
     * get the channel's events from then on, before anybody else's change can be. Any error: they
     * were not told. */
    CHAN_CREATED,
    CHAN_SUB, /* request from fanout; struct chan_sub. The answer goes through the EVENT ring as
               * FAN_SUB_OK, so that   it is ordered with the events; room for one per credit is
               * kept   free there */
    /* event from fanout: it has no subscriber of cid left. u.u[0]: the highest stamp it has seen in
     * a FAN_SUB_OK or FAN_JOINED of this chan. A younger grant of interest may have crossed this
     * cell on its way: then chan keeps the interest, since clearing it would lose events for good.
     * A channel that comes into memory is taken to be listened to by every fanout. */
    CHAN_IDLE,
    CHAN_CHANGE, /* request; struct chan_change: of a message that is there */
    CHAN_INFO,   /* request; struct chan_info_change: of the channel itself */
    CHAN_SHOW,   /* request; struct chan_show */
    CHAN_TYPING  /* event from fanout; u.u[0] = uid, u.u[1] = team; relayed to members elsewhere,
                    never stored */
};

/* flags of the answer to CHAN_POST and CHAN_CHANGE */
enum {
    CHAN_F_DUPLICATE = 1 /* POST: the key was known: ts is the first message's; body must be read
                          * from history. CHANGE: it was so already, nothing was written */
};

/* Errors: ERR_CHANNEL_NOT_FOUND (absent, other team, private and not a member: all alike),
 * ERR_NOT_IN_CHANNEL, ERR_IS_ARCHIVED, ERR_DEADLINE, ERR_SERVICE_UNAVAILABLE,
 * ERR_STORAGE_UNAVAILABLE, ERR_DISK_FULL, ERR_CANNOT_REPLY_TO_MESSAGE (thread_ts_us is no message
 * of the channel that can carry a thread), ERR_USER_NOT_IN_CHANNEL. The caller's own stored key is
 * answered before membership, archive and parent are looked at. */
struct chan_post {
    uint64_t team, uid;
    struct str_view client_msg_id; /* 0..255 bytes; empty: none */
    uint8_t key128[key128_bytes];  /* of client_msg_id, computed by the requester */
    /* Whole JSON members, encoded by the requester and valid (chan/post_json.h):
     * "type":"message","user":"U..","team":"T..",... and from content_at on what an edit replaces:
     * ,"text":"..","blocks":[..]... Neither ts nor channel nor thread_ts. At most 64 KiB goes out
     * as an event; larger becomes a refetch hint. */
    struct str_view members;
    uint32_t content_at;
    struct str_view metadata; /* a JSON object, or empty */
    uint64_t thread_ts_us;    /* 0: no reply */
    bool broadcast;           /* a reply that the channel sees, too */
    /* What it was posted to show: the channel hears file_shared of each, and the event is a
     * file_share. */
    const struct file_id *files;
    uint32_t files_len;
    /* Not stored, has no ts of its own in history: goes to the sockets of this member only, once it
     * is known that nothing undurable stands before it. ID_NONE: a message. */
    uint64_t ephemeral_to;
    uint64_t deadline_us; /* steady clock; 0: none */
    uint64_t ts_us;       /* out */
    /* out, for the one who measures; steady clock, 0: it did not come so far. Decided; its batch
     * went to log; that batch was synced. */
    uint64_t stepped_us, batched_us, durable_us;
};

enum change_kind {
    CHANGE_UPDATE, /* content, metadata */
    CHANGE_DELETE,
    CHANGE_REACT,   /* name */
    CHANGE_UNREACT, /* name */
    CHANGE_PIN,
    CHANGE_UNPIN,
    CHANGE_MARK,   /* the caller has read up to ts_us */
    CHANGE_FOLLOW, /* the caller follows the thread of ts_us, and has read it up to read_us */
    CHANGE_UNFOLLOW,
    CHANGE_THREAD_MARK, /* has read it up to read_us; of a thread not followed: nothing */
    CHANGE_FILE_GONE,   /* name: id of a file that was deleted; ts_us shows it */
    CHANGE_FILE_TELL    /* name: id of a file of the channel's, text: what its members hear of it */
};

/* Of the message ts_us, root or reply. All kinds are refused as CHAN_POST is (UPDATE, DELETE, MARK
 * in an archived channel too); besides: ERR_MESSAGE_NOT_FOUND (absent or deleted),
 * ERR_CANT_UPDATE_MESSAGE, ERR_CANT_DELETE_MESSAGE (another's, unless admin), ERR_ALREADY_REACTED,
 * ERR_NO_REACTION, ERR_TOO_MANY_EMOJI, ERR_TOO_MANY_REACTIONS, ERR_ALREADY_PINNED, ERR_NOT_PINNED,
 * ERR_BEFORE_NEEDED, of threads ERR_THREAD_NOT_FOUND (no message that carries one). A change that
 * is made twice is answered as the first time where Slack's error does not say otherwise: UPDATE to
 * the same content, DELETE of the deleted by its author within the process's memory are not told
 * apart from new ones. FILE_GONE and FILE_TELL come from who has changed a file, member or not:
 * media has judged. */
struct chan_change {
    enum change_kind kind;
    uint64_t team, uid;
    bool admin; /* may change and delete what others wrote */
    bool guest; /* a public channel is there for members only */
    uint64_t ts_us;
    /* UPDATE: JSON values, valid and on one line. p NULL: as it is; len 0: away with it. */
    struct str_view text, blocks, attachments, metadata;
    bool broadcast; /* UPDATE: only a reply that the channel sees */
    /* FOLLOW, THREAD_MARK: held between the first message and the newest reply; it never goes back
     * while the thread is followed. 0, FOLLOW: what is there now is read. */
    uint64_t read_us;
    struct str_view name; /* REACT, UNREACT: of the emoji, without colons, 1..100 bytes; FILE_* */
    /* DELETE: of a thread's newest reply the newest one before it must be known, which only hist
     * can find (HIST_REPLY_BEFORE): ERR_BEFORE_NEEDED asks for it, with thread_ts_us; then the
     * request comes again. 0: there is none. chan looks whether it is still there. */
    bool before_known;
    uint64_t before_ts_us;
    /* MARK: likewise, of the newest message of the channel that is not newer than ts_us
     * (HIST_SEQ_AT), when ts_us is none itself. */
    uint64_t before_seq;
    uint64_t deadline_us;
    struct arena *arena; /* in */
    /* out */
    uint64_t thread_ts_us;   /* of a reply */
    uint64_t owner;          /* who wrote it */
    struct str_view message; /* UPDATE: as it is now, {...}; in the arena */
};

enum info_kind { INFO_TOPIC, INFO_PURPOSE, INFO_ARCHIVE, INFO_UNARCHIVE, INFO_NAME };

/* Members change their channel. Errors: as CHAN_CHANGE's, ERR_TOO_LONG, ERR_ALREADY_ARCHIVED,
 * ERR_NOT_ARCHIVED, ERR_CANT_ARCHIVE_GENERAL, ERR_WRONG_CHANNEL_TYPE, ERR_NOT_AUTHORIZED (NAME:
 * neither admin nor creator). NAME comes from dir only, which keeps the name free. What is so
 * already is answered ok and written once. */
enum { info_text_max = 250 }; /* characters of topic and purpose */
struct chan_info_change {
    enum info_kind kind;
    uint64_t team, uid;
    bool admin, guest;
    struct str_view text; /* TOPIC, PURPOSE, NAME: valid UTF-8 */
    uint64_t deadline_us;
    struct arena *arena;       /* in */
    struct str_view old_name;  /* NAME: out, in the arena */
    struct row_chan_info info; /* out; strings in the arena */
    struct row_chan_head head; /* out */
};

/* A direct conversation out of uid's sight, or back. Errors: ERR_CHANNEL_NOT_FOUND (no member of
 * it), ERR_WRONG_CHANNEL_TYPE, and those of storage. */
struct chan_show {
    uint64_t team, uid;
    bool open;
    uint64_t deadline_us;
    bool already; /* out */
};

/* JOIN: uid itself. LEAVE: uid itself. INVITE: uid invites users[]. */
enum { invite_users_max = 1000 };
struct chan_member_change {
    uint64_t team, uid;
    const uint64_t *users; /* INVITE */
    uint32_t users_len;
    /* LEAVE: uid is made to leave by this member; ID_NONE: it leaves by itself. Errors besides:
     * ERR_CANT_KICK_SELF, ERR_CANT_KICK_FROM_GENERAL, ERR_NOT_IN_CHANNEL, ERR_RESTRICTED_ACTION (of
     * a public channel only admins and its creator kick). */
    uint64_t kicker;
    bool admin;    /* of the workspace: kicks */
    bool guest;    /* who asks: a public channel is there for members only */
    bool by_admin; /* operator's tool: no membership of the inviter needed, private too */
    bool silent;   /* no events: bulk population */
    uint64_t deadline_us;
    /* out */
    bool already; /* JOIN: was a member; LEAVE: was none; INVITE: all were */
    /* INVITE: enum err of each. NULL on the way in: made in the arena. ERR_TOO_MANY_MEMBERS of one
     * is the whole answer's error too; who found room is stored all the same. */
    uint32_t *user_errs;
    struct row_chan_info info; /* strings copied to arena */
    struct row_chan_head head;
    struct arena *arena; /* in */
};

struct chan_sub {
    uint64_t team, uid, n;
    uint64_t conn;  /* fanout's handle, returned in FAN_SUB_OK */
    uint64_t stamp; /* out: of the grant of interest, see CHAN_IDLE */
    struct {
        uint64_t cid;
        uint64_t last_ts_us; /* out: newest durable ts; later if the channel was evicted */
        /* out: chan's wall clock when that message became durable, or later: its ts tells when it
         * was decided, and a sync may take long. */
        uint64_t durable_us;
        bool member; /* out */
    } chans[];
};

#endif
