/* First line: the Content-Type; the rest: the body. The same parts to the byte in one piece and in
 * many, whatever is taken at a time. */
#include "fuzz.h"
#include "http1/multipart.h"

static struct str_view told(struct fuzz *f, struct str_view type, struct str_view body, bool whole,
                            enum err *err)
{
    struct multipart m;
    struct buf out;
    size_t at = 0;
    buf_init(&out, &f->arena, 64);
    *err = multipart_init(&m, &f->arena, type);
    bool more = *err == ERR_OK;
    while (more && at < body.len) {
        size_t n = body.len - at, from = 0, used;
        if (!whole)
            n = 1 + rand_below(&f->rand, MIN(n, (size_t)24));
        char *piece = fuzz_exact(body.p + at, n);
        enum multipart_step step = MULTIPART_DATA;
        while (step != MULTIPART_MORE && step != MULTIPART_FAILED) {
            size_t data_max = whole ? SIZE_MAX : 1 + rand_below(&f->rand, 16);
            struct str_view data;
            step = multipart_feed(&m, piece + from, n - from, data_max, &used, &data);
            from += used;
            CLAIM(from <= n);
            if (step == MULTIPART_PART)
                buf_printf(&out, "[%.*s|%.*s|%.*s]", SV_ARG(m.part.name), SV_ARG(m.part.filename),
                           SV_ARG(m.part.content_type));
            else if (step == MULTIPART_DATA)
                buf_put_sv(&out, data);
            else if (step == MULTIPART_PART_END)
                buf_putc(&out, ';');
        }
        CLAIM(step == MULTIPART_FAILED || from == n);
        more = step == MULTIPART_MORE;
        free(piece);
        at += n;
    }
    if (*err == ERR_OK)
        *err = multipart_end(&m);
    return buf_view(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    enum err one, many;
    struct str_view body = {(const char *)data, n};
    struct str_view type = sv_cut(&body, '\n');
    fuzz_init(&f, data, n);
    struct str_view want = told(&f, type, body, true, &one);
    CLAIM(one == ERR_OK || one == ERR_INVALID_FORM_DATA || one == ERR_NOMEM);
    for (int i = 0; i < 4; i++) {
        struct str_view got = told(&f, type, body, false, &many);
        if (one == ERR_NOMEM || many == ERR_NOMEM)
            break;
        CLAIM(one == many);
        CLAIM(one != ERR_OK || sv_eq(want, got));
    }
    fuzz_deinit(&f);
    return 0;
}
