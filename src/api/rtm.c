/* rtm.c - rtm.connect and rtm.start: a ticket from a fanout that has room; for rtm.start the
 * workspace's snapshot before it, so that the ticket is fresh. */
#include "api/handlers.h"
#include "api/internal.h"

#include "fanout/fanout_msg.h"
#include "hist/hist_msg.h"

struct rtm_work {
    struct fan_ticket ticket;
    struct hist_list channels;
    uint64_t since_us; /* the snapshot is not older */
    bool snapshot, resumes;
    uint16_t tried;
};

static void put_self_and_team(struct request *r, const struct row_user *user,
                              const struct row_team *team)
{
    json_key(&r->j, "self");
    json_obj(&r->j);
    json_kv_id(&r->j, "id", ID_USER, user->uid);
    json_kv_str(&r->j, "name", user->name);
    json_obj_end(&r->j);
    json_key(&r->j, "team");
    json_obj(&r->j);
    json_kv_id(&r->j, "id", ID_TEAM, team->team);
    json_kv_str(&r->j, "name", team->name);
    json_kv_str(&r->j, "domain", team->domain);
    json_obj_end(&r->j);
}

static void end_snapshot(struct request *r, uint64_t next)
{
    const struct rtm_work *w = r->work;
    (void)next; /* all of them */
    json_key(&r->j, "channels");
    json_arr(&r->j);
    json_raw(&r->j, buf_view(&w->channels.out));
    json_arr_end(&r->j);
    json_raw(&r->j, SV("\"groups\":[],\"ims\":[],\"mpims\":[],\"bots\":[]"));
    json_kv_u64(&r->j, "cache_ts", r->a->t->wall_us / 1000000);
    answer_end(r);
}

static void finish(struct request *r, const struct rtm_work *w)
{
    const struct row_team *team = dir_team(r->a->conf.dir_reader, r->who.team);
    const struct row_user *user = dir_user(r->a->conf.dir_reader, r->who.team, r->who.uid);
    struct buf url;
    if (team == NULL || user == NULL) {
        answer_error(r, ERR_ACCOUNT_INACTIVE);
        return;
    }
    buf_init(&url, &r->arena, 128);
    answer_url(r, &url, true);
    buf_put(&url, "rtm/", 4);
    buf_put(&url, w->ticket.ticket, ticket_text_len);
    answer_begin(r);
    r->body.failed |= url.failed;
    json_kv_str(&r->j, "url", buf_view(&url));
    put_self_and_team(r, user, team);
    if (!w->snapshot) {
        answer_end(r);
        return;
    }
    json_key(&r->j, "users");
    users_json(r, 0, UINT32_MAX, end_snapshot);
}

static void ask_ticket(struct request *r, struct rtm_work *w);

static void on_ticket(struct request *r, const struct cell *c)
{
    struct rtm_work *w = r->work;
    if (c->err == ERR_OK)
        finish(r, w);
    else if (c->err == ERR_FULL && ++w->tried < r->a->conf.fanouts_len)
        ask_ticket(r, w); /* the next one may have room */
    else
        answer_error(r, c->err == ERR_FULL ? ERR_SERVICE_UNAVAILABLE : (enum err)c->err);
}

static void ask_ticket(struct request *r, struct rtm_work *w)
{
    uint64_t i = (mix64(r->who.uid) + w->tried) % r->a->conf.fanouts_len;
    w->ticket = (struct fan_ticket){.team = r->who.team,
                                    .uid = r->who.uid,
                                    .token_tag = r->who.tag,
                                    .since_us = w->since_us,
                                    .resumes = w->resumes,
                                    .batch_presence = arg(r, "batch_presence_aware")->n != 0};
    req_send_paced(r, r->a->conf.fanouts[i], FAN_TICKET, &w->ticket, on_ticket);
}

static void on_channels(struct request *r, const struct cell *c)
{
    if (c->err == ERR_OK)
        ask_ticket(r, r->work);
    else
        answer_error(r, (enum err)c->err);
}

/* Chan's clock may be a little ahead of ours. Further ahead it is of a time before the clock was
 * set back: what that was here nobody can say. */
static uint64_t since(uint64_t last_us, uint64_t now_us)
{
    enum { ahead_us_max = 1000000 };
    if (last_us > now_us + ahead_us_max)
        return 0;
    return MIN(last_us, now_us);
}

static void begin(struct request *r, bool snapshot)
{
    struct rtm_work *w = arena_zalloc(&r->arena, sizeof *w);
    if (w == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    r->work = w;
    w->snapshot = snapshot;
    w->since_us = r->a->t->wall_us;
    if (!snapshot) {
        const struct arg_value *last = arg(r, "last_ts");
        w->resumes = last->given;
        if (last->given)
            w->since_us = since(last->n, w->since_us);
        ask_ticket(r, w);
        return;
    }
    r->arena.bytes_max = arena_list_max;
    w->channels = (struct hist_list){.viewer = req_viewer(r),
                                     .with_unread = true,
                                     .types = hist_types_public | hist_types_private,
                                     .limit = UINT32_MAX,
                                     .arena = &r->arena};
    buf_init(&w->channels.out, &r->arena, 0);
    req_send(r, req_hist(r), HIST_LIST, ID_NONE, &w->channels, on_channels);
}

void rtm_connect(struct request *r)
{
    begin(r, false);
}

void rtm_start(struct request *r)
{
    begin(r, true);
}
