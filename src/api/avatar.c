/* avatar.c - GET /avatar/RRGGBB.png: a picture of one colour. Users have no pictures of their own;
 * clients fetch and show what image_* names, and some break on an empty one. No token: the colour
 * is all that the path tells. Source: PNG (ISO/IEC 15948). */
#include "api/internal.h"

static const char prefix[] = "/avatar/", suffix[] = ".png";

static bool hex_byte(const char *p, uint8_t *out)
{
    unsigned v = 0;
    for (int i = 0; i < 2; i++) {
        bool digit = p[i] >= '0' && p[i] <= '9';
        if (!digit && !(p[i] >= 'a' && p[i] <= 'f'))
            return false;
        v = v << 4 | (unsigned)(digit ? p[i] - '0' : p[i] - 'a' + 10);
    }
    *out = (uint8_t)v;
    return true;
}

bool avatar_path(struct str_view path, uint8_t rgb[3])
{
    const size_t at = sizeof prefix - 1;
    return path.len == at + 6 + sizeof suffix - 1 && memcmp(path.p, prefix, at) == 0 &&
           memcmp(path.p + at + 6, suffix, sizeof suffix - 1) == 0 &&
           hex_byte(path.p + at, &rgb[0]) && hex_byte(path.p + at + 2, &rgb[1]) &&
           hex_byte(path.p + at + 4, &rgb[2]);
}

static void put_u32(struct buf *b, uint32_t v)
{
    const uint8_t bytes[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    buf_put(b, bytes, sizeof bytes);
}

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* chunk: type, then data */
static void put_chunk(struct buf *b, const uint8_t *chunk, size_t n)
{
    put_u32(b, (uint32_t)n - 4);
    buf_put(b, chunk, n);
    put_u32(b, crc32_of(chunk, n));
}

void avatar_answer(struct request *r)
{
    static const uint8_t magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const uint8_t header[] = {'I', 'H', 'D', 'R', 0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0};
    static const uint8_t end[] = {'I', 'E', 'N', 'D'};
    /* One row of one pixel, in a stored block of zlib's; behind it Adler-32 of its four bytes. */
    uint8_t data[] = {'I', 'D', 'A', 'T', 0x78, 1, 1, 4, 0, 0xfb, 0xff, 0, 0, 0, 0, 0, 0, 0, 0};
    uint8_t *rgb = data + 12;
    struct buf b;
    bool ok = avatar_path(r->http.path, rgb);
    ASSERT(ok);                /* the route has looked */
    uint32_t one = 1, two = 1; /* behind the row's filter byte, which is 0 */
    for (int i = 0; i < 3; i++) {
        one += rgb[i];
        two += one;
    }
    data[15] = (uint8_t)(two >> 8);
    data[16] = (uint8_t)two;
    data[17] = (uint8_t)(one >> 8);
    data[18] = (uint8_t)one;
    buf_init_fixed(&b, r->error_p, error_body_max); /* no error comes any more */
    buf_put(&b, magic, sizeof magic);
    put_chunk(&b, header, sizeof header);
    put_chunk(&b, data, sizeof data);
    put_chunk(&b, end, sizeof end);
    ASSERT(!b.failed);
    answer_file(
        r,
        SV("Content-Type: image/png\r\nCache-Control: public, max-age=31536000, immutable\r\n"
           "X-Content-Type-Options: nosniff\r\n"),
        buf_view(&b));
}
