#include "dir/name.h"

#include "json/read.h"

static bool lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Bytes past ASCII are letters of other scripts and pass; ASCII is held to Slack's rule. */
enum err name_check_channel(struct str_view name)
{
    if (name.len == 0)
        return ERR_INVALID_NAME_REQUIRED;
    if (utf8_count(name) > channel_name_chars_max)
        return ERR_INVALID_NAME_MAXLENGTH;
    bool letters = false;
    for (size_t i = 0; i < name.len; i++) {
        bool mark = name.p[i] == '-' || name.p[i] == '_';
        bool letter = lower_or_digit(name.p[i]) || (uint8_t)name.p[i] >= 0x80;
        if (!mark && !letter)
            return ERR_INVALID_NAME_SPECIALS;
        letters |= letter;
    }
    return letters ? ERR_OK : ERR_INVALID_NAME_PUNCTUATION;
}

enum err name_check_user(struct str_view name)
{
    bool letters = false;
    if (name.len > user_name_bytes_max)
        return ERR_INVALID_NAME;
    for (size_t i = 0; i < name.len; i++) {
        bool letter = lower_or_digit(name.p[i]);
        if (!letter && (name.p[i] == '\0' || strchr(".-_", name.p[i]) == NULL))
            return ERR_INVALID_NAME;
        letters |= letter;
    }
    return letters ? ERR_OK : ERR_INVALID_NAME;
}

enum err name_check_domain(struct str_view domain)
{
    if (domain.len == 0 || domain.len > domain_bytes_max || domain.p[0] == '-' ||
        domain.p[domain.len - 1] == '-')
        return ERR_INVALID_NAME;
    for (size_t i = 0; i < domain.len; i++) {
        if (!lower_or_digit(domain.p[i]) && domain.p[i] != '-')
            return ERR_INVALID_NAME;
    }
    return ERR_OK;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

struct str_view name_fold_shown(struct str_view name, char out[user_shown_bytes_max])
{
    if (name.len > user_shown_bytes_max)
        return SV("");
    for (size_t i = 0; i < name.len; i++)
        out[i] = lower(name.p[i]);
    return (struct str_view){out, name.len};
}

enum err name_fold_email(struct arena *a, struct str_view email, struct str_view *out)
{
    *out = email;
    if (email.len == 0)
        return ERR_OK;
    char *p = arena_alloc(a, email.len);
    if (p == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < email.len; i++)
        p[i] = lower(email.p[i]);
    *out = (struct str_view){p, email.len};
    return ERR_OK;
}
