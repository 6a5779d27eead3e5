/* The handles that are kept: the newest revision, of the workspaces that were looked up last. */
#include "api/handles.h"

#include "test.h"

static const struct usergroup_handle two[] = {{1, SV("sales")}, {2, SV("")}};

TEST(what_is_kept_is_a_copy_and_the_newest)
{
    static struct handles h;
    char text[] = "ops";
    const struct usergroup_handle one = {3, {text, 3}};
    CHECK(handles_find(&h, 7) == NULL);
    handles_keep(&h, 7, 1, two, 2);
    handles_keep(&h, 8, 1, &one, 1);
    text[0] = 'x';
    const struct handles_of *o = handles_find(&h, 7);
    CHECK(o->revision == 1 && o->len == 2 && o->of[1].id == 2 && o->of[1].handle.len == 0);
    CHECK(sv_eq(o->of[0].handle, SV("sales")));
    CHECK(sv_eq(handles_find(&h, 8)->of[0].handle, SV("ops")));
    handles_keep(&h, 7, 2, NULL, 0);
    o = handles_find(&h, 7);
    CHECK(o->revision == 2 && o->len == 0);
    handles_keep(&h, 7, 1, two, 2); /* an answer that was on its way */
    CHECK(handles_find(&h, 7)->revision == 2);
    handles_deinit(&h);
}

TEST(who_was_looked_up_longest_ago_goes)
{
    static struct handles h;
    for (uint64_t team = 1; team <= handles_teams_max; team++)
        handles_keep(&h, team, 1, two, 2);
    CHECK(handles_find(&h, 1) != NULL);
    handles_keep(&h, 1000, 1, two, 2);
    CHECK(handles_find(&h, 1) != NULL && handles_find(&h, 2) == NULL);
    CHECK(handles_find(&h, 3) != NULL && handles_find(&h, 1000) != NULL);
    handles_deinit(&h);
}
