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

/* New ids for ever: three times as many as there is room for. */
static void the_bytes_of_a_table_stay_within_max_bytes(void **unused)
{
    (void)unused;
    enum { N = 4096 };
    const double      most   = 400e6;
    static const char yaml[] = "tables: {t: {dim: 16, evict: {max_bytes: 400M}}}\n"
                               "features: {f: {table: t}}\n";
    uint64_t          ids[N], id = 0, evicted = 0;
    uint32_t          rows[N];
    double            largest = 0;
    arena             scratch = {0};
    config           *c;
    schema           *s;
    table             t;

    must(config_parse(&c, "run.yaml", yaml, sizeof yaml - 1, 0, NULL));
    must(schema_new(&s, c));
    must(table_init(&t, &s->tables[0], 1, NULL, 0, HASH_BUCKETS));
    must(eviction_init(&t));
    for (uint64_t step = 0; id < 3 * (uint64_t)t.most_rows * HASH_BUCKETS; step++) {
        for (int i = 0; i < N; i++)
            ids[i] = id++;
        table_set_clock(&t, step, 0.1);
        must(table_bear(&t, ids, N, rows));
        table_set_clock(&t, step + 1, 0.1);
        must(eviction_apply(&t, NULL, 0, &scratch, &evicted));
        arena_reset(&scratch);
        double bytes = (double)row_store_bytes(t.rows);
        largest      = bytes > largest ? bytes : largest;
        assert_true(bytes <= 1.02 * most);
    }
    print_message("%.1f MB at most of %.1f MB, %llu rows evicted\n", largest * 1e-6,
                  most * 1e-6, (unsigned long long)evicted);
    assert_true(largest > 0.9 * most);
    assert_true(evicted > (uint64_t)t.most_rows * HASH_BUCKETS);
    table_clear(&t);
    arena_clear(&scratch);
    schema_free(&s);
    config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(millions_of_updates_end_as_in_the_model),
        cmocka_unit_test(the_bytes_of_a_table_stay_within_max_bytes),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
