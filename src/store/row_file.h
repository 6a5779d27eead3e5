/* store/row_file.h - the rows of files; as in store/row.h. */
#ifndef PARLEY_STORE_ROW_FILE_H
#define PARLEY_STORE_ROW_FILE_H

#include "store/row.h"

enum { row_file_shares_max = 100, sha256_bytes = 32 };

/* A message that shows the file. */
struct row_share {
    uint64_t cid;
    enum channel_kind kind;
    uint64_t ts_us; /* TS_NONE: it was to be posted, and whether it was its key tells */
    /* Without a ts: the message's client_msg_id, by which its row is found. Empty in version 1: it
     * is not known. */
    struct str_view key;
};

enum file_flags {
    FILE_DELETED = 1, /* the row stays without what the file said, so that its links say why */
    FILE_IMAGE = 2,   /* the bytes are an image that a browser may show */
    FILE_SNIPPET = 4  /* text that is shown as such */
};

/* Under 'R' what is known of a file before it has bytes; under 'F' all of it. Version 2. */
struct row_file {
    uint64_t team, uid, created_us;
    uint32_t flags;
    uint64_t length; /* reserved: as announced; UINT64_MAX: not known */
    struct str_view name, title, alt_text, snippet_type;
    struct str_view mimetype, filetype; /* of what the bytes are; filetype: Slack's short name */
    uint32_t width, height;             /* of an image; 0: not known */
    struct str_view secret;             /* of the public link; empty: there is none */
    uint8_t sha256[sha256_bytes];
    uint32_t shares_len;
    struct row_share shares[row_file_shares_max];
};

/* Of a list or a word: what these are filtered by. */
struct row_file_listed {
    uint64_t uid;
    uint32_t types; /* bits of media_type (media/media_msg.h) */
    /* Of a channel's list: when this was written none of its messages was known to show the file;
     * the file tells. False in version 1. */
    bool open;
};

struct row_blob {
    uint64_t files; /* that have these bytes */
    uint64_t length;
};

/* What a file is found by; words.h of media says what is in there. */
struct row_file_words {
    uint32_t version; /* of the making of words: search/tokens.h */
    struct str_view packed;
};

/* The words of all files up to this one are made as `version` makes them. */
struct row_files_indexed {
    uint32_t version;
    bool whole; /* of all there are */
    struct file_id at;
};

void row_file_encode(struct buf *b, const struct key *k, const struct row_file *r);
void row_file_listed_encode(struct buf *b, const struct key *k, const struct row_file_listed *r);
void row_blob_encode(struct buf *b, const struct key *k, const struct row_blob *r);
void row_file_words_encode(struct buf *b, const struct key *k, const struct row_file_words *r);
void row_files_indexed_encode(struct buf *b, const struct key *k,
                              const struct row_files_indexed *r);

MUST_USE enum err row_file_decode(struct row_file *r, struct str_view key, struct str_view value);
MUST_USE enum err row_file_listed_decode(struct row_file_listed *r, struct str_view key,
                                         struct str_view value);
MUST_USE enum err row_blob_decode(struct row_blob *r, struct str_view key, struct str_view value);
MUST_USE enum err row_file_words_decode(struct row_file_words *r, struct str_view key,
                                        struct str_view value);
MUST_USE enum err row_files_indexed_decode(struct row_files_indexed *r, struct str_view key,
                                           struct str_view value);

#endif
