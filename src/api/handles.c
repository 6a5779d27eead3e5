#include "api/handles.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"

static struct handles_of *place_of(struct handles *h, uint64_t team)
{
    for (uint32_t i = 0; i < handles_teams_max; i++) {
        if (h->teams[i].team == team)
            return &h->teams[i];
    }
    return NULL;
}

static struct handles_of *oldest(struct handles *h)
{
    struct handles_of *o = &h->teams[0];
    for (uint32_t i = 1; i < handles_teams_max; i++) {
        if (h->teams[i].used < o->used)
            o = &h->teams[i];
    }
    return o;
}

const struct handles_of *handles_find(struct handles *h, uint64_t team)
{
    struct handles_of *o = place_of(h, team);
    if (o != NULL)
        o->used = ++h->clock;
    return o;
}

static struct usergroup_handle *copy(const struct usergroup_handle *of, uint32_t len)
{
    size_t bytes = 1; /* of nothing, too, there is one */
    for (uint32_t i = 0; i < len; i++)
        bytes += sizeof *of + of[i].handle.len;
    struct usergroup_handle *c = malloc(bytes);
    if (c == NULL)
        return NULL;
    char *text = (char *)(c + len);
    for (uint32_t i = 0; i < len; i++) {
        c[i] = (struct usergroup_handle){of[i].id, {text, of[i].handle.len}};
        if (of[i].handle.len > 0)
            memcpy(text, of[i].handle.p, of[i].handle.len);
        text += of[i].handle.len;
    }
    return c;
}

void handles_keep(struct handles *h, uint64_t team, uint64_t revision,
                  const struct usergroup_handle *of, uint32_t len)
{
    struct handles_of *o = place_of(h, team);
    if (o != NULL && o->revision > revision) /* answers of two hists come in any order */
        return;
    if (o == NULL)
        o = oldest(h);
    free(o->of);
    *o = (struct handles_of){0};
    struct usergroup_handle *c = copy(of, len);
    if (c != NULL)
        *o = (struct handles_of){
            .team = team, .revision = revision, .used = ++h->clock, .of = c, .len = len};
}

void handles_deinit(struct handles *h)
{
    for (uint32_t i = 0; i < handles_teams_max; i++)
        free(h->teams[i].of);
}
