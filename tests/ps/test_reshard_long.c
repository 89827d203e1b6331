/* Millions of random operations on tables that move from one number of shards to another, and
 * a plain map that knows what every row must be. */
#include "harness.h"

#define IDS        (1 << 18) /* that may have a row */
#define ROUNDS     32
#define OPERATIONS 100000 /* of a round and table */
#define REALS_MOST 16

static const char yaml[] = "tables:\n"
                           "  goods: {dim: 4, optimizer: adam}\n"
                           "  shop:  {dim: 8, precision: bf16}\n"
                           "features: {goods: {table: goods}, shop: {table: shop}}\n";

enum { TABLES = 2 };

/* What the row of id number i must be. */
typedef struct known {
    bool     there;
    uint32_t count, touched;
    real     x[REALS_MOST];
} known;

typedef struct shards {
    int      n;
    uint32_t first_bucket[SHARDS_MOST + 1];
    table    tables[SHARDS_MOST][TABLES];
} shards;

static config *configuration;
static schema *tables;
static known  *model[TABLES]; /* (IDS) */

/* Ids small and large, close and far apart. */
static uint64_t id_of(uint32_t i)
{
    return i % 2 ? hash_mix(i) : (uint64_t)i << (i % 3 * 16);
}

static size_t reals_of(int t)
{
    const table_config *c     = tables->tables[t].config;
    size_t              width = c->precision == PRECISION_BF16 ? 2 : sizeof(real);

    return (size_t)c->dim * width / sizeof(real) +
           optim_state_size(c->optimizer.kind, (size_t)c->dim);
}

/* Shards with buckets as this program places them, or with the borders drawn by lot. */
static void make_shards(shards *s, int n, bool evenly, rng *r)
{
    s->n = n;
    for (int k = 0; k <= n; k++)
        s->first_bucket[k] = hash_first_bucket(k, n);
    for (int k = 1; !evenly && k < n; k++)
        s->first_bucket[k] = s->first_bucket[k - 1] +
                             (uint32_t)rng_below(r, HASH_BUCKETS + 1 - s->first_bucket[k - 1]);
    for (int k = 0; k < n; k++)
        for (int t = 0; t < TABLES; t++)
            must(table_init(&s->tables[k][t], &tables->tables[t], 1, NULL, s->first_bucket[k],
                            s->first_bucket[k + 1]));
}

static void drop_shards(shards *s)
{
    for (int k = 0; k < s->n; k++)
        for (int t = 0; t < TABLES; t++)
            table_clear(&s->tables[k][t]);
}

static row_store *store_of(const shards *s, int t, uint64_t id)
{
    uint32_t bucket = hash_bucket(hash_id(tables->tables[t].salt, id));
    int      k      = 0;

    while (bucket >= s->first_bucket[k + 1])
        k++;
    return s->tables[k][t].rows;
}

/* Insert, update or remove the row of an id drawn by lot; in the model too. */
static void operate(const shards *s, int t, rng *r)
{
    uint32_t   i    = (uint32_t)rng_below(r, IDS), number;
    uint64_t   id   = id_of(i);
    known     *k    = &model[t][i];
    row_store *rows = store_of(s, t, id);

    if (rng_below(r, 4) == 0) {
        row_store_find(rows, &id, 1, &number);
        assert_true((number != ROW_NONE) == k->there);
        if (k->there)
            row_store_remove(rows, number);
        k->there = false;
        return;
    }
    must(row_store_insert(rows, &id, 1, &number));
    row *x = row_store_at(rows, number);
    assert_true(k->there || (x->count == 0 && x->touched == 0 && x->x[0] == 0));
    k->there   = true;
    k->count   = (uint32_t)rng_next(r);
    k->touched = (uint32_t)rng_next(r);
    for (size_t d = 0; d < reals_of(t); d++)
        k->x[d] = (real)rng_uniform(r);
    x->count   = k->count;
    x->touched = k->touched;
    memcpy(x->x, k->x, reals_of(t) * sizeof(real));
}

static void expect_model(const shards *s, int t)
{
    uint64_t there = 0, held = 0;

    for (uint32_t i = 0; i < IDS; i++) {
        uint64_t         id   = id_of(i);
        const row_store *rows = store_of(s, t, id);
        const known     *k    = &model[t][i];
        uint32_t         number;
        row_store_find(rows, &id, 1, &number);
        assert_true((number != ROW_NONE) == k->there);
        there += k->there;
        if (!k->there)
            continue;
        const row *x = row_store_at(rows, number);
        assert_true(x->id == id);
        assert_int_equal(x->count, k->count);
        assert_int_equal(x->touched, k->touched);
        assert_memory_equal(x->x, k->x, reals_of(t) * sizeof(real));
    }
    for (int k = 0; k < s->n; k++)
        held += row_store_count(s->tables[k][t].rows);
    assert_true(held == there);
}

/* Write the cut of s and read it into other shards. */
static void move(shards *s, shards *to, int n, rng *r)
{
    safetensors_digest digest;

    for (int k = 0; k < s->n; k++)
        must(snapshot_write(room, k, s->n, s->tables[k], TABLES, &digest));
    make_shards(to, n, rng_below(r, 2) == 0, r);
    for (int k = 0; k < to->n; k++)
        must(snapshot_read(room, UINT32_MAX, s->n, s->first_bucket, to->tables[k], TABLES));
    drop_shards(s);
}

static void rows_outlive_any_moves_between_shards(void **unused)
{
    (void)unused;
    static shards here[2];
    rng           r = rng_named(11, RNG_TEST, 0, 0);

    must(config_parse(&configuration, "run.yaml", yaml, strlen(yaml), 0, NULL));
    must(schema_new(&tables, configuration));
    for (int t = 0; t < TABLES; t++) {
        model[t] = calloc(IDS, sizeof *model[t]);
        assert_non_null(model[t]);
        assert_true(reals_of(t) <= REALS_MOST);
    }
    make_shards(&here[0], 1, true, &r);
    for (int round = 0; round < ROUNDS; round++) {
        shards *now = &here[round % 2], *next = &here[(round + 1) % 2];
        for (int t = 0; t < TABLES; t++)
            for (int i = 0; i < OPERATIONS; i++)
                operate(now, t, &r);
        move(now, next, 1 + (round * 3 + 1) % SHARDS_MOST, &r);
        for (int t = 0; t < TABLES; t++)
            expect_model(next, t);
    }
    drop_shards(&here[ROUNDS % 2]);
    for (int t = 0; t < TABLES; t++)
        free(model[t]);
    schema_free(&tables);
    config_free(&configuration);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_outlive_any_moves_between_shards),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
