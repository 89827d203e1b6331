#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/hash.h"
#include "common/rng.h"
#include "ps/row_store.h"

#define SALT  UINT64_C(0x1234567890abcdef)
#define REALS 5

static row_store *make(void)
{
    row_store *s = NULL;

    assert_int_equal(row_store_new(&s, SALT, REALS), OK);
    return s;
}

/* The id whose hash is h: hash_mix turned round. */
static uint64_t id_of_hash(uint64_t h)
{
    h ^= h >> 31 ^ h >> 62;
    h *= UINT64_C(0x319642b2d24d8ec3);
    h ^= h >> 27 ^ h >> 54;
    h *= UINT64_C(0x96de1b173f119089);
    h ^= h >> 30 ^ h >> 60;
    return h ^ SALT;
}

static uint32_t find_one(const row_store *s, uint64_t id)
{
    uint32_t number;

    row_store_find(s, &id, 1, &number);
    return number;
}

static uint32_t insert_one(row_store *s, uint64_t id)
{
    uint32_t number;

    assert_int_equal(row_store_insert(s, &id, 1, &number), OK);
    return number;
}

static void every_id_is_legal(void **unused)
{
    (void)unused;
    row_store     *s     = make();
    const uint64_t ids[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, SALT, ~SALT, UINT64_C(1) << 63};
    size_t         n     = sizeof ids / sizeof *ids;
    uint32_t       rows[7], found[7];

    row_store_find(s, ids, n, found);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(found[i], ROW_NONE);
    assert_int_equal(row_store_insert(s, ids, n, rows), OK);
    row_store_find(s, ids, n, found);
    assert_memory_equal(found, rows, sizeof rows);
    for (size_t i = 0; i < n; i++)
        assert_true(row_store_at(s, rows[i])->id == ids[i]);
    assert_int_equal(row_store_count(s), n);
    row_store_free(&s);
}

static void an_id_twice_in_a_batch_gets_one_row(void **unused)
{
    (void)unused;
    row_store     *s     = make();
    const uint64_t ids[] = {7, 9, 7, 7, 9};
    uint32_t       rows[5];

    assert_int_equal(row_store_insert(s, ids, 5, rows), OK);
    assert_int_equal(row_store_count(s), 2);
    assert_true(rows[0] == rows[2] && rows[0] == rows[3] && rows[1] == rows[4]);
    assert_true(rows[0] != rows[1]);
    row_store_free(&s);
}

static void a_place_that_is_used_again_starts_from_zero(void **unused)
{
    (void)unused;
    row_store *s     = make();
    uint32_t   first = insert_one(s, 1);
    row       *r     = row_store_at(s, first);

    r->count = r->touched = 5;
    r->x[REALS - 1]       = 3;
    row_store_remove(s, first);
    assert_int_equal(find_one(s, 1), ROW_NONE);
    uint64_t other = id_of_hash(hash_id(SALT, 1) ^ 0xf00d); /* of the same bucket */
    assert_int_equal(insert_one(s, other), first);
    assert_true(r->id == other && r->count == 0 && r->touched == 0 && r->x[REALS - 1] == 0);
    row_store_free(&s);
}

/* The index cannot tell these ids apart: one home, one fingerprint, one filter bit. */
static void ids_that_share_a_home_and_a_fingerprint_are_told_apart(void **unused)
{
    (void)unused;
    enum { N = 1000 };
    row_store *s = make();

    for (uint64_t i = 0; i < N; i++)
        insert_one(s, id_of_hash(UINT64_C(0xabc) << 52 | i << 13 | 0x17));
    for (uint64_t i = 0; i < N; i += 2)
        row_store_remove(s, find_one(s, id_of_hash(UINT64_C(0xabc) << 52 | i << 13 | 0x17)));
    for (uint64_t i = 0; i < N; i++) {
        uint64_t id     = id_of_hash(UINT64_C(0xabc) << 52 | i << 13 | 0x17);
        uint32_t number = find_one(s, id);
        assert_int_equal(number != ROW_NONE, i % 2);
        if (number != ROW_NONE)
            assert_true(row_store_at(s, number)->id == id);
    }
    assert_int_equal(row_store_count(s), N / 2);
    row_store_free(&s);
}

static void a_bucket_that_is_filled_and_emptied_for_ever_does_not_grow(void **unused)
{
    (void)unused;
    row_store *s     = make();
    uint64_t   bytes = 0;

    for (uint64_t i = 0; i < 200000; i++) {
        insert_one(s, id_of_hash(UINT64_C(3) << 52 | i << 20 | (i * 0x9e37 & 0xfffff)));
        if (i < 200)
            continue;
        uint64_t old = i - 200;
        row_store_remove(s, find_one(s, id_of_hash(UINT64_C(3) << 52 | old << 20 |
                                                   (old * 0x9e37 & 0xfffff))));
        if (i == 400)
            bytes = row_store_bytes(s);
    }
    assert_int_equal(row_store_count(s), 200);
    assert_int_equal(row_store_bytes(s), bytes);
    row_store_free(&s);
}

/* ---- against a plain map ---- */

/* The map: what is known of each id of a fixed universe. */
enum { UNIVERSE = 20000, TURNS = 15000, LARGEST_BATCH = 300 };

typedef struct known {
    uint64_t id;
    bool     held;
    uint32_t number;
    row     *at;
    real     value;
} known;

static int known_by_id(const void *a, const void *b)
{
    uint64_t x = ((const known *)a)->id, y = ((const known *)b)->id;
    return (x > y) - (x < y);
}

/* Sequential ids, multiples of 2^16 and of 2^32, ids of one bucket, random ones, and the
 * extremes. */
static known *make_universe(rng *r)
{
    known *all = calloc(UNIVERSE, sizeof *all);

    for (uint64_t i = 0; i < UNIVERSE; i++)
        all[i].id = i % 5 == 0   ? i
                    : i % 5 == 1 ? i << 16
                    : i % 5 == 2 ? i << 32
                    : i % 5 == 3 ? id_of_hash(UINT64_C(77) << 52 | rng_next(r) >> 12)
                                 : rng_next(r);
    all[1].id = UINT64_MAX;
    qsort(all, UNIVERSE, sizeof *all, known_by_id);
    return all;
}

static void check_row(const row_store *s, const known *k)
{
    const row *r = row_store_at(s, k->number);

    assert_ptr_equal(r, k->at); /* rows never move */
    assert_true(r->id == k->id);
    for (int d = 0; d < REALS; d++)
        assert_true(r->x[d] == k->value + (real)d);
}

/* A walk over a bucket meets each of its rows once, and no other. */
static size_t check_walk(const row_store *s, uint32_t bucket, const known *all, bool *met)
{
    uint32_t cursor = 0, number;
    size_t   n      = 0;

    for (; row_store_next(s, bucket, &cursor, &number); n++) {
        uint64_t     id = row_store_at(s, number)->id;
        const known *k  = bsearch(&(known){.id = id}, all, UNIVERSE, sizeof *all, known_by_id);
        assert_int_equal(hash_bucket(hash_id(SALT, id)), bucket);
        assert_true(k && k->held && k->number == number && !met[k - all]);
        met[k - all] = true;
    }
    assert_int_equal(row_store_bucket_count(s, bucket), n);
    return n;
}

static void check_all(const row_store *s, const known *all)
{
    bool  *met   = calloc(UNIVERSE, sizeof *met);
    size_t total = 0, held = 0;

    for (int i = 0; i < UNIVERSE; i++) {
        assert_int_equal(find_one(s, all[i].id), all[i].held ? all[i].number : ROW_NONE);
        if (all[i].held)
            check_row(s, &all[i]);
        held += all[i].held;
    }
    assert_int_equal(row_store_count(s), held);
    for (uint32_t bucket = 0; bucket < HASH_BUCKETS; bucket++)
        total += check_walk(s, bucket, all, met);
    assert_int_equal(total, held);
    free(met);
}

static void insert_some(row_store *s, known *all, rng *r)
{
    uint64_t ids[LARGEST_BATCH];
    uint32_t rows[LARGEST_BATCH], which[LARGEST_BATCH];
    size_t   n = 1 + rng_below(r, LARGEST_BATCH);

    for (size_t i = 0; i < n; i++) {
        which[i] = (uint32_t)rng_below(r, UNIVERSE);
        ids[i]   = all[which[i]].id;
    }
    assert_int_equal(row_store_insert(s, ids, n, rows), OK);
    for (size_t i = 0; i < n; i++) {
        known *k = &all[which[i]];
        if (!k->held) {
            *k = (known){ids[i], true, rows[i], row_store_at(s, rows[i]),
                         (real)rng_below(r, 1000)};
            for (int d = 0; d < REALS; d++)
                k->at->x[d] = k->value + (real)d;
        }
        assert_int_equal(rows[i], k->number);
    }
}

static void remove_some(row_store *s, known *all, rng *r)
{
    size_t n = rng_below(r, LARGEST_BATCH);

    for (size_t i = 0; i < n; i++) {
        known *k = &all[rng_below(r, UNIVERSE)];
        if (k->held)
            row_store_remove(s, k->number);
        k->held = false;
    }
}

static void find_some(const row_store *s, const known *all, rng *r)
{
    uint64_t ids[LARGEST_BATCH];
    uint32_t rows[LARGEST_BATCH], which[LARGEST_BATCH];
    size_t   n = 1 + rng_below(r, LARGEST_BATCH);

    for (size_t i = 0; i < n; i++) {
        which[i] = (uint32_t)rng_below(r, UNIVERSE);
        ids[i]   = all[which[i]].id;
    }
    row_store_find(s, ids, n, rows);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rows[i], all[which[i]].held ? all[which[i]].number : ROW_NONE);
}

static void millions_of_random_operations_agree_with_a_plain_map(void **unused)
{
    (void)unused;
    rng        r   = rng_named(1, RNG_TEST, 0, 0);
    row_store *s   = make();
    known     *all = make_universe(&r);

    for (int i = 0; i < TURNS; i++) {
        uint64_t dice = rng_below(&r, 1000);
        if (dice < 400)
            insert_some(s, all, &r);
        else if (dice < 600 + 300 * (uint64_t)(i / 500 % 2)) /* it fills and empties in turns */
            remove_some(s, all, &r);
        else if (dice < 980)
            find_some(s, all, &r);
        else
            assert_int_equal(row_store_reserve(s, (uint32_t)rng_below(&r, HASH_BUCKETS),
                                               (uint32_t)rng_below(&r, 500)),
                             OK);
        if (dice == 999 && rng_below(&r, 4) == 0) {
            row_store_clear(s);
            for (int k = 0; k < UNIVERSE; k++)
                all[k].held = false;
        }
        if (i % 1000 == 0)
            check_all(s, all);
    }
    check_all(s, all);
    free(all);
    row_store_free(&s);
}

/* id 8, count 4, touched 4; the rest is the index, which costs the same at every size, and
 * what is begun and not full yet, which costs the less the more rows there are. */
static void a_row_costs_less_than_24_bytes_beside_its_payload_as_planned(void **unused)
{
    (void)unused;
    enum { PIECE = 4096, PAYLOAD = 24, WIDTH = PAYLOAD / sizeof(real) };
    static const struct {
        uint64_t rows;
        double   most; /* bytes */
    } sizes[] = {{1 << 20, 30}, {1 << 21, 28}, {1 << 22, 25}, {6 << 20, 24}};
    row_store *s  = NULL;
    uint64_t   ids[PIECE], n = 0;
    uint32_t   rows[PIECE];

    assert_int_equal(row_store_new(&s, SALT, WIDTH), OK);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        for (; n < sizes[k].rows; n += PIECE) {
            for (uint64_t i = 0; i < PIECE; i++)
                ids[i] = n + i;
            assert_int_equal(row_store_insert(s, ids, PIECE, rows), OK);
        }
        assert_true((double)row_store_bytes(s) / (double)n - PAYLOAD < sizes[k].most);
        while (row_store_prefault(s))
            ;
        double planned = (double)row_store_plan_bytes(n, WIDTH);
        assert_true(fabs(planned / (double)row_store_bytes(s) - 1) < .02);
    }
    row_store_free(&s);
}

static void a_store_of_few_rows_is_small(void **unused)
{
    (void)unused;
    row_store *s = make();

    assert_true(row_store_bytes(s) < 1 << 19);
    for (uint64_t id = 0; id < 1000; id++)
        insert_one(s, id << 16);
    assert_true(row_store_bytes(s) < 1 << 19);
    row_store_free(&s);
}

/* Told beforehand how many rows come, a bucket takes the memory that it would have grown to. */
static void room_made_ahead_is_the_room_that_would_have_grown(void **unused)
{
    (void)unused;
    enum { IDS = 60000 };
    row_store *grown = make(), *told = make();
    uint32_t  *rows = calloc(HASH_BUCKETS, sizeof *rows);

    for (uint64_t id = 0; id < IDS; id++)
        rows[hash_bucket(hash_id(SALT, id))]++;
    for (uint32_t bucket = 0; bucket < HASH_BUCKETS; bucket++)
        assert_int_equal(row_store_reserve(told, bucket, rows[bucket]), OK);
    for (uint64_t id = 0; id < IDS; id++) {
        insert_one(grown, id);
        insert_one(told, id);
    }
    uint64_t bytes = row_store_bytes(told);
    assert_float_equal((double)bytes / (double)row_store_bytes(grown), 1, 0.005);
    for (uint64_t id = 0; id < IDS; id++) {
        assert_true(row_store_at(told, find_one(told, id))->id == id);
        assert_int_equal(row_store_reserve(told, hash_bucket(hash_id(SALT, id)), 0), OK);
    }
    assert_true(row_store_bytes(told) == bytes);
    row_store_free(&grown);
    row_store_free(&told);
    free(rows);
}

/* Memory that was made ready is used by the rows that come. */
static void memory_is_made_ready_a_little_ahead(void **unused)
{
    (void)unused;
    enum { N = 3 << 19, PIECE = 4096, HUGE_PAGE = 2 << 20 };
    row_store *s = NULL;
    uint64_t   ids[PIECE], before;
    uint32_t   rows[PIECE];
    int        pieces = 0;

    assert_int_equal(row_store_new(&s, SALT, 20), OK);
    assert_false(row_store_prefault(s));
    for (uint64_t first = 0; first < N; first += PIECE) {
        for (uint64_t i = 0; i < PIECE; i++)
            ids[i] = first + i;
        assert_int_equal(row_store_insert(s, ids, PIECE, rows), OK);
    }
    before = row_store_bytes(s);
    while (row_store_prefault(s))
        pieces++;
    assert_in_range(pieces, 1, before / 64 / HUGE_PAGE + 2);
    assert_int_equal(row_store_bytes(s), before + (uint64_t)pieces * HUGE_PAGE);
    for (uint64_t i = 0; i < PIECE; i++)
        ids[i] = N + i;
    assert_int_equal(row_store_insert(s, ids, PIECE, rows), OK);
    assert_in_range(row_store_bytes(s) - before, (uint64_t)pieces * HUGE_PAGE,
                    (uint64_t)pieces * HUGE_PAGE + (1 << 16)); /* directories are not */
    row_store_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_id_is_legal),
        cmocka_unit_test(an_id_twice_in_a_batch_gets_one_row),
        cmocka_unit_test(a_place_that_is_used_again_starts_from_zero),
        cmocka_unit_test(ids_that_share_a_home_and_a_fingerprint_are_told_apart),
        cmocka_unit_test(a_bucket_that_is_filled_and_emptied_for_ever_does_not_grow),
        cmocka_unit_test(millions_of_random_operations_agree_with_a_plain_map),
        cmocka_unit_test(a_row_costs_less_than_24_bytes_beside_its_payload_as_planned),
        cmocka_unit_test(a_store_of_few_rows_is_small),
        cmocka_unit_test(memory_is_made_ready_a_little_ahead),
        cmocka_unit_test(room_made_ahead_is_the_room_that_would_have_grown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
