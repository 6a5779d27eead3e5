/* The small readers: what they accept has one spelling and comes back. */
#include "base/id.h"
#include "fuzz.h"
#include "http1/form.h"
#include "json/read.h"

static void check_ids(struct str_view s)
{
    uint64_t id;
    char out[id_text_max];
    static const enum id_kind kinds[] = {ID_TEAM, ID_USER, ID_BOT, ID_CHANNEL, ID_IM};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!id_parse(s, kinds[i], &id))
            continue;
        CLAIM(id != 0);
        size_t n = id_format(out, kinds[i], id);
        CLAIM(sv_eq(s, (struct str_view){out, n}));
    }
    if (id_parse_channel(s, &id))
        CLAIM(s.p[0] == 'C' || s.p[0] == 'G' || s.p[0] == 'D');
}

static void check_ts(struct str_view s)
{
    uint64_t ts, again;
    char out[ts_text_len];
    if (!ts_parse(s, &ts))
        return;
    CLAIM(ts < 10000000000000000u);
    ts_format(out, ts);
    CLAIM(ts_parse((struct str_view){out, ts_text_len}, &again) && again == ts);
    if (s.len == ts_text_len)
        CLAIM(sv_eq(s, (struct str_view){out, ts_text_len}));
}

static void check_u64(struct str_view s)
{
    uint64_t v;
    char out[24];
    if (!sv_to_u64(s, &v))
        return;
    int n = snprintf(out, sizeof out, "%llu", (unsigned long long)v);
    while (s.len > 1 && s.p[0] == '0') {
        s.p++;
        s.len--;
    }
    CLAIM(sv_eq(s, (struct str_view){out, (size_t)n}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    char *exact = fuzz_exact(data, n);
    struct str_view s = {exact, n}, out;
    fuzz_init(&f, data, n);
    check_ids(s);
    check_ts(s);
    check_u64(s);
    if (form_unescape(&f.arena, s, false, &out) == ERR_OK)
        CLAIM(out.len <= s.len && utf8_valid(out) &&
              (out.len == 0 || memchr(out.p, 0, out.len) == NULL));
    (void)media_type(s);
    (void)media_param(&f.arena, s, SV("charset"));
    CLAIM(utf8_count(s) <= s.len);
    fuzz_deinit(&f);
    free(exact);
    return 0;
}
