/* First line: the Content-Type; the rest: the body. Never past the end; no value holds its own
 * delimiter; what is not a file is text. */
#include "fuzz.h"
#include "http1/form.h"
#include "json/read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    struct form form = {0};
    struct str_view rest = {(const char *)data, n};
    struct str_view first = sv_cut(&rest, '\n');
    char *type = fuzz_exact(first.p, first.len), *body = fuzz_exact(rest.p, rest.len);
    struct str_view content_type = {type, first.len};
    fuzz_init(&f, data, n);
    enum err err =
        form_parse_multipart(&form, &f.arena, content_type, (struct str_view){body, rest.len});
    CLAIM(err == ERR_OK || err == ERR_INVALID_FORM_DATA || err == ERR_NOMEM);
    if (err == ERR_OK) {
        struct str_view boundary = media_param(&f.arena, content_type, SV("boundary"));
        struct buf delimiter;
        buf_init(&delimiter, &f.arena, 16);
        buf_put(&delimiter, "\r\n--", 4);
        buf_put_sv(&delimiter, boundary);
        for (uint32_t i = 0; i < form.len; i++) {
            const struct form_param *p = &form.params[i];
            CLAIM(utf8_valid(p->name) && utf8_valid(p->filename));
            CLAIM(p->is_file || utf8_valid(p->value));
            CLAIM(p->value.len == 0 ||
                  memmem(p->value.p, p->value.len, delimiter.p, delimiter.len) == NULL);
        }
    }
    fuzz_deinit(&f);
    free(type);
    free(body);
    return 0;
}
