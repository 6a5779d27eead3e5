/* sweep.c - blobs that no row speaks of, left by a crash between the bytes and the row of an
 * upload, or between the row and the bytes of a deletion. All blobs are looked at once after a
 * start, some a tick, behind everything else. */
#include "base/log.h"
#include "media/internal.h"

enum { tick_us = WHEEL_TICK_US, tick_steps_max = 128 };

static enum err is_wanted(struct media *m, const uint8_t sha256[sha256_bytes], bool *wanted)
{
    struct key k;
    struct str_view value;
    key_blob(&k, sha256);
    TRY(view_get1(&m->conf.view, CF_FILE, &k, &m->scratch, &value));
    /* One that a group is about has its row soon, or goes when the group is known to have failed.
     */
    *wanted = value.p != NULL || group_claims_blob(m, sha256) || group_doubts_blob(m, sha256);
    arena_reset(&m->scratch);
    return ERR_OK;
}

static void look_at(struct media *m, const uint8_t sha256[sha256_bytes])
{
    bool wanted = true;
    char hex[sha256_hex_len + 1];
    if (media_count(m, is_wanted(m, sha256, &wanted)) != ERR_OK || wanted)
        return; /* unreadable: the sweep of the next start looks again */
    if (media_count(m, blob_remove(&m->blobs, sha256)) != ERR_OK)
        return;
    sha256_hex(hex, sha256);
    log_info("blob_swept", "\"sha256\":\"%s\"", hex);
    metric_add(m->turn->metrics, METRIC_BLOBS_SWEPT, 1);
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct media *m = (struct media *)(void *)((char *)timer - offsetof(struct media, sweep_timer));
    uint8_t sha256[sha256_bytes];
    m->turn = ctx;
    for (int i = 0; i < tick_steps_max && !m->swept && !m->draining; i++) {
        enum blob_step step = blob_walk_step(&m->blobs, &m->walk, sha256);
        if (step == WALK_FOUND)
            look_at(m, sha256);
        m->swept = step == WALK_ENDED;
    }
}

void sweep_watch(struct media *m)
{
    if (m->swept || m->draining || timer_armed(&m->sweep_timer))
        return;
    m->sweep_timer.fire = on_timer;
    wheel_arm(m->turn->wheel, &m->sweep_timer, m->turn->mono_us + tick_us);
}
