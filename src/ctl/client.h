/* ctl/client.h - one command to the daemon: HTTP over DATA/control.sock, blocking. Thread: main. */
#ifndef PARLEY_CTL_CLIENT_H
#define PARLEY_CTL_CLIENT_H

#include "json/read.h"
#include "json/write.h"

struct client {
    int fd;
    const char *data_dir;
    struct json_reader *json;
    struct arena_pool pool;
    struct arena arena; /* of everything that lives until the tool ends */
};

struct answer {
    bool ok;
    struct str_view text; /* the whole JSON object */
    struct json_member *members;
    uint32_t len;
};

/* Prints what is wrong, with what to do, on standard error. False: the tool should exit with 1. */
bool client_open(struct client *c, const char *data_dir);
void client_close(struct client *c);
/* body: a JSON object. False: the daemon went away; said on standard error. answer->ok false: it
 * said no. */
bool client_call(struct client *c, const char *command, struct str_view body,
                 struct answer *answer);
/* As client_call, but a refusal is printed too and is false. */
bool client_must(struct client *c, const char *command, struct str_view body,
                 struct answer *answer);

/* Text of a string member, of a nested object's member; p NULL: absent. */
struct str_view answer_str(const struct answer *a, const char *name);
bool object_read(struct client *c, struct str_view text, struct answer *out);
/* member `name` read as an object. */
bool answer_object(struct client *c, const struct answer *a, const char *name, struct answer *out);

#endif
