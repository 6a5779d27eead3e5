#include "ctl/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { progress_each = 256 };

struct person {
    const char *name, *real_name, *email;
    bool bot;
};

static const struct person people[] = {
    {"ada", "Ada Lovelace", "ada@example.com", false},
    {"grace", "Grace Hopper", "grace@example.com", false},
    {"linus", "Linus Example", "linus@example.com", false},
    {"parrot", "Parrot", "", true},
};
enum { humans = 3 };

/* Text of a JSON object for a command: name, value, name, value, ..., NULL. A value that begins
 * with '\1' is raw. */
static struct str_view args(struct client *c, const char *const *pairs)
{
    struct buf b;
    buf_init(&b, &c->arena, 256);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    for (; pairs[0] != NULL; pairs += 2) {
        json_key(&j, pairs[0]);
        if (pairs[1][0] == '\1')
            json_raw(&j, sv_from(pairs[1] + 1));
        else
            json_str(&j, sv_from(pairs[1]));
    }
    json_obj_end(&j);
    return buf_view(&b);
}
#define ARGS(...) args(c, (const char *const[]){__VA_ARGS__, NULL})
#define RAW_TRUE  "\1true"
#define RAW_FALSE "\1false"
#define RESUME(o) "resume", (o)->resume ? RAW_TRUE : RAW_FALSE

/* ---- the file ---- */

static bool write_file(const char *path, struct str_view text)
{
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text.p, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    ok = ok && rename(temporary, path) == 0;
    if (!ok)
        fprintf(stderr, "parleyctl: cannot write %s: %s\n", path, strerror(errno));
    return ok;
}

static bool read_file(struct client *c, const char *path, struct str_view *text)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    char *p =
        fstat(fd, &st) == 0 ? arena_alloc(&c->arena, (size_t)st.st_size + json_padding) : NULL;
    ssize_t n = p != NULL ? read(fd, p, (size_t)st.st_size) : -1;
    close(fd);
    *text = (struct str_view){p, n > 0 ? (size_t)n : 0};
    return n > 0;
}

static bool emit(const struct demo_options *o, struct str_view text)
{
    if (o->json_path != NULL)
        return write_file(o->json_path, text);
    return fwrite(text.p, 1, text.len, stdout) == text.len;
}

/* ---- where clients reach the daemon ---- */

static bool base_url(struct client *c, struct str_view *url)
{
    struct answer status;
    if (!client_must(c, "status", SV("{}"), &status))
        return false;
    *url = answer_str(&status, "public_url");
    if (url->len > 0)
        return true;
    struct str_view host = answer_str(&status, "listen");
    bool tls = host.len == 0;
    if (tls)
        host = answer_str(&status, "tls_listen");
    while (host.len > 0 && host.p[host.len - 1] != ':')
        host.len--;
    struct str_view port = answer_str(&status, tls ? "https_port" : "http_port");
    struct buf b;
    buf_init(&b, &c->arena, 128);
    if (sv_eq(host, SV("0.0.0.0:")) || sv_eq(host, SV("[::]:")))
        host = SV("127.0.0.1:");
    buf_printf(&b, "%s://%.*s%.*s", tls ? "https" : "http", SV_ARG(host), SV_ARG(port));
    *url = buf_view(&b);
    return true;
}

/* ---- making ---- */

static bool issue(struct client *c, const char *domain, const char *user, struct str_view *token)
{
    struct answer a;
    if (!client_must(c, "token.issue", ARGS("workspace", domain, "user", user), &a))
        return false;
    *token = answer_str(&a, "token");
    return true;
}

static bool add_person(struct client *c, const struct demo_options *o, const char *domain,
                       const struct person *p, struct answer *user)
{
    struct answer a;
    struct str_view body = p->bot ? ARGS("workspace", domain, "name", p->name, "real_name",
                                         p->real_name, "bot", RAW_TRUE, RESUME(o))
                                  : ARGS("workspace", domain, "name", p->name, "real_name",
                                         p->real_name, "email", p->email, RESUME(o));
    return client_must(c, "user.add", body, &a) && answer_object(c, &a, "user", user);
}

static bool channel_id(struct client *c, const char *domain, const char *name, struct str_view *id)
{
    struct answer a;
    if (!client_must(c, "channel.list", ARGS("workspace", domain), &a))
        return false;
    struct json_value *list = json_find(a.members, a.len, SV("channels"));
    struct json_member *items;
    uint32_t n;
    if (list == NULL || json_read_array(c->json, &c->arena, list->s, &items, &n) != ERR_OK)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct answer channel;
        if (object_read(c, items[i].value.s, &channel) &&
            sv_eq(answer_str(&channel, "name"), sv_from(name))) {
            *id = answer_str(&channel, "id");
            return true;
        }
    }
    return false;
}

static bool add_channel(struct client *c, const struct demo_options *o, const char *domain,
                        const char *name, const char *creator, struct str_view *id)
{
    struct answer a, channel;
    if (!client_must(c, "channel.add",
                     ARGS("workspace", domain, "name", name, "creator", creator, RESUME(o)), &a) ||
        !answer_object(c, &a, "channel", &channel))
        return false;
    *id = answer_str(&channel, "id");
    return true;
}

static void json_channel(struct json_out *j, const char *name, struct str_view id)
{
    json_key(j, name);
    json_obj(j);
    json_kv_str(j, "id", id);
    json_kv_str(j, "name", sv_from(name));
    json_obj_end(j);
}

/* Team, three people, a bot, #general and #random with all of them in, and a token that was
 * revoked. */
static bool make_workspace(struct client *c, const struct demo_options *o, const char *domain,
                           const char *name, struct json_out *j)
{
    struct answer a, team, user;
    struct str_view tokens[ARRAY_LEN(people)], revoked, general, random_id;
    if (!client_must(c, "workspace.add", ARGS("domain", domain, "name", name, RESUME(o)), &a) ||
        !answer_object(c, &a, "workspace", &team))
        return false;
    json_key(j, "team");
    json_obj(j);
    json_kv_str(j, "id", answer_str(&team, "id"));
    json_kv_str(j, "domain", sv_from(domain));
    json_kv_str(j, "name", sv_from(name));
    json_obj_end(j);
    json_key(j, "users");
    json_arr(j);
    for (size_t i = 0; i < ARRAY_LEN(people); i++) {
        if (i == humans)
            json_arr_end(j);
        if (!add_person(c, o, domain, &people[i], &user) ||
            !issue(c, domain, people[i].name, &tokens[i]))
            return false;
        if (people[i].bot) {
            json_key(j, "bot");
            json_obj(j);
            json_kv_str(j, "token", tokens[i]);
            json_kv_str(j, "user_id", answer_str(&user, "id"));
            json_kv_str(j, "bot_id", answer_str(&user, "bot_id"));
            json_kv_str(j, "app_id", answer_str(&user, "app_id"));
            json_obj_end(j);
        } else {
            json_obj(j);
            json_kv_str(j, "id", answer_str(&user, "id"));
            json_kv_str(j, "name", sv_from(people[i].name));
            json_kv_str(j, "email", sv_from(people[i].email));
            json_kv_str(j, "token", tokens[i]);
            json_obj_end(j);
        }
    }
    if (!channel_id(c, domain, "general", &general) ||
        !add_channel(c, o, domain, "random", people[0].name, &random_id) ||
        !client_must(
            c, "channel.join",
            ARGS("workspace", domain, "channel", "random", "all", RAW_TRUE, "silent", RAW_TRUE),
            &a))
        return false;
    json_key(j, "channels");
    json_obj(j);
    json_channel(j, "general", general);
    json_channel(j, "random", random_id);
    json_obj_end(j);
    if (!issue(c, domain, people[0].name, &revoked))
        return false;
    struct buf token;
    buf_init(&token, &c->arena, 256);
    buf_put_sv(&token, revoked);
    buf_putc(&token, '\0');
    json_kv_str(j, "revoked_token", revoked);
    return client_must(c, "token.revoke", ARGS("token", token.p), &a);
}

static void progress(const char *what, uint64_t done, uint64_t of)
{
    if (isatty(STDERR_FILENO) && (done % progress_each == 0 || done == of))
        fprintf(stderr, "\r%s %llu/%llu%s", what, (unsigned long long)done, (unsigned long long)of,
                done == of ? "\n" : "");
}

/* N users with a token each, M channels; all of them members of all when asked, else of #general
 * only. */
static bool make_population(struct client *c, const char *domain, const struct demo_options *o,
                            struct json_out *j)
{
    json_key(j, "tokens");
    json_arr(j);
    for (uint64_t i = 0; i < o->users; i++) {
        char name[32];
        struct str_view token;
        struct answer user;
        snprintf(name, sizeof name, "user%05llu", (unsigned long long)i);
        if (!add_person(c, o, domain, &(struct person){name, name, "", false}, &user) ||
            !issue(c, domain, name, &token))
            return false;
        json_str(j, token);
        progress("users", i + 1, o->users);
    }
    json_arr_end(j);
    json_key(j, "channel_ids");
    json_arr(j);
    for (uint64_t i = 0; i < o->channels; i++) {
        char name[32];
        struct str_view id;
        struct answer a;
        snprintf(name, sizeof name, "channel%05llu", (unsigned long long)i);
        if (!add_channel(c, o, domain, name, people[0].name, &id))
            return false;
        if (o->member_of_all && !client_must(c, "channel.join",
                                             ARGS("workspace", domain, "channel", name, "all",
                                                  RAW_TRUE, "silent", RAW_TRUE),
                                             &a))
            return false;
        json_str(j, id);
        progress("channels", i + 1, o->channels);
    }
    json_arr_end(j);
    return true;
}

/* Kept members follow a base_url of now: the port may have changed since. */
static bool emit_with_url(struct client *c, const struct demo_options *o, struct str_view kept)
{
    struct str_view url;
    struct buf b;
    if (!base_url(c, &url))
        return false;
    buf_init(&b, &c->arena, kept.len + 256);
    struct json_out j = json_out_on(&b);
    json_obj(&j);
    json_kv_str(&j, "base_url", url);
    json_raw(&j, kept);
    json_obj_end(&j);
    buf_putc(&b, '\n');
    return emit(o, buf_view(&b));
}

/* DATA/demo.making: locked by whoever makes it, so that a second call waits and then finds it made.
 * It has content while the making is under way: a call that finds some goes on with what a call
 * that was cut off left behind. -1: said on standard error. */
static int making_begin(const char *path, bool *resume)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0) {
        *resume = st.st_size > 0;
        if (*resume || write(fd, "1\n", 2) == 2)
            return fd;
    }
    fprintf(stderr, "parleyctl: cannot write %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

bool demo_run(struct client *c, struct demo_options *o)
{
    char path[4096], making[4096 + 8], domain[64] = "demo";
    struct str_view kept;
    bool population = o->users > 0 || o->channels > 0;
    if (population)
        snprintf(domain, sizeof domain, "bench-%llu-%llu%s", (unsigned long long)o->users,
                 (unsigned long long)o->channels, o->member_of_all ? "-all" : "");
    snprintf(path, sizeof path, "%s/%s%s.json", c->data_dir, population ? "demo-" : "", domain);
    if (read_file(c, path, &kept))
        return emit_with_url(c, o, kept);
    snprintf(making, sizeof making, "%s.making", path);
    int lock = making_begin(making, &o->resume);
    if (lock < 0)
        return false;
    struct buf b;
    buf_init(&b, &c->arena, 65536);
    struct json_out j = json_out_on(&b); /* bare members: base_url goes in front when emitted */
    bool made = read_file(c, path, &kept);
    if (!made && make_workspace(c, o, domain, population ? "Load test" : "Demo", &j) &&
        (!population || make_population(c, domain, o, &j))) {
        kept = buf_view(&b);
        made = write_file(path, kept);
    }
    if (made)
        unlink(making);
    close(lock);
    return made && emit_with_url(c, o, kept);
}
