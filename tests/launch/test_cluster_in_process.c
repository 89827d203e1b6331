/* A whole cluster in one process: what the workers learn does not depend on how they are
 * connected to their servers, or to how many. */
#include "cluster.h"

#include <math.h>

#include "common/manifest.h"
#include "tests/folder.h"

/* ---- the claims ---- */

static void rows_are_those_of_the_formula_over_every_kind_of_endpoint(void **unused)
{
    const char  *endpoints[] = {"inproc://shard-%d", abstract_endpoint(), "tcp://127.0.0.1:*"};
    static state got, first;
    static real  plain[IDS][DIM];

    (void)unused;
    plain_by_hand(plain);
    for (int i = 0; i < 3; i++) {
        train_and_read(&got, 2, 0, endpoints[i], NULL);
        assert_memory_equal(got.rows[0], plain, sizeof plain);
        if (i == 0)
            first = got;
        assert_memory_equal(&got, &first, sizeof got);
    }
}

static void the_number_of_shards_does_not_change_a_bit(void **unused)
{
    static state one, many;

    (void)unused;
    train_and_read(&one, 1, 0, "inproc://shard-%d", NULL);
    for (int shards = 2; shards <= 3; shards++) {
        train_and_read(&many, shards, 0, "tcp://127.0.0.1:*", NULL);
        assert_memory_equal(&many, &one, sizeof one);
    }
}

/* Planted gradients do not depend on the rows, so the rows do not on the staleness. */
static void pulls_ahead_are_answered_and_change_nothing(void **unused)
{
    static state sync, pipelined;

    (void)unused;
    train_and_read(&sync, 2, 0, "inproc://shard-%d", NULL);
    train_and_read(&pipelined, 2, 2, "inproc://shard-%d", NULL);
    assert_memory_equal(&pipelined, &sync, sizeof sync);
}

/* Parts of equal size, plain SGD, and numbers whose sums are exact in any order. */
static void pushes_applied_as_they_come_add_up_to_the_formula(void **unused)
{
    static char  option[] = "train.mode=async";
    static state got;
    static real  plain[IDS][DIM];

    (void)unused;
    plain_by_hand(plain);
    for (int staleness = 0; staleness <= 2; staleness += 2) {
        train_and_read(&got, 2, staleness, "tcp://127.0.0.1:*", option);
        assert_memory_equal(got.rows[0], plain, sizeof plain);
    }
}

/* Planted gradients are bf16 as they are, so only the rows that are read at the end were
 * rounded, each once and to the nearest. */
static void bf16_on_the_wire_is_the_rows_rounded_once_on_any_number_of_shards(void **unused)
{
    static char  option[] = "cluster.values=bf16";
    static state exact, got, first;

    (void)unused;
    train_and_read(&exact, 1, 0, "inproc://shard-%d", NULL);
    for (int shards = 1; shards <= 3; shards++) {
        train_and_read(&got, shards, 0, "tcp://127.0.0.1:*", option);
        if (shards == 1)
            first = got;
        assert_memory_equal(&got, &first, sizeof got);
    }
    const real *of = &exact.rows[0][0][0], *is = &got.rows[0][0][0];
    for (int i = 0; i < TABLES * IDS * DIM; i++) {
        float    narrow = (float)is[i];
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof bits);
        assert_int_equal(bits & 0xffff, 0);
        assert_true(fabs((double)is[i] - (double)of[i]) <= fabs((double)of[i]) / 256);
    }
}

static void values_of_another_type_are_refused_on_both_sides(void **unused)
{
    static char option[] = "cluster.values=bf16";
    cluster     c;
    worker      w;
    id_set      sets[TABLES];
    real       *rows[TABLES];
    ps_stats    stats;
    uint64_t    id = 7;

    (void)unused;
    open_cluster_with(&c, 1, "inproc://shard-%d", option);
    c.config->cluster.values = PRECISION_FP32; /* as the client has it, made now */
    must(open_worker(&w, &c, 0));
    c.config->cluster.values = PRECISION_BF16;
    must(ps_begin(w.client, NULL, 0));
    must(make_sets(&w, &id, 1, sets));
    must(ps_pull(w.client, 0, 0, sets));
    assert_int_equal(ps_rows(w.client, 0, sets, rows), ERR_MESSAGE);
    assert_non_null(strstr(err_text(), "table plain: rows of another type"));
    must(ps_gradients(w.client, 0, sets, rows));
    must(ps_push(w.client, 0, 1, &(ps_part){1, 0, true}, sets));
    must(ps_client_stats(w.client, &stats));
    assert_int_equal(stats.dropped, 1);
    close_worker(&w);
    close_cluster(&c);
}

/* Save a trained run of 2 shards into folder and remember its rows. */
static void save_run(const char *folder, state *s)
{
    manifest_file files[3]  = {{.name = "dense.safetensors"}};
    char          nothing[] = "";
    cluster       c;
    worker        zero;

    open_cluster(&c, 2, "tcp://127.0.0.1:*");
    train_cluster(&c, &zero);
    must(read_all(&zero, STEPS, s));
    must(manifest_begin(folder));
    must(ps_save_begin(zero.client, STEPS, -1, folder));
    must(ps_save_end(zero.client, files + 1));
    manifest m = {.step          = STEPS,
                  .shards        = 2,
                  .schema_hash   = c.schema->hash,
                  .real          = REAL_NAME,
                  .configuration = nothing,
                  .n_files       = 3,
                  .files         = files};
    must(manifest_write(folder, &m, c.schema));
    close_worker(&zero);
    close_cluster(&c);
}

static void a_saved_run_comes_back_on_another_number_of_shards(void **unused)
{
    static state saved, restored;
    char         own[64], folder[CONFIG_PATH_MAX];

    (void)unused;
    folder_make(own);
    snprintf(folder, sizeof folder, "%s/step-000000000050", own);
    save_run(folder, &saved);
    for (int shards = 1; shards <= 3; shards++) {
        cluster c;
        worker  zero;
        open_cluster(&c, shards, "inproc://shard-%d");
        must(open_worker(&zero, &c, 0));
        must(ps_begin(zero.client, folder, STEPS));
        must(read_all(&zero, STEPS, &restored));
        assert_memory_equal(&restored, &saved, sizeof saved);
        close_worker(&zero);
        close_cluster(&c);
    }
    folder_remove(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_of_the_formula_over_every_kind_of_endpoint),
        cmocka_unit_test(the_number_of_shards_does_not_change_a_bit),
        cmocka_unit_test(pulls_ahead_are_answered_and_change_nothing),
        cmocka_unit_test(pushes_applied_as_they_come_add_up_to_the_formula),
        cmocka_unit_test(bf16_on_the_wire_is_the_rows_rounded_once_on_any_number_of_shards),
        cmocka_unit_test(values_of_another_type_are_refused_on_both_sides),
        cmocka_unit_test(a_saved_run_comes_back_on_another_number_of_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
