/* admin_slow.c - the command `slow`: asks one acceptor after the other for its slowest requests and
 * answers with the slowest of all. */
#include <stdio.h>
#include <time.h>

#include "server/admin_call.h"

static void put_time(struct json_out *j, uint64_t wall_us)
{
    char text[40];
    time_t s = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%03uZ", (unsigned)(wall_us / 1000 % 1000));
    json_kv_str(j, "at", sv_from(text));
}

static void put_id(struct json_out *j, const char *key, enum id_kind kind, uint64_t id)
{
    if (id != ID_NONE)
        json_kv_id(j, key, kind, id);
}

/* A member for each stage it has passed, but the first: how long after the one before. */
static void put_stages(struct json_out *j, const struct slow_entry *e)
{
    uint32_t last_us = 0;
    for (int s = STAGE_ACCEPTED + 1; s < STAGE_COUNT; s++) {
        char key[32];
        if ((e->passed >> s & 1) == 0)
            continue;
        snprintf(key, sizeof key, "%s_us", stage_name((enum stage)s));
        json_kv_u64(j, key, e->at_us[s] - last_us);
        last_us = e->at_us[s];
    }
}

static void put_entry(struct json_out *j, const struct slow_entry *e)
{
    json_obj(j);
    put_time(j, e->wall_us);
    json_kv_str(j, "method", e->method);
    json_kv_str(j, "request_id", (struct str_view){e->request_id, sizeof e->request_id});
    put_id(j, "team", ID_TEAM, e->team);
    put_id(j, "user", ID_USER, e->uid);
    put_id(j, "channel", ID_CHANNEL, e->cid);
    json_kv_u64(j, "status", (uint64_t)e->status);
    if (e->err != ERR_OK)
        json_kv_str(j, "error", sv_from(err_slack(e->err)));
    json_kv_u64(j, "server_us", e->own_us);
    json_kv_u64(j, "total_us", e->at_us[STAGE_SENT]);
    put_stages(j, e);
    json_obj_end(j);
}

void admin_slow(struct admin_call *c, const struct cell *answer, struct turn *t)
{
    const struct admin_conf *conf = admin_conf_of(c->admin);
    struct acceptor_slow *m = &c->u.slow;
    if (answer == NULL) {
        size_t room = (size_t)conf->acceptors_len * slow_entries_max;
        m->entries = arena_alloc(c->arena, room * sizeof *m->entries);
        c->slow = m->entries;
        if (m->entries == NULL) {
            admin_fail(c, ERR_NOMEM, NULL);
            return;
        }
    } else {
        c->slow_len += m->len;
        m->entries += m->len;
    }
    if (c->step < conf->acceptors_len) {
        admin_request(c, conf->acceptors[c->step++], ACCEPTOR_SLOW, m, t);
        return;
    }
    slow_sort(c->slow, c->slow_len);
    admin_ok(c);
    json_kv_u64(&c->j, "window_s", slow_window_s);
    json_key(&c->j, "requests");
    json_arr(&c->j);
    for (uint32_t i = 0; i < MIN(c->slow_len, (uint32_t)slow_entries_max); i++)
        put_entry(&c->j, &c->slow[i]);
    json_arr_end(&c->j);
    admin_done(c);
}
