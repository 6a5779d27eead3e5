#include "hist/rights.h"

#include <stdlib.h>

#include "base/mutant.h"

struct slot {
    uint64_t cid, uid, moment;
    struct right right;
    bool used;
};

struct rights {
    struct slot slots[rights_slots];
};

enum err rights_new(struct rights **out)
{
    *out = calloc(1, sizeof **out);
    return *out == NULL ? ERR_NOMEM : ERR_OK;
}

void rights_free(struct rights *r)
{
    free(r);
}

static uint64_t place_of(uint64_t cid, uint64_t uid)
{
    return mix64(cid ^ mix64(uid)) % rights_slots;
}

bool rights_find(const struct rights *r, const struct view *v, uint64_t cid, uint64_t uid,
                 struct right *out)
{
    const struct slot *s = &r->slots[place_of(cid, uid)];
    struct key info, member;
    if (!s->used || s->cid != cid || s->uid != uid)
        return false;
    key_chan_info(&info, cid);
    key_chan_member(&member, cid, uid);
    const struct view_get keys[] = {{.cf = CF_CHAN, .key = key_view(&info)},
                                    {.cf = CF_CHAN, .key = key_view(&member)}};
    if (MUTANT(RIGHTS_NOT_REFRESHED, view_touched(v, keys, ARRAY_LEN(keys), s->moment), false))
        return false;
    *out = s->right;
    return true;
}

void rights_keep(struct rights *r, uint64_t cid, uint64_t uid, const struct right *right,
                 uint64_t moment)
{
    r->slots[place_of(cid, uid)] =
        (struct slot){.cid = cid, .uid = uid, .moment = moment, .right = *right, .used = true};
}
