/* Reading the trace. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "replay.h"

enum { line_bytes_max = 4 * 1024 * 1024, none = -1 };

static uint32_t intern(struct str_view **names, uint32_t *len, uint32_t *cap, struct str_view s)
{
    for (uint32_t i = 0; i < *len; i++) {
        if (sv_eq((*names)[i], s))
            return i;
    }
    if (*len == *cap) {
        *cap = MAX(64u, *cap * 2);
        *names = realloc(*names, *cap * sizeof **names);
        ASSERT(*names != NULL);
    }
    (*names)[*len] = s;
    return (*len)++;
}

static uint32_t channel_of(struct plan *p, struct str_view id)
{
    for (uint32_t i = 0; i < p->channels_len; i++) {
        if (sv_eq(p->channels[i].name, id))
            return i;
    }
    if (p->channels_len == p->channels_cap) {
        p->channels_cap = MAX(64u, p->channels_cap * 2);
        p->channels = realloc(p->channels, p->channels_cap * sizeof *p->channels);
        ASSERT(p->channels != NULL);
    }
    p->channels[p->channels_len] = (struct trace_channel){id, UINT32_MAX, UINT32_MAX};
    return p->channels_len++;
}

static struct step *add_step(struct plan *p)
{
    if (p->steps_len == p->steps_cap) {
        p->steps_cap = MAX(1024u, p->steps_cap * 2);
        p->steps = realloc(p->steps, p->steps_cap * sizeof *p->steps);
        ASSERT(p->steps != NULL);
    }
    p->steps[p->steps_len] = (struct step){.next = UINT32_MAX};
    return &p->steps[p->steps_len++];
}

static void skip(struct plan *p, struct str_view subtype)
{
    uint32_t i = 0;
    p->skipped++;
    while (i < p->skips_len && !sv_eq(subtype, sv_from(p->skips[i].name)))
        i++;
    if (i == p->skips_len && i < replay_skips_max - 1)
        p->skips[p->skips_len++].name = bench_text(p->bench, subtype);
    p->skips[MIN(i, (uint32_t)replay_skips_max - 1)].count++;
}

/* none: the line is only counted. */
static int kind_of(struct str_view subtype, struct str_view text)
{
    if (sv_eq(subtype, SV("channel_join")))
        return STEP_JOIN;
    if (sv_eq(subtype, SV("channel_leave")))
        return STEP_LEAVE;
    bool plain =
        subtype.len == 0 || sv_eq(subtype, SV("bot_message")) || sv_eq(subtype, SV("me_message"));
    return plain && text.len > 0 ? STEP_POST : none;
}

static bool read_line(struct plan *p, struct str_view line)
{
    struct bench *b = p->bench;
    struct json_member *m;
    uint32_t len;
    uint64_t ts_us;
    if (json_read_object(b->json, &b->arena, line, &m, &len) != ERR_OK ||
        !ts_parse(json_text(m, len, "ts"), &ts_us))
        return false;
    struct str_view subtype = json_text(m, len, "subtype"), text = json_text(m, len, "text");
    struct str_view channel = json_text(m, len, "channel"), user = json_text(m, len, "user");
    int kind = kind_of(subtype, text);
    if (kind == none || channel.len == 0) {
        skip(p, subtype.len > 0 ? subtype : SV("no_text"));
        return true;
    }
    struct step *s = add_step(p);
    s->kind = (enum step_kind)kind;
    s->channel = channel_of(p, channel);
    s->author = user.len == 0 ? replay_user : intern(&p->names, &p->names_len, &p->names_cap, user);
    s->ts_us = ts_us;
    s->text = text;
    return true;
}

bool plan_read(struct plan *p, struct bench *b, const char *path)
{
    *p = (struct plan){.bench = b, .seed = 0xcbf29ce484222325u};
    intern(&p->names, &p->names_len, &p->names_cap, SV("replay"));
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    bool ok = f != NULL;
    errno = f != NULL ? 0 : errno;
    for (ssize_t n; ok && (n = getline(&line, &cap, f)) > 0;) {
        for (ssize_t i = 0; i < n; i++) /* FNV-1a */
            p->seed = (p->seed ^ (uint8_t)line[i]) * 0x100000001b3u;
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n == 0)
            continue;
        p->lines++;
        /* Views point into the copy. */
        struct str_view copy = arena_dup(&b->arena, (struct str_view){line, (size_t)n});
        ok = n <= line_bytes_max && copy.p != NULL && read_line(p, copy);
    }
    if (!ok)
        fprintf(stderr, "parley-bench: %s, line %u: %s\n", path, p->lines,
                errno != 0 ? strerror(errno) : "not a message");
    free(line);
    if (f != NULL)
        fclose(f);
    return ok;
}
