/* A configuration file of any bytes: read or refused with a message that names the file. */
#include "base/conf.h"
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct conf c;
    static char space[1 << 17];
    char msg[512] = "", path[64];
    struct buf out;
    int fd = memfd_create("conf", MFD_CLOEXEC);
    CLAIM(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    conf_defaults(&c);
    if (conf_load_file(&c, path, msg, sizeof msg) == ERR_OK)
        (void)!conf_check(&c, msg, sizeof msg);
    else
        CLAIM(strncmp(msg, path, strlen(path)) == 0);
    close(fd);
    buf_init_fixed(&out, space, sizeof space);
    conf_print(&c, true, &out);
    CLAIM(!out.failed);
    struct str_view value = {(const char *)data, n};
    struct str_view name = sv_cut(&value, '=');
    char *exact = fuzz_exact(name.p, name.len);
    (void)!conf_set(&c, (struct str_view){exact, name.len}, value, msg, sizeof msg);
    free(exact);
    return 0;
}
