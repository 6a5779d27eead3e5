#include "population.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

static bool read_file(struct bench *b, const char *path, struct str_view *text)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &st) == 0;
    char *p = ok ? bench_zalloc(b, (size_t)st.st_size + json_padding) : NULL;
    ok = ok && read(fd, p, (size_t)st.st_size) == (ssize_t)st.st_size;
    if (!ok)
        fprintf(stderr, "parley-bench: cannot read %s: %s\n", path, strerror(errno));
    else
        *text = (struct str_view){p, (size_t)st.st_size};
    if (fd >= 0)
        close(fd);
    return ok;
}

/* The strings of an array, or of one member of its objects. */
static uint32_t strings(struct bench *b, struct json_value *list, const char *member,
                        const char ***out)
{
    struct json_member *items;
    uint32_t len, n = 0;
    if (list == NULL || json_read_array(b->json, &b->arena, list->s, &items, &len) != ERR_OK)
        return 0;
    *out = bench_zalloc(b, (len + 1) * sizeof **out);
    for (uint32_t i = 0; i < len; i++) {
        struct json_value v = items[i].value;
        if (member != NULL && !object_member(b, v.s, member, &v))
            continue;
        if (v.type == JSON_STRING)
            (*out)[n++] = bench_text(b, v.s);
    }
    return n;
}

static const char *general_id(struct bench *b, struct json_value *channels)
{
    struct json_value general, id;
    if (channels == NULL || !object_member(b, channels->s, "general", &general) ||
        !object_member(b, general.s, "id", &id))
        return NULL;
    return bench_text(b, id.s);
}

bool population_read(struct bench *b, const char *path)
{
    struct population *p = &b->population;
    struct str_view text;
    struct json_member *m;
    uint32_t len;
    if (!read_file(b, path, &text))
        return false;
    if (json_read_object(b->json, &b->arena, text, &m, &len) != ERR_OK) {
        fprintf(stderr, "parley-bench: %s is not a JSON object\n", path);
        return false;
    }
    struct json_value *url = json_find(m, len, SV("base_url"));
    struct json_value *team = json_find(m, len, SV("team")), domain;
    if (url != NULL)
        p->base_url = bench_text(b, url->s);
    if (team != NULL && object_member(b, team->s, "domain", &domain))
        p->domain = bench_text(b, domain.s);
    p->tokens_len = strings(b, json_find(m, len, SV("tokens")), NULL, &p->tokens);
    if (p->tokens_len == 0)
        p->tokens_len = strings(b, json_find(m, len, SV("users")), "token", &p->tokens);
    p->channels_len = strings(b, json_find(m, len, SV("channel_ids")), NULL, &p->channels);
    if (p->channels_len == 0) {
        p->channels = bench_zalloc(b, sizeof *p->channels);
        p->channels[0] = general_id(b, json_find(m, len, SV("channels")));
        p->channels_len = p->channels[0] != NULL;
    }
    if (p->base_url != NULL && p->domain != NULL && p->tokens_len > 0 && p->channels_len > 0)
        return true;
    fprintf(stderr,
            "parley-bench: %s lacks base_url, team, tokens or channels; make it with\n"
            "  parleyctl --data DIR demo --users N --channels M --member-of-all --json FILE\n",
            path);
    return false;
}
