/* What there is in a workspace that was made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "populate.h"

enum { times_len = 20 }; /* of a channel */

static void json_numbers(struct json_out *j, const char *name, const struct numbers *n)
{
    json_key(j, name);
    json_arr(j);
    for (uint32_t i = 0; i < n->len; i++)
        json_u64(j, n->p[i]);
    json_arr_end(j);
}

static void json_texts(struct json_out *j, const char *name, const char *const *texts, uint32_t len)
{
    json_key(j, name);
    json_arr(j);
    for (uint32_t i = 0; i < len; i++)
        json_str(j, sv_from(texts[i]));
    json_arr_end(j);
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void json_channel(struct json_out *j, const struct populate *p, uint32_t i)
{
    const struct shape_channel *c = &p->shape.channels[i];
    uint32_t len = c->roots.len;
    uint64_t *ts_us = calloc(len + 1, sizeof *ts_us);
    ASSERT(ts_us != NULL);
    for (uint32_t k = 0; k < len; k++) /* in the order of their answers */
        ts_us[k] = p->ledger.messages[c->roots.p[k]].ts_us;
    qsort(ts_us, len, sizeof *ts_us, by_time);
    json_obj(j);
    json_kv_str(j, "id", sv_from(p->ledger.channels[i]));
    json_kv_bool(j, "private", c->private);
    json_kv_u64(j, "roots", len);
    json_kv_u64(j, "replies", c->parents.len);
    json_key(j, "newest");
    json_ts(j, len > 0 ? ts_us[len - 1] : 0);
    json_key(j, "times"); /* evenly spread over its messages, oldest first */
    json_arr(j);
    for (uint64_t k = 1; k < times_len && len > 0; k++)
        json_ts(j, ts_us[len * k / times_len]);
    json_arr_end(j);
    json_numbers(j, "members", &c->members);
    json_obj_end(j);
    free(ts_us);
}

/* [channel, ts, replies, ts of the newest] of each. */
static void json_threads(struct json_out *j, struct populate *p)
{
    const struct message *messages = p->ledger.messages;
    uint64_t *newest_us = calloc(p->ledger.len + 1, sizeof *newest_us);
    ASSERT(newest_us != NULL);
    for (uint32_t i = 0; i < p->ledger.len; i++) {
        if (messages[i].parent != ledger_root)
            newest_us[messages[i].parent] = MAX(newest_us[messages[i].parent], messages[i].ts_us);
    }
    json_key(j, "threads");
    json_arr(j);
    for (uint32_t i = 0; i < p->ledger.len; i++) {
        if (newest_us[i] == TS_NONE)
            continue;
        p->threads++;
        p->longest = MAX(p->longest, p->replies[i]);
        json_arr(j);
        json_u64(j, messages[i].channel);
        json_ts(j, messages[i].ts_us);
        json_u64(j, p->replies[i]);
        json_ts(j, newest_us[i]);
        json_arr_end(j);
    }
    json_arr_end(j);
    free(newest_us);
}

bool populate_write(struct populate *p, const char *path)
{
    const struct population *have = &p->bench->population;
    struct buf b;
    buf_init(&b, &p->bench->arena, 1 << 20);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "base_url", sv_from(have->base_url));
    json_key(&j, "team");
    json_obj(&j);
    json_kv_str(&j, "domain", sv_from(have->domain));
    json_obj_end(&j);
    json_texts(&j, "tokens", have->tokens, p->shape.users);
    json_texts(&j, "channel_ids", p->ledger.channels, p->shape.channels_len);
    json_texts(&j, "user_ids", p->user_ids, p->shape.users);
    json_key(&j, "people");
    json_arr(&j);
    for (uint32_t i = 0; i < p->shape.channels_len; i++)
        json_channel(&j, p, i);
    json_arr_end(&j);
    json_threads(&j, p);
    json_obj_end(&j);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    bool ok = f != NULL && !b.failed && fwrite(b.p, 1, b.len, f) == b.len;
    if (f != NULL)
        ok = fclose(f) == 0 && ok;
    if (!ok)
        fprintf(stderr, "parley-bench: cannot write %s: %s\n", path, strerror(errno));
    return ok;
}
