/* The server's key: made once, whole, and never anew beside a store that another one belongs to. */
#include "server/secret.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static void scratch(char dir[64], char path[96])
{
    snprintf(dir, 64, "/tmp/parley-secret-XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, 96, "%s/secret.key", dir);
}

static void clean(const char *dir, const char *path)
{
    unlink(path);
    CHECK_EQ(rmdir(dir), 0); /* nothing else was left there */
}

TEST(made_once_and_only_for_the_owner)
{
    char dir[64], path[96];
    uint8_t a[32], b[32];
    struct stat st;
    scratch(dir, path);
    CHECK_EQ(secret_load(dir, true, a), ERR_OK);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK_EQ(secret_load(dir, true, b), ERR_OK);
    CHECK_MEM(a, b, 32);
    CHECK_EQ(secret_load(dir, false, b), ERR_OK);
    CHECK_MEM(a, b, 32);
    clean(dir, path);
}

TEST(neither_a_cut_nor_a_lost_key_is_replaced)
{
    char dir[64], path[96];
    uint8_t key[32];
    scratch(dir, path);
    CHECK_EQ(secret_load(dir, false, key), ERR_CORRUPT);
    CHECK(access(path, F_OK) != 0);
    CHECK_EQ(secret_load(dir, true, key), ERR_OK);
    for (off_t size = 0; size < 34; size += 11) {
        CHECK_EQ(truncate(path, size), 0);
        CHECK_EQ(secret_load(dir, true, key), ERR_CORRUPT);
    }
    clean(dir, path);
}

TEST(processes_that_start_together_agree)
{
    enum { processes = 16 };
    char dir[64], path[96];
    uint8_t key[32], other[32];
    int ends[2];
    scratch(dir, path);
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    for (int i = 0; i < processes; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            bool ok = secret_load(dir, true, key) == ERR_OK && write(ends[1], key, 32) == 32;
            _exit(ok ? 0 : 1);
        }
    }
    for (int i = 0; i < processes; i++) {
        int status;
        CHECK(wait(&status) > 0);
        CHECK_EQ(status, 0);
    }
    CHECK_EQ(secret_load(dir, false, key), ERR_OK);
    for (int i = 0; i < processes; i++) {
        CHECK_EQ(read(ends[0], other, 32), 32);
        CHECK_MEM(key, other, 32);
    }
    close(ends[0]);
    close(ends[1]);
    clean(dir, path);
}
