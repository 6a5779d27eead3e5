#include "store/view.h"

enum err view_get1(const struct view *v, enum cf cf, const struct key *k, struct arena *a,
                   struct str_view *value)
{
    struct view_get g = {.cf = cf, .key = key_view(k)};
    TRY(view_multi_get(v, &g, 1, a));
    *value = g.value;
    return ERR_OK;
}

enum err view_scan_prefix(const struct view *v, enum cf cf, const struct key *prefix,
                          view_row_fn *fn, void *ctx)
{
    struct key end = *prefix;
    key_prefix_end(&end);
    return view_scan(v, cf, key_view(prefix), key_view(&end), fn, ctx);
}
