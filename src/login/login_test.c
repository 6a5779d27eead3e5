/* The actor over a store of one row, asked by a recorder. */
#include "login/login.h"

#include "base/id.h"
#include "store/row.h"
#include "test.h"
#include "rig.h"

enum { UID = 7, ROW_MAX = 256 };

struct one_row {
    char value[ROW_MAX];
    size_t len;
};

static enum err get(void *self, struct view_get *gets, uint32_t n, struct arena *a)
{
    const struct one_row *row = self;
    struct key k;
    key_password(&k, UID);
    CHECK_EQ(n, 1);
    gets[0].value = SV_NONE;
    if (row->len > 0 && sv_eq(gets[0].key, key_view(&k)))
        gets[0].value = arena_dup(a, (struct str_view){row->value, row->len});
    return ERR_OK;
}
static const struct view_ops ops = {.multi_get = get};
static const struct actor_ops asker_ops = {.on_cells = recorder_cells};

static struct one_row row;
static struct rig rig;
static struct recorder asker;

static enum err ask(uint16_t type, void *m)
{
    struct cell *c = outbox_request(&rig.actors[1].outbox, 0);
    c->type = type;
    c->u.p = m;
    asker.len = 0;
    rig_turns(&rig, 3);
    CHECK_EQ(asker.len, 1);
    CHECK(asker.cells[0].u.p == m);
    return (enum err)asker.cells[0].err;
}

static enum err check(uint64_t uid, const char *password)
{
    struct login_check m = {.uid = uid, .password = sv_from(password)};
    return ask(LOGIN_CHECK, &m);
}

TEST(the_password_and_nothing_else_of_nobody_else)
{
    struct view v = {&ops, &row};
    struct login *l;
    struct login_hash m = {.password = SV("difference engine")}, again = m;
    struct key k;
    struct buf b;
    CHECK_EQ(login_new(&l, &v), ERR_OK);
    rig_init(&rig);
    rig_add(&rig, &login_actor_ops, l);
    rig_add(&rig, &asker_ops, &asker);
    rig_wire_requests(&rig, 1, 0, 8);
    CHECK_EQ(check(UID, "difference engine"), ERR_INVALID_CREDENTIALS); /* has none yet */
    CHECK_EQ(ask(LOGIN_HASH, &m), ERR_OK);
    CHECK_EQ(ask(LOGIN_HASH, &again), ERR_OK);
    CHECK(m.len == again.len && memcmp(m.hash, again.hash, m.len) != 0); /* salted */
    key_password(&k, UID);
    buf_init_fixed(&b, row.value, sizeof row.value);
    row_password_encode(&b, &k, (struct str_view){m.hash, m.len});
    row.len = b.len;
    CHECK_EQ(check(UID, "difference engine"), ERR_OK);
    CHECK_EQ(check(UID, "difference engin"), ERR_INVALID_CREDENTIALS);
    CHECK_EQ(check(UID, ""), ERR_INVALID_CREDENTIALS);
    CHECK_EQ(check(UID + 1, "difference engine"), ERR_INVALID_CREDENTIALS);
    CHECK_EQ(check(ID_NONE, "difference engine"), ERR_INVALID_CREDENTIALS);
    row.value[row.len - 1] ^= 1;
    CHECK_EQ(check(UID, "difference engine"), ERR_CORRUPT);
    m.password = SV("short");
    CHECK_EQ(ask(LOGIN_HASH, &m), ERR_INVALID_ARGUMENTS);
    rig_deinit(&rig);
    login_free(l);
}
