/* The small things that everything stands on: errors, arenas, arrays, hashes, chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/hash.h"
#include "common/rng.h"
#include "common/vec.h"

static void an_error_is_a_sentence_that_callers_lengthen(void **state)
{
    (void)state;
    assert_int_equal(err_set(ERR_FORMAT, "row of %d reals, table has %d", 16, 18), ERR_FORMAT);
    assert_int_equal(err_add(ERR_FORMAT, "loading checkpoint %d", 12), ERR_FORMAT);
    assert_string_equal(err_text(), "loading checkpoint 12: row of 16 reals, table has 18");
}

static void a_long_sentence_is_cut_and_never_overruns(void **state)
{
    (void)state;
    char long_text[2 * ERR_TEXT_MAX];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(err_set(ERR_DATA, "%s", long_text), ERR_DATA);
    assert_int_equal(err_add(ERR_DATA, "%s", long_text), ERR_DATA);
    assert_int_equal(strlen(err_text()), ERR_TEXT_MAX - 1);
}

static void an_error_survives_the_way_to_another_thread(void **state)
{
    (void)state;
    err_report report;
    err_keep(&report, err_set(ERR_TIMEOUT, "shard 3 was silent"));
    (void)err_set(ERR_DATA, "something else");
    assert_int_equal(err_give(&report), ERR_TIMEOUT);
    assert_string_equal(err_text(), "shard 3 was silent");
}

static void exit_statuses_are_those_that_scripts_rely_on(void **state)
{
    (void)state;
    assert_int_equal(err_exit_status(OK), 0);
    assert_int_equal(err_exit_status(ERR_CONFIG), 2);
    assert_int_equal(err_exit_status(ERR_DATA), 3);
    assert_int_equal(err_exit_status(ERR_DEATH), 4);
    assert_int_equal(err_exit_status(ERR_SYSTEM), 5);
    assert_int_equal(err_exit_status(ERR_INTERRUPT), 130);
    assert_int_equal(err_exit_status(ERR_TERMINATE), 143);
}

static void arena_pieces_are_aligned_apart_and_reused(void **state)
{
    (void)state;
    arena          a = {0};
    unsigned char *piece[100];

    for (int i = 0; i < 100; i++) {
        size_t bytes = (size_t)i * 3001;
        assert_int_equal(arena_take(&a, bytes, &piece[i]), OK);
        assert_int_equal((uintptr_t)piece[i] % 64, 0);
        memset(piece[i], i, bytes);
    }
    for (int i = 0; i < 100; i++)
        for (size_t k = 0; k < (size_t)i * 3001; k += 997)
            assert_int_equal(piece[i][k], i);
    arena_reset(&a);
    size_t settled = a.total;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            assert_int_equal(arena_take(&a, (size_t)i * 3001, &piece[i]), OK);
        arena_reset(&a);
        assert_int_equal(a.total, settled);
    }
    unsigned char *zero;
    assert_int_equal(arena_take_zero(&a, 5000, &zero), OK);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(zero[i], 0);
    arena_clear(&a);
}

static void an_array_keeps_what_was_pushed(void **state)
{
    (void)state;
    VEC(uint64_t) v = {0};
    for (uint64_t i = 0; i < 10000; i++)
        assert_int_equal(vec_push(&v, i * i), OK);
    for (uint64_t i = 0; i < 10000; i++)
        assert_true(v.at[i] == i * i);
    vec_clear(&v);
}

/* splitmix64's first outputs from state 0, of the published reference program. */
static void the_generator_is_splitmix64(void **state)
{
    (void)state;
    rng r = {0};
    assert_true(rng_next(&r) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(rng_next(&r) == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(rng_next(&r) == UINT64_C(0x06c45d188009454f));
}

static void named_streams_differ_in_every_word(void **state)
{
    (void)state;
    uint64_t base = rng_named(1, 2, 3, 4).state;
    assert_true(base == rng_named(1, 2, 3, 4).state);
    assert_true(base != rng_named(0, 2, 3, 4).state);
    assert_true(base != rng_named(1, 3, 3, 4).state);
    assert_true(base != rng_named(1, 2, 4, 4).state);
    assert_true(base != rng_named(1, 2, 3, 5).state);
    assert_true(base != rng_named(1, 2, 4, 3).state);
}

static void normal_values_have_mean_0_and_variance_1(void **state)
{
    (void)state;
    rng    r   = rng_named(7, RNG_TEST, 0, 0);
    double sum = 0, squares = 0, fourth = 0;
    int    n = 200000;

    for (int i = 0; i < n; i++) {
        double x = rng_normal(&r);
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    assert_true(fabs(sum / n) < 5 / sqrt(n));             /* 5 standard errors each */
    assert_true(fabs(squares / n - 1) < 5 * sqrt(2.0 / n));
    assert_true(fabs(fourth / n - 3) < 5 * sqrt(96.0 / n));
}

/* Whatever the pattern of the ids, buckets fill as evenly as by chance. */
static void buckets_are_even_for_patterned_ids(void **state)
{
    (void)state;
    static const uint64_t stride[] = {1, 65536, UINT64_C(1) << 40};
    uint64_t              salt     = hash_table_salt("goods");

    for (size_t s = 0; s < 3; s++) {
        static int count[HASH_BUCKETS];
        double     chi = 0, expected = 256;

        memset(count, 0, sizeof count);
        for (uint64_t i = 0; i < HASH_BUCKETS * 256; i++)
            count[hash_bucket(hash_id(salt, i * stride[s]))]++;
        for (int b = 0; b < HASH_BUCKETS; b++)
            chi += (count[b] - expected) * (count[b] - expected) / expected;
        assert_true(fabs(chi - HASH_BUCKETS) < 6 * sqrt(2.0 * HASH_BUCKETS));
    }
}

static void every_bucket_has_one_shard(void **state)
{
    (void)state;
    for (int shards = 1; shards <= 17; shards++)
        for (uint32_t b = 0; b < HASH_BUCKETS; b++) {
            int k = hash_shard_of_bucket(b, shards);
            assert_true(hash_first_bucket(k, shards) <= b);
            assert_true(b < hash_first_bucket(k + 1, shards));
        }
}

/* 10 M ids that are random, in sequence, or multiples of 65,536: the fullest of 8 shards has at
 * most 2 % more than the mean; by chance it is about one per mille. The bound is checked
 * at 3 shards too, which do not divide the buckets. */
static void ten_million_ids_lie_evenly_on_shards(void **state)
{
    (void)state;
    enum { IDS = 10000000 };
    uint64_t salt = hash_table_salt("goods");
    rng      r    = rng_named(3, RNG_TEST, 0, 0);

    for (int kind = 0; kind < 3; kind++) {
        static int count[HASH_BUCKETS];
        double     rows[9] = {0}, of_3[4] = {0};
        memset(count, 0, sizeof count);
        for (uint64_t i = 0; i < IDS; i++) {
            uint64_t id = kind == 0 ? rng_next(&r) : kind == 1 ? i : i * 65536;
            count[hash_bucket(hash_id(salt, id))]++;
        }
        for (uint32_t b = 0; b < HASH_BUCKETS; b++) {
            rows[hash_shard_of_bucket(b, 8)] += count[b];
            of_3[hash_shard_of_bucket(b, 3)] += count[b];
        }
        for (int k = 0; k < 8; k++)
            rows[8] = fmax(rows[8], rows[k]);
        for (int k = 0; k < 3; k++)
            of_3[3] = fmax(of_3[3], of_3[k]);
        print_message("%s ids: the fullest of 8 shards has %.4f times the mean, of 3 %.4f\n",
                      (const char *[]){"random", "sequential", "x65,536"}[kind],
                      rows[8] / (IDS / 8.0), of_3[3] / (IDS / 3.0));
        assert_true(rows[8] <= 1.02 * IDS / 8);
        assert_true(of_3[3] <= 1.02 * IDS / 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_a_sentence_that_callers_lengthen),
        cmocka_unit_test(a_long_sentence_is_cut_and_never_overruns),
        cmocka_unit_test(an_error_survives_the_way_to_another_thread),
        cmocka_unit_test(exit_statuses_are_those_that_scripts_rely_on),
        cmocka_unit_test(arena_pieces_are_aligned_apart_and_reused),
        cmocka_unit_test(an_array_keeps_what_was_pushed),
        cmocka_unit_test(the_generator_is_splitmix64),
        cmocka_unit_test(named_streams_differ_in_every_word),
        cmocka_unit_test(normal_values_have_mean_0_and_variance_1),
        cmocka_unit_test(buckets_are_even_for_patterned_ids),
        cmocka_unit_test(every_bucket_has_one_shard),
        cmocka_unit_test(ten_million_ids_lie_evenly_on_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
