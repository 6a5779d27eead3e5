/* The words of files as rows: exactly those of the files that are there, whatever happens; and made
 * anew. */
#include "media/test_rig.h"

#include "media/words.h"

struct postings {
    uint32_t len;
    struct str_view wanted; /* NULL: any */
};

static bool on_posting(void *ctx, struct str_view key, struct str_view value)
{
    struct postings *p = ctx;
    struct row_file_listed row;
    CHECK_EQ(row_file_listed_decode(&row, key, value), ERR_OK);
    p->len++;
    return true;
}

static uint32_t postings_of(const char *word)
{
    struct postings p = {0};
    struct key from, to;
    key_file_postings(&from, TEAM, sv_from(word), UINT64_MAX);
    key_file_postings(&to, TEAM, sv_from(word), 0);
    key_prefix_end(&to);
    CHECK_EQ(view_scan(&f.view, CF_FILE, key_view(&from), key_view(&to), on_posting, &p), ERR_OK);
    return p.len;
}

static uint32_t postings_of_all(void)
{
    struct postings p = {0};
    struct key k;
    key_file_postings_begin(&k, TEAM, SV(""));
    CHECK_EQ(view_scan_prefix(&f.view, CF_FILE, &k, on_posting, &p), ERR_OK);
    return p.len;
}

static uint32_t words_of(const struct file_id *id)
{
    struct key k;
    struct str_view value;
    struct row_file_words row;
    struct packed_word w;
    uint32_t n = 0;
    key_file_words(&k, id);
    CHECK_EQ(view_get1(&f.view, CF_FILE, &k, &f.arena, &value), ERR_OK);
    if (value.p == NULL)
        return 0;
    CHECK_EQ(row_file_words_decode(&row, key_view(&k), value), ERR_OK);
    struct words_reader r = words_read(row.packed);
    while (words_next(&r, &w)) {
        words_skip(&r, &w);
        n++;
    }
    CHECK(!r.corrupt);
    return n;
}

static void title(const struct file_id *id, const char *text, enum err want)
{
    struct media_share s = share_of(id, ID_NONE, CHANNEL_PUBLIC, TS_NONE);
    s.title = sv_from(text);
    CHECK_EQ(call(MEDIA_SHARE, &s), want);
}

TEST(a_posting_for_each_word_from_the_first_moment_to_the_last)
{
    fix_init();
    index_all();
    CHECK_EQ(postings_of_all(), 0);
    struct file_id id = upload(ADA, "one.txt", "two three two"), other = upload(ADA, "two", "x");
    /* one, txt, two, three, text, plain, and its kind */
    CHECK_EQ(words_of(&id), 7);
    CHECK_EQ(postings_of_all(), words_of(&id) + words_of(&other));
    CHECK_EQ(postings_of("two"), 2);
    CHECK_EQ(postings_of("tw"), 0);
    title(&id, "four three", ERR_OK);
    CHECK_EQ(words_of(&id), 8);
    title(&id, "five", ERR_OK);
    CHECK_EQ(postings_of("four"), 0);
    CHECK_EQ(postings_of("three"), 1);
    CHECK_EQ(postings_of_all(), words_of(&id) + words_of(&other));
    CHECK_EQ(delete_as(ADA, &other), ERR_OK);
    CHECK_EQ(postings_of("two"), 1);
    CHECK_EQ(delete_as(ADA, &id), ERR_OK);
    CHECK_EQ(postings_of_all(), 0);
    CHECK_EQ(words_of(&id), 0);
    fix_deinit();
}

TEST(what_failed_leaves_no_words)
{
    fix_init();
    index_all();
    struct file_id id = upload(ADA, "kept", "x");
    uint32_t before = postings_of_all();
    struct file_id lost = reserve(ADA, "lost");
    f.valve.fails = ERR_STORAGE_UNAVAILABLE;
    CHECK_EQ(send(&lost, "y", 1), ERR_STORAGE_UNAVAILABLE);
    title(&id, "never", ERR_STORAGE_UNAVAILABLE);
    CHECK_EQ(delete_as(ADA, &id), ERR_STORAGE_UNAVAILABLE);
    f.valve.fails = ERR_OK;
    CHECK_EQ(postings_of_all(), before);
    fix_deinit();
}

/* A word that is cut at the bound would be another word. */
TEST(the_beginning_of_a_text)
{
    static char text[content_bytes_max + 64];
    fix_init();
    memset(text, ' ', sizeof text);
    memcpy(text, "first", 5);
    memcpy(text + content_bytes_max - 3, "middling", 8);
    memcpy(text + content_bytes_max + 20, "last", 4);
    struct file_id id = reserve(ADA, "a.txt");
    CHECK_EQ(send(&id, text, sizeof text), ERR_OK);
    CHECK_EQ(postings_of("first"), 1);
    CHECK_EQ(postings_of("mid"), 0);
    CHECK_EQ(postings_of("middling"), 0);
    CHECK_EQ(postings_of("last"), 0);
    fix_deinit();
}

/* Rows of words as a version before this one left them: none, or other ones. */
static void forget_words(const struct file_id *id)
{
    struct key k;
    key_file_words(&k, id);
    batch_delete(&f.batch, CF_FILE, &k);
    key_files_indexed(&k);
    batch_delete(&f.batch, CF_FILE, &k);
    write_rows();
}

TEST(files_of_before_are_found_too)
{
    fix_init();
    index_all();
    f.conf.indexes = false;
    crash();
    struct file_id ids[150];
    for (int i = 0; i < 150; i++)
        ids[i] = upload(ADA, "old", i % 10 == 0 ? "needle" : "\x01\x02");
    CHECK_EQ(delete_as(ADA, &ids[3]), ERR_OK);
    CHECK_EQ(postings_of_all(), 0);
    pass_ms(5000);
    f.conf.indexes = true;
    crash();
    pass_ms(70);
    pass_ms(70);
    CHECK(!f.media->reindex.whole);
    CHECK(metric(METRIC_FILES_REINDEXED) > 0 && metric(METRIC_FILES_REINDEXED) < 150);
    crash(); /* in the middle: it goes on where it was */
    uint32_t found = postings_of("old");
    CHECK(found > 0 && found < 149);
    struct file_id now = upload(ADA, "new", "needle");
    title(&ids[149], "retitled", ERR_OK);
    index_all();
    CHECK_EQ(postings_of("needle"), 16);
    CHECK_EQ(postings_of("old"), 149);
    CHECK_EQ(postings_of("new"), 1);
    CHECK_EQ(postings_of("retitled"), 1);
    CHECK_EQ(words_of(&ids[3]), 0);
    (void)now;
    crash();
    CHECK(f.media->reindex.whole);
    fix_deinit();
}

TEST(a_rebuild_mends_what_is_missing)
{
    struct key k;
    fix_init();
    index_all();
    struct file_id id = upload(ADA, "a.txt", "one two"), other = upload(ADA, "b.txt", "three");
    uint32_t all = postings_of_all();
    struct row_file row;
    CHECK_EQ(file_read(f.media, &id, &row), ERR_OK);
    key_file_posting(&k, TEAM, SV("one"), row.created_us, &id); /* lost */
    batch_delete(&f.batch, CF_FILE, &k);
    write_rows();
    forget_words(&other);
    title(&other, "titled", ERR_OK); /* its words are made from the file */
    CHECK_EQ(words_of(&other), 7);   /* titled, b, txt, three, text, plain, and its kind */
    CHECK_EQ(postings_of("titled"), 1);
    CHECK_EQ(postings_of("one"), 0);
    CHECK_EQ(call(MEDIA_REINDEX, NULL), ERR_OK);
    CHECK(!f.media->reindex.whole);
    index_all();
    CHECK_EQ(postings_of("one"), 1);
    CHECK_EQ(postings_of_all(), all + 1);
    fix_deinit();
}

TEST(a_rebuild_outlives_failures_and_damage)
{
    fix_init();
    index_all();
    struct file_id id = upload(ADA, "a.txt", "one two");
    CHECK_EQ(call(MEDIA_REINDEX, NULL), ERR_OK);
    f.valve.fails = ERR_STORAGE_UNAVAILABLE;
    pass_ms(70);
    pass_ms(70);
    CHECK(!f.media->reindex.whole);
    f.valve.fails = ERR_OK;
    index_all();
    /* Its bytes are gone: it is found by its name. */
    struct row_file row;
    CHECK_EQ(file_read(f.media, &id, &row), ERR_OK);
    CHECK_EQ(blob_remove(&f.media->blobs, row.sha256), ERR_OK);
    CHECK_EQ(call(MEDIA_REINDEX, NULL), ERR_OK);
    index_all();
    CHECK_EQ(postings_of("one"), 0);
    CHECK_EQ(postings_of("txt"), 1);
    /* Damaged words are as good as none, are counted and made anew, and keep no file alive. */
    struct key k;
    struct media_search q = {.viewer = viewer(ADA), .page = 1, .count = 1, .base_url = SV("")};
    struct query typed;
    CHECK_EQ(query_parse(&typed, QUERY_FILES, SV("txt"), 0, 0), ERR_OK);
    CHECK_EQ(match_compile(&q.match, &typed, &f.arena), ERR_OK);
    buf_init(&q.json, &f.arena, 64);
    key_file_words(&k, &id);
    batch_put(&f.batch, CF_FILE, &k, SV("damaged"));
    write_rows();
    uint64_t errors = metric(METRIC_FILE_ERRORS);
    CHECK_EQ(call(MEDIA_SEARCH, &q), ERR_OK);
    CHECK_EQ(q.total, 0);
    CHECK_EQ(metric(METRIC_FILE_ERRORS) - errors, 1);
    CHECK_EQ(call(MEDIA_REINDEX, NULL), ERR_OK);
    index_all();
    CHECK_EQ(call(MEDIA_SEARCH, &q), ERR_OK);
    CHECK_EQ(q.total, 1);
    batch_put(&f.batch, CF_FILE, &k, SV("damaged"));
    write_rows();
    CHECK_EQ(delete_as(ADA, &id), ERR_OK);
    CHECK_EQ(words_of(&id), 0);
    CHECK_EQ(call(MEDIA_SEARCH, &q), ERR_OK);
    CHECK_EQ(q.total, 0);
    fix_deinit();
}

/* Another version's words are none of ours. */
TEST(words_of_another_version_are_made_anew)
{
    struct key k;
    fix_init();
    index_all();
    struct file_id id = upload(ADA, "a.txt", "one");
    key_files_indexed(&k);
    row_files_indexed_encode(
        batch_put_begin(&f.batch, CF_FILE, &k), &k,
        &(struct row_files_indexed){.version = tokens_version + 1, .whole = true, .at = id});
    batch_put_end(&f.batch);
    write_rows();
    crash();
    CHECK(!f.media->reindex.whole);
    index_all();
    CHECK_EQ(metric(METRIC_FILES_REINDEXED), 1);
    fix_deinit();
}
