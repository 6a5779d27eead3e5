/* dir/user_json.h - a user as clients see it, in answers and in events.
 * Source: Slack, user object and its profile. */
#ifndef PARLEY_DIR_USER_JSON_H
#define PARLEY_DIR_USER_JSON_H

#include "json/write.h"
#include "store/row.h"

struct user_view {
    uint64_t now_s;           /* a status that has ended is not shown */
    bool with_email;          /* the reader has users:read.email */
    bool with_locale;         /* include_locale */
    struct str_view base_url; /* of pictures, with or without '/' at its end; empty: no pictures */
};

void user_json(struct json_out *j, const struct row_user *u, const struct user_view *v);
/* The profile alone: {...}. */
void user_json_profile(struct json_out *j, const struct row_user *u, const struct user_view *v);

/* "rrggbb": the colour that stands for the user. */
struct str_view user_color(char out[6], uint64_t uid);

#endif
