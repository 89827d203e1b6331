/* Which rows leave, compared with a plain model after random steps. */
#include <math.h>

#include "keeper.h"

/* What the store says that so many rows of dim 2 by sgd in each bucket take, with those that a
 * step bears: a 64th in the mean, and four standard deviations more at worst. */
static int64_t bytes_of(uint32_t rows)
{
    double births = rows / 64., fullest = rows + ceil(births + 4 * sqrt(births));

    return (int64_t)row_store_full_bytes((uint32_t)fullest, KEEPER_DIM);
}

/* The configuration of that limit, and of what else is to be evicted. */
static const char *limit(uint32_t rows, const char *more)
{
    static char text[256];

    snprintf(text, sizeof text, "evict: {max_bytes: %lld%s}", (long long)bytes_of(rows), more);
    return text;
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
    keeper_keep(&(keeper_options){.yaml = limit(2, ""), .max_bytes = bytes_of(2)}, 3000);
}

/* Rows of the buckets 1 and 12 at half a norm above the least one: with penalty: decay they
 * lose an eighth at each step until their bucket is swept, at step 1 and step 12. */
static void a_row_is_as_short_as_it_has_decayed(void **unused)
{
    (void)unused;
    world *w = world_new("tables: {t: {dim: 2, optimizer: sgd, lr: 0.5, init: {kind: uniform}, "
                         "evict: {min_norm: 1}, penalty: {kind: decay, lambda: 0.25}}}\n"
                         "features: {t: {table: t}}\n",
                         1, NULL);
    uint64_t ids[2], n = 0;
    real     x[4], g[4], *at[] = {x}, *gs[] = {g};
    need     both = {2, ids, NULL}, none = {0, ids, NULL};

    for (uint64_t id = 0; n < 2; id++)
        if (hash_bucket(hash_id(w->schema->tables[0].salt, id)) == (n ? 12u : 1u))
            ids[n++] = id;
    world_begin(w, 1, NULL, 0);
    for (uint64_t step = 0; step < 13; step++) {
        const need *now = step ? &none : &both;
        ask(w, WIRE_PULL, 0, step, step, now);
        deliver_all(w);
        take_rows(w, 0, step, now, at);
        for (int i = 0; i < 4; i++)
            g[i] = i % 2 ? 0 : -3; /* 1.5 with the learning rate */
        push(w, 0, step, step + 1, 1, true, now, gs);
        deliver_all(w);
        if (step == 0) {
            assert_int_equal(rows_held_by_all(w, 0), 2);
            read_rows(w, 1, &both, at);
            assert_true(x[0] > (real)1.4 && x[2] > (real)1.4);
        }
    }
    assert_non_null(row_of(w, 0, ids[0]));
    assert_null(row_of(w, 0, ids[1]));
    world_free(w);
}

/* However large the budget: else the store would be full before anything leaves. */
static void no_budget_lets_a_bucket_outgrow_the_store(void **unused)
{
    (void)unused;
    uint64_t rows = eviction_most_rows(INT64_C(1000000000000000), 1);

    assert_true(rows * HASH_BUCKETS < ROW_MOST && rows * HASH_BUCKETS > ROW_MOST / 10 * 9);
}

/* About 128 rows are the limit, a sixty-fourth less are left. */
static void a_bucket_sheds_to_a_little_under_its_limit(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml       = limit(128, ", idle_steps: 3000"),
                                  .buckets    = 64,
                                  .max_bytes  = bytes_of(128),
                                  .idle_steps = 3000,
                                  .staleness  = 4},
                6000);
}

static void rows_that_a_ticket_names_stay(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml       = limit(1, ", idle_steps: 1"),
                                  .max_bytes  = bytes_of(1),
                                  .idle_steps = 1,
                                  .staleness  = 4},
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
                                  .max_bytes  = bytes_of(2),
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
        cmocka_unit_test(a_row_is_as_short_as_it_has_decayed),
        cmocka_unit_test(no_budget_lets_a_bucket_outgrow_the_store),
        cmocka_unit_test(a_bucket_sheds_to_a_little_under_its_limit),
        cmocka_unit_test(rows_that_a_ticket_names_stay),
        cmocka_unit_test(all_reasons_and_admission_go_together),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
