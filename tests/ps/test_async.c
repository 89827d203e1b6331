/* train.mode async: pushes applied as they come. */
#include "harness.h"

static const char yaml[] =
    "tables: {plain: {dim: 1, init: {kind: zero}, optimizer: sgd, lr: 1}}\n"
    "features: {plain: {table: plain}}\n"
    "train: {mode: async, staleness: 2}\n";

static const char leaving[] = "tables: {plain: {dim: 1, init: {kind: zero}, optimizer: sgd, "
                              "lr: 1, evict: {min_norm: 9}}}\n"
                              "features: {plain: {table: plain}}\n"
                              "train: {mode: async}\n";

static const char earned[] =
    "tables: {plain: {dim: 1, init: {kind: zero}, optimizer: sgd, lr: 1,\n"
    "                 admit: {min_count: 2, counter: exact}}}\n"
    "features: {plain: {table: plain}}\n"
    "train: {mode: async}\n";

enum { X = 42, Y = 7 };

static void pull_id(world *w, int worker, uint64_t step, uint64_t version, uint64_t id)
{
    ask(w, WIRE_PULL, worker, step, version, &(need){1, &id, NULL});
    deliver_all(w);
}

/* The answer to a pull: its version; *got is the row. */
static uint64_t rows_of(world *w, int worker, uint64_t step, real *got)
{
    net_message m;
    wire_rows   r;

    expect_answer(w, 0, worker, WIRE_ROWS, step, &m);
    must(wire_decode_rows(&r, &m));
    *got = r.table[0].values[0];
    net_message_clear(&m);
    return r.version;
}

static bool is_answered(world *w, int worker, uint64_t step)
{
    net_message m;
    bool        here = take_answer(w, 0, worker, WIRE_ROWS, step, &m);

    if (here)
        net_message_clear(&m);
    return here;
}

static void push_id(world *w, int worker, uint64_t step, uint64_t id, double gradient,
                    double samples, bool finite)
{
    real  g    = (real)gradient;
    real *at[] = {&g};

    push(w, worker, step, step + 1, samples, finite, &(need){1, &id, NULL}, at);
    deliver_all(w);
}

static real row_at(const world *w, uint64_t id)
{
    const row *r = row_of(w, 0, id);

    assert_non_null(r);
    return r->x[0];
}

static world *open_world(const char *text, int workers, uint64_t step)
{
    world *w = world_new(text, 1, NULL);

    world_begin(w, workers, NULL, step);
    for (int worker = 0; worker < workers; worker++)
        pull_id(w, worker, step, step, X);
    return w;
}

static void a_push_is_seen_before_those_of_others_come(void **unused)
{
    (void)unused;
    world *w = open_world(yaml, 2, 0);
    real   x;

    push_id(w, 0, 0, X, 4, 4, true); /* of 8 samples: the other has as many, so far */
    pull_id(w, 1, 1, 0, X);
    assert_int_equal(rows_of(w, 1, 1, &x), 0);
    assert_true(x == (real)-.5);
    assert_int_equal(shard_clock(w->shards[0]), 0);
    push_id(w, 1, 0, X, 2, 4, true);
    assert_int_equal(shard_clock(w->shards[0]), 1);
    pull_id(w, 0, 1, 0, X);
    assert_int_equal(rows_of(w, 0, 1, &x), 1);
    assert_true(x == (real)-.75);
    world_free(w);
}

static void a_drain_point_waits_for_everybody(void **unused)
{
    (void)unused;
    world *w = open_world(yaml, 2, 0);
    real   x;

    push_id(w, 0, 0, X, 4, 4, true);
    pull_id(w, 0, 1, 1, X);
    assert_false(is_answered(w, 0, 1));
    push_id(w, 1, 0, X, 4, 4, true);
    assert_int_equal(rows_of(w, 0, 1, &x), 1);
    assert_true(x == -1);
    world_free(w);
}

/* By hand: 4 / (4 + 0), then 6 / (2 + 0), then 3 / (2 + 1). */
static void gradients_are_divided_by_the_samples_that_a_step_has(void **unused)
{
    (void)unused;
    world *w = open_world(yaml, 2, 0);

    push_id(w, 1, 0, X, 0, 0, true);
    push_id(w, 0, 0, X, 4, 4, true);
    assert_true(row_at(w, X) == -1);
    pull_id(w, 0, 1, 0, X);
    push_id(w, 0, 1, X, 6, 2, true);
    assert_true(row_at(w, X) == -4);
    pull_id(w, 1, 1, 0, X);
    push_id(w, 1, 1, X, 3, 1, true);
    assert_true(row_at(w, X) == -5);
    world_free(w);
}

static void a_push_that_is_not_finite_is_left_out_alone(void **unused)
{
    (void)unused;
    world *w = open_world(yaml, 2, 0);

    push_id(w, 0, 0, X, 4, 4, false);
    assert_null(row_of(w, 0, X));
    push_id(w, 1, 0, X, 4, 4, true);
    assert_true(row_at(w, X) == (real)-.5);
    assert_int_equal(shard_clock(w->shards[0]), 1);
    world_free(w);
}

static void a_row_is_touched_by_the_front(void **unused)
{
    (void)unused;
    world *w = open_world(yaml, 2, 0);

    push_id(w, 0, 0, X, 4, 4, true);
    assert_int_equal(row_of(w, 0, X)->touched, 1);
    pull_id(w, 0, 1, 0, Y);
    push_id(w, 0, 1, Y, 4, 4, true);
    push_id(w, 1, 0, X, 4, 4, true); /* the step before, but later */
    assert_int_equal(row_of(w, 0, X)->touched, 2);
    assert_true(row_at(w, X) == -1);
    world_free(w);
}

static void a_repeated_pull_gets_the_same_bytes_and_an_old_one_none(void **unused)
{
    (void)unused;
    world *w = open_world(yaml, 2, 0);
    real   before, again;

    rows_of(w, 1, 0, &before);
    push_id(w, 0, 0, X, 4, 4, true);
    pull_id(w, 1, 0, 0, X);
    rows_of(w, 1, 0, &again);
    assert_true(before == 0 && again == 0);
    assert_int_equal(dropped_by_all(w), 0);
    push_id(w, 0, 0, X, 4, 4, true); /* once more */
    pull_id(w, 0, 0, 0, X);          /* applied, but not by all */
    assert_int_equal(dropped_by_all(w), 2);
    assert_true(row_at(w, X) == (real)-.5);
    world_free(w);
}

/* Who runs ahead of a push that was lost is answered once it came. */
static void a_pull_too_far_ahead_of_a_lost_push_is_dropped_and_may_come_again(void **unused)
{
    (void)unused;
    world *w = open_world(yaml, 2, 0);
    real   x;

    for (uint64_t step = 0; step < TICKETS; step++) {
        if (step > 0)
            pull_id(w, 0, step, 0, X);
        push_id(w, 0, step, X, 1, 4, true);
    }
    pull_id(w, 0, TICKETS, 0, X);
    assert_false(is_answered(w, 0, TICKETS));
    assert_int_equal(dropped_by_all(w), 1);
    push_id(w, 1, 0, X, 1, 4, true);
    pull_id(w, 0, TICKETS, 0, X);
    assert_int_equal(rows_of(w, 0, TICKETS, &x), 1);
    world_free(w);
}

/* The sweep of bucket b comes with the first push of step b. */
static void rows_that_a_ticket_names_stay(void **unused)
{
    (void)unused;
    for (int held = 0; held < 2; held++) {
        world   *w      = world_new(leaving, 1, NULL);
        uint64_t bucket = hash_bucket(hash_id(w->schema->tables[0].salt, X));
        assert_true(bucket > 0);
        world_free(w);
        w = open_world(leaving, 2, bucket - 1);
        push_id(w, 0, bucket - 1, X, 4, 4, true);
        push_id(w, 1, bucket - 1, X, 4, 4, true);
        pull_id(w, 0, bucket, bucket, Y);
        pull_id(w, 1, bucket, bucket, held ? X : Y);
        push_id(w, 0, bucket, Y, 4, 4, true);
        assert_true(!row_of(w, 0, X) == !held);
        push_id(w, 1, bucket, held ? X : Y, 4, 4, true);
        assert_true(!held || row_at(w, X) == (real)-1.5);
        world_free(w);
    }
}

static void an_id_is_admitted_by_what_pushes_count_together(void **unused)
{
    (void)unused;
    world *w = open_world(earned, 2, 0);

    push_id(w, 0, 0, X, 4, 4, true);
    assert_null(row_of(w, 0, X));
    pull_id(w, 0, 1, 0, X); /* answered before the id has a row */
    push_id(w, 1, 0, X, 4, 4, true);
    assert_true(row_at(w, X) == 0); /* as it is born */
    assert_int_equal(row_of(w, 0, X)->count, 2);
    push_id(w, 0, 1, X, 4, 4, true);
    assert_true(row_at(w, X) == 0); /* of a pull without the row: dropped, but counted */
    assert_int_equal(row_of(w, 0, X)->count, 3);
    pull_id(w, 1, 1, 0, X);
    push_id(w, 1, 1, X, 4, 4, true);
    assert_true(row_at(w, X) == (real)-.5);
    world_free(w);
}

/* ---- a game: workers that pull ahead, letters that come late and twice ---- */

enum { WORKERS = 4, STEPS = 60, AHEAD = 2, IDS = 12 };

static uint64_t id_of(int worker, uint64_t step)
{
    rng r = rng_named(3, RNG_TEST, (uint64_t)worker, step);

    return rng_below(&r, IDS);
}

/* Whole numbers, of steps of 4 workers with 2 samples: sums are exact in any order. */
static double gradient_of(int worker, uint64_t step)
{
    return (double)((step * 5 + (uint64_t)worker) % 9) - 4;
}

static void whatever_the_post_does_each_push_counts_once(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 20; seed++) {
        rng      chance          = rng_named(seed, RNG_TEST, 0, 0);
        world   *w               = world_new(yaml, 1, NULL);
        uint64_t pulled[WORKERS] = {0}, pushed[WORKERS] = {0};
        double   sum[IDS] = {0};
        world_begin(w, WORKERS, NULL, 0);
        for (int turn = 0; shard_clock(w->shards[0]) < STEPS; turn++) {
            assert_true(turn < 100000);
            for (int k = 0; k < WORKERS; k++) {
                uint64_t id;
                for (; pulled[k] < STEPS && pulled[k] <= pushed[k] + AHEAD; pulled[k]++) {
                    id = id_of(k, pulled[k]);
                    ask(w, WIRE_PULL, k, pulled[k], 0, &(need){1, &id, NULL});
                }
                if (pushed[k] == STEPS || !is_answered(w, k, pushed[k]))
                    continue;
                real g = (real)gradient_of(k, pushed[k]), *at[] = {&g};
                id = id_of(k, pushed[k]);
                sum[id] -= (double)g / 8;
                push(w, k, pushed[k], pulled[k], 2, true, &(need){1, &id, NULL}, at);
                pushed[k]++;
            }
            if (w->questions.n)
                deliver(w, rng_below(&chance, w->questions.n),
                        1 + (rng_below(&chance, 4) == 0));
        }
        for (uint64_t id = 0; id < IDS; id++)
            assert_true((double)row_at(w, id) == sum[id]);
        world_free(w);
    }
}

static int quiet(void **unused)
{
    (void)unused;
    log_threshold(LOG_ERROR); /* drops are meant here */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_push_is_seen_before_those_of_others_come),
        cmocka_unit_test(a_drain_point_waits_for_everybody),
        cmocka_unit_test(gradients_are_divided_by_the_samples_that_a_step_has),
        cmocka_unit_test(a_push_that_is_not_finite_is_left_out_alone),
        cmocka_unit_test(a_row_is_touched_by_the_front),
        cmocka_unit_test(a_repeated_pull_gets_the_same_bytes_and_an_old_one_none),
        cmocka_unit_test(a_pull_too_far_ahead_of_a_lost_push_is_dropped_and_may_come_again),
        cmocka_unit_test(rows_that_a_ticket_names_stay),
        cmocka_unit_test(an_id_is_admitted_by_what_pushes_count_together),
        cmocka_unit_test(whatever_the_post_does_each_push_counts_once),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
