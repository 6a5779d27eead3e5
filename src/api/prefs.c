/* prefs.c - users.prefs.get and .set: what a client keeps for its user, by name. Not documented by
 * Slack; wee-slack and slack-go call them. Source: slack-api.md, undocumented methods. */
#include "api/document.h"
#include "api/handlers.h"

/* An event has room for the longest; and the events of a call are few beside what a fanout's ring
 * holds. */
enum { prefs_bytes_max = 32768, pref_name_max = 100, prefs_set_max = 32 };

/* What clients ask for whether or not it was ever set. */
static const char *const always[] = {"muted_channels", "highlight_words"};

static enum err members_of(struct request *r, struct str_view text, struct json_member **m,
                           uint32_t *len)
{
    *len = 0;
    if (text.len == 0)
        return ERR_OK;
    enum err err = json_read_object(r->a->json, &r->arena, text, m, len);
    return err == ERR_OK || err == ERR_NOMEM ? err : ERR_CORRUPT;
}

static void put_prefs(struct request *r, struct document *d)
{
    struct json_member *m = NULL;
    uint32_t len;
    enum err err = members_of(r, d->changed ? d->next : d->text, &m, &len);
    if (err != ERR_OK) {
        answer_error(r, err);
        return;
    }
    answer_begin_sized(r, d->text.len + 256);
    json_key(&r->j, "prefs");
    json_obj(&r->j);
    for (size_t i = 0; i < ARRAY_LEN(always); i++) {
        if (json_find(m, len, sv_from(always[i])) == NULL)
            json_kv_str(&r->j, always[i], SV(""));
    }
    for (uint32_t i = 0; i < len; i++) {
        json_key_of(&r->j, m[i].name.p, m[i].name.len);
        document_put(&r->j, &m[i].value);
    }
    json_obj_end(&r->j);
    answer_end(r);
}

void users_prefs_get(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_PREFS);
    if (d != NULL)
        document_read(r, d, put_prefs);
}

/* Names become members: letters, digits and _ need no escape. */
static bool is_name(struct str_view s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return false;
    }
    return s.len > 0 && s.len <= pref_name_max;
}

/* Those that slack-go sends as arguments of their own. */
static enum err named(struct request *r, struct json_member **m, uint32_t *len)
{
    *m = arena_zalloc(&r->arena, ARRAY_LEN(always) * sizeof **m);
    if (*m == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < ARRAY_LEN(always); i++) {
        const struct arg_value *list = arg(r, always[i]);
        if (list->given)
            (*m)[(*len)++] = (struct json_member){.name = sv_from(always[i]),
                                                  .value = {.type = JSON_STRING, .s = list->s}};
    }
    return *len > 0 ? ERR_OK : ERR_MISSING_ARGUMENT;
}

/* One by name and value, or several as an object. */
static enum err wanted(struct request *r, struct json_member **m, uint32_t *len)
{
    const struct json_value *prefs = args_find(r, SV("prefs")), *value = args_find(r, SV("value"));
    const struct arg_value *name = arg(r, "name");
    if (prefs != NULL && (prefs->type == JSON_OBJECT || prefs->type == JSON_STRING)) {
        enum err err = json_read_object(r->a->json, &r->arena, prefs->s, m, len);
        return err == ERR_OK || err == ERR_NOMEM ? err : ERR_INVALID_ARGUMENTS;
    }
    if (!name->given)
        return named(r, m, len);
    if (value == NULL)
        return ERR_MISSING_ARGUMENT;
    *m = arena_zalloc(&r->arena, sizeof **m);
    if (*m == NULL)
        return ERR_NOMEM;
    **m = (struct json_member){.name = name->s, .value = *value};
    *len = 1;
    return ERR_OK;
}

static enum err write_event(struct request *r, const struct json_member *m, struct str_view *event)
{
    struct buf b;
    struct json_out j = document_out(r, &b);
    json_obj(&j);
    json_kv_str(&j, "type", SV("pref_change"));
    json_kv_str(&j, "name", m->name);
    json_key(&j, "value");
    document_put(&j, &m->value);
    json_kv_ts(&j, "event_ts", r->a->t->wall_us);
    json_obj_end(&j);
    *event = buf_view(&b);
    return b.failed ? ERR_NOMEM : ERR_OK;
}

/* Those that are always there are empty before they are set. */
static bool is_as_it_was(const struct json_value *old, const struct json_member *now)
{
    if (old != NULL)
        return old->type == now->value.type && sv_eq(old->s, now->value.s);
    bool is_empty = now->value.type == JSON_STRING && now->value.s.len == 0;
    for (size_t i = 0; i < ARRAY_LEN(always) && is_empty; i++) {
        if (sv_eq(now->name, sv_from(always[i])))
            return true;
    }
    return false;
}

/* Clients know one form of it, with one name. What is set to what it is has not changed. */
static enum err tell_changes(struct request *r, struct document *d, struct json_member *old,
                             uint32_t old_len, const struct json_member *set, uint32_t len)
{
    struct str_view *events = arena_alloc(&r->arena, len * sizeof *events);
    uint32_t n = 0;
    if (events == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < len; i++) {
        if (!is_as_it_was(json_find(old, old_len, set[i].name), &set[i]))
            TRY(write_event(r, &set[i], &events[n++]));
    }
    d->to_user = events;
    d->to_user_len = n;
    d->changed = n > 0;
    return ERR_OK;
}

static enum err edit_prefs(struct request *r, struct document *d)
{
    struct json_member *old = NULL, *set = NULL;
    uint32_t old_len, set_len = 0;
    struct buf b;
    TRY(members_of(r, d->text, &old, &old_len));
    TRY(wanted(r, &set, &set_len));
    struct json_out j = document_out(r, &b);
    json_obj(&j);
    for (uint32_t i = 0; i < old_len; i++) {
        if (json_find(set, set_len, old[i].name) != NULL)
            continue;
        json_key_of(&j, old[i].name.p, old[i].name.len);
        document_put(&j, &old[i].value);
    }
    for (uint32_t i = 0; i < set_len; i++) {
        if (!is_name(set[i].name))
            return ERR_INVALID_ARG_NAME;
        json_key_of(&j, set[i].name.p, set[i].name.len);
        document_put(&j, &set[i].value);
    }
    json_obj_end(&j);
    if (b.failed)
        return ERR_NOMEM;
    if (b.len > prefs_bytes_max || old_len + set_len > json_members_max || set_len > prefs_set_max)
        return ERR_TOO_LONG;
    d->next = buf_view(&b);
    return tell_changes(r, d, old, old_len, set, set_len);
}

void users_prefs_set(struct request *r)
{
    struct document *d = document_new(r, r->who.uid, DOC_PREFS);
    if (d != NULL)
        document_change(r, d, edit_prefs, put_prefs);
}
