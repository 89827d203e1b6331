#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rng.h"
#include "ps/slab.h"

enum { RUNS = 2000, LONGEST = 9, SIZE = 12 };

typedef struct run {
    uint32_t number;
    int      bits; /* below 0: not taken */
} run;

static void take(slab *s, run *r, int bits, uint32_t mark)
{
    r->bits = bits;
    assert_int_equal(slab_take(s, bits, &r->number), OK);
    for (uint32_t i = 0; i < UINT32_C(1) << bits; i++)
        memcpy(slab_at(s, r->number + i), &mark, sizeof mark);
}

static void give(slab *s, run *r, uint32_t mark)
{
    for (uint32_t i = 0; i < UINT32_C(1) << r->bits; i++)
        assert_memory_equal(slab_at(s, r->number + i), &mark, sizeof mark);
    slab_give(s, r->number, r->bits);
    r->bits = -1;
}

/* Every run bears a mark in each of its elements, which is there when it is given back. */
static void no_two_runs_share_an_element(void **unused)
{
    (void)unused;
    slab s;
    run  runs[RUNS];
    rng  r = rng_named(1, RNG_TEST, 0, 0);

    slab_init(&s, SIZE, "a test");
    for (uint32_t i = 0; i < RUNS; i++)
        runs[i].bits = -1;
    for (int turn = 0; turn < 100000; turn++) {
        uint32_t i = (uint32_t)rng_below(&r, RUNS);
        if (runs[i].bits < 0)
            take(&s, &runs[i], (int)rng_below(&r, LONGEST + 1), i);
        else
            give(&s, &runs[i], i);
    }
    for (uint32_t i = 0; i < RUNS; i++)
        if (runs[i].bits >= 0)
            give(&s, &runs[i], i);
    slab_clear(&s);
}

static void a_run_given_back_is_used_again_in_parts(void **unused)
{
    (void)unused;
    slab     s;
    uint32_t all, part, next;
    uint64_t bytes;

    slab_init(&s, SIZE, "a test");
    assert_int_equal(slab_take(&s, 4, &all), OK);
    bytes = slab_bytes(&s);
    slab_give(&s, all, 4);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(slab_take(&s, 0, &part), OK);
        assert_in_range(part, all, all + 15);
    }
    assert_int_equal(slab_bytes(&s), bytes);
    assert_int_equal(slab_take(&s, 0, &next), OK);
    assert_int_equal(next, all + 16);
    slab_clear(&s);
}

/* Of the first huge page the small pages in use count, whatever was made ready behind it. */
static void little_is_little_also_when_memory_was_made_ready(void **unused)
{
    (void)unused;
    slab     s;
    uint32_t number;

    slab_init(&s, SIZE, "a test");
    assert_int_equal(slab_take(&s, 3, &number), OK);
    while (slab_prefault(&s))
        ;
    assert_true(slab_bytes(&s) < 8192);
    slab_clear(&s);
}

static void memory_made_ready_is_counted_as_planned(void **unused)
{
    (void)unused;
    slab     s;
    uint32_t number;

    slab_init(&s, SIZE, "a test");
    for (uint64_t bytes = 0; bytes < 40 << 20; bytes += SIZE << 15) {
        assert_true(slab_bytes(&s) - slab_ready_bytes(bytes) < 4096); /* the directory */
        assert_int_equal(slab_take(&s, 15, &number), OK);
        while (slab_prefault(&s))
            ;
    }
    slab_clear(&s);
}

/* 2^19 runs of 8 elements of 12 bytes are 48 MiB; a region holds 2^22 of them. */
static void a_run_never_leaves_its_region_and_the_rest_is_used(void **unused)
{
    (void)unused;
    slab     s;
    uint32_t number, mask;

    slab_init(&s, SIZE, "a test");
    mask = (UINT32_C(1) << s.region_bits) - 1;
    assert_int_equal(slab_take(&s, 0, &number), OK);
    for (int i = 0; i < 1 << 20; i++) {
        assert_int_equal(slab_take(&s, 3, &number), OK);
        assert_true((number & mask) + 8 <= mask + 1);
    }
    assert_true(s.regions.n > 1);
    assert_int_equal(slab_take(&s, 2, &number), OK); /* of the 7 that were left */
    assert_int_equal(number >> s.region_bits, 0);
    slab_clear(&s);
}

static void a_cleared_slab_begins_again(void **unused)
{
    (void)unused;
    slab     s;
    uint32_t number;

    slab_init(&s, SIZE, "a test");
    assert_int_equal(slab_take(&s, 5, &number), OK);
    slab_clear(&s);
    assert_int_equal(slab_bytes(&s), 0);
    assert_int_equal(slab_take(&s, 5, &number), OK);
    assert_int_equal(number, 0);
    slab_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_runs_share_an_element),
        cmocka_unit_test(a_run_given_back_is_used_again_in_parts),
        cmocka_unit_test(a_run_never_leaves_its_region_and_the_rest_is_used),
        cmocka_unit_test(little_is_little_also_when_memory_was_made_ready),
        cmocka_unit_test(memory_made_ready_is_counted_as_planned),
        cmocka_unit_test(a_cleared_slab_begins_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
