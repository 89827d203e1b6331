#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/data/order.h"

static order *make(order_options options)
{
    order *o = NULL;

    assert_int_equal(order_new(&o, &options), OK);
    return o;
}

/* The samples of step, all workers' parts one after another, which must touch. */
static int whole_step(order *o, int64_t step, int workers, int batch, uint64_t *samples)
{
    int       total = 0;
    uint64_t *part  = malloc(((size_t)batch / (size_t)workers + 2) * sizeof *part);

    for (int worker = 0; worker < workers; worker++) {
        int      n;
        uint64_t first;
        assert_int_equal(order_part(o, step, worker, workers, part, &n, &first), OK);
        assert_true(n <= (batch + workers - 1) / workers);
        assert_int_equal(first, (uint64_t)total);
        memcpy(samples + total, part, (size_t)n * sizeof *part);
        total += n;
    }
    free(part);
    return total;
}

/* One epoch from its first step on; returns the order of all samples (free). */
static uint64_t *epoch(order *o, int64_t e, int workers, int batch, uint64_t n)
{
    uint64_t *all = malloc((n + (uint64_t)batch) * sizeof *all), at = 0;
    int64_t   steps = order_steps_per_epoch(o);

    for (int64_t step = e * steps; step < (e + 1) * steps; step++)
        at += (uint64_t)whole_step(o, step, workers, batch, all + at);
    assert_int_equal(at, n);
    return all;
}

static void assert_permutation(const uint64_t *x, uint64_t n)
{
    char *seen = calloc(n + 1, 1);

    for (uint64_t i = 0; i < n; i++) {
        assert_true(x[i] < n);
        assert_false(seen[x[i]]);
        seen[x[i]] = 1;
    }
    free(seen);
}

static const struct {
    uint64_t n;
    int      batch, block, window;
} shapes[] = {
    {1, 1, 1, 1},      {1, 8, 4, 4},       {2, 1, 1, 1},     {7, 3, 2, 2},
    {16, 4, 4, 2},     {17, 4, 4, 2},      {100, 7, 10, 3},  {100, 100, 10, 3},
    {99, 1, 100, 10},  {1000, 64, 1, 1},   {1000, 64, 7, 5}, {1000, 333, 64, 1},
    {1001, 10, 1, 64}, {4096, 17, 3, 100}, {257, 5, 1, 3},
};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

static void every_sample_comes_once_per_epoch_on_any_number_of_workers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        order_options options = {.samples = shapes[i].n,
                                 .batch   = shapes[i].batch,
                                 .shuffle = true,
                                 .block   = shapes[i].block,
                                 .window  = shapes[i].window,
                                 .seed    = 5};
        order        *o       = make(options);
        for (int64_t e = 0; e < 3; e++) {
            uint64_t *alone = epoch(o, e, 1, shapes[i].batch, shapes[i].n);
            assert_permutation(alone, shapes[i].n);
            for (int workers = 2; workers <= 5; workers++) {
                uint64_t *shared = epoch(o, e, workers, shapes[i].batch, shapes[i].n);
                assert_memory_equal(alone, shared, shapes[i].n * sizeof *alone);
                free(shared);
            }
            free(alone);
        }
        order_free(&o);
    }
}

static void without_shuffling_the_order_is_that_of_the_files(void **state)
{
    (void)state;
    order    *o   = make((order_options){.samples = 1001, .batch = 10, .seed = 1});
    uint64_t *all = epoch(o, 2, 3, 10, 1001);

    assert_int_equal(order_steps_per_epoch(o), 101);
    for (uint64_t i = 0; i < 1001; i++)
        assert_int_equal(all[i], i);
    free(all);
    order_free(&o);
}

static void a_run_resumed_at_any_step_sees_the_same_samples(void **state)
{
    (void)state;
    order_options options = {
        .samples = 500, .batch = 30, .shuffle = true, .block = 8, .window = 6, .seed = 9};
    order *going = make(options);

    for (int64_t step = 0; step < 60; step++) {
        uint64_t a[30], b[30];
        order   *resumed = make(options);
        int      n       = whole_step(going, step, 1, 30, a);
        assert_int_equal(whole_step(resumed, step, 2, 30, b), n);
        assert_memory_equal(a, b, (size_t)n * sizeof *a);
        order_free(&resumed);
    }
    order_free(&going);
}

static void epochs_and_seeds_differ(void **state)
{
    (void)state;
    order_options options = {
        .samples = 1000, .batch = 100, .shuffle = true, .block = 16, .window = 4, .seed = 1};
    order *one    = make(options);
    options.seed  = 2;
    order    *two = make(options);
    uint64_t *a = epoch(one, 0, 1, 100, 1000), *b = epoch(one, 1, 1, 100, 1000),
             *c = epoch(two, 0, 1, 100, 1000);

    assert_memory_not_equal(a, b, 1000 * sizeof *a);
    assert_memory_not_equal(a, c, 1000 * sizeof *a);
    free(a);
    free(b);
    free(c);
    order_free(&one);
    order_free(&two);
}

/* Of 24 orders of 4 blocks each should lead in 1/24 of the epochs: chi-square with 23
 * degrees of freedom is above 49.7 once in a thousand. */
static void every_order_of_the_blocks_is_equally_likely(void **state)
{
    (void)state;
    enum { EPOCHS = 24000 };
    int    seen[256] = {0}, kinds = 0;
    double chi_square = 0;
    order *o          = make((order_options){
                 .samples = 4, .batch = 4, .shuffle = true, .block = 1, .window = 1, .seed = 3});

    for (int64_t e = 0; e < EPOCHS; e++) {
        uint64_t x[4];
        assert_int_equal(whole_step(o, e, 1, 4, x), 4);
        seen[x[0] | x[1] << 2 | x[2] << 4 | x[3] << 6]++;
    }
    for (int i = 0; i < 256; i++)
        if (seen[i]) {
            kinds++;
            chi_square += (seen[i] - 1000.0) * (seen[i] - 1000.0) / 1000.0;
        }
    assert_int_equal(kinds, 24);
    assert_true(chi_square < 49.7);
    order_free(&o);
}

/* A window of w blocks holds w whole blocks: that is what makes reading local. */
static void a_window_holds_whole_blocks_and_the_short_one_is_last(void **state)
{
    (void)state;
    enum { N = 103, BLOCK = 10, WINDOW = 3 };
    order    *o   = make((order_options){.samples = N,
                                         .batch   = N,
                                         .shuffle = true,
                                         .block   = BLOCK,
                                         .window  = WINDOW,
                                         .seed    = 4});
    uint64_t *all = epoch(o, 0, 1, N, N);

    for (uint64_t begin = 0; begin < N; begin += BLOCK * WINDOW) {
        int in_block[N / BLOCK + 1] = {0};
        for (uint64_t i = begin; i < begin + BLOCK * WINDOW && i < N; i++)
            in_block[all[i] / BLOCK]++;
        for (int block = 0; block <= N / BLOCK; block++)
            assert_true(in_block[block] == 0 || in_block[block] == BLOCK ||
                        (block == N / BLOCK && begin == 90 && in_block[block] == 3));
    }
    free(all);
    order_free(&o);
}

static void no_samples_make_no_steps(void **state)
{
    (void)state;
    order   *o = make((order_options){.batch = 5, .shuffle = true, .block = 4, .window = 4});
    uint64_t samples[6], first;
    int      n;

    assert_int_equal(order_steps_per_epoch(o), 0);
    assert_int_equal(order_part(o, 3, 1, 2, samples, &n, &first), OK);
    assert_int_equal(n, 0);
    order_free(&o);
}

static void a_batch_or_block_of_nothing_is_refused(void **state)
{
    (void)state;
    order *o;

    assert_int_equal(order_new(&o, &(order_options){.samples = 5}), ERR_CONFIG);
    assert_null(o);
    assert_string_equal(err_text(), "a batch of 0 samples, wanted at least 1 for each worker");
    assert_int_equal(
        order_new(&o, &(order_options){.samples = 5, .batch = 1, .shuffle = true, .window = 1}),
        ERR_CONFIG);
    assert_string_equal(err_text(), "data.block is 0 and data.window is 1, wanted at least 1");
    assert_int_equal(order_new(&o, &(order_options){.samples = 5,
                                                    .batch   = 1,
                                                    .shuffle = true,
                                                    .block   = 1 << 20,
                                                    .window  = 1 << 20}),
                     ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_comes_once_per_epoch_on_any_number_of_workers),
        cmocka_unit_test(without_shuffling_the_order_is_that_of_the_files),
        cmocka_unit_test(a_run_resumed_at_any_step_sees_the_same_samples),
        cmocka_unit_test(epochs_and_seeds_differ),
        cmocka_unit_test(every_order_of_the_blocks_is_equally_likely),
        cmocka_unit_test(a_window_holds_whole_blocks_and_the_short_one_is_last),
        cmocka_unit_test(no_samples_make_no_steps),
        cmocka_unit_test(a_batch_or_block_of_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
