/* Queries of files: what is found, by whom, in which order, and what it costs. */
#include "media/find.h"
#include "media/test_rig.h"

#include <stdlib.h>

static struct media_search ask_as(uint64_t uid, const char *text)
{
    struct query q;
    struct media_search m = {
        .viewer = viewer(uid), .page = 1, .count = 20, .base_url = SV("http://x")};
    CHECK_EQ(query_parse(&q, QUERY_FILES, sv_from(text), clock_wall_us() / 1000000, 0), ERR_OK);
    CHECK_EQ(match_compile(&m.match, &q, &f.arena), ERR_OK);
    for (uint32_t i = 0; i < q.type_len; i++) {
        if (q.type[i].negated)
            m.not_kinds[m.not_kinds_len++] = q.type[i].text;
        else
            m.kinds[m.kinds_len++] = q.type[i].text;
    }
    m.after_us = q.after_s * 1000000;
    m.before_us = q.before_s * 1000000;
    m.direct = (q.is & IS_DM) != 0;
    m.not_direct = (q.is_not & IS_DM) != 0;
    buf_init(&m.json, &f.arena, 64);
    return m;
}

static void run(struct media_search *m)
{
    CHECK_EQ(call(MEDIA_SEARCH, m), ERR_OK);
}

/* The names of what was found, in order. */
static void check_found(const struct media_search *m, const char *want)
{
    char got[1024] = "";
    size_t len = 0;
    struct str_view rest = buf_view(&m->json);
    static const char before[] = "\"name\":\"";
    for (const char *at; (at = memmem(rest.p, rest.len, before, sizeof before - 1)) != NULL;) {
        at += sizeof before - 1;
        rest = (struct str_view){at, (size_t)(rest.p + rest.len - at)};
        const char *end = memchr(rest.p, '"', rest.len);
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%.*s", len == 0 ? "" : " ",
                                (int)(end - at), at);
    }
    CHECK_STR(got, want);
}

static void check_as(uint64_t uid, const char *query, const char *want)
{
    struct media_search m = ask_as(uid, query);
    run(&m);
    check_found(&m, want);
    CHECK_EQ(m.total, m.len);
    CHECK(!m.more);
}

static void check(const char *query, const char *want)
{
    check_as(ADA, query, want);
}

/* One a second, so that their order is known. */
static struct file_id put(uint64_t uid, const char *name, const char *text)
{
    f.passed_us += 1000000;
    return upload(uid, name, text);
}

static struct media_share title_of(const struct file_id *id, const char *title)
{
    struct media_share s = share_of(id, ID_NONE, CHANNEL_PUBLIC, TS_NONE);
    s.title = sv_from(title);
    return s;
}

TEST(by_title_name_kind_and_content)
{
    fix_init();
    put(ADA, "Bericht-Q3.pdf", "%PDF-1.7 quick");
    struct file_id id = put(ADA, "notes.md", "The quick brown fox");
    put(ADA, "日本語.txt", "Ärger mit dem Zug 🎉");
    put(ADA, "binary.bin", "quick\x01 brown");
    check("bericht", "Bericht-Q3.pdf");
    check("bericht-q3.PDF", "Bericht-Q3.pdf");
    check("pdf", "Bericht-Q3.pdf");
    check("quick", "notes.md"); /* of a text only */
    check("\"quick brown\"", "notes.md");
    check("\"brown quick\"", "");
    check("brown fo*", "notes.md");
    check("markdown", "notes.md"); /* what it is */
    check("arger", "日本語.txt");
    check("本語", "日本語.txt");
    check("🎉", "日本語.txt");
    check("txt -zug", "");
    check("absent", "");
    struct media_share s = title_of(&id, "Der Hase");
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    check("hase", "notes.md");
    check("\"hase notes\"", ""); /* no phrase across two texts */
    check("hase quick notes", "notes.md");
    fix_deinit();
}

TEST(a_title_that_changes_and_a_file_that_goes)
{
    fix_init();
    struct file_id id = put(ADA, "a.txt", "content stays");
    struct media_share s = title_of(&id, "first stays");
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    s = title_of(&id, "second");
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    check("first", "");
    check("second content", "a.txt");
    check("stays", "a.txt"); /* in the content, though not in the title any more */
    crash();
    check("second content", "a.txt");
    CHECK_EQ(delete_as(ADA, &id), ERR_OK);
    check("content", "");
    check("second", "");
    check("type:text", "");
    fix_deinit();
}

/* Nobody finds, counts or infers what is not for him. */
TEST(only_what_the_viewer_may_see)
{
    fix_init();
    put(ADA, "own.txt", "platypus");
    struct file_id open = put(ADA, "open.txt", "platypus"),
                   secret = put(ADA, "secret.txt", "platypus"),
                   both = put(ADA, "both.txt", "platypus");
    share(&open, OPEN, CHANNEL_PUBLIC, 1000001);
    share(&secret, SECRET, CHANNEL_PRIVATE, 1000002);
    share(&both, SECRET, CHANNEL_PRIVATE, 1000003);
    share(&both, OPEN, CHANNEL_PUBLIC, 1000004);
    check("platypus", "both.txt secret.txt open.txt own.txt");
    check_as(BOB, "platypus", "both.txt secret.txt open.txt");
    check_as(EVE, "platypus", "both.txt open.txt");
    struct media_search guest = ask_as(EVE, "platypus");
    guest.viewer.is_guest = true;
    run(&guest);
    CHECK_EQ(guest.total, 0);
    struct media_search foreign = ask_as(ADA, "platypus");
    foreign.viewer.team = TEAM + 1;
    run(&foreign);
    CHECK_EQ(foreign.total, 0);
    CHECK_EQ(foreign.rows, 0);
    /* That it is in a conversation is known to who reads there. */
    struct media_search m = ask_as(EVE, "platypus");
    m.in[m.in_len++] = SECRET;
    run(&m);
    CHECK_EQ(m.total, 0);
    m = ask_as(EVE, "platypus");
    m.not_in[m.not_in_len++] = SECRET;
    run(&m);
    check_found(&m, "both.txt open.txt");
    CHECK(!says(buf_view(&m.json), "\"C2\""));
    m = ask_as(BOB, "platypus");
    m.not_in[m.not_in_len++] = SECRET;
    run(&m);
    check_found(&m, "open.txt");
    fix_deinit();
}

TEST(conditions)
{
    struct media_search m;
    fix_init();
    struct file_id a = put(ADA, "a.png", "\x89PNG\r\n\x1a\n"), b = put(BOB, "b.txt", "words");
    struct file_id c = put(BOB, "c.csv", "some,words");
    struct media_share s = share_of(&b, OPEN, CHANNEL_PUBLIC, 1000002);
    s.uid = BOB;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    s = share_of(&c, DIRECT, CHANNEL_IM, 1000003);
    s.uid = BOB;
    CHECK_EQ(call(MEDIA_SHARE, &s), ERR_OK);
    share(&a, OPEN, CHANNEL_PUBLIC, 1000001);
    check("words", "c.csv b.txt");
    check("words is:dm", "c.csv");
    check("words -is:dm", "b.txt");
    m = ask_as(ADA, "words");
    m.from[m.from_len++] = ADA;
    run(&m);
    CHECK_EQ(m.total, 0);
    m = ask_as(ADA, "-words");
    m.from[m.from_len++] = ADA;
    m.from[m.from_len++] = BOB;
    run(&m);
    check_found(&m, "a.png");
    m = ask_as(ADA, "words");
    m.not_from[m.not_from_len++] = BOB;
    run(&m);
    CHECK_EQ(m.total, 0);
    m = ask_as(ADA, "*"); /* no word */
    m.in[m.in_len++] = OPEN;
    m.in[m.in_len++] = DIRECT;
    run(&m);
    check_found(&m, "c.csv b.txt a.png");
    m.json.len = 0;
    m.before_us = clock_wall_us() + f.passed_us - 500000; /* the last one is out */
    run(&m);
    check_found(&m, "b.txt a.png");
    CHECK_EQ(m.rows, 2); /* what is out was not read */
    fix_deinit();
}

/* Without a word, an owner, a place or a kind that it must have, all files are looked at. */
TEST(what_must_not_be_alone)
{
    struct media_search m;
    fix_init();
    struct file_id a = put(ADA, "a.jpg", "\xff\xd8\xff\xe0");
    struct file_id b = put(ADA, "b.txt", "words");
    put(BOB, "c.csv", "hidden,words"); /* shared nowhere */
    share(&a, OPEN, CHANNEL_PUBLIC, 1000001);
    share(&b, DIRECT, CHANNEL_IM, 1000002);
    check("is:dm", "b.txt");
    check("-is:dm", "a.jpg");
    check("has:file", "b.txt a.jpg");
    check("-type:images", "b.txt");
    check("-words", "a.jpg");
    m = ask_as(BOB, "has:file");
    m.not_from[m.not_from_len++] = BOB;
    run(&m);
    check_found(&m, "b.txt a.jpg");
    m = ask_as(ADA, "has:file");
    m.not_in[m.not_in_len++] = OPEN;
    run(&m);
    check_found(&m, "b.txt");
    m = ask_as(EVE, "is:dm");
    run(&m);
    CHECK_EQ(m.total, 0);
    m = ask_as(EVE, "has:file"); /* of a place that she does not see: nothing, not all */
    m.in[m.in_len++] = SECRET;
    run(&m);
    CHECK_EQ(m.total + m.rows, 0);
    check("type:emails -words", "");
    fix_deinit();
}

TEST(kinds)
{
    fix_init();
    put(ADA, "a.jpg", "\xff\xd8\xff\xe0");
    put(ADA, "b.csv", "x,y");
    put(ADA, "c.mp3", "\xff\xfb\x90\x64");
    put(ADA, "d.css", "body {}");
    put(ADA, "e.docx", "PK\3\4");
    check("type:images", "a.jpg");
    check("type:JPEG", "a.jpg");
    check("type:spreadsheets", "b.csv");
    check("type:csv type:audio", "c.mp3 b.csv");
    check("type:css", "d.css");
    check("type:documents", "e.docx");
    check("type:emails", "");
    check("type:emails type:css", "d.css");
    check("type:css -type:css", "");
    check("b -type:images", "b.csv");
    fix_deinit();
}

TEST(order_pages_marks)
{
    fix_init();
    for (int i = 0; i < 45; i++) {
        char name[32], text[64];
        snprintf(name, sizeof name, "%02d.txt", i);
        snprintf(text, sizeof text, "%s", i == 20 ? "fish fish fish" : "one fish among many");
        put(ADA, name, text);
    }
    struct media_search m = ask_as(ADA, "fish");
    m.count = 3;
    m.page = 15;
    run(&m);
    CHECK_EQ(m.total, 45);
    check_found(&m, "02.txt 01.txt 00.txt");
    m = ask_as(ADA, "fish");
    m.count = 2;
    m.ascending = true;
    run(&m);
    check_found(&m, "00.txt 01.txt");
    m = ask_as(ADA, "fish");
    m.count = 2;
    m.by_score = true;
    run(&m);
    check_found(&m, "20.txt 44.txt");
    CHECK(says(buf_view(&m.json), "\"score\":"));
    m = ask_as(ADA, "fish");
    m.page = 4;
    run(&m);
    CHECK_EQ(m.len, 0);
    CHECK_EQ(m.total, 45);
    m = ask_as(ADA, "30 txt");
    m.highlight = true;
    run(&m);
    CHECK(says(buf_view(&m.json), "\"title\":\"\xee\x80\x80"
                                  "30\xee\x80\x81.\xee\x80\x80txt\xee\x80\x81\""));
    CHECK(says(buf_view(&m.json), "\"name\":\"30.txt\""));
    fix_deinit();
}

/* Of one file or of its words: others are found and listed, by whoever asks. */
TEST(a_damaged_record_is_passed_by)
{
    enum { DAMAGED = 66 };
    struct key k;
    fix_init();
    struct file_id a = put(ADA, "a.txt", "platypus"), b = put(ADA, "b.txt", "platypus"),
                   c = put(ADA, "c.txt", "platypus"), d = put(ADA, "d.txt", "platypus");
    share(&a, OPEN, CHANNEL_PUBLIC, 1000001);
    share(&c, OPEN, CHANNEL_PUBLIC, 1000002);
    put_channel(DAMAGED, TEAM, CHANNEL_PUBLIC);
    write_rows();
    share(&d, DAMAGED, CHANNEL_PUBLIC, 1000003);
    key_file(&k, &b);
    batch_put(&f.batch, CF_FILE, &k, SV("damaged"));
    key_file_words(&k, &c);
    batch_put(&f.batch, CF_FILE, &k, SV("damaged"));
    key_chan_info(&k, DAMAGED);
    batch_put(&f.batch, CF_CHAN, &k, SV("damaged"));
    write_rows();
    uint64_t before = metric(METRIC_FILE_ERRORS);
    check_as(EVE, "platypus", "a.txt");
    CHECK_EQ(metric(METRIC_FILE_ERRORS) - before, 3);
    check_as(EVE, "type:text", "c.txt a.txt"); /* its kind is in the file's own row */
    struct media_list l = {.viewer = viewer(EVE),
                           .to_us = UINT64_MAX,
                           .types = MEDIA_ALL,
                           .page = 1,
                           .count = 10,
                           .base_url = SV("http://x")};
    buf_init(&l.json, &f.arena, 64);
    CHECK_EQ(call(MEDIA_LIST, &l), ERR_OK);
    CHECK_EQ(l.total, 2);
    fix_deinit();
}

/* Its cost depends on what it finds, not on what there is. */
TEST(answers_come_from_postings)
{
    fix_init();
    for (int i = 0; i < 300; i++)
        upload(ADA, i % 100 == 7 ? "rare.txt" : "common.txt", i % 50 == 0 ? "a needle" : "hay");
    uint64_t before = metric(METRIC_FILE_SEARCH_ROWS_READ);
    struct media_search m = ask_as(ADA, "rare");
    run(&m);
    CHECK_EQ(m.total, 3);
    CHECK_EQ(m.rows, 3);
    m = ask_as(ADA, "needle");
    run(&m);
    CHECK_EQ(m.total, 6);
    CHECK_EQ(m.rows, 6);
    m = ask_as(ADA, "absent");
    run(&m);
    CHECK_EQ(m.rows, 0);
    CHECK_EQ(metric(METRIC_FILE_SEARCH_ROWS_READ) - before, 9);
    CHECK_EQ(metric(METRIC_FILE_SEARCHES), 3);
    fix_deinit();
}

/* Postings without their files, as many as it takes. */
static void put_postings(const char *word, uint32_t n, uint64_t newest_us)
{
    for (uint32_t i = 0; i < n; i++) {
        struct key k;
        char digits[file_id_len];
        struct file_id id = {"F"};
        snprintf(digits, sizeof digits, "%020u", i);
        memcpy(id.text + 1, digits, file_id_len - 1);
        key_file_posting(&k, TEAM, sv_from(word), newest_us - i, &id);
        row_file_listed_encode(batch_put_begin(&f.batch, CF_FILE, &k), &k,
                               &(struct row_file_listed){.uid = ADA});
        batch_put_end(&f.batch);
        if (i % 1000 == 999)
            write_rows();
    }
    write_rows();
}

/* A condition that is too wide is known back to a time only; another one leads further. */
TEST(wide_conditions_are_bounded_and_narrow_ones_help)
{
    fix_init();
    put(ADA, "old.txt", "wide narrow");
    put_postings("wide", 6000, clock_wall_us() + f.passed_us + 1000000);
    struct media_search m = ask_as(ADA, "wide");
    run(&m);
    CHECK_EQ(m.rows, 4096);
    CHECK_EQ(m.total, 0); /* what these lead to is not there */
    CHECK(m.more);
    m = ask_as(ADA, "wid*");
    run(&m);
    CHECK(m.more && m.rows == 4096);
    m = ask_as(ADA, "wide narrow");
    run(&m);
    check_found(&m, "old.txt");
    CHECK(!m.more);
    m = ask_as(ADA, "nar* wid*");
    run(&m);
    check_found(&m, "old.txt");
    fix_deinit();
}

/* However many wide ones stand before it, also as one source of several of its own list. */
TEST(a_narrow_condition_is_read_whole_behind_wide_ones)
{
    fix_init();
    uint64_t newest_us = clock_wall_us() + f.passed_us + 100000000;
    struct file_id old = put(ADA, "old.txt", "wide1 wide2 wide3 wide4 wide5 narrow");
    share(&old, OPEN, CHANNEL_PUBLIC, 1000001);
    for (int i = 1; i <= 5; i++) {
        char word[8];
        snprintf(word, sizeof word, "wide%d", i);
        put_postings(word, 4200, newest_us);
    }
    struct media_search m = ask_as(ADA, "wide1 wide2 wide3 wide4 wide5 narrow");
    run(&m);
    check_found(&m, "old.txt");
    CHECK(!m.more);
    CHECK(m.rows <= find_rows_max);
    m = ask_as(ADA, "wide1 wide2 wide3 wide4 wide5");
    m.in[m.in_len++] = SECRET;
    m.in[m.in_len++] = OPEN;
    run(&m);
    check_found(&m, "old.txt");
    CHECK(!m.more);
    m = ask_as(ADA, "wid* wide1 wide2");
    run(&m);
    CHECK_EQ(m.total, 0);
    CHECK(m.more);
    fix_deinit();
}

TEST(too_many_queries_are_refused)
{
    enum { n = finds_max + 1 };
    static struct media_search m[n];
    fix_init();
    put(ADA, "a.txt", "word");
    f.asker.len = 0;
    for (int i = 0; i < n; i++) {
        m[i] = ask_as(ADA, "word");
        ask(MEDIA_SEARCH, &m[i]);
    }
    rig_turns(&f.rig, 6 * n);
    CHECK_EQ(f.asker.len, n);
    CHECK_EQ(answer_to(&m[n - 1]), ERR_SERVICE_UNAVAILABLE);
    for (int i = 0; i < n - 1; i++) {
        CHECK_EQ(answer_to(&m[i]), ERR_OK);
        CHECK_EQ(m[i].total, 1);
    }
    fix_deinit();
}

/* Given up wherever it is: nobody waits for it, and others' bytes do. */
TEST(a_late_query_is_dropped)
{
    fix_init();
    for (int i = 0; i < 100; i++)
        put(ADA, "a.txt", "word");
    struct media_search m = ask_as(ADA, "word");
    m.deadline_us = seam_mono(NULL) - 1;
    CHECK_EQ(call(MEDIA_SEARCH, &m), ERR_DEADLINE);
    CHECK_EQ(m.rows, 0);
    m.deadline_us = seam_mono(NULL) + 60000000;
    f.asker.len = 0;
    ask(MEDIA_SEARCH, &m);
    rig_turns(&f.rig, 4);
    CHECK_EQ(f.asker.len, 0);
    f.passed_us += 61000000;
    rig_turns(&f.rig, 2);
    CHECK_EQ(f.asker.len, 1);
    CHECK_EQ(answer_to(&m), ERR_DEADLINE);
    m = ask_as(ADA, "word");
    run(&m);
    CHECK_EQ(m.total, 100); /* the next one is as ever */
    fix_deinit();
}

/* Others' bytes go on while a query is worked on, and what is deleted meanwhile is not shown. */
TEST(a_query_takes_many_turns)
{
    fix_init();
    struct file_id ids[100];
    for (int i = 0; i < 100; i++)
        ids[i] = put(ADA, "a.txt", "word");
    struct media_search m = ask_as(ADA, "word");
    struct media_delete d = {.team = TEAM, .uid = ADA, .id = ids[99], .arena = &f.arena};
    m.count = 100;
    f.asker.len = 0;
    ask(MEDIA_SEARCH, &m);
    rig_turns(&f.rig, 4);
    CHECK_EQ(f.asker.len, 0);
    ask(MEDIA_DELETE, &d);
    for (int i = 0; i < 100 && f.asker.len < 2; i++)
        rig_turns(&f.rig, 1);
    CHECK_EQ(answer_to(&d), ERR_OK);
    CHECK_EQ(answer_to(&m), ERR_OK);
    CHECK_EQ(m.len, 99);
    fix_deinit();
}

TEST(switched_off_nothing_is_found)
{
    fix_init();
    f.conf.indexes = false;
    crash();
    put(ADA, "a.txt", "word");
    struct media_search m = ask_as(ADA, "word");
    CHECK_EQ(call(MEDIA_SEARCH, &m), ERR_NOT_ENABLED);
    CHECK_EQ(call(MEDIA_REINDEX, NULL), ERR_NOT_ENABLED);
    fix_deinit();
}
