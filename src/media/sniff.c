#include "media/sniff.h"

#include "json/read.h"

enum type_id {
#define TYPE(id, ft, mime, pretty_, flags_, ext) T_##id,
#include "media/type.def"
#undef TYPE
    TYPE_COUNT
};

#define LIT(s)                                                                                     \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }
static const struct type types[TYPE_COUNT] = {
#define TYPE(id, ft, mime, pretty_, flags_, ext)                                                   \
    [T_##id] = {.filetype = LIT(ft),                                                               \
                .mimetype = LIT(mime),                                                             \
                .pretty = LIT(pretty_),                                                            \
                .extensions = LIT(ext),                                                            \
                .flags = (flags_)},
#include "media/type.def"
#undef TYPE
};

const struct type *type_find(struct str_view filetype)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (sv_eq(types[i].filetype, filetype))
            return &types[i];
    }
    return NULL;
}

static bool has_extension(const struct type *t, struct str_view wanted)
{
    struct str_view rest = t->extensions;
    while (rest.p != NULL) {
        if (sv_eq_nocase(sv_cut(&rest, ' '), wanted))
            return true;
    }
    return false;
}

const struct type *type_named(struct str_view name)
{
    for (size_t i = 0; name.len > 0 && i < TYPE_COUNT; i++) {
        if (sv_eq_nocase(types[i].filetype, name) || has_extension(&types[i], name))
            return &types[i];
    }
    return NULL;
}

/* ---- bytes that say what they are ---- */

static bool has(struct str_view head, size_t at, struct str_view magic)
{
    return head.len >= at + magic.len && memcmp(head.p + at, magic.p, magic.len) == 0;
}

static uint8_t byte(struct str_view head, size_t at)
{
    return at < head.len ? (uint8_t)head.p[at] : 0;
}

/* Its two letters begin many a text: what follows must be a bitmap's header, too. */
static bool is_bmp(struct str_view head)
{
    static const uint8_t headers[] = {12, 40, 52, 56, 64, 108, 124}; /* of all versions */
    return has(head, 0, SV("BM")) && has(head, 6, SV("\0\0\0\0")) && head.len > 18 &&
           memchr(headers, byte(head, 14), sizeof headers) != NULL && has(head, 15, SV("\0\0\0"));
}

/* ISO 14496-12: a size, then "ftyp" and the brand. Older QuickTime begins with another box. All of
 * them are short here, so that no text looks like one. */
static const struct type *boxes(struct str_view head)
{
    static const struct {
        struct str_view brand;
        enum type_id type;
    } brands[] = {{LIT("qt  "), T_MOV},  {LIT("M4A "), T_M4A},  {LIT("M4B "), T_M4A},
                  {LIT("heic"), T_HEIC}, {LIT("heix"), T_HEIC}, {LIT("mif1"), T_HEIC},
                  {LIT("avif"), T_AVIF}};
    if (byte(head, 0) != 0)
        return NULL;
    if (has(head, 4, SV("ftyp"))) {
        for (size_t i = 0; i < ARRAY_LEN(brands); i++) {
            if (has(head, 8, brands[i].brand))
                return &types[brands[i].type];
        }
        return &types[T_MP4];
    }
    bool quicktime = has(head, 4, SV("moov")) || has(head, 4, SV("mdat")) ||
                     has(head, 4, SV("wide")) || has(head, 4, SV("free"));
    return quicktime ? &types[T_MOV] : NULL;
}

static const struct type *riff(struct str_view head)
{
    if (!has(head, 0, SV("RIFF")))
        return NULL;
    if (has(head, 8, SV("WEBP")))
        return &types[T_WEBP];
    if (has(head, 8, SV("WAVE")))
        return &types[T_WAV];
    return has(head, 8, SV("AVI ")) ? &types[T_AVI] : NULL;
}

/* RFC 9559: the kind of Matroska stands in the first element. */
static const struct type *matroska(struct str_view head)
{
    enum { doctype_within = 64 };
    struct str_view first = {head.p, MIN(head.len, (size_t)doctype_within)};
    if (!has(head, 0, SV("\x1a\x45\xdf\xa3")))
        return NULL;
    return &types[memmem(first.p, first.len, "webm", 4) != NULL ? T_WEBM : T_MKV];
}

/* ISO 11172-3: eleven bits of sync, layer III, a bit rate and a sampling rate that exist. */
static bool is_mp3(struct str_view head)
{
    uint8_t b1 = byte(head, 1), b2 = byte(head, 2);
    if (has(head, 0, SV("ID3")))
        return byte(head, 3) < 0x10 && head.len >= 10;
    return byte(head, 0) == 0xff && (b1 & 0xe6) == 0xe2 && (b1 & 0x18) != 0x08 && b2 >> 4 != 0x0f &&
           b2 >> 4 != 0 && (b2 & 0x0c) != 0x0c;
}

static const struct {
    struct str_view magic;
    enum type_id type;
} magics[] = {{LIT("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), T_PNG},
              {LIT("\xff\xd8\xff"), T_JPG},
              {LIT("GIF87a"), T_GIF},
              {LIT("GIF89a"), T_GIF},
              {LIT("II*\0"), T_TIFF},
              {LIT("MM\0*"), T_TIFF},
              {LIT("OggS\0"), T_OGG},
              {LIT("fLaC"), T_FLAC},
              {LIT("%PDF-"), T_PDF},
              {LIT("\x1f\x8b\x08"), T_GZIP}};

static const struct type *by_bytes(struct str_view head)
{
    for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
        if (has(head, 0, magics[i].magic))
            return &types[magics[i].type];
    }
    if (is_bmp(head))
        return &types[T_BMP];
    if (is_mp3(head))
        return &types[T_MP3];
    const struct type *t = boxes(head);
    if (t == NULL)
        t = riff(head);
    return t == NULL ? matroska(head) : t;
}

/* ---- bytes that leave it to the name ---- */

static struct str_view extension(struct str_view name)
{
    size_t at = name.len;
    while (at > 0 && name.p[at - 1] != '.')
        at--;
    return at == 0 ? SV_NONE : (struct str_view){name.p + at, name.len - at};
}

static const struct type *by_extension(struct str_view name, unsigned flag, enum type_id otherwise)
{
    struct str_view wanted = extension(name);
    for (size_t i = 0; wanted.len > 0 && i < TYPE_COUNT; i++) {
        if ((types[i].flags & flag) != 0 && has_extension(&types[i], wanted))
            return &types[i];
    }
    return &types[otherwise];
}

static bool is_zip(struct str_view head)
{
    return has(head, 0, SV("PK\3\4")) || has(head, 0, SV("PK\5\6"));
}

/* The last character may be cut in the middle. */
static struct str_view whole_characters(struct str_view s)
{
    enum { character_bytes_max = 4 };
    for (size_t back = 1; back < character_bytes_max && back <= s.len; back++) {
        uint8_t b = (uint8_t)s.p[s.len - back];
        if (b >= 0xc0) {
            size_t needs = b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : 2;
            return back < needs ? (struct str_view){s.p, s.len - back} : s;
        }
        if (b < 0x80)
            break;
    }
    return s;
}

static bool is_text(struct str_view head, bool more)
{
    struct str_view s = more ? whole_characters(head) : head;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t b = (uint8_t)s.p[i];
        if (b < 0x20 && (b < '\b' || b > '\r') && b != '\x1b')
            return false;
    }
    return utf8_valid(s);
}

const struct type *sniff(struct str_view head, bool more, struct str_view name)
{
    const struct type *t = by_bytes(head);
    if (t != NULL)
        return t;
    if (is_zip(head))
        return by_extension(name, TYPE_ZIP, T_ZIP);
    return is_text(head, more) ? by_extension(name, TYPE_TEXT, T_TEXT) : &types[T_BINARY];
}
