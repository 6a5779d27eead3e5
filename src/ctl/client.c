#include "ctl/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { answer_bytes_max = 256 << 20 };

bool client_open(struct client *c, const char *data_dir)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    c->data_dir = data_dir;
    arena_pool_init(&c->pool, 65536, 1, UINT64_MAX);
    if (arena_init(&c->arena, &c->pool, UINT64_MAX) != ERR_OK ||
        json_reader_new(&c->json) != ERR_OK)
        return false;
    int len = snprintf(addr.sun_path, sizeof addr.sun_path, "%s/control.sock", data_dir);
    if (len < 0 || (size_t)len >= sizeof addr.sun_path) {
        fprintf(stderr, "parleyctl: the path %s/control.sock is too long for a Unix socket\n",
                data_dir);
        return false;
    }
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof addr) != 0) {
        fprintf(stderr,
                "parleyctl: no daemon answers at %s (%s).\nIs parleyd running with --data %s?\n",
                addr.sun_path, strerror(errno), data_dir);
        return false;
    }
    return true;
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    json_reader_free(c->json);
    arena_deinit(&c->arena);
    arena_pool_deinit(&c->pool);
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

/* Reads one answer with a Content-Length; the daemon sends no other kind here. */
static bool read_answer(int fd, struct arena *a, struct str_view *body)
{
    char head[4096];
    size_t have = 0;
    char *end = NULL;
    while (end == NULL) {
        ssize_t r = read(fd, head + have, sizeof head - 1 - have);
        if (r <= 0)
            return false;
        have += (size_t)r;
        head[have] = '\0';
        end = strstr(head, "\r\n\r\n");
        if (end == NULL && have == sizeof head - 1)
            return false;
    }
    const char *length = strcasestr(head, "\r\nContent-Length:");
    size_t want = length != NULL && length < end ? strtoull(length + 17, NULL, 10) : 0;
    if (want > answer_bytes_max)
        return false;
    char *p = arena_alloc(a, want + json_padding);
    if (p == NULL)
        return false;
    size_t got = have - (size_t)(end + 4 - head);
    memcpy(p, end + 4, MIN(got, want));
    while (got < want) {
        ssize_t r = read(fd, p + got, want - got);
        if (r <= 0)
            return false;
        got += (size_t)r;
    }
    *body = sv_trim((struct str_view){p, want});
    while (body->len > 0 && body->p[body->len - 1] == '\n')
        body->len--;
    return true;
}

bool object_read(struct client *c, struct str_view text, struct answer *out)
{
    out->text = text;
    return json_read_object(c->json, &c->arena, text, &out->members, &out->len) == ERR_OK;
}

bool client_call(struct client *c, const char *command, struct str_view body, struct answer *answer)
{
    char head[256];
    int n = snprintf(head, sizeof head,
                     "POST /v1/%s HTTP/1.1\r\nHost: control\r\nContent-Type: "
                     "application/json\r\nContent-Length: %zu\r\n\r\n",
                     command, body.len);
    struct str_view text;
    if (!write_all(c->fd, head, (size_t)n) || !write_all(c->fd, body.p, body.len) ||
        !read_answer(c->fd, &c->arena, &text) || !object_read(c, text, answer)) {
        fprintf(stderr, "parleyctl: the daemon at %s went away in the middle of %s\n", c->data_dir,
                command);
        return false;
    }
    struct json_value *ok = json_find(answer->members, answer->len, SV("ok"));
    answer->ok = ok != NULL && ok->type == JSON_BOOL && ok->b;
    return true;
}

bool client_must(struct client *c, const char *command, struct str_view body, struct answer *answer)
{
    if (!client_call(c, command, body, answer))
        return false;
    if (!answer->ok) {
        struct str_view error = answer_str(answer, "error"), detail = answer_str(answer, "detail");
        fprintf(stderr, "parleyctl: %s: %.*s: %.*s\n", command, SV_ARG(error), SV_ARG(detail));
    }
    return answer->ok;
}

struct str_view answer_str(const struct answer *a, const char *name)
{
    struct json_value *v = json_find(a->members, a->len, sv_from(name));
    return v == NULL ? SV_NONE : v->s;
}

bool answer_object(struct client *c, const struct answer *a, const char *name, struct answer *out)
{
    struct json_value *v = json_find(a->members, a->len, sv_from(name));
    return v != NULL && v->type == JSON_OBJECT && object_read(c, v->s, out);
}
