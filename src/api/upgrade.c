/* upgrade.c - GET /rtm/TICKET: judged here, then the whole connection moves to the fanout that made
 * the ticket; that one writes the 101 or the refusal. */
#include "api/internal.h"

#include <stdlib.h>

#include "fanout/fanout_msg.h"
#include "ws/frame.h"

static struct str_view ticket_of(const struct request *r)
{
    return (struct str_view){r->http.path.p + 5, r->http.path.len - 5};
}

static enum err judge(struct request *r)
{
    const struct head_fields *f = &r->fields;
    struct str_view ticket = ticket_of(r);
    char accept[28];
    if (r->http.minor == 0 || !r->http.upgrade || !sv_eq_nocase(f->upgrade, SV("websocket")) ||
        !sv_eq(f->ws_version, SV("13"))) {
        r->extra = SV("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
        return ERR_UPGRADE_REQUIRED;
    }
    if (!ws_accept_key(f->ws_key, accept) || r->http.body.len > 0)
        return ERR_BAD_REQUEST;
    if (ticket.len != ticket_text_len || fan_ticket_index(ticket.p) >= r->a->conf.fanouts_len)
        return ERR_INVALID_TICKET;
    return ERR_OK;
}

void upgrade_judge(struct request *r)
{
    enum err err = judge(r);
    if (err == ERR_OK && r->a->draining)
        err = ERR_SERVICE_UNAVAILABLE;
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    r->state = REQ_UPGRADE; /* its turn comes when all before it is sent */
    hconn_mark(r->conn);
}

static struct net_adopt *make_adopt(const struct request *r)
{
    const struct hconn *c = r->conn;
    struct net_adopt *a = calloc(1, sizeof *a);
    struct fan_upgrade *u = calloc(1, sizeof *u);
    uint32_t left = c->held_len - c->held_at;
    uint8_t *leftover = left > 0 ? malloc(left) : NULL;
    if (a == NULL || u == NULL || (left > 0 && leftover == NULL)) {
        free(a);
        free(u);
        free(leftover);
        return NULL;
    }
    memcpy(u->ticket, ticket_of(r).p, ticket_text_len);
    bool ok = ws_accept_key(r->fields.ws_key, u->accept);
    ASSERT(ok); /* judged before */
    u->wall_us = r->a->t->wall_us;
    _Static_assert(sizeof u->request_id > id_hex_len, "room for a NUL");
    memcpy(u->request_id, r->id, id_hex_len);
    if (left > 0)
        memcpy(leftover, c->held + c->held_at, left);
    memcpy(&a->peer.addr, &c->addr, sizeof c->addr);
    a->peer.tls = c->tls;
    a->peer.listener = c->listener;
    a->leftover = leftover;
    a->leftover_len = left;
    a->owner_data = u;
    a->free_owner_data = free;
    return a;
}

void upgrade_hand_over(struct request *r)
{
    struct hconn *c = r->conn;
    struct acceptor *a = r->a;
    conn_id id = c->id;
    ASSERT(c->first == r && c->last == r && !c->sending);
    struct net_adopt *adopt = make_adopt(r);
    if (adopt == NULL) {
        c->ending = true;
        net_close(&a->conf.net, id, NET_CLOSE_RESET);
        return;
    }
    actor_id to = a->conf.fanouts[fan_ticket_index(ticket_of(r).p)];
    hconn_free(c); /* the id is dead here when the call returns */
    net_handover(&a->conf.net, id, to, adopt);
}
