#include "login/login.h"

#include <argon2.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/mutant.h"
#include "store/row.h"

enum {
    memory_kib = 19456,
    passes = 2,
    salt_bytes = 16,
    tag_bytes = 32,
    memory_bytes = (memory_kib + 1024) * 1024,
    scratch_bytes = 4096
};

/* As stored: the costs go with each hash, so that new ones may cost more. */
struct stored {
    uint32_t memory_kib, passes;
    uint8_t salt[salt_bytes], tag[tag_bytes];
};
_Static_assert(sizeof(struct stored) <= sizeof(((struct login_hash *)0)->hash), "fits");

struct login {
    struct view view;
    uint8_t *memory; /* Argon2's, taken once */
    struct arena_pool pool;
    struct arena scratch;
};

enum err login_new(struct login **out, const struct view *v)
{
    struct login *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ERR_NOMEM;
    l->view = *v;
    l->memory =
        mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    arena_pool_init(&l->pool, scratch_bytes, 1, UINT64_MAX);
    if (l->memory == MAP_FAILED || arena_init(&l->scratch, &l->pool, UINT64_MAX) != ERR_OK) {
        login_free(l);
        return ERR_NOMEM;
    }
    *out = l;
    return ERR_OK;
}

void login_free(struct login *l)
{
    if (l == NULL)
        return;
    if (l->memory != MAP_FAILED)
        munmap(l->memory, memory_bytes);
    arena_deinit(&l->scratch);
    arena_pool_deinit(&l->pool);
    free(l);
}

/* ---- Argon2: its callbacks get no context ---- */

static _Thread_local uint8_t *lent;

static int lend(uint8_t **memory, size_t bytes)
{
    *memory = bytes <= memory_bytes ? lent : NULL;
    return *memory == NULL ? ARGON2_MEMORY_ALLOCATION_ERROR : ARGON2_OK;
}

static void take_back(uint8_t *memory, size_t bytes)
{
    (void)memory, (void)bytes;
}

static enum err hash(struct login *l, struct str_view password, struct stored *s)
{
    argon2_context c = {.out = s->tag,
                        .outlen = tag_bytes,
                        .pwd = (uint8_t *)(uintptr_t)password.p,
                        .pwdlen = (uint32_t)password.len,
                        .salt = s->salt,
                        .saltlen = salt_bytes,
                        .t_cost = s->passes,
                        .m_cost = s->memory_kib,
                        .lanes = 1,
                        .threads = 1,
                        .version = ARGON2_VERSION_13,
                        .allocate_cbk = lend,
                        .free_cbk = take_back,
                        .flags = ARGON2_DEFAULT_FLAGS};
    lent = l->memory;
    return argon2id_ctx(&c) == ARGON2_OK ? ERR_OK : ERR_INTERNAL_ERROR;
}

/* ---- requests ---- */

static enum err read_stored(struct login *l, uint64_t uid, struct stored *s, bool *found)
{
    struct key k;
    struct str_view value, text;
    key_password(&k, uid);
    arena_reset(&l->scratch);
    TRY(view_get1(&l->view, CF_DIR, &k, &l->scratch, &value));
    *found = value.p != NULL;
    if (!*found)
        return ERR_OK;
    TRY(row_password_decode(&text, key_view(&k), value));
    if (text.len != sizeof *s)
        return ERR_CORRUPT;
    memcpy(s, text.p, sizeof *s);
    return ERR_OK;
}

static enum err check(struct login *l, const struct login_check *m)
{
    struct stored mine = {.memory_kib = memory_kib, .passes = passes};
    struct stored theirs = mine;
    bool found = false;
    TRY(read_stored(l, m->uid, &theirs, &found)); /* of nobody, too: no row has this key */
    memcpy(mine.salt, theirs.salt, salt_bytes);
    mine.memory_kib = theirs.memory_kib;
    mine.passes = theirs.passes;
    TRY(hash(l, m->password, &mine));
    bool same = sv_eq_constant_time((struct str_view){(const char *)mine.tag, tag_bytes},
                                    (struct str_view){(const char *)theirs.tag, tag_bytes});
    bool right = MUTANT(PASSWORD_NOT_COMPARED, found && same, found);
    return right ? ERR_OK : ERR_INVALID_CREDENTIALS;
}

static enum err make(struct login *l, struct login_hash *m, struct turn *t)
{
    struct stored s = {.memory_kib = memory_kib, .passes = passes};
    if (m->password.len < password_bytes_min || m->password.len > password_bytes_max)
        return ERR_INVALID_ARGUMENTS;
    rand_bytes(t->rand, s.salt, salt_bytes);
    TRY(hash(l, m->password, &s));
    memcpy(m->hash, &s, sizeof s);
    m->len = sizeof s;
    return ERR_OK;
}

static void on_cells(void *self, actor_id from, enum ring_class class, const struct cell *cells,
                     uint32_t n, struct turn *t)
{
    struct login *l = self;
    ASSERT(class == CLASS_REQUEST);
    for (uint32_t i = 0; i < n; i++) {
        struct cell *answer = outbox_answer(t->out, from, &cells[i]);
        answer->u.p = cells[i].u.p;
        answer->err =
            cells[i].type == LOGIN_CHECK ? check(l, cells[i].u.p) : make(l, cells[i].u.p, t);
    }
}

static void end_turn(void *self, struct turn *t)
{
    (void)self, (void)t;
}

static bool drain(void *self, struct turn *t)
{
    (void)self, (void)t;
    return true; /* it holds nothing between turns */
}

const struct actor_ops login_actor_ops = {
    .on_cells = on_cells, .end_turn = end_turn, .drain = drain};
