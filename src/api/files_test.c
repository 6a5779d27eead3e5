/* files.*: what media, chan, hist and dir are asked, in which order, and what comes of it. */
#define FAKE_MEDIA_KNOWN
#include "api/share.h"
#include "api/test_media.h"

#include "json/read.h"

#define FILE_2 "F00000000000000000002"

static void put_object(struct buf *out, const struct fake_file *f)
{
    buf_printf(out, "{\"id\":\"%.*s\",\"title\":\"%s\",\"channels\":[\"CR9\"],\"ims\":[\"D3\"]}",
               file_id_len, f->id.text, f->title);
}

static char share_key[share_key_max]; /* by which media was told to find the message */

static enum err fake_share(struct media_share *m)
{
    snprintf(share_key, sizeof share_key, "%.*s", SV_ARG(m->key));
    struct fake_file *f = fake_find(m->id);
    if (f != NULL && f->state == FAKE_DELETED && m->ts_us != TS_NONE)
        return ERR_FILE_DELETED;
    if (f == NULL || f->owner != m->uid || f->state != FAKE_STORED)
        return ERR_FILE_NOT_FOUND;
    CHECK_SV(m->base_url, "http://chat.test");
    if (m->title.p != NULL)
        snprintf(f->title, sizeof f->title, "%.*s", SV_ARG(m->title));
    if (m->cid != ID_NONE && m->undo) {
        CHECK(f->shares_len > 0);
        f->shares_len--;
    } else if (m->cid != ID_NONE && m->ts_us == TS_NONE) {
        f->shares[f->shares_len++].cid = m->cid;
    } else if (m->cid != ID_NONE) {
        CHECK_EQ(f->shares[f->shares_len - 1].cid, m->cid);
        f->shares[f->shares_len - 1].ts_us = m->ts_us;
    }
    put_object(&m->json, f);
    return ERR_OK;
}

static uint32_t fake_shares; /* not 0: so many, of which the arena has no list */

static enum err fake_delete(struct media_delete *m)
{
    struct fake_file *f = fake_find(m->id);
    if (f == NULL)
        return ERR_FILE_NOT_FOUND;
    if (f->owner != m->uid)
        return ERR_CANT_DELETE_FILE;
    m->owner = f->owner;
    m->shares = arena_alloc(m->arena, sizeof f->shares);
    memcpy(m->shares, f->shares, sizeof f->shares);
    m->shares_len = fake_shares > 0 ? fake_shares : f->shares_len;
    return f->state == FAKE_DELETED ? ERR_FILE_DELETED : ERR_OK;
}

static enum err fake_known(struct world *w, const struct cell *c)
{
    (void)w;
    if (c->type == MEDIA_SHARE)
        return fake_share(c->u.p);
    if (c->type == MEDIA_DELETE)
        return fake_delete(c->u.p);
    if (c->type == MEDIA_LIST) {
        struct media_list *m = c->u.p;
        put_object(&m->json, &fake.files[1]);
        m->len = 1;
        m->total = 7;
        m->next = (struct file_at){m->behind.created_us == 0 ? 5 : 0, {FILE_1}};
        return ERR_OK;
    }
    if (c->type == MEDIA_PUBLIC) {
        struct media_public *m = c->u.p;
        m->owner = BOB;
        put_object(&m->json, &fake.files[1]);
        return ERR_OK;
    }
    struct media_info *m = c->u.p;
    struct fake_file *f = fake_find(m->id);
    if (f == NULL)
        return ERR_FILE_NOT_FOUND;
    put_object(&m->json, f);
    return ERR_OK;
}

/* ---- an upload begins ---- */

TEST(a_place_to_send_bytes_to)
{
    struct world *w = start_with_media();
    ask(w, 0, "GET /api/files.getUploadURLExternal?filename=a%20b.txt&length=12&alt_text=x",
        BEARER(ADA_TOKEN), NULL);
    fake_run(w);
    SAID(0, "\"ok\":true,\"upload_url\":\"http://chat.test/upload/" FILE_1
            "\",\"file_id\":\"" FILE_1 "\"}");
    CHECK_STR(fake.files[1].name, "a b.txt");
    CHECK_EQ(fake.files[1].announced, 12);
    ask(w, 0, "GET /api/files.getUploadURLExternal?length=12", BEARER(ADA_TOKEN), NULL);
    SAID(0, "missing_argument");
    ask(w, 0, "GET /api/files.getUploadURLExternal?filename=a&length=x", BEARER(ADA_TOKEN), NULL);
    SAID(0, "invalid_arguments");
    ask(w, 0, "GET /api/files.getUploadURLExternal?filename=a&length=1", BEARER(BARE_TOKEN), NULL);
    SAID(0, "missing_scope");
    for (int n = 64; n <= 65; n++) {
        char line[256];
        snprintf(line, sizeof line,
                 "GET /api/files.getUploadURLExternal?filename=a&length=1&snippet_type=%0*d", n, 0);
        ask(w, 0, line, BEARER(ADA_TOKEN), NULL);
        fake_run(w);
        SAID(0, n == 64 ? "\"ok\":true" : "invalid_arguments");
    }
    world_free(w);
}

/* ---- and is complete ---- */

#define COMPLETE                                                                                   \
    "{\"files\":[{\"id\":\"" FILE_1 "\",\"title\":\"One\"},{\"id\":\"" FILE_2                      \
    "\"}],\"channel_id\":\"CR9\",\"initial_comment\":\"look\"}"

static struct world *start_with_two(void)
{
    struct world *w = start_with_media();
    fake_store(1, "a", 10);
    fake_store(2, "b", 10);
    return w;
}

static void complete(struct world *w, const char *body)
{
    ask(w, 0, "POST /api/files.completeUploadExternal", BEARER(ADA_TOKEN) JSON_TYPE, body);
}

static void answer_info(struct world *w, uint64_t cid, enum channel_kind kind, bool member)
{
    struct cell c = take(w, A_HIST);
    CHECK_EQ(c.type, HIST_INFO);
    CHECK_EQ(c.cid, cid);
    struct hist_info *m = c.u.p;
    m->kind = kind;
    m->member = member;
    reply(w, A_HIST, c, ERR_OK, 0);
}

static void told(struct world *w, const char *type, uint64_t uid)
{
    struct cell c = take(w, A_DIR);
    CHECK_EQ(c.type, DIR_TELL);
    const struct dir_tell *m = c.u.p;
    CHECK_EQ(m->uid, uid);
    CHECK_EQ(m->team, TEAM);
    CHECK_EQ(m->no_guests, uid == ID_NONE);
    CHECK(memmem(m->event.p, m->event.len, type, strlen(type)) != NULL);
    reply(w, A_DIR, c, ERR_OK, 0);
}

TEST(files_are_shared_before_and_after_their_message)
{
    struct world *w = start_with_two();
    complete(w, COMPLETE);
    CHECK(!asked(w, A_MEDIA));
    answer_info(w, CID, CHANNEL_PUBLIC, true);
    fake_run(w);
    CHECK_EQ(fake.seen[MEDIA_SHARE], 2);
    CHECK_STR(fake.files[1].title, "One");
    CHECK_EQ(fake.files[2].shares[0].cid, CID);
    CHECK_EQ(fake.files[2].shares[0].ts_us, TS_NONE);
    struct cell c = take(w, A_CHAN);
    const struct chan_post *p = post_of(&c);
    struct str_view members = p->members;
    CHECK_EQ(p->files_len, 2);
    CHECK_MEM(p->files[1].text, FILE_2, file_id_len);
    CHECK_EQ(p->client_msg_id.len, 6 + 64);
    CHECK(sv_eq(p->client_msg_id, sv_from(share_key)));
    CHECK(memmem(members.p, members.len, "client_msg_id", 13) == NULL);
    static const char want[] =
        "\"upload\":true,\"text\":\"look\",\"files\":[{\"id\":\"" FILE_1 "\"";
    CHECK(memmem(members.p, members.len, want, sizeof want - 1) != NULL);
    posted(w, c, 5000000);
    fake_run(w);
    CHECK_EQ(fake.seen[MEDIA_SHARE], 4);
    CHECK_EQ(fake.files[1].shares[0].ts_us, 5000000);
    CHECK_EQ(fake.files[2].shares[0].ts_us, 5000000);
    told(w, "\"file_created\",\"file_id\":\"" FILE_1, ADA);
    told(w, "\"file_created\",\"file_id\":\"" FILE_2, ADA);
    told(w, "\"file_public\",\"file_id\":\"" FILE_1, ID_NONE);
    told(w, "\"file_public\",\"file_id\":\"" FILE_2, ID_NONE);
    CHECK_EQ(w->conns[0].len, 0);
    fake_run(w);
    SAID(0, "\"ok\":true,\"files\":[{\"id\":\"" FILE_1 "\",\"title\":\"One\",");
    SAID(0, "},{\"id\":\"" FILE_2 "\",\"title\":\"\",");
    CHECK_EQ(slab_used(&w->a->requests), 1);
    world_free(w);
}

/* The same key, and nothing is told again. */
TEST(the_same_again_posts_nothing_twice)
{
    struct world *w = start_with_two();
    char keys[2][128];
    for (int i = 0; i < 2; i++) {
        complete(w, COMPLETE);
        answer_info(w, CID, CHANNEL_PUBLIC, true);
        fake_run(w);
        struct cell c = take(w, A_CHAN);
        struct chan_post *p = post_of(&c);
        snprintf(keys[i], sizeof keys[i], "%.*s", SV_ARG(p->client_msg_id));
        p->ts_us = 5000000;
        reply(w, A_CHAN, c, ERR_OK, i == 0 ? 0 : CHAN_F_DUPLICATE);
        fake_run(w);
        if (i == 0) {
            told(w, "\"file_created\"", ADA);
            told(w, "\"file_created\"", ADA);
            told(w, "\"file_public\"", ID_NONE);
            told(w, "\"file_public\"", ID_NONE);
        }
        CHECK(!asked(w, A_DIR));
        fake_run(w);
        SAID(0, "\"ok\":true,\"files\":[{");
    }
    CHECK_STR(keys[0], keys[1]);
    world_free(w);
}

/* Each of them is another message. */
TEST(what_is_not_the_same_has_a_key_of_its_own)
{
#define ONE "{\"files\":[{\"id\":\"" FILE_1 "\"}],\"channel_id\":\"CR9\""
    static const char *const bodies[] = {
        ONE "}",
        "{\"files\":[{\"id\":\"" FILE_2 "\"}],\"channel_id\":\"CR9\"}",
        ONE ",\"initial_comment\":\"look\"}",
        ONE ",\"initial_comment\":\"look again\"}",
        ONE ",\"thread_ts\":\"4.000000\"}",
        ONE ",\"blocks\":[{\"type\":\"divider\"}]}",
    };
    char keys[ARRAY_LEN(bodies)][128];
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct world *w = start_with_two();
        complete(w, bodies[i]);
        answer_info(w, CID, CHANNEL_PRIVATE, true);
        fake_run(w);
        struct cell c = take(w, A_CHAN);
        snprintf(keys[i], sizeof keys[i], "%.*s", SV_ARG(post_of(&c)->client_msg_id));
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(keys[i], keys[k]) != 0);
        world_free(w);
    }
#undef ONE
}

TEST(a_refused_message_takes_its_shares_back)
{
    struct world *w = start_with_two();
    complete(w, COMPLETE);
    answer_info(w, CID, CHANNEL_PUBLIC, true);
    fake_run(w);
    reply(w, A_CHAN, take(w, A_CHAN), ERR_IS_ARCHIVED, 0);
    fake_run(w);
    SAID(0, "\"error\":\"is_archived\"");
    CHECK_EQ(fake.files[1].shares_len, 0);
    CHECK_EQ(fake.files[2].shares_len, 0);
    fake.files[2].owner = BOB; /* the second one is not hers */
    complete(w, COMPLETE);
    answer_info(w, CID, CHANNEL_PUBLIC, true);
    fake_run(w);
    SAID(0, "\"error\":\"file_not_found\"");
    CHECK(!asked(w, A_CHAN));
    CHECK_EQ(fake.files[1].shares_len, 0);
    world_free(w);
}

TEST(nothing_is_shared_where_the_caller_is_not)
{
    struct world *w = start_with_two();
    complete(w, COMPLETE);
    answer_info(w, CID, CHANNEL_PUBLIC, false);
    SAID(0, "not_in_channel");
    complete(w, COMPLETE);
    reply(w, A_HIST, take(w, A_HIST), ERR_CHANNEL_NOT_FOUND, 0);
    SAID(0, "channel_not_found");
    complete(w, "{\"files\":[{\"id\":\"" FILE_1 "\"}],\"channels\":\"general,C5\"}");
    answer_info(w, CID, CHANNEL_PUBLIC, true);
    answer_info(w, 5, CHANNEL_PRIVATE, false); /* to all or to none */
    SAID(0, "channel_not_found");
    CHECK_EQ(fake.seen[MEDIA_SHARE], 0);
    static const struct {
        const char *body, *error;
    } rows[] = {
        {"{\"files\":[]}", "invalid_arguments"},
        {"{\"files\":[{\"id\":\"F1\"}]}", "file_not_found"},
        {"{\"files\":[{\"id\":\"" FILE_1 "\"},{\"id\":\"" FILE_1 "\"}]}", "invalid_arguments"},
        {"{\"files\":[{\"id\":\"" FILE_1 "\"}],\"channels\":\"nowhere\"}", "channel_not_found"},
        {"{\"files\":[{\"id\":\"" FILE_1 "\"}],\"channels\":\"C5,,C6\"}", "invalid_channel"},
        {"{\"files\":[{\"id\":\"" FILE_1 "\"}],\"channels\":\"C5,C6\",\"thread_ts\":\"1.000000\"}",
         "cannot_reply_to_message"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        complete(w, rows[i].body);
        SAID(0, rows[i].error);
    }
    world_free(w);
}

TEST(each_conversation_gets_a_message)
{
    struct world *w = start_with_two();
    complete(w, "{\"files\":[{\"id\":\"" FILE_1 "\"}],\"channel_id\":\"CR9\",\"channels\":"
                "\"#general, D5\"}");
    answer_info(w, CID, CHANNEL_PRIVATE, true);
    answer_info(w, 5, CHANNEL_IM, true);
    for (uint64_t i = 0; i < 2; i++) {
        fake_run(w);
        struct cell c = take(w, A_CHAN);
        CHECK_EQ(c.cid, i == 0 ? CID : 5);
        posted(w, c, 5000000 + i);
    }
    fake_run(w);
    CHECK_EQ(fake.files[1].shares_len, 2);
    CHECK_EQ(fake.files[1].shares[1].cid, 5);
    CHECK_EQ(fake.files[1].shares[1].ts_us, 5000001);
    told(w, "\"file_created\"", ADA);
    fake_run(w);
    SAID(0, "\"ok\":true");
    complete(w, "{\"files\":[{\"id\":\"" FILE_1 "\",\"title\":\"New\"}]}"); /* to nowhere */
    fake_run(w);
    told(w, "\"file_created\"", ADA);
    fake_run(w);
    SAID(0, "\"title\":\"New\"");
    CHECK_EQ(fake.files[1].shares_len, 2);
    world_free(w);
}

/* Half of it would be a file that is seen without a message. */
TEST(what_is_begun_is_done_without_its_client)
{
    for (int point = 0; point < 4; point++) {
        struct world *w = start_with_two();
        complete(w, COMPLETE);
        if (point > 0)
            answer_info(w, CID, CHANNEL_PRIVATE, true);
        if (point > 1)
            fake_run(w);
        leave(w, 0);
        if (point == 0) { /* nothing is begun */
            answer_info(w, CID, CHANNEL_PRIVATE, true);
            CHECK_EQ(slab_used(&w->a->requests), 0);
            CHECK(!asked(w, A_MEDIA));
            world_free(w);
            continue;
        }
        fake_run(w);
        if (point == 2) {
            reply(w, A_CHAN, take(w, A_CHAN), ERR_IS_ARCHIVED, 0);
            fake_run(w);
            CHECK_EQ(fake.files[1].shares_len, 0);
        } else {
            posted(w, take(w, A_CHAN), 5000000);
            fake_run(w);
            CHECK_EQ(fake.files[2].shares[0].ts_us, 5000000);
            told(w, "\"file_created\"", ADA);
            told(w, "\"file_created\"", ADA);
            fake_run(w);
        }
        CHECK_EQ(slab_used(&w->a->requests), 0);
        world_free(w);
    }
}

/* No credit, and no client: it waits its turn, and its time is not over. */
TEST(what_is_begun_waits_for_a_credit_without_its_client)
{
    struct world *w = world_new();
    fake_reset();
    w->conf.ring_request_cells = 2;
    world_start(w);
    open_conn(w, 0);
    open_conn(w, 1);
    fake_store(1, "a", 10);
    fake_store(2, "b", 10);
    ask(w, 1, "GET /api/files.info?file=" FILE_2, BEARER(ADA_TOKEN), NULL);
    complete(w, COMPLETE);
    answer_info(w, CID, CHANNEL_PRIVATE, true);
    struct cell other = take(w, A_MEDIA);
    CHECK(!asked(w, A_MEDIA));
    leave(w, 0);
    CHECK_EQ(slab_used(&w->a->requests), 2);
    pass_ms(w, 60000);
    fake_answer(w, other);
    fake_run(w);
    CHECK_EQ(fake.seen[MEDIA_SHARE], 2);
    reply(w, A_CHAN, take(w, A_CHAN), ERR_IS_ARCHIVED, 0);
    fake_run(w);
    CHECK_EQ(fake.files[1].shares_len, 0);
    CHECK_EQ(slab_used(&w->a->requests), 1);
    world_free(w);
}

/* ---- what is known ---- */

TEST(infos_and_lists)
{
    struct world *w = start_with_two();
    ask(w, 0, "GET /api/files.info?file=" FILE_1, BEARER(ADA_TOKEN), NULL);
    fake_run(w);
    SAID(0, "\"ok\":true,\"file\":{\"id\":\"" FILE_1 "\"");
    SAID(0, "\"comments\":[],\"paging\":{\"count\":100,\"total\":0,\"page\":1,\"pages\":0}}");
    ask(w, 0, "GET /api/files.info?file=F1", BEARER(ADA_TOKEN), NULL);
    SAID(0, "file_not_found");
    ask(w, 0, "GET /api/files.list?types=images,pdfs&count=2&page=3&ts_from=5&channel=CR9&user=U6A",
        BEARER(BOT_TOKEN), NULL);
    struct cell c = take(w, A_MEDIA);
    const struct media_list *m = c.u.p;
    CHECK_EQ(m->types, MEDIA_IMAGES | MEDIA_PDFS);
    CHECK_EQ(m->from_us, 5000000);
    CHECK_EQ(m->to_us, UINT64_MAX);
    CHECK_EQ(m->cid, CID);
    CHECK_EQ(m->uid, BOB);
    CHECK(m->viewer.is_bot);
    fake_answer(w, c);
    SAID(0, "\"files\":[{\"id\":\"" FILE_1 "\"");
    SAID(0, "\"paging\":{\"count\":2,\"total\":7,\"page\":3,\"pages\":4},\"response_metadata\":");
    ask(w, 0, "GET /api/files.list?types=images,x", BEARER(ADA_TOKEN), NULL);
    SAID(0, "unknown_type");
    ask(w, 0, "GET /api/files.list", BEARER(ADA_TOKEN), NULL);
    c = take(w, A_MEDIA);
    m = c.u.p;
    CHECK_EQ(m->types, MEDIA_ALL);
    CHECK_EQ(m->count, 100);
    CHECK_EQ(m->page, 1);
    fake_answer(w, c);
    SAID(0, "\"next_cursor\":\"bmV4dF9maWxlOjU6RjAwMDAwMDAwMDAwMDAwMDAwMDAx\"");
    world_free(w);
}

TEST(a_list_goes_on_by_cursor)
{
    struct world *w = start_with_media();
    ask(w, 0, "GET /api/files.list?limit=2&count=7&page=3", BEARER(ADA_TOKEN), NULL);
    struct cell c = take(w, A_MEDIA);
    const struct media_list *m = c.u.p;
    CHECK_EQ(m->page, 0);
    CHECK_EQ(m->count, 2);
    CHECK_EQ(m->behind.created_us, 0);
    fake_answer(w, c);
    CHECK(strstr(said(w, 0), "paging") == NULL);
    SAID(0, "\"next_cursor\":\"bmV4dF9maWxlOjU6RjAwMDAwMDAwMDAwMDAwMDAwMDAx\"");
    ask(w, 0, "GET /api/files.list?cursor=bmV4dF9maWxlOjU6RjAwMDAwMDAwMDAwMDAwMDAwMDAx",
        BEARER(ADA_TOKEN), NULL);
    c = take(w, A_MEDIA);
    m = c.u.p;
    CHECK_EQ(m->page, 0);
    CHECK_EQ(m->count, 100);
    CHECK_EQ(m->behind.created_us, 5);
    CHECK_MEM(m->behind.id.text, FILE_1, file_id_len);
    fake_answer(w, c);
    SAID(0, "\"next_cursor\":\"\"");
    ask(w, 0, "GET /api/files.list?cursor=bmV4dF9maWxlOjA6RjAwMDAwMDAwMDAwMDAwMDAwMDAx",
        BEARER(ADA_TOKEN), NULL); /* time 0 */
    SAID(0, "invalid_cursor");
    ask(w, 0, "GET /api/files.list?cursor=bmV4dF90czo1", BEARER(ADA_TOKEN),
        NULL); /* another list's */
    SAID(0, "invalid_cursor");
    ask(w, 0, "GET /api/files.list?limit=1001", BEARER(ADA_TOKEN), NULL);
    SAID(0, "invalid_limit");
    world_free(w);
}

/* ---- changes ---- */

static void changed(struct world *w, uint64_t cid, enum change_kind kind, uint64_t ts_us,
                    const char *event, enum err err)
{
    struct cell c = take(w, A_CHAN);
    const struct chan_change *m = c.u.p;
    CHECK_EQ(c.type, CHAN_CHANGE);
    CHECK_EQ(c.cid, cid);
    CHECK_EQ(m->kind, kind);
    CHECK_EQ(m->ts_us, ts_us);
    CHECK(sv_eq(m->text, sv_from(event)));
    CHECK_SV(m->name, FILE_1);
    reply(w, A_CHAN, c, err, 0);
}

TEST(a_deleted_file_goes_from_its_messages)
{
    for (int gone = 0; gone < 2; gone++) {
        struct world *w = start_with_two();
        fake.files[1].shares_len = 2;
        fake.files[1].shares[0].cid = CID;
        fake.files[1].shares[0].ts_us = 5000000;
        fake.files[1].shares[1].cid = 5;
        fake.files[1].shares[1].ts_us = 6000000;
        ask(w, 0, "POST /api/files.delete", BEARER(ADA_TOKEN) FORM_TYPE, "file=" FILE_1);
        if (gone)
            leave(w, 0);
        fake_run(w);
        changed(w, CID, CHANGE_FILE_GONE, 5000000, "file_deleted", ERR_MESSAGE_NOT_FOUND);
        changed(w, 5, CHANGE_FILE_GONE, 6000000, "file_deleted", ERR_OK);
        told(w, "\"file_deleted\",\"file_id\":\"" FILE_1, ADA);
        if (!gone)
            SAID(0, "{\"ok\":true}");
        else
            CHECK_EQ(slab_used(&w->a->requests), 0);
        world_free(w);
    }
    struct world *w = start_with_two();
    fake.files[1].state = FAKE_DELETED; /* by one that was cut off */
    fake.files[1].shares_len = 1;
    fake.files[1].shares[0].cid = CID;
    fake.files[1].shares[0].ts_us = 5000000;
    ask(w, 0, "POST /api/files.delete", BEARER(ADA_TOKEN) FORM_TYPE, "file=" FILE_1);
    fake_run(w);
    changed(w, CID, CHANGE_FILE_GONE, 5000000, "file_deleted", ERR_OK);
    told(w, "\"file_deleted\",\"file_id\":\"" FILE_1, ADA);
    SAID(0, "\"error\":\"file_deleted\"");
    world_free(w);
    w = start_with_two();
    fake.files[1].owner = BOB;
    ask(w, 0, "POST /api/files.delete", BEARER(ADA_TOKEN) FORM_TYPE, "file=" FILE_1);
    fake_run(w);
    SAID(0, "cant_delete_file");
    world_free(w);
}

/* Not ok as long as a message shows it; asked again, all are told again. */
TEST(a_deletion_that_could_not_tell_a_message_is_asked_for_again)
{
    for (int deleted = 0; deleted < 2; deleted++) {
        struct world *w = start_with_two();
        fake.files[1].state = deleted ? FAKE_DELETED : FAKE_STORED;
        fake.files[1].shares_len = 2;
        fake.files[1].shares[0].cid = CID;
        fake.files[1].shares[0].ts_us = 5000000;
        fake.files[1].shares[1].cid = 5;
        fake.files[1].shares[1].ts_us = 6000000;
        ask(w, 0, "POST /api/files.delete", BEARER(ADA_TOKEN) FORM_TYPE, "file=" FILE_1);
        fake_run(w);
        changed(w, CID, CHANGE_FILE_GONE, 5000000, "file_deleted", ERR_STORAGE_UNAVAILABLE);
        changed(w, 5, CHANGE_FILE_GONE, 6000000, "file_deleted", ERR_OK);
        told(w, "\"file_deleted\"", ADA);
        SAID(0, "\"error\":\"service_unavailable\"");
        fake_shares = 1 << 20;
        ask(w, 0, "POST /api/files.delete", BEARER(ADA_TOKEN) FORM_TYPE, "file=" FILE_1);
        fake_run(w);
        fake_shares = 0;
        told(w, "\"file_deleted\"", ADA);
        SAID(0, "\"error\":\"service_unavailable\"");
        world_free(w);
    }
}

/* Who deleted it could not know of this message. */
TEST(a_file_that_went_while_its_message_was_posted_goes_from_it)
{
    for (int client_leaves = 0; client_leaves < 2; client_leaves++) {
        struct world *w = start_with_two();
        complete(w, COMPLETE);
        answer_info(w, CID, CHANNEL_PRIVATE, true);
        fake_run(w);
        struct cell c = take(w, A_CHAN);
        fake.files[1].state = FAKE_DELETED;
        if (client_leaves)
            leave(w, 0);
        posted(w, c, 5000000);
        fake_run(w);
        changed(w, CID, CHANGE_FILE_GONE, 5000000, "file_deleted", ERR_OK);
        fake_run(w);
        CHECK_EQ(fake.files[2].shares[0].ts_us, 5000000); /* the other one is shared */
        told(w, "\"file_created\"", ADA);
        told(w, "\"file_created\"", ADA);
        fake_run(w);
        if (!client_leaves)
            SAID(0, "\"error\":\"file_deleted\"");
        CHECK_EQ(slab_used(&w->a->requests), client_leaves ? 0 : 1);
        world_free(w);
    }
}

TEST(a_link_is_made_and_taken_back)
{
    for (int revoke = 0; revoke < 2; revoke++) {
        struct world *w = start_with_two();
        ask(w, 0, revoke ? "POST /api/files.revokePublicURL" : "POST /api/files.sharedPublicURL",
            BEARER(ADA_TOKEN) FORM_TYPE, "file=" FILE_1);
        struct cell c = take(w, A_MEDIA);
        CHECK_EQ(((struct media_public *)c.u.p)->revoke, revoke);
        fake_answer(w, c);
        const char *event = revoke ? "file_change" : "file_public";
        changed(w, CID, CHANGE_FILE_TELL, TS_NONE, event, ERR_OK);
        changed(w, 3, CHANGE_FILE_TELL, TS_NONE, event, ERR_OK);
        told(w, event, BOB);
        SAID(0, "\"ok\":true,\"file\":{\"id\":\"" FILE_1 "\"");
        world_free(w);
    }
}
