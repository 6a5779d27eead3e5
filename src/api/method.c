#include "api/method.h"

#include "api/handlers.h"
#include "base/rand.h"

#define METHOD_RUN(f) (f)
#include "api/method_row.h"

const struct method methods[] = {
#include "api/method.def"
};
const uint32_t methods_len = ARRAY_LEN(methods);

_Static_assert(ARRAY_LEN(methods) <= method_slots / 2, "the index is at most half full");

/* Names differ in their ends and their length; none is under 8 bytes. */
enum { name_bytes_min = 8 };

static uint32_t slot_of(struct str_view name)
{
    uint64_t first, last;
    memcpy(&first, name.p, sizeof first);
    memcpy(&last, name.p + name.len - sizeof last, sizeof last);
    return (uint32_t)(mix64(first ^ (last << 1 | last >> 63) ^ name.len) % method_slots);
}

void method_index_init(struct method_index *x)
{
    memset(x, 0, sizeof *x);
    for (uint32_t i = 0; i < methods_len; i++) {
        ASSERT(methods[i].name.len >= name_bytes_min);
        uint32_t slot = slot_of(methods[i].name);
        while (x->at[slot] != 0)
            slot = (slot + 1) % method_slots;
        x->at[slot] = (uint16_t)(i + 1);
    }
}

const struct method *method_find(const struct method_index *x, struct str_view name)
{
    if (name.len < name_bytes_min)
        return NULL;
    for (uint32_t slot = slot_of(name); x->at[slot] != 0; slot = (slot + 1) % method_slots) {
        const struct method *m = &methods[x->at[slot] - 1];
        if (sv_eq(m->name, name))
            return m;
    }
    return NULL;
}
