/* Eviction and admission over millions of updates, and max_bytes by the store's real bytes. */
#include "keeper.h"

static void millions_of_updates_end_as_in_the_model(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml =
                                      "evict: {max_bytes: 1M, idle_steps: 2000, idle_days: 20, "
                                      "min_norm: 0.3}, admit: {min_count: 3, counter: exact}",
                                  .exact      = true,
                                  .min_count  = 3,
                                  .max_bytes  = 1000000,
                                  .idle_steps = 2000,
                                  .idle_days  = 20,
                                  .min_norm   = 0.3,
                                  .staleness  = 4},
                40000);
}

/* New ids for ever, until as many have left as there is room for, with memory made ready
 * as a server does between messages: the largest that the table becomes, of max_bytes. */
static double most_of_budget(double budget, int dim)
{
    enum { N = 8192 };
    uint64_t ids[N], id = 0, evicted = 0;
    uint32_t rows[N];
    double   largest = 0;
    arena    scratch = {0};
    char     yaml[256];
    config  *c;
    schema  *s;
    table    t;

    int length = snprintf(yaml, sizeof yaml,
                          "tables: {t: {dim: %d, evict: {max_bytes: %.0f}}}\n"
                          "features: {f: {table: t}}\n",
                          dim, budget);
    must(config_parse(&c, "run.yaml", yaml, (size_t)length, 0, NULL));
    must(schema_new(&s, c));
    must(table_init(&t, &s->tables[0], 1, NULL, 0, HASH_BUCKETS));
    must(eviction_init(&t));
    for (uint64_t step = 0; evicted < (uint64_t)t.most_rows * HASH_BUCKETS; step++) {
        for (int i = 0; i < N; i++)
            ids[i] = id++;
        table_set_clock(&t, step, 0.1);
        must(table_bear(&t, ids, N, rows));
        table_set_clock(&t, step + 1, 0.1);
        must(eviction_apply(&t, NULL, 0, &scratch, &evicted));
        arena_reset(&scratch);
        while (row_store_prefault(t.rows))
            ;
        double bytes = (double)row_store_bytes(t.rows);
        largest      = bytes > largest ? bytes : largest;
    }
    print_message("dim %2d, %8.0f rows: %.1f MB at most of %.1f MB\n", dim,
                  (double)row_store_count(t.rows), largest * 1e-6, budget * 1e-6);
    table_clear(&t);
    arena_clear(&scratch);
    schema_free(&s);
    config_free(&c);
    return largest / budget;
}

static void the_bytes_of_a_table_stay_within_max_bytes(void **unused)
{
    (void)unused;
    for (int dim = 4; dim <= 16; dim *= 4)
        for (double budget = 150e6; budget < 400e6; budget *= 2.3) {
            double most = most_of_budget(budget, dim);
            assert_true(most <= 1.02);
            assert_true(most > 0.9);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(millions_of_updates_end_as_in_the_model),
        cmocka_unit_test(the_bytes_of_a_table_stay_within_max_bytes),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
