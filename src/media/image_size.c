/* image_size.c - the size of an image, from its header. Nothing is decoded: what a damaged image
 * says of itself may be wrong, and only the layout of a page depends on it. */
#include "media/sniff.h"

static uint8_t byte(struct str_view s, size_t at)
{
    return (uint8_t)s.p[at];
}

static uint32_t be16(struct str_view s, size_t at)
{
    return (uint32_t)byte(s, at) << 8 | byte(s, at + 1);
}

static uint32_t be32(struct str_view s, size_t at)
{
    return be16(s, at) << 16 | be16(s, at + 2);
}

static uint32_t le16(struct str_view s, size_t at)
{
    return (uint32_t)byte(s, at + 1) << 8 | byte(s, at);
}

static uint32_t le24(struct str_view s, size_t at)
{
    return (uint32_t)byte(s, at + 2) << 16 | le16(s, at);
}

/* ITU-T T.81 B.1.1.3: SOF0 to SOF15, but for DHT, JPG and DAC, which have numbers among them. */
static bool is_frame(uint8_t marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

static bool jpeg_size(struct str_view s, uint32_t *width, uint32_t *height)
{
    size_t at = 2;
    while (at + 9 <= s.len && byte(s, at) == 0xff) {
        uint8_t marker = byte(s, at + 1);
        if (marker == 0xff) { /* a marker may be preceded by any number of these */
            at++;
            continue;
        }
        if (is_frame(marker)) {
            *height = be16(s, at + 5);
            *width = be16(s, at + 7);
            return true;
        }
        bool alone = marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8);
        if (marker == 0xd9 || marker == 0xda || (!alone && be16(s, at + 2) < 2))
            return false; /* the end, or the picture, before any frame */
        at += 2 + (alone ? 0 : be16(s, at + 2));
    }
    return false;
}

/* RFC 9649: lossy, lossless, extended. */
static bool webp_size(struct str_view s, uint32_t *width, uint32_t *height)
{
    if (s.len < 30)
        return false;
    if (memcmp(s.p + 12, "VP8 ", 4) == 0 && memcmp(s.p + 23, "\x9d\x01\x2a", 3) == 0) {
        *width = le16(s, 26) & 0x3fff;
        *height = le16(s, 28) & 0x3fff;
        return true;
    }
    if (memcmp(s.p + 12, "VP8L", 4) == 0 && byte(s, 20) == 0x2f) {
        uint32_t bits = le16(s, 21) | le16(s, 23) << 16;
        *width = (bits & 0x3fff) + 1;
        *height = (bits >> 14 & 0x3fff) + 1;
        return true;
    }
    if (memcmp(s.p + 12, "VP8X", 4) != 0)
        return false;
    *width = le24(s, 24) + 1;
    *height = le24(s, 27) + 1;
    return true;
}

bool image_size(struct str_view s, uint32_t *width, uint32_t *height)
{
    if (s.len >= 24 && memcmp(s.p, "\x89PNG", 4) == 0) {
        *width = be32(s, 16);
        *height = be32(s, 20);
        return true;
    }
    if (s.len >= 10 && memcmp(s.p, "GIF8", 4) == 0) {
        *width = le16(s, 6);
        *height = le16(s, 8);
        return true;
    }
    if (s.len >= 4 && memcmp(s.p, "\xff\xd8\xff", 3) == 0)
        return jpeg_size(s, width, height);
    return s.len >= 12 && memcmp(s.p, "RIFF", 4) == 0 && memcmp(s.p + 8, "WEBP", 4) == 0 &&
           webp_size(s, width, height);
}
