#include "api/link.h"

#include "api/content.h"
#include "api/mention.h"
#include "api/usergroups.h"
#include "dir/name.h"

enum { link_channels_max = mention_channel_asks_max * mention_names_max };

struct linking {
    struct request *r;
    method_fn *then;
    struct mention_rules rules;
    struct buf out;
    /* What the first run needs: channels that not everybody sees, and the absent ones among them
     * as ID_NONE, so that the time tells nobody which it was. */
    uint64_t cids[link_channels_max];
    bool seen[link_channels_max];
    uint32_t cids_len;
    bool needs_groups;
    bool asked; /* the next run is the last */
    struct hist_sees sees;
    const struct usergroup_handle *groups; /* of this call only: kept ones may go */
    uint32_t groups_len;
};

/* ---- look-ups ---- */

static bool find_group(struct linking *l, struct str_view name, struct mention *out)
{
    char text[user_shown_bytes_max];
    if (name.len > handle_bytes_max || memchr(name.p, ' ', name.len) != NULL)
        return false; /* no handle is so */
    struct str_view folded = name_fold_shown(name, text);
    for (uint32_t i = 0; i < l->groups_len; i++) {
        if (sv_eq(l->groups[i].handle, folded)) {
            *out = (struct mention){MENTION_GROUP, l->groups[i].id};
            return true;
        }
    }
    l->needs_groups = true;
    return false;
}

static enum mention_found find_user(struct linking *l, struct str_view name, struct mention *out)
{
    const struct request *r = l->r;
    bool shared;
    const struct row_user *u = dir_user_meant(r->a->conf.dir_reader, r->who.team, name, &shared);
    if (u != NULL)
        *out = (struct mention){MENTION_USER, u->uid};
    else if (!find_group(l, name, out))
        return shared ? MENTION_SEVERAL : MENTION_NONE;
    return MENTION_FOUND;
}

static bool is_seen(struct linking *l, uint64_t cid)
{
    if (!l->asked) {
        ASSERT(l->cids_len < link_channels_max);
        l->cids[l->cids_len++] = cid;
        return false;
    }
    for (uint32_t i = 0; i < l->cids_len; i++) {
        if (l->cids[i] == cid)
            return l->seen[i];
    }
    return false; /* it was made, or got its name, meanwhile */
}

static enum mention_found find_channel(struct linking *l, struct str_view name, struct mention *out)
{
    const struct request *r = l->r;
    uint64_t cid = ID_NONE;
    enum channel_kind kind = CHANNEL_PRIVATE;
    if (!dir_channel_by_name(r->a->conf.dir_reader, r->who.team, name, &cid, &kind))
        cid = ID_NONE;
    bool open = cid != ID_NONE && kind == CHANNEL_PUBLIC && !req_is_guest(r);
    if (!open && !is_seen(l, cid))
        return MENTION_NONE;
    *out = (struct mention){MENTION_CHANNEL, cid};
    return MENTION_FOUND;
}

static enum mention_found find(void *ctx, char mark, struct str_view name, struct mention *out)
{
    return mark == '#' ? find_channel(ctx, name, out) : find_user(ctx, name, out);
}

/* ---- the run, what it lacks, the run again ---- */

static void run(struct linking *l)
{
    struct str_view text = arg(l->r, "text")->s;
    buf_init(&l->out, &l->r->arena, text.len + mention_token_bytes_max);
    mention_link(&l->out, text, &l->rules);
}

static void finish(struct linking *l)
{
    struct request *r = l->r;
    if (l->out.failed) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    /* A text that was short enough stays so, whatever its names mean by now: a retry of what is
     * stored must find it. */
    if (!content_too_long(r, buf_view(&l->out)))
        arg_replace(r, "text", buf_view(&l->out));
    r->work = NULL;
    l->then(r);
}

static void run_again(struct linking *l)
{
    l->asked = true;
    run(l);
    finish(l);
}

static void on_groups(struct request *r, struct document *d);

static void ask_groups_of(struct request *r, struct document *d, const struct handles_of *kept)
{
    d->known = kept == NULL ? 0 : kept->revision;
    document_read(r, d, on_groups);
}

static void on_groups(struct request *r, struct document *d)
{
    struct linking *l = d->own;
    if (d->known != 0 && d->read.revision == d->known) { /* no text */
        const struct handles_of *kept = handles_find(&r->a->handles, d->owner);
        if (kept == NULL || kept->revision < d->known) { /* it had to go meanwhile */
            ask_groups_of(r, d, NULL);
            return;
        }
        l->groups = kept->of; /* of that revision or a newer one */
        l->groups_len = kept->len;
        run_again(l);
        return;
    }
    struct usergroup_handle *groups = NULL;
    enum err err = usergroup_handles(r, d, &groups, &l->groups_len);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    handles_keep(&r->a->handles, d->owner, d->read.revision, groups, l->groups_len);
    l->groups = groups;
    run_again(l);
}

static void ask_groups(struct linking *l)
{
    struct document *d = document_new(l->r, l->r->who.team, DOC_USERGROUPS);
    if (d == NULL)
        return;
    d->own = l;
    ask_groups_of(l->r, d, handles_find(&l->r->a->handles, d->owner));
}

static void on_seen(struct request *r, const struct cell *c)
{
    struct linking *l = r->work;
    if (answer_refused(r, c))
        return;
    if (l->needs_groups)
        ask_groups(l);
    else
        run_again(l);
}

static void ask_channels(struct linking *l)
{
    struct request *r = l->r;
    l->sees = (struct hist_sees){
        .viewer = req_viewer(r), .cids = l->cids, .seen = l->seen, .len = l->cids_len};
    r->work = l;
    req_send(r, req_hist(r), HIST_SEES, ID_NONE, &l->sees, on_seen);
}

static void link_names(struct request *r, method_fn *then, bool urls)
{
    struct linking *l = arena_zalloc(&r->arena, sizeof *l);
    if (l == NULL) {
        answer_error(r, ERR_NOMEM);
        return;
    }
    l->r = r;
    l->then = then;
    l->rules = (struct mention_rules){.find = find, .ctx = l, .urls = urls};
    run(l);
    if (l->cids_len > 0)
        ask_channels(l);
    else if (l->needs_groups)
        ask_groups(l);
    else
        finish(l);
}

void link_text(struct request *r, method_fn *then)
{
    const struct arg_value *text = arg(r, "text"), *parse = arg(r, "parse");
    bool full = parse->given && sv_eq(parse->s, SV("full"));
    if (parse->given && parse->s.len > 0 && !full && !sv_eq(parse->s, SV("none"))) {
        answer_error(r, ERR_INVALID_ARGUMENTS);
        return;
    }
    if (text->s.len == 0 || (!full && arg(r, "link_names")->n == 0)) {
        then(r);
        return;
    }
    if (content_too_long(r, text->s)) {
        answer_error(r, ERR_MSG_TOO_LONG);
        return;
    }
    link_names(r, then, full);
}
