#include "base/metric.h"

#include "test.h"

TEST(threads_are_summed_in_prometheus_text)
{
    static struct metrics a, b;
    const struct metrics *all[] = {&a, &b};
    static char space[65536];
    struct buf out;
    metric_add(&a, METRIC_POSTS, 3);
    metric_add(&b, METRIC_POSTS, 4);
    metric_set(&a, METRIC_WS_OPEN, 10);
    metric_set(&a, METRIC_WS_OPEN, 9);
    metric_hist(&a, METRIC_HIST_TURN_US, 5);
    metric_hist(&b, METRIC_HIST_TURN_US, 7);
    buf_init_fixed(&out, space, sizeof space - 1);
    metrics_render(all, 2, &out);
    CHECK(!out.failed);
    space[out.len] = '\0';
    CHECK(strstr(space, "# TYPE parley_posts_total counter\nparley_posts_total 7\n") != NULL);
    CHECK(strstr(space, "# TYPE parley_ws_open gauge\nparley_ws_open 9\n") != NULL);
    CHECK(strstr(space, "# TYPE parley_turn_us summary\n") != NULL);
    CHECK(strstr(space, "parley_turn_us{quantile=\"0.5\"} 5\n") != NULL);
    CHECK(strstr(space, "parley_turn_us_sum 12\nparley_turn_us_count 2\n") != NULL);
    CHECK(strstr(space, "parley_commit_us_count 0\n") != NULL);
    /* Every line is a comment or "name value". */
    struct str_view rest = buf_view(&out);
    while (rest.p != NULL && rest.len > 0) {
        struct str_view line = sv_cut(&rest, '\n');
        CHECK(line.len > 0);
        if (line.p[0] == '#')
            continue;
        struct str_view value = line;
        sv_cut(&value, ' ');
        uint64_t v;
        CHECK(sv_to_u64(value, &v));
    }
}
