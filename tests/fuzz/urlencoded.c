/* Never past the end; what comes out is text; escaping it and parsing again gives the same. */
#include "fuzz.h"
#include "http1/form.h"
#include "json/read.h"

static void put_escaped(struct buf *b, struct str_view s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_printf(b, "%%%02X", (unsigned char)s.p[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f;
    struct form form = {0}, again = {0};
    char *text = fuzz_exact(data, n);
    fuzz_init(&f, data, n);
    enum err err = form_parse_urlencoded(&form, &f.arena, (struct str_view){text, n});
    CLAIM(err == ERR_OK || err == ERR_INVALID_FORM_DATA || err == ERR_NOMEM);
    if (err == ERR_OK) {
        struct buf b;
        buf_init(&b, &f.arena, 64);
        for (uint32_t i = 0; i < form.len; i++) {
            CLAIM(utf8_valid(form.params[i].name) && utf8_valid(form.params[i].value));
            put_escaped(&b, form.params[i].name);
            buf_putc(&b, '=');
            put_escaped(&b, form.params[i].value);
            buf_putc(&b, '&');
        }
        if (!b.failed && form_parse_urlencoded(&again, &f.arena, buf_view(&b)) == ERR_OK) {
            CLAIM(again.len == form.len);
            for (uint32_t i = 0; i < form.len; i++)
                CLAIM(sv_eq(again.params[i].name, form.params[i].name) &&
                      sv_eq(again.params[i].value, form.params[i].value));
        }
    }
    fuzz_deinit(&f);
    free(text);
    return 0;
}
