/* presence.c - users.getPresence, users.setPresence. Who has an open socket and does not say
 * otherwise is active. Source: Slack users.getPresence, users.setPresence. */
#include "dir/presence.h"

#include "api/handlers.h"
#include "api/internal.h"
#include "dir/dir_msg.h"

static void put_own(struct request *r, const struct presence *p)
{
    uint32_t sockets = __atomic_load_n(&p->sockets, __ATOMIC_RELAXED);
    bool away = __atomic_load_n(&p->away, __ATOMIC_RELAXED) != 0;
    uint64_t seen_s = __atomic_load_n(&p->seen_s, __ATOMIC_RELAXED);
    json_kv_bool(&r->j, "online", sockets > 0);
    json_kv_bool(&r->j, "auto_away", sockets == 0 && !away);
    json_kv_bool(&r->j, "manual_away", away);
    json_kv_u64(&r->j, "connection_count", sockets);
    if (seen_s != 0)
        json_kv_u64(&r->j, "last_activity", seen_s);
}

void users_get_presence(struct request *r)
{
    const struct arg_value *user = arg(r, "user");
    uint64_t uid = user->given ? user->n : r->who.uid;
    const struct presence *p = dir_presence(r->a->conf.dir_reader, r->who.team, uid);
    if (p == NULL) {
        answer_error(r, ERR_USER_NOT_FOUND);
        return;
    }
    answer_begin(r);
    json_kv_str(&r->j, "presence", presence_active(p) ? SV("active") : SV("away"));
    if (uid == r->who.uid)
        put_own(r, p);
    answer_end(r);
}

void users_set_presence(struct request *r)
{
    struct str_view presence = arg(r, "presence")->s;
    struct dir_presence_set *m = arena_zalloc(&r->arena, sizeof *m);
    enum err err = m == NULL ? ERR_NOMEM
                   : !sv_eq(presence, SV("away")) && !sv_eq(presence, SV("auto"))
                       ? ERR_INVALID_PRESENCE
                       : ERR_OK;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    *m = (struct dir_presence_set){
        .team = r->who.team, .uid = r->who.uid, .away = sv_eq(presence, SV("away"))};
    req_send(r, r->a->conf.dir, DIR_PRESENCE, ID_NONE, m, answer_done);
}
