#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/data/deal.h"

enum { WORKERS_MOST = 7, BATCH_MOST = 64 };

static deal *make(deal_options options)
{
    deal *d;

    assert_int_equal(deal_new(&d, &options), OK);
    return d;
}

static int64_t steps_of(const deal_options *o)
{
    return (int64_t)((o->samples + (uint64_t)o->batch - 1) / (uint64_t)o->batch);
}

/* The samples that a step has by the rule of deal: rows. */
static uint64_t size_of(const deal_options *o, int64_t step)
{
    uint64_t done = (uint64_t)(step % steps_of(o)) * (uint64_t)o->batch;

    return o->samples - done < (uint64_t)o->batch ? o->samples - done : (uint64_t)o->batch;
}

/* All workers' parts of the steps first .. end-1, one after another: each with a deal of its
 * own, as it is in a run. seen[place] is increased. */
static void play(const deal_options *o, deal *const *d, int64_t first, int64_t end, char *seen)
{
    for (int64_t step = first; step < end; step++) {
        uint64_t total = 0;
        for (int r = 0; r < o->workers; r++) {
            uint64_t places[BATCH_MOST], at;
            int      n;
            deal_part(d[r], step, r, places, &n, &at);
            assert_int_equal(at, total);
            for (int i = 0; i < n; i++)
                seen[places[i]]++;
            total += (uint64_t)n;
        }
        assert_int_equal(total, size_of(o, step));
    }
}

static const deal_options shapes[] = {
    {1, 1, 1, 1},     {1, 8, 4, 3},      {5, 2, 2, 7},    {100, 10, 7, 2},   {100, 1000, 7, 3},
    {997, 64, 10, 4}, {1000, 50, 64, 5}, {640, 64, 1, 3}, {1000, 333, 7, 7}, {3, 1, 64, 6},
};
#define N_SHAPES (sizeof shapes / sizeof *shapes)

static void open_all(deal *d[WORKERS_MOST], const deal_options *o)
{
    for (int r = 0; r < o->workers; r++)
        d[r] = make(*o);
}

static void close_all(deal *d[WORKERS_MOST], const deal_options *o)
{
    for (int r = 0; r < o->workers; r++)
        deal_free(&d[r]);
}

static void assert_each(const char *seen, uint64_t n, char times)
{
    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(seen[i], times);
}

static void every_place_comes_once_per_epoch_and_no_step_is_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        const deal_options *o = &shapes[i];
        deal               *d[WORKERS_MOST];
        char                seen[1000] = {0};
        open_all(d, o);
        for (int64_t e = 0; e < 2; e++) {
            play(o, d, e * steps_of(o), (e + 1) * steps_of(o), seen);
            assert_each(seen, o->samples, (char)(e + 1));
        }
        close_all(d, o);
    }
}

/* Three workers, blocks of 4 of 14 places, 3 a step; by hand:
 *   steps 0-3   worker 0 brings 0 1 2 3, 1: 4 5 6 7, 2: 8 9 10 11
 *   step 4      has 2 samples, of which 0 brings none; 1 asks, gets 12 13 and brings 12;
 *               2 asks, all is dealt, and takes 13, the rear half of what 1 holds */
static void who_runs_out_takes_half_of_the_longest_rest(void **state)
{
    (void)state;
    const deal_options o = {.samples = 14, .block = 4, .batch = 3, .workers = 3};
    deal              *d = make(o);
    uint64_t           places[3], first;
    int                n;

    for (int64_t step = 0; step < 4; step++) {
        deal_part(d, step, 1, places, &n, &first);
        assert_int_equal(n, 1);
        assert_int_equal(places[0], 4 + (uint64_t)step);
    }
    deal_part(d, 4, 2, places, &n, &first);
    assert_int_equal(n, 1);
    assert_int_equal(places[0], 13);
    assert_int_equal(first, 1);
    deal_free(&d);
}

static void a_worker_reads_a_block_alone(void **state)
{
    (void)state;
    const deal_options o = {.samples = 900, .block = 30, .batch = 9, .workers = 3};
    deal              *d[WORKERS_MOST];
    char               of[30] = {0}; /* blocks: who had places of it, a bit each */

    open_all(d, &o);
    for (int64_t step = 0; step < steps_of(&o); step++)
        for (int r = 0; r < 3; r++) {
            uint64_t places[3], first;
            int      n;
            deal_part(d[r], step, r, places, &n, &first);
            for (int i = 0; i < n; i++)
                of[places[i] / 30] |= (char)(1 << r);
        }
    for (int b = 0; b < 30; b++)
        assert_int_equal(of[b] & (of[b] - 1), 0);
    close_all(d, &o);
}

static void it_goes_on_from_a_record_as_if_it_had_not_ended(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++) {
        const deal_options *o     = &shapes[i];
        int64_t             steps = steps_of(o);
        for (int64_t cut = 0; cut < steps + 1; cut++) {
            deal          *whole = make(*o), *before = make(*o), *after = make(*o);
            manifest_dealt record;
            uint64_t       a[BATCH_MOST], b[BATCH_MOST], first;
            int            n, m;
            assert_int_equal(deal_record(before, cut, &record), OK);
            assert_int_equal(deal_begin(after, cut, cut % 2 ? &record : NULL), OK);
            for (int64_t step = cut; step < 2 * steps; step++) {
                deal_part(whole, step, 0, a, &n, &first);
                deal_part(after, step, 0, b, &m, &first);
                assert_int_equal(n, m);
                assert_memory_equal(a, b, (size_t)n * sizeof *a);
            }
            manifest_dealt_clear(&record);
            deal_free(&whole);
            deal_free(&before);
            deal_free(&after);
        }
    }
}

static void every_place_still_comes_once_with_other_workers_after_a_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SHAPES; i++)
        for (int workers = 1; workers <= WORKERS_MOST; workers++) {
            deal_options   o     = shapes[i];
            int64_t        steps = steps_of(&o), cut = steps / 3, second = 2 * steps / 3;
            char           seen[1000] = {0};
            manifest_dealt record;
            deal          *d[WORKERS_MOST];
            open_all(d, &o);
            play(&o, d, 0, cut, seen);
            assert_int_equal(deal_record(d[0], cut, &record), OK);
            close_all(d, &o);
            for (int again = 0; again < 2; again++) {
                o.workers = again ? 2 : workers;
                open_all(d, &o);
                for (int r = 0; r < o.workers; r++)
                    assert_int_equal(deal_begin(d[r], again ? second : cut, &record), OK);
                manifest_dealt_clear(&record);
                play(&o, d, again ? second : cut, again ? steps : second, seen);
                assert_int_equal(deal_record(d[0], again ? steps : second, &record), OK);
                close_all(d, &o);
            }
            assert_int_equal(record.n, 0);
            assert_each(seen, o.samples, 1);
        }
}

static void no_samples_are_dealt_where_there_are_none(void **state)
{
    (void)state;
    deal    *d = make((deal_options){.samples = 0, .block = 4, .batch = 3, .workers = 2});
    uint64_t places[3], first;
    int      n = -1;

    deal_part(d, 7, 1, places, &n, &first);
    assert_int_equal(n, 0);
    deal_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_place_comes_once_per_epoch_and_no_step_is_short),
        cmocka_unit_test(who_runs_out_takes_half_of_the_longest_rest),
        cmocka_unit_test(a_worker_reads_a_block_alone),
        cmocka_unit_test(it_goes_on_from_a_record_as_if_it_had_not_ended),
        cmocka_unit_test(every_place_still_comes_once_with_other_workers_after_a_record),
        cmocka_unit_test(no_samples_are_dealt_where_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
