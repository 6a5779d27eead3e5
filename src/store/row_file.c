#include "store/row_file.h"

#include "store/row_code.h"

enum { file_version = 2, listed_version = 2 };

void row_file_encode(struct buf *b, const struct key *k, const struct row_file *f)
{
    struct writer w = begin_as(b, k, file_version);
    put_v(&w, f->team);
    put_v(&w, f->uid);
    put_v(&w, f->created_us);
    put_v(&w, f->flags);
    put_v(&w, f->length);
    put_s(&w, f->name);
    put_s(&w, f->title);
    put_s(&w, f->alt_text);
    put_s(&w, f->snippet_type);
    put_s(&w, f->mimetype);
    put_s(&w, f->filetype);
    put_v(&w, f->width);
    put_v(&w, f->height);
    put_s(&w, f->secret);
    put_s(&w, (struct str_view){(const char *)f->sha256, sha256_bytes});
    put_v(&w, f->shares_len);
    for (uint32_t i = 0; i < f->shares_len; i++) {
        put_v(&w, f->shares[i].cid);
        put_v(&w, f->shares[i].kind);
        put_v(&w, f->shares[i].ts_us);
        if (f->shares[i].ts_us == TS_NONE)
            put_s(&w, f->shares[i].key);
    }
    end(&w);
}

static void get_hash(struct reader *r, uint8_t out[sha256_bytes])
{
    struct str_view hash = get_s(r);
    r->ok &= hash.len == sha256_bytes;
    if (r->ok)
        memcpy(out, hash.p, sha256_bytes);
}

enum err row_file_decode(struct row_file *f, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_version(&r, key, value, file_version));
    f->team = get_v(&r);
    f->uid = get_v(&r);
    f->created_us = get_v(&r);
    f->flags = (uint32_t)get_v(&r);
    f->length = get_v(&r);
    f->name = get_s(&r);
    f->title = get_s(&r);
    f->alt_text = get_s(&r);
    f->snippet_type = get_s(&r);
    f->mimetype = get_s(&r);
    f->filetype = get_s(&r);
    f->width = (uint32_t)get_v(&r);
    f->height = (uint32_t)get_v(&r);
    f->secret = get_s(&r);
    get_hash(&r, f->sha256);
    f->shares_len = (uint32_t)get_enum(&r, row_file_shares_max);
    for (uint32_t i = 0; i < f->shares_len; i++) {
        f->shares[i].cid = get_v(&r);
        f->shares[i].kind = get_channel_kind(&r);
        f->shares[i].ts_us = get_v(&r);
        bool has_key = f->shares[i].ts_us == TS_NONE && value.p[0] > 1;
        f->shares[i].key = has_key ? get_s(&r) : SV("");
    }
    return close_record(&r);
}

void row_file_listed_encode(struct buf *b, const struct key *k, const struct row_file_listed *l)
{
    struct writer w = begin_as(b, k, listed_version);
    put_v(&w, l->uid);
    put_v(&w, l->types);
    put_v(&w, l->open);
    end(&w);
}

enum err row_file_listed_decode(struct row_file_listed *l, struct str_view key,
                                struct str_view value)
{
    struct reader r;
    TRY(open_version(&r, key, value, listed_version));
    l->uid = get_v(&r);
    l->types = (uint32_t)get_v(&r);
    l->open = value.p[0] > 1 && get_enum(&r, 1) != 0;
    return close_record(&r);
}

void row_blob_encode(struct buf *b, const struct key *k, const struct row_blob *r)
{
    struct writer w = begin(b, k);
    put_v(&w, r->files);
    put_v(&w, r->length);
    end(&w);
}

enum err row_blob_decode(struct row_blob *b, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    b->files = get_v(&r);
    b->length = get_v(&r);
    return close_record(&r);
}

void row_file_words_encode(struct buf *b, const struct key *k, const struct row_file_words *r)
{
    struct writer w = begin(b, k);
    put_v(&w, r->version);
    put_s(&w, r->packed);
    end(&w);
}

enum err row_file_words_decode(struct row_file_words *f, struct str_view key, struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    f->version = (uint32_t)get_v(&r);
    f->packed = get_s(&r);
    return close_record(&r);
}

void row_files_indexed_encode(struct buf *b, const struct key *k, const struct row_files_indexed *r)
{
    struct writer w = begin(b, k);
    put_v(&w, r->version);
    put_v(&w, r->whole);
    put_s(&w, file_id_view(&r->at));
    end(&w);
}

enum err row_files_indexed_decode(struct row_files_indexed *f, struct str_view key,
                                  struct str_view value)
{
    struct reader r;
    TRY(open_record(&r, key, value));
    f->version = (uint32_t)get_v(&r);
    f->whole = get_enum(&r, 1) != 0;
    struct str_view at = get_s(&r);
    r.ok &= at.len == file_id_len;
    if (r.ok)
        memcpy(f->at.text, at.p, file_id_len);
    return close_record(&r);
}
