/* First byte: whether URLs are wrapped, and which names are known. Nobody is asked for more names
 * than the bounds say; of what is put in nothing else is lost or moved: without the tokens that
 * were put in, the output is the text. */
#include "api/mention.h"
#include "base/id.h"
#include "fuzz.h"
#include "json/read.h"

enum { claimed_max = mention_names_max };

struct known {
    uint8_t choice;
    uint32_t asked, found;
    const char *place; /* of the last that was asked for */
    uint32_t there;    /* how many of it */
    struct str_view names[claimed_max];
    char marks[claimed_max];
};

static enum mention_found find(void *ctx, char mark, struct str_view name, struct mention *out)
{
    struct known *k = ctx;
    k->asked++;
    CLAIM(mark == '@' || mark == '#');
    CLAIM(name.len > 0 && name.len <= mention_name_bytes_max && utf8_valid(name));
    CLAIM(name.p[-1] == mark);
    k->there = name.p == k->place ? k->there + 1 : 1;
    k->place = name.p;
    CLAIM(k->there <= (mark == '#' ? mention_channel_asks_max : mention_asks_max));
    uint8_t chance = (uint8_t)((uint8_t)name.p[name.len - 1] ^ k->choice) % 8;
    if (chance < 2)
        return chance == 0 ? MENTION_NONE : MENTION_SEVERAL;
    CLAIM(k->found < claimed_max);
    k->names[k->found] = name;
    k->marks[k->found++] = mark;
    *out = (struct mention){mark == '#' ? MENTION_CHANNEL : MENTION_USER, 5};
    return MENTION_FOUND;
}

/* The longest thing that the place in the output may stand for, of the text. */
static size_t token_of(struct known *k, uint32_t *next, struct str_view in, struct str_view out,
                       size_t *taken)
{
    static const struct str_view specials[] = {
        {"<!here>", 7}, {"<!channel>", 10}, {"<!everyone>", 11}};
    for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
        struct str_view name = {specials[i].p + 2, specials[i].len - 3};
        if (in.p[0] == '@' && sv_starts(out, specials[i]) && in.len > name.len &&
            sv_starts((struct str_view){in.p + 1, in.len - 1}, name)) {
            *taken = name.len + 1;
            return specials[i].len;
        }
    }
    if (*next == k->found || in.p + 1 != k->names[*next].p)
        return 0;
    struct str_view name = k->names[*next];
    *taken = name.len + 1;
    (*next)++;
    if (in.p[0] == '@') {
        CLAIM(sv_starts(out, SV("<@U5>")));
        return 5;
    }
    CLAIM(sv_starts(out, SV("<#C5|")) && out.len > name.len + 5 && out.p[name.len + 5] == '>');
    CLAIM(memcmp(out.p + 5, name.p, name.len) == 0);
    return name.len + 6;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    if (n < 1)
        return 0;
    fuzz_init(&f, data, n);
    char *bytes = fuzz_exact(data + 1, n - 1);
    struct str_view text = {bytes, n - 1};
    struct known known = {.choice = data[0] >> 1};
    struct mention_rules rules = {.find = find, .ctx = &known, .urls = (data[0] & 1) != 0};
    struct buf out;
    buf_init(&out, &f.arena, 0);
    if (utf8_valid(text)) {
        mention_link(&out, text, &rules);
        CLAIM(out.failed || utf8_valid(buf_view(&out)));
        CLAIM(known.asked <= mention_names_max * mention_asks_max);
        uint32_t next = 0;
        size_t i = 0, o = 0;
        bool in_url = false;
        while (!out.failed && o < out.len) {
            struct str_view rest = {out.p + o, out.len - o}, in = {text.p + i, text.len - i};
            size_t taken = 0, put = 0;
            /* No URL has a '>', but one may stand behind it in the text. */
            bool closing = in_url && out.p[o] == '>';
            if (in.len > 0 && !closing)
                put = token_of(&known, &next, in, rest, &taken);
            if (put > 0) {
                i += taken;
                o += put;
            } else if (in.len > 0 && !closing && out.p[o] == in.p[0]) {
                i++;
                o++;
            } else { /* around a URL */
                CLAIM(rules.urls && out.p[o] == (in_url ? '>' : '<'));
                in_url = !in_url;
                o++;
            }
        }
        CLAIM(out.failed || (i == text.len && next == known.found && !in_url));
    }
    free(bytes);
    fuzz_deinit(&f);
    return 0;
}
