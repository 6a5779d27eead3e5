/* kind.c - what type: of a query names: a file's type, and the group of types that it is one of. */
#include "media/internal.h"

static const struct {
    struct str_view name, filetypes; /* separated by spaces */
} groups[] = {{{"document", 8}, {"docx odt", 8}},
              {{"spreadsheet", 11}, {"xlsx ods csv tsv", 16}},
              {{"presentation", 12}, {"pptx odp", 8}}};

static struct str_view group_of_media(const struct row_file *row)
{
    const struct type *t = type_find(row->filetype);
    struct str_view rest = row->mimetype, group = sv_cut(&rest, '/');
    return t != NULL && (t->flags & TYPE_MEDIA) != 0 ? group : SV_NONE;
}

static bool has_filetype(struct str_view filetypes, struct str_view wanted)
{
    while (filetypes.p != NULL) {
        if (sv_eq(sv_cut(&filetypes, ' '), wanted))
            return true;
    }
    return false;
}

uint32_t file_kinds(const struct row_file *row, struct str_view out[file_kinds_max])
{
    uint32_t n = 0;
    out[n++] = row->filetype;
    if ((row->flags & FILE_SNIPPET) != 0)
        out[n++] = SV("snippet");
    struct str_view media = group_of_media(row);
    if (media.len > 0)
        out[n++] = media;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (has_filetype(groups[i].filetypes, row->filetype))
            out[n++] = groups[i].name;
    }
    ASSERT(n <= file_kinds_max);
    return n;
}

bool file_is_kind(const struct row_file *row, struct str_view kind)
{
    struct str_view kinds[file_kinds_max];
    uint32_t n = file_kinds(row, kinds);
    for (uint32_t i = 0; i < n; i++) {
        if (sv_eq(kinds[i], kind))
            return true;
    }
    return false;
}

static struct str_view exactly(struct str_view name)
{
    static const struct str_view others[] = {
        {"image", 5}, {"video", 5}, {"audio", 5}, {"snippet", 7}};
    const struct type *t = type_named(name);
    if (t != NULL)
        return t->filetype;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (sv_eq_nocase(others[i], name))
            return others[i];
    }
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (sv_eq_nocase(groups[i].name, name))
            return groups[i].name;
    }
    return sv_eq_nocase(name, SV("doc")) ? groups[0].name : SV_NONE;
}

/* Slack's are plural (images), its filetypes are not (png). */
struct str_view kind_named(struct str_view typed)
{
    struct str_view kind = exactly(typed);
    bool plural = typed.len > 1 && (typed.p[typed.len - 1] | 0x20) == 's';
    if (kind.p == NULL && plural)
        kind = exactly((struct str_view){typed.p, typed.len - 1});
    return kind;
}
