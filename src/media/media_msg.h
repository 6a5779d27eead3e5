/* media/media_msg.h - requests to media, which keeps files: their bytes, their rows, who may have
 * them. u.p is a struct below in the requester's arena, lent until the answer. media answers the
 * requests of one requester about one stream in their order. Bytes cross the ring by address only:
 * whoever asks lends the memory that is written from or read into.
 *
 * A file's life: reserved (MEDIA_RESERVE; its id is the capability to upload to it, once) -> stored
 * (MEDIA_FINISH: its bytes are on disk under their hash, synced, and its row says so) -> shared
 * (MEDIA_SHARE, any number of channels) -> deleted (MEDIA_DELETE; its bytes go when no other file
 * has them). A reserved file that gets no bytes within files.upload_timeout_ms is forgotten, or at
 * once by a MEDIA_ABORT that says so.
 * Source: slack-api reference, Files. */
#ifndef PARLEY_MEDIA_MEDIA_MSG_H
#define PARLEY_MEDIA_MEDIA_MSG_H

#include "base/id.h"
#include "hist/hist_msg.h"
#include "ring/cell.h"
#include "search/search_msg.h"
#include "store/row_file.h"

enum media_msg {
    MEDIA_RESERVE = 1, /* struct media_reserve */
    MEDIA_BEGIN,       /* struct media_begin */
    MEDIA_WRITE,       /* struct media_write */
    MEDIA_FINISH,      /* struct media_finish */
    MEDIA_ABORT,       /* struct media_abort */
    MEDIA_OPEN,        /* struct media_open */
    MEDIA_READ,        /* struct media_read */
    MEDIA_CLOSE,       /* struct media_close */
    MEDIA_SHARE,       /* struct media_share */
    MEDIA_INFO,        /* struct media_info */
    MEDIA_LIST,        /* struct media_list */
    MEDIA_PUBLIC,      /* struct media_public */
    MEDIA_DELETE,      /* struct media_delete */
    MEDIA_SEARCH,      /* struct media_search */
    MEDIA_REINDEX      /* from admin; u.p NULL: make the words of all files anew, from now on */
};

/* Largest file of each class of content: images, sound and video; everything else. Defaults of
 * files.media_bytes_max and files.document_bytes_max. */
enum { media_chunk_bytes = 256 << 10 }; /* most that one MEDIA_WRITE or MEDIA_READ moves */

/* ---- up ---- */

/* Makes a reserved file. Answered when its row is durable. Errors: ERR_FILE_UPLOAD_SIZE_RESTRICTED,
 * ERR_TOO_MANY_UPLOADS (reserved files of this user that wait for their bytes: bounded). */
struct media_reserve {
    uint64_t team, uid;
    struct str_view name, title, alt_text, snippet_type; /* name: a label, never a path */
    uint64_t length;                                     /* announced; UINT64_MAX: not known */
    struct file_id id;                                   /* out */
};

/* Opens a stream into a temporary file. Errors: ERR_FILE_NOT_FOUND (no such file, or it has its
 * bytes, or another stream is open for it), ERR_FILE_UPLOAD_SIZE_RESTRICTED (declared is over the
 * cap, or is not the announced length), ERR_SERVICE_UNAVAILABLE (all streams are taken). */
struct media_begin {
    struct file_id id;
    uint64_t declared; /* Content-Length of the bytes; UINT64_MAX: not known */
    uint64_t stream;   /* out: handle */
};

/* The next bytes. Errors: ERR_FILE_UPLOAD_SIZE_RESTRICTED (over the cap of what its content is),
 * ERR_STORAGE_FULL, ERR_UNKNOWN_STREAM; after any of them the stream is closed and nothing of it is
 * left. */
struct media_write {
    uint64_t stream;
    const void *p;
    uint32_t len; /* media_chunk_bytes at most */
};

/* The bytes are whole: synced, put under their hash, the row written; answered then. Errors: as
 * MEDIA_WRITE, and ERR_FILE_UPLOAD_SIZE_RESTRICTED if the length is not the announced one. */
struct media_finish {
    uint64_t stream;
    uint64_t length; /* out */
};

/* Nothing of it stays. The file is reserved as before, unless it is to be forgotten: by who
 * reserved it, told nobody of it and will not bring its bytes. Then the stream may have ended, or
 * never have been (0). The answer does not wait for that; what cannot be forgotten now goes in its
 * time. */
struct media_abort {
    uint64_t stream;
    struct file_id forget; /* text[0] 0: none */
};

/* ---- down ---- */

/* Errors: ERR_FILE_NOT_FOUND (also: not for this viewer), ERR_FILE_DELETED,
 * ERR_SERVICE_UNAVAILABLE (all streams are taken). */
struct media_open {
    struct hist_viewer viewer; /* uid ID_NONE: by secret */
    struct file_id id;
    struct str_view secret; /* of a public link */
    /* out */
    uint64_t stream, length;
    struct str_view name, mimetype, hash; /* hash: hex, for ETag; all in the arena */
    bool is_image;                        /* its bytes are an image a browser may show */
    struct arena *arena;
};

struct media_read {
    uint64_t stream, offset;
    void *p;
    uint32_t len; /* media_chunk_bytes at most; within the length */
};

struct media_close {
    uint64_t stream;
};

/* ---- what is known of a file ---- */

/* Takes title, then puts the file where it is to be seen. Before the message is posted, with ts_us
 * 0: whoever is in the channel may have it as soon as, and only if, the message is stored, which
 * media finds out by the message's key; after it with the message's; with undo if it was refused.
 * So each of these may be the last before a crash, and the file is where its messages are. Only the
 * owner, only a stored file: ERR_FILE_NOT_FOUND. ERR_FILE_DELETED: with a ts, it was deleted while
 * its message was posted; MEDIA_DELETE tells of that message from now on. ERR_FULL: over
 * file_shares_max. json: out, the file object as it goes into the message. */
enum { file_shares_max = row_file_shares_max };
struct media_share {
    uint64_t team, uid;
    struct file_id id;
    struct str_view title; /* p NULL: as it is */
    uint64_t cid;          /* ID_NONE: none, only the title */
    enum channel_kind kind;
    struct str_view key; /* the message's client_msg_id */
    uint64_t ts_us;
    bool undo;
    struct str_view base_url; /* of this server, for the urls in json */
    struct buf json;          /* appended: {...} */
};

struct media_info { /* as media_open for who may see it */
    struct hist_viewer viewer;
    struct file_id id;
    struct str_view base_url;
    struct buf json; /* appended: {...} */
};

enum media_type { /* of files.list, as bits */
                  MEDIA_SNIPPETS = 1,
                  MEDIA_IMAGES = 2,
                  MEDIA_PDFS = 4,
                  MEDIA_ZIPS = 8,
                  MEDIA_DOCS = 16, /* gdocs and spaces are none of ours: never any */
                  MEDIA_ALL = 31
};

struct file_at {         /* a file's place in lists */
    uint64_t created_us; /* 0: none */
    struct file_id id;
};

/* Newest first, only what the viewer may see. By pages: page 1 and on, counted over the newest
 * media_list_rows_max rows. By cursor: page 0, count files behind `behind`; one call reads so many
 * rows, and where all of them show nothing the list ends. Both can be gone on from by next. */
enum { media_list_rows_max = 10000 };
struct media_list {
    struct hist_viewer viewer;
    uint64_t uid, cid;       /* ID_NONE: of all */
    uint64_t from_us, to_us; /* by their time of creation, both included */
    uint32_t types;
    uint32_t page, count; /* count 1000 at most */
    struct file_at behind;
    struct str_view base_url;
    struct buf json;     /* appended: {...},{...} */
    uint32_t len, total; /* out; total: by pages */
    struct file_at next; /* out: the last one shown; created_us 0: nothing follows */
};

/* Files that the viewer may see, by words of their titles, names, kinds and descriptions, and of
 * texts by those of their first 64 KiB. Also what was committed a moment ago, never what is
 * deleted. Errors: ERR_NOT_ENABLED, ERR_SERVICE_UNAVAILABLE (too many wait), ERR_DEADLINE. */
struct media_search {
    struct hist_viewer viewer;
    uint64_t deadline_us; /* steady clock: nobody waits any more, given up; 0: none */
    struct match match;
    /* Owners and conversations, as in struct search_messages; conversations that the viewer may not
     * read are taken out: neither list tells anything of them. */
    uint64_t from[search_names_max], in[search_names_max];
    uint64_t not_from[search_names_max], not_in[search_names_max];
    uint32_t from_len, in_len, not_from_len, not_in_len;
    struct str_view kinds[search_names_max], not_kinds[search_names_max]; /* as they were typed */
    uint32_t kinds_len, not_kinds_len;
    uint64_t after_us, before_us; /* after_us <= time of creation < before_us; 0: open */
    bool direct, not_direct;      /* shared, or not, in a direct conversation */
    bool by_score, ascending, highlight;
    uint32_t page, count; /* page from 1 on */
    struct str_view base_url;
    struct buf json; /* appended: {...},{...} */
    /* out */
    uint32_t len;   /* of the page */
    uint32_t total; /* that match; exact unless more */
    bool more;      /* older ones were not looked at: the query is too wide */
    uint32_t rows;  /* of the index that were read */
};

struct media_public { /* Makes or takes back a link that needs no token. ERR_FILE_NOT_FOUND. */
    uint64_t team, uid;
    bool is_admin, revoke;
    struct file_id id;
    uint64_t owner; /* out */
    struct str_view base_url;
    struct buf json; /* appended: {...} */
};

/* Errors: ERR_FILE_NOT_FOUND, ERR_FILE_DELETED, ERR_CANT_DELETE_FILE (neither owner nor admin).
 * Where it was shared: out, for the messages that show it; with ERR_FILE_DELETED too, if the caller
 * might have deleted it. */
struct media_delete {
    uint64_t team, uid;
    bool is_admin, is_guest;
    struct file_id id;
    uint64_t owner; /* out */
    struct {
        uint64_t cid, ts_us;
    } * shares; /* in the arena */
    uint32_t shares_len;
    struct arena *arena;
};

#endif
