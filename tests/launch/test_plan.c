/* dips plan: what a run will need, against closed forms. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "launch/plan/plan.h"

/* Two tables, one of them bf16; no data. A sample looks up 1 user and 1 + 9 goods. */
static const char yaml[] = "tables:\n"
                           "  user:  {dim: 6, optimizer: adam}\n"
                           "  goods: {dim: 12, precision: bf16}\n"
                           "features:\n"
                           "  user:  {table: user}\n"
                           "  goods: {table: goods}\n"
                           "  history: {columns: {goods: {table: goods}}, max_len: 9}\n"
                           "model:\n"
                           "  kind: base\n"
                           "  profile: [user]\n"
                           "  candidate: [goods]\n"
                           "  history: history\n"
                           "  mlp: {units: [20, 10], activation: relu}\n"
                           "data: {train: nowhere-*.safetensors}\n"
                           "train: {batch: 100}\n"
                           "cluster: {servers: 4, workers: 2}\n"
                           "checkpoint: {keep: 3}\n";

typedef struct room {
    config  *config;
    schema  *schema;
    uint64_t ids[2];
    plan     plan;
} room;

static void open_room(room *r, int n, char *const *words)
{
    *r = (room){.ids = {1000000, 3000000}};
    assert_int_equal(config_parse(&r->config, "run.yaml", yaml, strlen(yaml), n, words), OK);
    assert_int_equal(schema_new(&r->schema, r->config), OK);
}

static void close_room(room *r)
{
    schema_free(&r->schema);
    config_free(&r->config);
}

static err_t make(room *r, double memory)
{
    const plan_options o = {.config  = r->config,
                            .schema  = r->schema,
                            .ids     = r->ids,
                            .servers = r->config->cluster.servers,
                            .memory  = memory,
                            .network = 1e9,
                            .disk    = 1e8};
    return plan_make(&r->plan, &o, 0.5);
}

static void a_row_is_its_weights_its_state_and_at_most_24_bytes(void **unused)
{
    (void)unused;
    room r;

    open_room(&r, 0, NULL);
    r.ids[0] = 20000000; /* of fewer ids a larger part is begun and not full */
    r.ids[1] = 200000000;
    assert_int_equal(make(&r, 0), OK);
    const plan_table *user = &r.plan.tables[0], *goods = &r.plan.tables[1];
    assert_float_equal(user->weights, 6 * sizeof(real), 0);
    assert_float_equal(user->state, (6 + 6 + 1) * sizeof(real), 0); /* m, v, step */
    assert_float_equal(goods->weights, 12 * 2, 0);
    assert_float_equal(goods->state, sizeof(real), 0);
    for (int t = 0; t < 2; t++) {
        const plan_table *one = &r.plan.tables[t];
        assert_true(one->overhead > 16 && one->overhead <= 24);
        assert_float_equal(one->memory,
                           (one->weights + one->state + one->overhead) * (double)r.ids[t], 1);
    }
    close_room(&r);
}

/* id 8, count 4, touched 4, weights, state; 4,097 offsets of buckets per table and shard. */
static void a_checkpoint_is_the_rows_without_the_index(void **unused)
{
    (void)unused;
    room   r;
    double users = 16 + 19 * sizeof(real), goods = 16 + 24 + sizeof(real);

    open_room(&r, 0, NULL);
    assert_int_equal(make(&r, 0), OK);
    double rows    = 1e6 * users + 3e6 * goods;
    double offsets = 2 * 4 * 4097 * 8;
    assert_float_equal(r.plan.all.file, rows + offsets, 1e-3 * rows);
    assert_float_equal(r.plan.shard_file, (rows + offsets) / 4, 1e-3 * rows);
    assert_float_equal(r.plan.kept, 3 * r.plan.checkpoint, 1);
    assert_float_equal(plan_checkpoint_s(&r.plan), rows / 4 / 1e8, 0.01);
    close_room(&r);
}

/* A worker's part is 50 samples: 50 users and 500 goods of which half are distinct, so 25 and
 * 250, spread over 4 shards: ids of 8 bytes with counts of 4, and rows and gradients of dim
 * reals. Besides these a message has a header and a few words for each table. */
static void a_step_sends_its_ids_rows_and_gradients(void **unused)
{
    (void)unused;
    room   r;
    double user = 6, goods = 63; /* of a shard, rounded: 25 / 4 and 250 / 4 */
    double ids = 4 * 12 * (user + goods), values = 4 * sizeof(real) * (6 * user + 12 * goods);
    double heads = 4 * 128; /* at most */

    open_room(&r, 0, NULL);
    assert_int_equal(make(&r, 0), OK);
    assert_float_equal(r.plan.step.samples, 50, 0);
    assert_float_equal(r.plan.step.tables[1].looked_up, 500, 0);
    assert_float_equal(r.plan.step.tables[1].distinct, 250, 0);
    assert_in_range((int)(r.plan.step.pull - ids), 1, (int)heads);
    assert_in_range((int)(r.plan.step.rows - values), 1, (int)heads);
    assert_in_range((int)(r.plan.step.push - values), 1, (int)heads);
    double busy = r.plan.step.pull + r.plan.step.push;
    assert_float_equal(plan_worker_wire_s(&r.plan), busy / 1e9, 1e-12);
    assert_float_equal(plan_server_wire_s(&r.plan), busy * 2 / 4 / 1e9, 1e-12);
    close_room(&r);
}

/* user 6, goods 12, history 12 (goods pooled) go into 20, 10 and 1 units. */
static void the_all_reduce_carries_every_dense_weight(void **unused)
{
    (void)unused;
    room   r;
    double weights = (6 + 12 + 12) * 20 + 20 + 20 * 10 + 10 + 10 + 1;

    open_room(&r, 0, NULL);
    assert_int_equal(make(&r, 0), OK);
    assert_float_equal(r.plan.step.weights, weights, 0);
    assert_float_equal(r.plan.step.reduced, weights * sizeof(real), 0);
    /* Adam: w, g, m, v and a step for each of 6 tensors */
    assert_float_equal(r.plan.step.dense, (4 * weights + 6) * sizeof(real), 0);
    close_room(&r);
}

static void servers_are_as_many_as_hold_the_rows(void **unused)
{
    (void)unused;
    room r;

    open_room(&r, 0, NULL);
    assert_int_equal(make(&r, 0), OK);
    double all = r.plan.all.memory, fixed = r.plan.server - r.plan.server_rows;
    assert_float_equal(r.plan.servers_needed, 0, 0);
    assert_int_equal(make(&r, all / 7 + fixed), OK);
    assert_float_equal(r.plan.servers_needed, 7, 0);
    assert_int_equal(make(&r, all + 4 * fixed), OK);
    assert_float_equal(r.plan.servers_needed, 1, 0);
    assert_int_equal(make(&r, 1000), OK); /* less than a process without any row */
    assert_float_equal(r.plan.servers_needed, 0, 0);
    close_room(&r);
}

static void the_fullest_shard_has_whole_buckets(void **unused)
{
    (void)unused;
    room        r;
    char *const words[] = {"cluster.servers=3"};

    open_room(&r, 1, words);
    assert_int_equal(make(&r, 0), OK);
    assert_float_equal(r.plan.largest, 1366.0 / 4096, 1e-12); /* 1365, 1365 and 1366 */
    close_room(&r);
}

/* As many rows in each bucket as the store has room for within max_bytes, but for those that a
 * step may bear before others leave (ps/eviction.h): some of the 130 to 200 here. */
static void max_bytes_bounds_the_rows(void **unused)
{
    (void)unused;
    room        r;
    char *const words[] = {"tables.goods.evict.max_bytes=81920000"};

    open_room(&r, 1, words);
    assert_int_equal(make(&r, 0), OK);
    assert_int_equal(r.plan.tables[1].ids, 3000000);
    assert_int_equal(r.plan.tables[1].rows % 4096, 0);
    assert_true(r.plan.tables[1].rows < 3000000);
    assert_int_equal(r.plan.all.ids, 4000000);
    assert_true(r.plan.tables[1].memory <= 81920000);
    assert_true(r.plan.tables[1].memory > 0.92 * 81920000);
    close_room(&r);
}

/* A Bloom filter of rate 1 % has -ln 0.01 / ln(2)^2 = 9.6 cells an id, here of 2 bits. */
static void a_sketch_is_memory_and_file(void **unused)
{
    (void)unused;
    room        r;
    char *const words[] = {
        "tables.goods.admit.min_count=3", "tables.goods.admit.counter=sketch",
        "tables.goods.admit.false_positive=0.01", "tables.goods.admit.expected_ids=20000000"};
    double bytes = 20e6 * 9.6 * 2 / 8, without;

    open_room(&r, 0, NULL);
    assert_int_equal(make(&r, 0), OK);
    without = r.plan.checkpoint;
    close_room(&r);
    open_room(&r, 4, words);
    assert_int_equal(make(&r, 0), OK);
    assert_float_equal(r.plan.tables[1].sketch, bytes, 0.05 * bytes);
    assert_float_equal(r.plan.checkpoint - without, r.plan.tables[1].sketch,
                       64); /* cmocka compares floats */
    assert_float_equal(r.plan.server_sketches, r.plan.tables[1].sketch / 4, 64);
    close_room(&r);
}

/* 2 workers of 25 + 250 distinct ids on 4 servers, a fifth of them new; both ways, the link of
 * a server carries the larger. */
static void the_pace_is_that_of_the_step_it_has_rehearsed(void **unused)
{
    (void)unused;
    room              r;
    const pace_costs *k = &pace_usual_costs;

    open_room(&r, 0, NULL);
    plan_options o = {.config  = r.config,
                      .schema  = r.schema,
                      .ids     = r.ids,
                      .servers = 4,
                      .births  = 0.2,
                      .network = 1e9,
                      .latency = 1e-3};
    assert_int_equal(plan_make(&r.plan, &o, 0.5), OK);
    const pace *p = &r.plan.pace;
    assert_true(r.plan.step.arithmetic_s > 0 && r.plan.step.reading_s > 0);
    assert_float_equal(p->part[PACE_READER], r.plan.step.reading_s, 0);
    assert_true(p->compute > r.plan.step.arithmetic_s);
    double shard = 2 * (k->server_message + (k->server_row * 275 + k->server_birth * 55) / 4);
    assert_float_equal(p->part[PACE_SHARD], shard, 1e-9);
    assert_float_equal(p->part[PACE_SERVER_LINK], plan_server_wire_s(&r.plan), 1e-12);
    assert_int_equal(p->largest, PACE_CHAIN); /* sync, and three milliseconds on the way */
    assert_true(p->step > 3e-3);
    assert_float_equal(p->samples_per_s, 100 / p->step, 1e-2);
    close_room(&r);
}

static void what_it_cannot_know_is_asked_for(void **unused)
{
    (void)unused;
    room        r;
    char *const words[] = {"features.history.max_len=0"};

    open_room(&r, 1, words);
    assert_int_equal(make(&r, 0), ERR_CONFIG);
    assert_non_null(strstr(err_text(), "features.history has no max_len"));
    close_room(&r);
}

/* Without data and without a word of the user: a step as large as it can be. */
static void all_ids_of_a_step_are_distinct_where_nobody_knows(void **unused)
{
    (void)unused;
    room r;

    open_room(&r, 0, NULL);
    plan_options o = {.config = r.config, .schema = r.schema, .ids = r.ids, .servers = 1};
    assert_int_equal(plan_make(&r.plan, &o, 0), OK);
    assert_false(r.plan.step.distinct_told);
    for (int t = 0; t < r.schema->n_tables; t++)
        assert_float_equal(r.plan.step.tables[t].distinct, r.plan.step.tables[t].looked_up, 0);
    close_room(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_its_weights_its_state_and_at_most_24_bytes),
        cmocka_unit_test(a_checkpoint_is_the_rows_without_the_index),
        cmocka_unit_test(a_step_sends_its_ids_rows_and_gradients),
        cmocka_unit_test(the_all_reduce_carries_every_dense_weight),
        cmocka_unit_test(servers_are_as_many_as_hold_the_rows),
        cmocka_unit_test(the_fullest_shard_has_whole_buckets),
        cmocka_unit_test(max_bytes_bounds_the_rows),
        cmocka_unit_test(a_sketch_is_memory_and_file),
        cmocka_unit_test(the_pace_is_that_of_the_step_it_has_rehearsed),
        cmocka_unit_test(what_it_cannot_know_is_asked_for),
        cmocka_unit_test(all_ids_of_a_step_are_distinct_where_nobody_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
