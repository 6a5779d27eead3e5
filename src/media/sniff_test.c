#include "media/sniff.h"

#include <stdlib.h>

#include "base/rand.h"
#include "test.h"

#define BYTES(lit)                                                                                 \
    {                                                                                              \
        lit, sizeof(lit) - 1                                                                       \
    }
#define PNG_HEAD "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"

static void check_is(struct str_view head, const char *name, const char *filetype)
{
    const struct type *t = sniff(head, false, sv_from(name));
    if (!sv_eq(t->filetype, sv_from(filetype)))
        fail_msg("%s: %.*s, not %s", name, SV_ARG(t->filetype), filetype);
}

TEST(the_bytes_say_what_it_is_whatever_the_name_says)
{
    static const struct {
        struct str_view head;
        const char *filetype;
    } cases[] = {{BYTES(PNG_HEAD "\0\0\0\1\0\0\0\1"), "png"},
                 {BYTES("\xff\xd8\xff\xe0\0\x10JFIF"), "jpg"},
                 {BYTES("GIF87a\1\0\1\0"), "gif"},
                 {BYTES("GIF89a\1\0\1\0"), "gif"},
                 {BYTES("RIFF\x24\0\0\0WEBPVP8 "), "webp"},
                 {BYTES("RIFF\x24\0\0\0WAVEfmt "), "wav"},
                 {BYTES("RIFF\x24\0\0\0AVI LIST"), "avi"},
                 {BYTES("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\2"), "bmp"},
                 {BYTES("\0\0\0\x18"
                        "ftypisom\0\0\2\0"),
                  "mp4"},
                 {BYTES("\0\0\0\x18"
                        "ftypmp42\0\0\2\0"),
                  "mp4"},
                 {BYTES("\0\0\0\x14"
                        "ftypqt  \0\0\2\0"),
                  "mov"},
                 {BYTES("\0\0\0\x20"
                        "ftypM4A \0\0\2\0"),
                  "m4a"},
                 {BYTES("\0\0\0\x20"
                        "ftypheic\0\0\2\0"),
                  "heic"},
                 {BYTES("\0\0\0\x20"
                        "ftypavif\0\0\2\0"),
                  "avif"},
                 {BYTES("\0\0\0\x08"
                        "wide\0\0\1\0mdat"),
                  "mov"},
                 {BYTES("\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm"), "webm"},
                 {BYTES("\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska"), "mkv"},
                 {BYTES("ID3\3\0\0\0\0\0\x7f"), "mp3"},
                 {BYTES("\xff\xfb\x90\x64"), "mp3"},
                 {BYTES("OggS\0\2\0\0"), "ogg"},
                 {BYTES("fLaC\0\0\0\x22"), "flac"},
                 {BYTES("II*\0\x08\0\0\0"), "tiff"},
                 {BYTES("%PDF-1.7\n"), "pdf"},
                 {BYTES("PK\3\4\x14\0"), "zip"},
                 {BYTES("PK\5\6\0\0"), "zip"},
                 {BYTES("\x1f\x8b\x08\0"), "gzip"},
                 {BYTES("\x7f"
                        "ELF\2\1\1\0"),
                  "binary"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_is(cases[i].head, "a.txt", cases[i].filetype);
        check_is(cases[i].head, "a.png", cases[i].filetype);
        check_is(cases[i].head, "", cases[i].filetype);
        /* Half of it is something else: text, as far as it is any. */
        struct str_view half = {cases[i].head.p, 2};
        CHECK((sniff(half, false, SV("a"))->flags & (TYPE_MEDIA | TYPE_SHOWN)) == 0);
    }
}

TEST(texts_that_begin_like_something_else)
{
    check_is(SV("BM is short for a bitmap, and this is none"), "a.txt", "text");
    check_is(SV("PKZIP was a program"), "a.txt", "text");
    check_is(SV("RIFFraff of WEBPages"), "a.md", "markdown");
    check_is(SV("GIF8 was no version"), "a.txt", "text");
    check_is(SV("OggSound"), "a.txt", "text");
    check_is(SV("the ftypical"), "a.txt", "text");
    check_is(SV("some"
                "moov"),
             "a.txt", "text");
    check_is(SV("ID3 is a tag"), "a.txt", "text");
    check_is(SV("\xff\xfe"
                "a\0b\0"),
             "a.txt", "binary"); /* UTF-16, and no sound */
    check_is(SV("<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"), "a.png", "text");
    check_is(SV("<html>"), "a.gif", "text");
}

TEST(the_name_chooses_among_texts_and_among_archives)
{
    static const char *const texts[][2] = {{"a.txt", "text"},
                                           {"a.py", "python"},
                                           {"A.PY", "python"},
                                           {"a.tar.md", "markdown"},
                                           {"Makefile", "text"},
                                           {"a.", "text"},
                                           {".md", "markdown"},
                                           {"a.jp g", "text"},
                                           {"a.html", "html"},
                                           {"a.svg", "svg"},
                                           {"a.json", "json"},
                                           {"a.docx", "text"},
                                           {"a.c", "c"},
                                           {"a.h", "c"},
                                           {"a.tsx", "typescript"},
                                           {"py", "text"},
                                           {"a.markdown x", "text"},
                                           {"a.mark", "text"}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        check_is(SV("hello\n"), texts[i][0], texts[i][1]);
    check_is(SV("PK\3\4\x14\0"), "a.DOCX", "docx");
    check_is(SV("PK\3\4\x14\0"), "a.xlsx", "xlsx");
    check_is(SV("PK\3\4\x14\0"), "a.py", "zip");
    check_is(SV("\1\2\3"), "a.py", "binary");
    check_is(SV(""), "a.py", "python");
    check_is(SV(""), "", "text");
}

TEST(text_is_utf_8_without_control_bytes)
{
    check_is(SV("tab\tline\r\n\f\x1b[1m"), "a", "text");
    check_is(SV("nul\0"), "a", "binary");
    check_is(SV("bell\x07"), "a", "binary");
    check_is(SV("latin-1: \xe4 "), "a", "binary");
    check_is(SV("\xed\xa0\x80"), "a", "binary");
    /* Cut in the middle of a character: of the whole file, or of what is looked at? */
    static const struct str_view cut[] = {BYTES("x\xc3"),     BYTES("x\xe2\x82"),
                                          BYTES("x\xe2"),     BYTES("x\xf0\x9f\x98"),
                                          BYTES("x\xf0\x9f"), BYTES("x\xf0")};
    for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
        CHECK(sv_eq(sniff(cut[i], true, SV("a"))->filetype, SV("text")));
        CHECK(sv_eq(sniff(cut[i], false, SV("a"))->filetype, SV("binary")));
    }
    CHECK(sv_eq(sniff(SV("x\x80\x80"), true, SV("a"))->filetype, SV("binary")));
    CHECK(sv_eq(sniff(SV("x\xc3\xa4"), true, SV("a"))->filetype, SV("text")));
}

/* What is shown is what every browser takes for an image, and no kind of text. */
TEST(only_bytes_of_images_are_shown)
{
    static const char *const shown[] = {"png", "jpg", "gif", "webp", "bmp"};
    static const char *const media[] = {"mp4", "mov", "webm", "mp3", "ogg", "wav", "flac", "heic"};
    static const char *const documents[] = {"pdf", "zip",  "gzip", "docx",  "text",
                                            "svg", "html", "xml",  "binary"};
    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        CHECK_EQ(type_find(sv_from(shown[i]))->flags, TYPE_MEDIA | TYPE_SHOWN);
    for (size_t i = 0; i < ARRAY_LEN(media); i++)
        CHECK_EQ(type_find(sv_from(media[i]))->flags, TYPE_MEDIA);
    for (size_t i = 0; i < ARRAY_LEN(documents); i++)
        CHECK((type_find(sv_from(documents[i]))->flags & (TYPE_MEDIA | TYPE_SHOWN)) == 0);
    CHECK(type_find(SV("exe")) == NULL);
    CHECK(type_find(SV_NONE) == NULL);
    CHECK_SV(type_find(SV("jpg"))->pretty, "JPEG");
    CHECK_SV(type_find(SV("jpg"))->mimetype, "image/jpeg");
}

static void check_size(struct str_view head, uint32_t width, uint32_t height)
{
    uint32_t w = 0, h = 0;
    CHECK(image_size(head, &w, &h));
    CHECK_EQ(w, width);
    CHECK_EQ(h, height);
    for (size_t n = 0; n < head.len; n++) { /* never past the end; asan looks */
        char *exact = malloc(n + (n == 0));
        CHECK(exact != NULL);
        memcpy(exact, head.p, n);
        (void)image_size((struct str_view){exact, n}, &w, &h);
        (void)sniff((struct str_view){exact, n}, false, SV("a"));
        free(exact);
    }
}

TEST(sizes_of_images)
{
    uint32_t w, h;
    check_size(SV(PNG_HEAD "\0\0\2\x80\0\0\1\xe0"), 640, 480);
    check_size(SV("GIF89a\x80\2\xe0\1"), 640, 480);
    /* The frame stands behind other segments, fill bytes and a table whose number is among its. */
    check_size(SV("\xff\xd8\xff\xe1\0\6ABCD\xff\xff\xc4\0\3x\xff\xc2\0\x11\x08\1\xe0\2\x80\3"), 640,
               480);
    check_size(SV("RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x80\x02\xe0\x01"), 640, 480);
    check_size(SV("RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x7f\xc2\x77\0\0\0\0\0\0"), 640, 480);
    check_size(SV("RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x7f\2\0\xdf\1\0"), 640, 480);
    static const struct str_view none[] = {
        BYTES("\xff\xd8\xff\xda\0\6ABCD\xff\xc0\0\x11\x08\1\xe0\2\x80"), /* behind the picture */
        BYTES("\xff\xd8\xff\xe1\0\0\xff\xc0\0\x11\x08\1\xe0\2\x80"),     /* would go nowhere */
        BYTES("\xff\xd8\xff\xe1\xff\xff"
              "ABCDEFGH"),
        BYTES("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\2"),
        BYTES("text"),
        BYTES("")};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        CHECK(!image_size(none[i], &w, &h));
}

TEST(nothing_that_bytes_say_leads_astray)
{
    struct rand_src r;
    rand_init_seeded(&r, 7);
    static const struct str_view begins[] = {BYTES("\xff\xd8\xff"), BYTES("RIFF\0\0\0\0WEBPVP8X"),
                                             BYTES("\x1a\x45\xdf\xa3"), BYTES("PK\3\4"), BYTES("")};
    for (int i = 0; i < 20000; i++) {
        struct str_view begin = begins[rand_below(&r, ARRAY_LEN(begins))];
        size_t n = begin.len + rand_below(&r, 64);
        uint32_t w, h;
        char *exact = malloc(n + (n == 0));
        CHECK(exact != NULL);
        rand_bytes(&r, exact, n);
        for (size_t k = begin.len; begin.len == 3 && k < n; k += 5)
            exact[k] = (char)0xff;
        memcpy(exact, begin.p, begin.len);
        CHECK(sniff((struct str_view){exact, n}, i % 2 == 0, SV("x.c")) != NULL);
        (void)image_size((struct str_view){exact, n}, &w, &h);
        free(exact);
    }
}

TEST(types_by_the_names_that_people_type)
{
    CHECK_SV(type_named(SV("PNG"))->filetype, "png");
    CHECK_SV(type_named(SV("jpeg"))->filetype, "jpg");
    CHECK_SV(type_named(SV("htm"))->filetype, "html");
    CHECK_SV(type_named(SV("markdown"))->filetype, "markdown");
    CHECK(type_named(SV("")) == NULL);
    CHECK(type_named(SV("nothing")) == NULL);
}
