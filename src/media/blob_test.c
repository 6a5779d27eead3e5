#include "media/blob.h"

#include <fcntl.h>

#include "test.h"
#include "scratch.h"

#include "media/test_disk.h"
#include "media/test_faults.h"

struct fix {
    struct scratch scratch;
    struct blobs blobs;
};

static void fix_init(struct fix *f)
{
    faults = (struct faults){0};
    scratch_init(&f->scratch);
    CHECK_EQ(blobs_open(&f->blobs, f->scratch.conf.server_data), ERR_OK);
}

static void fix_deinit(struct fix *f)
{
    faults = (struct faults){0};
    blobs_close(&f->blobs);
    scratch_deinit(&f->scratch);
}

#define DISK(f, blobs_, temporaries_)                                                              \
    CHECK_DISK((f)->scratch.conf.server_data, blobs_, temporaries_)

static void write_all(struct fix *f, struct blob_up *u, struct str_view text)
{
    CHECK_EQ(blob_begin(&f->blobs, u), ERR_OK);
    for (size_t at = 0; at < text.len; at += 3)
        CHECK_EQ(blob_write(u, text.p + at, (uint32_t)MIN(text.len - at, (size_t)3)), ERR_OK);
}

static void store(struct fix *f, struct str_view text, uint8_t sha256[sha256_bytes])
{
    struct blob_up u;
    write_all(f, &u, text);
    CHECK_EQ(blob_sync(&u, sha256), ERR_OK);
    CHECK_EQ(blob_place(&f->blobs, &u, sha256), ERR_OK);
    CHECK_EQ(u.fd, -1);
}

TEST(bytes_lie_under_their_hash)
{
    struct fix f;
    uint8_t hash[sha256_bytes];
    char path[blob_path_bytes], hex[sha256_hex_len + 1], got[11] = "";
    int fd;
    fix_init(&f);
    store(&f, SV("hello world"), hash);
    sha256_hex(hex, hash);
    CHECK_STR(hex, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
    blob_path(path, hash);
    CHECK_STR(path, "b9/4d/27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
    DISK(&f, 1, 0);
    CHECK(blob_is_there(&f.blobs, hash, 11));
    CHECK(!blob_is_there(&f.blobs, hash, 10));
    CHECK_EQ(blob_open(&f.blobs, hash, 11, &fd), ERR_OK);
    CHECK_EQ(blob_read(fd, 6, got, 5), ERR_OK);
    CHECK_MEM(got, "world", 5);
    CHECK_EQ(blob_read(fd, 7, got, 5), ERR_CORRUPT); /* past the end: it was longer once */
    store(&f, SV("hello world"), hash);
    DISK(&f, 1, 0);
    /* Whoever reads it goes on reading. */
    CHECK_EQ(blob_remove(&f.blobs, hash), ERR_OK);
    DISK(&f, 0, 0);
    CHECK_EQ(blob_read(fd, 0, got, 5), ERR_OK);
    CHECK_MEM(got, "hello", 5);
    close(fd);
    CHECK_EQ(blob_remove(&f.blobs, hash), ERR_OK);
    fix_deinit(&f);
}

TEST(an_empty_file_has_a_hash_too)
{
    struct fix f;
    uint8_t hash[sha256_bytes];
    int fd;
    fix_init(&f);
    store(&f, SV(""), hash);
    CHECK_MEM(hash, "\xe3\xb0\xc4\x42", 4);
    CHECK_EQ(blob_open(&f.blobs, hash, 0, &fd), ERR_OK);
    close(fd);
    fix_deinit(&f);
}

TEST(the_head_is_read_back_while_it_grows)
{
    struct fix f;
    struct blob_up u;
    char head[8];
    fix_init(&f);
    write_all(&f, &u, SV("0123456789"));
    CHECK_EQ(u.length, 10);
    CHECK_EQ(blob_head(&u, head, sizeof head), 8);
    CHECK_MEM(head, "01234567", 8);
    CHECK_EQ(blob_write(&u, "ab", 2), ERR_OK); /* at the end still */
    CHECK_EQ(u.length, 12);
    faults.pread = EIO;
    CHECK_EQ(blob_head(&u, head, sizeof head), 0);
    blob_drop(&f.blobs, &u);
    DISK(&f, 0, 0);
    blob_drop(&f.blobs, &u); /* it has ended: nothing */
    fix_deinit(&f);
}

/* What the process before left goes at the start, before anything new has a name. */
TEST(temporary_files_do_not_outlive_the_start)
{
    struct fix f;
    struct blob_up u[3];
    fix_init(&f);
    for (int i = 0; i < 3; i++) {
        write_all(&f, &u[i], SV("half"));
        blob_leave(&u[i]);
    }
    DISK(&f, 0, 3);
    blobs_close(&f.blobs);
    CHECK_EQ(blobs_open(&f.blobs, f.scratch.conf.server_data), ERR_OK);
    DISK(&f, 0, 0);
    write_all(&f, &u[0], SV("whole"));
    DISK(&f, 0, 1);
    blob_drop(&f.blobs, &u[0]);
    fix_deinit(&f);
}

TEST(what_the_disk_does_not_take_leaves_nothing)
{
    static const struct {
        struct faults faults;
        enum err write, sync, place;
    } cases[] = {
        {{.write = ENOSPC}, ERR_STORAGE_FULL, 0, 0},
        {{.write = ENOSPC, .room = 2}, ERR_STORAGE_FULL, 0, 0},
        {{.write = EDQUOT, .room = 2}, ERR_STORAGE_FULL, 0, 0},
        {{.write = EIO, .room = 2}, ERR_SERVICE_UNAVAILABLE, 0, 0},
        {{.interrupted = 3}, ERR_OK, ERR_OK, ERR_OK},
        {{.fdatasync = EIO}, ERR_OK, ERR_SERVICE_UNAVAILABLE, 0},
        {{.fdatasync = ENOSPC}, ERR_OK, ERR_STORAGE_FULL, 0},
        {{.rename = ENOSPC}, ERR_OK, ERR_OK, ERR_STORAGE_FULL},
        {{.fsync = EIO}, ERR_OK, ERR_OK, ERR_SERVICE_UNAVAILABLE},
    };
    struct fix f;
    fix_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct blob_up u;
        uint8_t hash[sha256_bytes];
        faults = cases[i].faults;
        CHECK_EQ(blob_begin(&f.blobs, &u), ERR_OK);
        enum err err = blob_write(&u, "hello", 5);
        CHECK_EQ(err, cases[i].write);
        if (err == ERR_OK) {
            err = blob_sync(&u, hash);
            CHECK_EQ(err, cases[i].sync);
        }
        if (err == ERR_OK) {
            err = blob_place(&f.blobs, &u, hash);
            CHECK_EQ(err, cases[i].place);
            CHECK_EQ(u.fd, -1);
            CHECK_EQ(blob_is_there(&f.blobs, hash, 5), err == ERR_OK);
        }
        blob_drop(&f.blobs, &u);
        faults = (struct faults){0};
        DISK(&f, err == ERR_OK, 0);
        if (err == ERR_OK)
            CHECK_EQ(blob_remove(&f.blobs, hash), ERR_OK);
    }
    fix_deinit(&f);
}

TEST(a_blob_that_was_damaged_is_not_served)
{
    struct fix f;
    uint8_t hash[sha256_bytes];
    char path[blob_path_bytes];
    int fd = -7;
    fix_init(&f);
    log_set_level(LOG_ERROR + 1);
    store(&f, SV("hello"), hash);
    blob_path(path, hash);
    int cut = openat(f.blobs.root, path, O_WRONLY);
    CHECK_EQ(ftruncate(cut, 3), 0);
    close(cut);
    CHECK_EQ(blob_open(&f.blobs, hash, 5, &fd), ERR_CORRUPT);
    CHECK(!blob_is_there(&f.blobs, hash, 5));
    store(&f, SV("hello"), hash); /* the next one who brings them mends it */
    CHECK(blob_is_there(&f.blobs, hash, 5));
    CHECK_EQ(blob_remove(&f.blobs, hash), ERR_OK);
    CHECK_EQ(blob_open(&f.blobs, hash, 5, &fd), ERR_CORRUPT);
    CHECK_EQ(fd, -7);
    fix_deinit(&f);
}

static void make_file(const struct fix *f, const char *path)
{
    int fd = openat(f->blobs.root, path, O_WRONLY | O_CREAT, 0600);
    CHECK(fd >= 0);
    close(fd);
}

TEST(a_walk_finds_every_blob_and_nothing_else)
{
    enum { blobs_len = 40 };
    struct fix f;
    uint8_t hashes[blobs_len][sha256_bytes], hash[sha256_bytes];
    uint32_t found = 0, steps = 0;
    struct blob_walk w = {0};
    struct blob_up u;
    fix_init(&f);
    for (char i = 0; i < blobs_len; i++)
        store(&f, (struct str_view){&i, 1}, hashes[(int)i]);
    write_all(&f, &u, SV("half"));
    /* An operator's own files are not ours to touch. */
    char path[blob_path_bytes + 1];
    blob_path(path, hashes[0]);
    make_file(&f, strcat(path, "~"));
    snprintf(path + 6, sizeof path - 6, "README");
    make_file(&f, path);
    for (enum blob_step s; (s = blob_walk_step(&f.blobs, &w, hash)) != WALK_ENDED; steps++) {
        int at = 0;
        if (s != WALK_FOUND)
            continue;
        while (at < blobs_len && memcmp(hashes[at], hash, sha256_bytes) != 0)
            at++;
        CHECK(at < blobs_len);
        CHECK_EQ(blob_remove(&f.blobs, hash), ERR_OK);
        found++;
    }
    CHECK_EQ(found, blobs_len);
    CHECK(steps < blobs_len * 300 + 256); /* directories that are not there cost nothing */
    DISK(&f, 2, 1);
    blob_drop(&f.blobs, &u);
    blob_walk_end(&w);
    CHECK_EQ(blob_walk_step(&f.blobs, &w, hash), WALK_ENDED);
    fix_deinit(&f);
}
