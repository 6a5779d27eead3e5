#include "hist/see.h"

#include "base/mutant.h"

enum err seer_init(struct seer *s, const struct view *v, struct arena *scratch)
{
    *s = (struct seer){.view = *v, .scratch = scratch};
    return rights_new(&s->rights);
}

void seer_deinit(struct seer *s)
{
    rights_free(s->rights);
}

static enum err judge(const struct hist_viewer *v, const struct right *right)
{
    if (right->team != v->team)
        return ERR_CHANNEL_NOT_FOUND;
    if (right->member || v->is_admin)
        return ERR_OK;
    if (v->is_guest)
        return ERR_CHANNEL_NOT_FOUND;
    bool open = right->kind == CHANNEL_PUBLIC ||
                MUTANT(DIRECT_READ_BY_STRANGERS, false, channel_is_direct(right->kind));
    if (MUTANT(PRIVATE_READ_BY_STRANGERS, !open, false))
        return ERR_CHANNEL_NOT_FOUND;
    return ERR_OK;
}

enum err seer_info(struct seer *s, const struct hist_viewer *v, uint64_t cid,
                   struct row_chan_info *info, bool *member)
{
    struct key ki, km;
    struct row_member row;
    uint64_t moment = view_moment(&s->view);
    key_chan_info(&ki, cid);
    key_chan_member(&km, cid, v->uid);
    struct view_get gets[2] = {{.cf = CF_CHAN, .key = key_view(&ki)},
                               {.cf = CF_CHAN, .key = key_view(&km)}};
    TRY(view_multi_get(&s->view, gets, 2, s->scratch));
    if (gets[0].value.p == NULL)
        return ERR_CHANNEL_NOT_FOUND;
    TRY(row_chan_info_decode(info, gets[0].key, gets[0].value));
    *member = gets[1].value.p != NULL;
    if (*member)
        TRY(row_member_decode(&row, gets[1].key, gets[1].value));
    struct right right = {.team = info->team, .kind = info->kind, .member = *member};
    TRY(judge(v, &right));
    /* A refusal takes the same way each time: an absent channel's is not told from it by its time.
     */
    if (!v->is_admin)
        rights_keep(s->rights, cid, v->uid, &right, moment);
    return ERR_OK;
}

enum err seer_may_see(struct seer *s, const struct hist_viewer *v, uint64_t cid, bool *member)
{
    struct row_chan_info info;
    struct right right;
    if (!rights_find(s->rights, &s->view, cid, v->uid, &right))
        return seer_info(s, v, cid, &info, member);
    *member = right.member;
    return judge(v, &right);
}

enum err seer_may_read(struct seer *s, const struct hist_viewer *v, uint64_t cid)
{
    bool member;
    TRY(seer_may_see(s, v, cid, &member));
    return v->is_bot && !member && !v->is_admin ? ERR_NOT_IN_CHANNEL : ERR_OK;
}
