/* What we accept, yajl accepts, with the same names and strings at the top; and written anew it is
 * accepted again. */
#include "fuzz.h"
#include "json/read.h"
#include "json/write.h"

#ifdef HAVE_YAJL
#include <yajl/yajl_parse.h>
#endif

static void check_again(struct fuzz *f, struct json_reader *r, const struct json_member *m,
                        uint32_t len)
{
    struct buf b;
    struct json_member *again;
    uint32_t again_len;
    buf_init(&b, &f->arena, 64);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    for (uint32_t i = 0; i < len; i++) {
        json_str(&j, m[i].name); /* names may need escapes: not json_key */
        buf_putc(&b, ':');
        j.comma = false;
        if (m[i].value.type == JSON_STRING)
            json_str(&j, m[i].value.s);
        else
            json_raw(&j, m[i].value.s);
    }
    json_obj_end(&j);
    if (b.failed)
        return;
    CLAIM(json_read_object(r, &f->arena, buf_view(&b), &again, &again_len) == ERR_OK);
    CLAIM(again_len == len);
    for (uint32_t i = 0; i < len; i++)
        CLAIM(sv_eq(again[i].name, m[i].name) && sv_eq(again[i].value.s, m[i].value.s) &&
              again[i].value.type == m[i].value.type);
}

#ifdef HAVE_YAJL
/* What yajl sees of the outermost object: names and string values in order. */
struct second {
    const struct json_member *m;
    uint32_t len, at;
    unsigned depth;
};

static int on_string(void *ctx, const unsigned char *p, size_t n)
{
    struct second *s = ctx;
    if (s->depth == 1)
        CLAIM(sv_eq(s->m[s->at - 1].value.s, (struct str_view){(const char *)p, n}));
    return 1;
}

static int on_name(void *ctx, const unsigned char *p, size_t n)
{
    struct second *s = ctx;
    if (s->depth == 1) {
        CLAIM(s->at < s->len);
        CLAIM(sv_eq(s->m[s->at++].name, (struct str_view){(const char *)p, n}));
    }
    return 1;
}

static int on_begin(void *ctx)
{
    ((struct second *)ctx)->depth++;
    return 1;
}

static int on_end(void *ctx)
{
    ((struct second *)ctx)->depth--;
    return 1;
}

static int on_number(void *ctx, const char *p, size_t n)
{
    (void)ctx, (void)p, (void)n;
    return 1;
}

static void ask_yajl(struct str_view text, const struct json_member *m, uint32_t len)
{
    static const yajl_callbacks callbacks = {.yajl_number = on_number,
                                             .yajl_string = on_string,
                                             .yajl_map_key = on_name,
                                             .yajl_start_map = on_begin,
                                             .yajl_end_map = on_end,
                                             .yajl_start_array = on_begin,
                                             .yajl_end_array = on_end};
    struct second s = {.m = m, .len = len};
    yajl_handle h = yajl_alloc(&callbacks, NULL, &s);
    CLAIM(yajl_parse(h, (const unsigned char *)text.p, text.len) == yajl_status_ok);
    CLAIM(yajl_complete_parse(h) == yajl_status_ok);
    CLAIM(s.at == len);
    yajl_free(h);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct json_reader *r;
    struct fuzz f;
    struct json_member *m;
    uint32_t len;
    enum json_type type;
    if (r == NULL)
        CLAIM(json_reader_new(&r) == ERR_OK);
    char *exact = fuzz_exact(data, n);
    struct str_view text = {exact, n};
    fuzz_init(&f, data, n);
    bool value = json_check(r, text, &type) == ERR_OK;
    enum err err = json_read_object(r, &f.arena, text, &m, &len);
    CLAIM(value || err != ERR_OK);
    if (err == ERR_OK) {
        CLAIM(type == JSON_OBJECT);
        check_again(&f, r, m, len);
#ifdef HAVE_YAJL
        ask_yajl(text, m, len);
#endif
    }
    if (json_read_array(r, &f.arena, text, &m, &len) == ERR_OK)
        CLAIM(type == JSON_ARRAY);
    fuzz_deinit(&f);
    free(exact);
    return 0;
}
