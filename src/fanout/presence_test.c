/* Who hears of whom: users 101 (U35), 102 (U36), 103 (U37). */
#include "fanout/fake_world.h"

#define CHANGE(user, presence)                                                                     \
    "{\"type\":\"presence_change\",\"user\":\"" user "\",\"presence\":\"" presence "\"}"

static void look(void)
{
    advance(1100); /* the longest way between two sweeps */
    end_turn();
}

static void say(unsigned slot, const char *text)
{
    client(slot, WS_TEXT, text);
    end_turn();
    read_all(slot);
}

TEST(who_subscribes_hears_at_once_and_then_of_changes)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    open_socket(1, 2, NULL, 0);
    CHECK_EQ(presences[101].sockets, 1);
    say(0, "{\"type\":\"presence_sub\",\"ids\":[\"U36\",\"U37\",\"U36\",\"UZZZ\",5]}");
    check_frame(0, WS_TEXT, CHANGE("U36", "active"));
    check_frame(0, WS_TEXT, CHANGE("U37", "away"));
    check_no_frame(0);
    look();
    read_all(0);
    check_no_frame(0);
    close_now(1, ERR_CLOSED);
    look();
    read_all(0);
    check_frame(0, WS_TEXT, CHANGE("U36", "away"));
    say(0, "{\"type\":\"presence_sub\",\"ids\":[\"U37\",\"U35\"]}"); /* replaces */
    check_frame(0, WS_TEXT, CHANGE("U35", "active"));
    open_socket(1, 2, NULL, 0);
    open_socket(2, 3, NULL, 0);
    look();
    read_all(0);
    check_frame(0, WS_TEXT, CHANGE("U37", "active"));
    check_no_frame(0);
    end();
}

TEST(a_change_that_does_not_last_is_not_told)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    open_socket(1, 2, NULL, 0);
    say(0, "{\"type\":\"presence_sub\",\"ids\":[\"U36\"]}");
    check_frame(0, WS_TEXT, CHANGE("U36", "active"));
    close_now(1, ERR_CLOSED);
    open_socket(1, 2, NULL, 0);
    look();
    read_all(0);
    check_no_frame(0);
    presences[102].away = 1; /* what dir does */
    look();
    read_all(0);
    check_frame(0, WS_TEXT, CHANGE("U36", "away"));
    end();
}

/* Before the next look: who is told anew must not be told what the others were not. */
TEST(a_change_just_before_a_list_is_not_lost)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    open_socket(1, 2, NULL, 0);
    open_socket(2, 3, NULL, 0);
    say(0, "{\"type\":\"presence_sub\",\"ids\":[\"U36\"]}");
    check_frame(0, WS_TEXT, CHANGE("U36", "active"));
    presences[102].away = 1;
    say(0, "{\"type\":\"presence_sub\",\"ids\":[\"U36\",\"U35\"]}");
    check_frame(0, WS_TEXT, CHANGE("U35", "active"));
    look();
    read_all(0);
    check_frame(0, WS_TEXT, CHANGE("U36", "away"));
    presences[102].away = 0;
    say(2, "{\"type\":\"presence_sub\",\"ids\":[\"U36\"]}");
    check_frame(2, WS_TEXT, CHANGE("U36", "away")); /* as the others were told */
    presences[102].away = 1;
    look(); /* it did not last */
    presences[102].away = 0;
    look();
    for (unsigned i = 0; i < 3; i += 2) {
        read_all(i);
        check_frame(i, WS_TEXT, CHANGE("U36", "active"));
        check_no_frame(i);
    }
    end();
}

TEST(a_query_is_answered_and_forgotten)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    say(0, "{\"type\":\"presence_query\",\"ids\":[\"U36\"]}");
    check_frame(0, WS_TEXT, CHANGE("U36", "away"));
    open_socket(1, 2, NULL, 0);
    look();
    read_all(0);
    check_no_frame(0);
    say(0, "{\"type\":\"presence_query\",\"ids\":{}}");
    say(0, "{\"type\":\"presence_sub\"}");
    check_no_frame(0);
    end();
}

TEST(lists_go_to_who_takes_lists)
{
    begin(NULL);
    open_socket(0, 1, NULL, 0);
    open_socket(1, 2, NULL, 0);
    conn_by_net(w.f, w.socks[0].id)->batch_presence = true;
    say(0, "{\"type\":\"presence_sub\",\"ids\":[\"U36\",\"U37\",\"U35\"]}");
    check_frame(
        0, WS_TEXT,
        "{\"type\":\"presence_change\",\"users\":[\"U36\",\"U35\"],\"presence\":\"active\"}");
    check_frame(0, WS_TEXT,
                "{\"type\":\"presence_change\",\"users\":[\"U37\"],\"presence\":\"away\"}");
    end();
}

/* Against a plain matrix: everybody's list changes at random, sockets come and go. */
TEST(lists_against_a_matrix)
{
    enum { users = 12, rounds = 3000 };
    bool wants[3][users] = {0}, open[3] = {0};
    uint64_t x = 42;
    begin(NULL);
    for (int round = 0; round < rounds; round++) {
        unsigned s = (unsigned)((x = mix64(x + 1)) % 3);
        if (!open[s]) {
            open_socket(s, s + 1, NULL, 0);
            open[s] = true;
        } else if (x >> 8 & 3) {
            char text[512];
            size_t at =
                (size_t)snprintf(text, sizeof text, "{\"type\":\"presence_sub\",\"ids\":[\"\"");
            for (unsigned u = 0; u < users; u++) {
                char id[id_text_max + 1] = {0};
                wants[s][u] = x >> (16 + u) & 1;
                id_format(id, ID_USER, 201 + u);
                if (wants[s][u])
                    at += (size_t)snprintf(text + at, sizeof text - at, ",\"%s\"", id);
            }
            snprintf(text + at, sizeof text - at, "]}");
            client(s, WS_TEXT, text);
            end_turn();
        } else {
            close_now(s, ERR_CLOSED);
            open[s] = false;
            memset(wants[s], 0, sizeof wants[s]);
        }
        for (unsigned k = 0; k < 3; k++)
            read_all(k);
        uint32_t watched = 0;
        for (unsigned u = 0; u < users; u++) {
            uint32_t by = 0, want = 0;
            for (uint32_t i = 0; i < w.f->watches.len; i++)
                by += w.f->watches.all[i].uid == 201 + u ? w.f->watches.all[i].by_len : 0;
            for (unsigned k = 0; k < 3; k++)
                want += wants[k][u];
            CHECK_EQ(by, want);
            watched += want > 0;
        }
        CHECK(w.f->watches.len <= users && watched <= w.f->watches.len);
    }
    end();
}
