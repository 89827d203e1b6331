/* Which rows leave, compared with a plain model after random steps. */
#include "keeper.h"

/* A row of dim 2 by sgd: 2 reals and 22 bytes, in each of 4,096 buckets. */
static const char *limit(uint32_t rows, const char *more)
{
    static char text[4][256];
    static int  turn;

    turn = (turn + 1) % 4;
    snprintf(text[turn], sizeof text[turn], "evict: {max_bytes: %zu%s}%s",
             rows * (KEEPER_DIM * sizeof(real) + 22) * HASH_BUCKETS, *more == ',' ? more : "",
             *more == ',' ? "" : more);
    return text[turn];
}

static void rows_idle_for_steps_leave_with_their_bucket(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml = "evict: {idle_steps: 300}", .idle_steps = 300}, 5000);
}

static void rows_idle_for_days_leave_with_their_bucket(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml = "evict: {idle_days: 3}", .idle_days = 3}, 5000);
}

static void rows_shorter_than_min_norm_leave_with_their_bucket(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml = "evict: {min_norm: 0.5}", .min_norm = 0.5}, 5000);
}

static void the_longest_untouched_leave_a_full_bucket(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml = limit(2, ""), .rows = 2}, 3000);
}

/* 128 rows are the limit, 126 are left. */
static void a_bucket_sheds_to_a_little_under_its_limit(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml       = limit(128, ", idle_steps: 3000"),
                                  .buckets    = 64,
                                  .rows       = 128,
                                  .spare      = 2,
                                  .idle_steps = 3000,
                                  .staleness  = 4},
                6000);
}

static void rows_that_a_ticket_names_stay(void **unused)
{
    (void)unused;
    keeper_keep(
        &(keeper_options){
            .yaml = limit(1, ", idle_steps: 1"), .rows = 1, .idle_steps = 1, .staleness = 4},
        3000);
}

static void all_reasons_and_admission_go_together(void **unused)
{
    (void)unused;
    static char yaml[320];

    snprintf(yaml, sizeof yaml, "%s, admit: {min_count: 2, counter: exact}",
             limit(2, ", idle_steps: 500, idle_days: 5, min_norm: 0.3"));
    keeper_keep(&(keeper_options){.yaml       = yaml,
                                  .exact      = true,
                                  .min_count  = 2,
                                  .rows       = 2,
                                  .idle_steps = 500,
                                  .idle_days  = 5,
                                  .min_norm   = 0.3,
                                  .staleness  = 4},
                4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_idle_for_steps_leave_with_their_bucket),
        cmocka_unit_test(rows_idle_for_days_leave_with_their_bucket),
        cmocka_unit_test(rows_shorter_than_min_norm_leave_with_their_bucket),
        cmocka_unit_test(the_longest_untouched_leave_a_full_bucket),
        cmocka_unit_test(a_bucket_sheds_to_a_little_under_its_limit),
        cmocka_unit_test(rows_that_a_ticket_names_stay),
        cmocka_unit_test(all_reasons_and_admission_go_together),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
