/* First byte: how much of the rest is the name, and whether the file goes on behind the head. What
 * is shown is no text, what is text is UTF-8 whatever its name, and no size is read past the end.
 */
#include "fuzz.h"
#include "json/read.h"
#include "media/sniff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint32_t width = 0, height = 0;
    if (n < 1)
        return 0;
    size_t name_len = MIN((size_t)(data[0] >> 1), n - 1);
    bool more = (data[0] & 1) != 0;
    char *name = fuzz_exact(data + 1, name_len);
    char *bytes = fuzz_exact(data + 1 + name_len, n - 1 - name_len);
    struct str_view head = {bytes, n - 1 - name_len};
    const struct type *t = sniff(head, more, (struct str_view){name, name_len});
    CLAIM(t != NULL && type_find(t->filetype) == t);
    CLAIM((t->flags & TYPE_SHOWN) == 0 || (t->flags & (TYPE_MEDIA | TYPE_TEXT)) == TYPE_MEDIA);
    CLAIM((t->flags & TYPE_TEXT) == 0 || more || utf8_valid(head));
    CLAIM((t->flags & TYPE_MEDIA) == 0 || sniff(head, !more, SV_NONE) == t);
    (void)image_size(head, &width, &height);
    free(name);
    free(bytes);
    return 0;
}
