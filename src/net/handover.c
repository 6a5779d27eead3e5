/* handover.c - a connection leaves for another actor's loop: its receive ends here, then one
 * message carries the descriptor, the TLS state and what came meanwhile to the other ring. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/internal.h"

void conn_port_handover(void *net, conn_id id, actor_id to, struct net_adopt *a)
{
    struct net *n = net;
    struct net_conn *c = slab_find(&n->conns, id);
    if (c == NULL || c->state != CONN_OPEN) {
        net_adopt_free(a);
        return;
    }
    ASSERT(c->send == NULL);
    c->state = CONN_HANDOVER;
    c->paused = c->ended = false; /* its new owner starts afresh, on this loop too */
    c->adopt = a;
    c->adopt_to = to;
    if (c->held_len > 0) { /* came while it was paused */
        a->late = c->held;
        a->late_len = c->held_len;
        c->held = NULL;
        c->held_len = 0;
    }
    conn_cancel_recv(n, c);
    conn_defer(n, c);
}

static const struct net_owner *adopter(const struct net *n, actor_id to, struct actor **actor)
{
    for (uint32_t i = 0; i < n->adopters_len; i++) {
        if (n->adopters[i].actor->id == to) {
            *actor = n->adopters[i].actor;
            return n->adopters[i].owner;
        }
    }
    return NULL;
}

/* The connection is here: its new owner learns of it, then of what came late. */
static void adopted(struct net *n, struct net_conn *c, struct net_adopt *a)
{
    uint8_t *late = a->late;
    uint32_t late_len = a->late_len;
    c->tls = a->tls;
    a->tls = NULL;
    a->late = NULL;
    c->state = CONN_OPEN;
    c->held = late;
    c->held_len = late_len;
    c->owner->ops->on_adopt(c->owner->self, c->handle, a, net_turn(n, c->actor));
    if (c->state != CONN_OPEN || c->paused)
        return;
    conn_deliver_held(n, c);
    if (c->state == CONN_OPEN && !c->paused)
        conn_arm_recv(n, c);
}

static void free_tls(void *tls)
{
    tls_conn_free(tls);
}

static void coming_put(struct net *to, struct net_adopt *a)
{
    pthread_mutex_lock(&to->coming_lock);
    a->next = to->coming;
    a->link = &to->coming;
    if (a->next != NULL)
        a->next->link = &a->next;
    to->coming = a;
    pthread_mutex_unlock(&to->coming_lock);
}

static void coming_take(struct net *to, struct net_adopt *a)
{
    pthread_mutex_lock(&to->coming_lock);
    *a->link = a->next;
    if (a->next != NULL)
        a->next->link = a->link;
    pthread_mutex_unlock(&to->coming_lock);
}

/* Nothing of it is in flight here any more: the descriptor goes to the other ring, its number there
 * comes as the result of the completion that carries the adoption. */
void conn_hand_over(struct net *n, struct net_conn *c)
{
    if (c->recv_armed || c->sending || c->inflight > 0)
        return;
    struct net_adopt *a = c->adopt;
    struct net *to = n->peers[c->adopt_to];
    a->tls = c->tls;
    a->free_tls = free_tls;
    c->tls = NULL;
    if (to == n) {
        c->owner = adopter(n, c->adopt_to, &c->actor);
        ASSERT(c->owner != NULL);
        c->adopt = NULL;
        adopted(n, c, a);
        return;
    }
    int fd = __atomic_load_n(&to->ring_fd, __ATOMIC_ACQUIRE);
    a->to = c->adopt_to;
    c->adopt_sent = true;
    coming_put(to, a);
    struct io_uring_sqe *sqe = net_sqe(n);
    io_uring_prep_rw(IORING_OP_MSG_RING, sqe, fd, NULL, 0, (uint64_t)OP_ADOPT << 56 | (uintptr_t)a);
    sqe->addr = 1;        /* IORING_MSG_SEND_FD */
    sqe->addr3 = c->slot; /* source */
    sqe->file_index = IORING_FILE_INDEX_ALLOC;
    io_uring_sqe_set_data64(sqe, net_user_data(OP_HANDOVER, c->handle));
    c->inflight++;
}

void conn_on_handover(struct net *n, struct net_conn *c, int res)
{
    struct net_adopt *a = c->adopt;
    c->adopt_sent = false;
    if (res < 0) {
        coming_take(n->peers[c->adopt_to], a);
        log_warn("handover_failed", "\"problem\":%s", log_str(sv_from(strerror(-res))));
        c->tls = a->tls;
        a->tls = NULL;
        conn_close(n, c, ERR_FULL, NET_CLOSE_RESET);
        return;
    }
    c->adopt = NULL; /* the other loop's now; the descriptor here is a second name that goes without
                        a reset */
    c->state = CONN_CLOSING;
    c->why = ERR_CLOSED;
    c->how = NET_CLOSE_RESET;
    c->detached = true;
    conn_defer(n, c);
}

void conn_on_adopt(struct net *n, struct net_adopt *a, int res)
{
    coming_take(n, a);
    ASSERT(res >= 0);
    struct actor *actor = NULL;
    const struct net_owner *owner = adopter(n, a->to, &actor);
    ASSERT(owner != NULL);
    struct net_conn *c = conn_new(n, (uint32_t)res, actor, owner);
    if (c == NULL) { /* as when accepting: the slot was free before its connection here */
        conn_close_slot(n, (uint32_t)res);
        net_adopt_free(a);
        return;
    }
    adopted(n, c, a);
}
