/* subscriptions.c - subscriptions.thread.*: threads that the caller follows. Slack's own clients
 * call them; its documents do not name them. Source: what wee-slack sends. */
#include "api/handlers.h"
#include "api/internal.h"

#include "chan/chan_msg.h"

static void change(struct request *r, enum change_kind kind, const struct arg_value *read)
{
    struct chan_change *m = arena_zalloc(&r->arena, sizeof *m);
    uint64_t cid = arg(r, "channel")->n;
    if (m == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    *m = (struct chan_change){.kind = kind,
                              .team = r->who.team,
                              .uid = r->who.uid,
                              .guest = req_is_guest(r),
                              .ts_us = arg(r, "thread_ts")->n,
                              /* "0000000000.000000": nothing is read */
                              .read_us = read->given ? MAX(read->n, UINT64_C(1)) : 0,
                              .deadline_us = r->deadline_us,
                              .arena = &r->arena};
    r->work = m;
    req_send(r, req_chan(r, cid), CHAN_CHANGE, cid, m, answer_done);
}

void subscriptions_thread_add(struct request *r)
{
    change(r, CHANGE_FOLLOW, arg(r, "last_read"));
}

void subscriptions_thread_remove(struct request *r)
{
    change(r, CHANGE_UNFOLLOW, arg(r, "last_read"));
}

void subscriptions_thread_mark(struct request *r)
{
    change(r, CHANGE_THREAD_MARK, arg(r, "ts"));
}
