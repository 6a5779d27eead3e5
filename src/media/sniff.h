/* media/sniff.h - what a file is, by its first bytes; its name only chooses among kinds of text and
 * of zip archives, and what the client says of it does not matter. Pure. Thread: any.
 * Source: WHATWG MIME Sniffing, the formats' own specifications, Slack's File types. */
#ifndef PARLEY_MEDIA_SNIFF_H
#define PARLEY_MEDIA_SNIFF_H

#include "base/str_view.h"

enum type_flags {
    TYPE_MEDIA = 1, /* image, sound or video: the lesser cap */
    TYPE_SHOWN = 2, /* an image that a browser may show */
    TYPE_TEXT = 4,  /* UTF-8 */
    TYPE_ZIP = 8    /* a zip archive */
};

struct type {
    struct str_view filetype, mimetype, pretty, extensions;
    unsigned flags; /* bits of type_flags */
};

/* How much of the beginning is looked at: JPEGs have their size behind their previews. */
enum { sniff_bytes_max = 256 << 10 };

/* head: the first bytes, sniff_bytes_max or all; more: others follow. Never NULL; static. */
const struct type *sniff(struct str_view head, bool more, struct str_view name);
/* NULL: no such filetype. */
const struct type *type_find(struct str_view filetype);
/* By its filetype or an extension, in any case. NULL: none. */
const struct type *type_named(struct str_view name);

/* Width and height in pixels of a PNG, JPEG, GIF or WebP by its head. False: not found. */
bool image_size(struct str_view head, uint32_t *width, uint32_t *height);

#endif
