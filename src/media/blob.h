/* media/blob.h - the bytes of files on disk. While they arrive they are in a temporary file,
 * DATA/blobs/tmp/N; whole, they lie under the hex of their SHA-256, DATA/blobs/ab/cd/REST, each
 * content once. What is placed is on disk, and so are the names that lead to it: a row that speaks
 * of it may be written. Temporary files do not outlive their process by more than a start.
 * Thread: media's; every call may block in the file system.
 * Errors: ERR_STORAGE_FULL (no space, or over a quota), ERR_SERVICE_UNAVAILABLE (any other failure;
 * the log has which). */
#ifndef PARLEY_MEDIA_BLOB_H
#define PARLEY_MEDIA_BLOB_H

#include <dirent.h>
#include <openssl/sha.h>

#include "base/err.h"
#include "store/row_file.h"

struct blobs {
    int root, tmp;   /* directories; -1: not open */
    uint64_t number; /* of the next temporary file */
};

/* Makes the directories and removes temporary files of a process before. */
MUST_USE enum err blobs_open(struct blobs *b, const char *data_directory);
void blobs_close(struct blobs *b); /* zeroed is not fine: call blobs_open first, whatever it said */

/* ---- bytes that arrive ---- */

struct blob_up {
    int fd; /* -1: none */
    uint64_t number, length;
    uint64_t written_back; /* up to here the kernel was told to write */
    SHA256_CTX sha;
};
MUST_USE enum err blob_begin(struct blobs *b, struct blob_up *u);
MUST_USE enum err blob_write(struct blob_up *u, const void *p, uint32_t len);
/* The first bytes, at most max. The number of them, 0 on failure. */
size_t blob_head(const struct blob_up *u, void *p, size_t max);
/* No more bytes come: they are on disk, but nothing leads to them yet. */
MUST_USE enum err blob_sync(struct blob_up *u, uint8_t sha256[sha256_bytes]);
/* Gives synced bytes their name; on failure the name leads nowhere. Ends u either way. */
MUST_USE enum err blob_place(struct blobs *b, struct blob_up *u,
                             const uint8_t sha256[sha256_bytes]);
void blob_drop(struct blobs *b, struct blob_up *u); /* nothing of them stays; ended: nothing */
void blob_leave(
    struct blob_up *u); /* as a crash does: the temporary file is left to the next start */

/* ---- bytes that are there ---- */

bool blob_is_there(const struct blobs *b, const uint8_t sha256[sha256_bytes], uint64_t length);
/* *fd is the caller's to close; it can be read although the blob is removed meanwhile.
 * ERR_CORRUPT: it is missing, or not as long as it should be. */
MUST_USE enum err blob_open(const struct blobs *b, const uint8_t sha256[sha256_bytes],
                            uint64_t length, int *fd);
MUST_USE enum err blob_read(int fd, uint64_t offset, void *p, uint32_t len);
/* Absent: ERR_OK. */
MUST_USE enum err blob_remove(const struct blobs *b, const uint8_t sha256[sha256_bytes]);

/* ---- all that are there, a step at a time (blob_walk.c) ---- */

struct blob_walk {
    DIR *dir; /* of files; NULL: the next one is to be opened */
    uint32_t next;
    uint16_t in; /* the directory that dir is */
    bool listed;
    uint8_t above[32]; /* bit per directory that others may be in; as of the first step */
};
enum blob_step {
    WALK_WENT_ON, /* a directory, or a file that is none of ours */
    WALK_FOUND,   /* *sha256 is a blob */
    WALK_ENDED
};
enum blob_step blob_walk_step(const struct blobs *b, struct blob_walk *w,
                              uint8_t sha256[sha256_bytes]);
void blob_walk_end(struct blob_walk *w);

enum { blob_path_bytes = 2 * sha256_bytes + 3 }; /* ab/cd/..., and a NUL */
void blob_path(char out[blob_path_bytes], const uint8_t sha256[sha256_bytes]);
enum { sha256_hex_len = 2 * sha256_bytes };
void sha256_hex(char out[sha256_hex_len + 1], const uint8_t sha256[sha256_bytes]);

#endif
