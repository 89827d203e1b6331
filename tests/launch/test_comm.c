/* What workers may rely on among themselves, with 1, 2, 3 and 5 of them. Run by hand it
 * tests the group of one, then starts itself under mpirun. */
#include "common/comm.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* How long ranks wait for each other: where one stays away, and where all come, whatever else the
 * machine does. */
#define AWAY_S     0.8
#define PATIENCE_S 60

static comm       *group;
static const char *program;

/* Value i of rank r: numbers whose sum depends on the order of addition. */
static real uneven(int r, size_t i)
{
    static const real scale[] = {(real)1e8, (real)1, (real)-1e8, (real)1e-3, (real)3e7};
    return scale[(size_t)r % 5] * (real)(1 + i % 7);
}

static void check_sum(size_t n)
{
    real *x = malloc((n + 1) * sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = uneven(comm_rank(group), i);
    x[n] = 42;
    assert_int_equal(comm_sum_real(group, x, n), OK);
    for (size_t i = 0; i < n; i++) {
        real sum = uneven(0, i);
        for (int r = 1; r < comm_size(group); r++)
            sum += uneven(r, i);
        if (memcmp(&sum, &x[i], sizeof sum) != 0)
            fail_msg("element %zu of %zu is %.9g, not %.9g", i, n, (double)x[i], (double)sum);
    }
    assert_true(x[n] == 42);
    free(x);
}

static void a_sum_is_taken_in_the_order_of_ranks_bit_for_bit(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 100, 4096, 4097, 10007, 300001};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_sum(sizes[i]);
}

static void doubles_are_summed_and_maxima_found(void **state)
{
    int      r = comm_rank(group), W = comm_size(group);
    double   x[2] = {r + 1, 0.5};
    uint64_t m[3] = {(uint64_t)r, UINT64_MAX - (uint64_t)r, 7};

    (void)state;
    assert_int_equal(comm_sum_double(group, x, 2), OK);
    assert_true(x[0] == W * (W + 1) / 2.0 && x[1] == 0.5 * W);
    assert_int_equal(comm_max_u64(group, m, 3), OK);
    assert_true(m[0] == (uint64_t)(W - 1) && m[1] == UINT64_MAX && m[2] == 7);
}

static void both_sums_are_those_that_each_would_be(void **state)
{
    static const size_t sizes[] = {0, 1, 3, 4096, 4097, 10007};
    int                 r       = comm_rank(group);

    (void)state;
    for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k / 2], m = k % 2 ? 7 : 0;
        real  *x = malloc((n + 1) * sizeof *x), *own = malloc((n + 1) * sizeof *own);
        double y[8], own_y[8];
        for (size_t i = 0; i <= n; i++)
            x[i] = own[i] = uneven(r, i);
        for (size_t i = 0; i < 8; i++)
            y[i] = own_y[i] = (double)uneven(r, i) / 3;
        assert_int_equal(comm_sum_both(group, x, n, y, m), OK);
        assert_int_equal(comm_sum_real(group, own, n), OK);
        assert_int_equal(comm_sum_double(group, own_y, m), OK);
        assert_memory_equal(x, own, (n + 1) * sizeof *x); /* x[n], y[m]: not touched */
        assert_memory_equal(y, own_y, sizeof y);
        free(x);
        free(own);
    }
}

static void bytes_of_rank_0_reach_all(void **state)
{
    unsigned char bytes[1000];

    (void)state;
    for (int i = 0; i < 1000; i++)
        bytes[i] = comm_rank(group) == 0 ? (unsigned char)(i * 7) : 0;
    assert_int_equal(comm_broadcast(group, bytes, sizeof bytes), OK);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(bytes[i], (unsigned char)(i * 7));
}

/* Rank r sends r * 1000 bytes of value r: rank 0 nothing at all. */
static void uneven_parts_are_gathered_in_rank_order(void **state)
{
    size_t         n    = (size_t)comm_rank(group) * 1000, total;
    unsigned char *part = malloc(n + 1), *at;
    void          *all;

    (void)state;
    memset(part, comm_rank(group), n);
    assert_int_equal(comm_gather(group, part, n, &all, &total), OK);
    if (comm_rank(group) == 0) {
        at = all;
        for (int r = 0; r < comm_size(group); r++)
            for (int i = 0; i < r * 1000; i++)
                assert_int_equal(*at++, r);
        assert_int_equal(at - (unsigned char *)all, total);
    } else {
        assert_null(all);
        assert_int_equal(total, 0);
    }
    free(all);
    free(part);
}

static void nobody_leaves_a_barrier_before_all_came(void **state)
{
    const clock_source *clock = clock_monotonic();
    int64_t             start = clock_now(clock);

    (void)state;
    if (comm_rank(group) == comm_size(group) - 1)
        usleep(200000);
    assert_int_equal(comm_barrier(group), OK);
    assert_true(clock_seconds(clock, start) > 0.19);
}

/* All are called away 0.1 s after *self. */
static err_t called_away(void *self)
{
    if (clock_seconds(clock_monotonic(), *(int64_t *)self) < 0.1)
        return OK;
    return err_set(ERR_DEATH, "called away");
}

/* All but rank 1 wait in a sum that it never enters. */
static void a_group_that_was_called_away_begins_anew(void **state)
{
    static const size_t sizes[] = {3, 100, 300001};

    (void)state;
    for (uint64_t round = 0; round < 6; round++) {
        int64_t  since = clock_now(clock_monotonic());
        uint64_t most  = round + (uint64_t)comm_rank(group);
        size_t   n     = sizes[round % 3];
        real    *x     = calloc(n, sizeof *x);
        comm_set_check(group, called_away, &since);
        if (comm_rank(group) == 1) {
            usleep(150000);
        } else if (comm_size(group) > 1) {
            assert_int_equal(comm_sum_real(group, x, n), ERR_DEATH);
            assert_string_equal(err_text(), "called away");
        }
        free(x);
        assert_int_equal(comm_renew(group, &most), OK);
        assert_int_equal(most, round + (uint64_t)comm_size(group) - 1);
        comm_set_check(group, NULL, NULL);
        check_sum(n);
    }
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_is_taken_in_the_order_of_ranks_bit_for_bit),
        cmocka_unit_test(doubles_are_summed_and_maxima_found),
        cmocka_unit_test(both_sums_are_those_that_each_would_be),
        cmocka_unit_test(bytes_of_rank_0_reach_all),
        cmocka_unit_test(uneven_parts_are_gathered_in_rank_order),
        cmocka_unit_test(nobody_leaves_a_barrier_before_all_came),
        cmocka_unit_test(a_group_that_was_called_away_begins_anew),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_close(&group);
    return failed;
}

/* Rank 1 stays away from a sum: rank 0 writes what it is told about that. */
static int stay_away(void)
{
    real  x   = 1;
    err_t err = OK;

    if (comm_rank(group) == 1) {
        usleep(1500000);
        return 0;
    }
    err = comm_sum_real(group, &x, 1);
    if (comm_rank(group) == 0) {
        printf("code %d: %s\n", err == ERR_TIMEOUT, err_text());
        err = comm_sum_real(group, &x, 1);
        printf("then %d: %s\n", err == ERR_DEATH, err_text());
        fflush(stdout);
    }
    comm_close(&group);
    return 0;
}

/* Start this program under mpirun, its output in log. */
static int start(int ranks, const char *word, const char *log)
{
    char line[4096];

    if (system("command -v mpirun > /dev/null 2>&1") != 0)
        skip();
    snprintf(line, sizeof line,
             "ASAN_OPTIONS=detect_leaks=0 OMPI_ALLOW_RUN_AS_ROOT=1 "
             "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe --bind-to none "
             "--mca btl self,vader,tcp --mca btl_tcp_if_include lo --mca oob_tcp_if_include lo "
             "--mca btl_vader_single_copy_mechanism none -n %d '%s' %s > %s 2>&1 < /dev/null",
             ranks, program, word, log);
    return system(line);
}

static void ranks_agree(void **state)
{
    int  ranks = *(int *)*state;
    char log[64], line[128];

    snprintf(log, sizeof log, "comm-%d.log", ranks);
    int status = start(ranks, "", log);
    snprintf(line, sizeof line, "cat %s", log);
    if (status != 0 && system(line) != 0)
        print_error("%s cannot be shown\n", log);
    remove(log);
    assert_int_equal(status, 0);
}

static void a_worker_that_stays_away_is_named_and_the_failure_is_final(void **state)
{
    (void)state;
    start(3, "away", "comm-away.log");
    assert_int_equal(system("grep -q '^code 1: worker 0 of 3: adding up: nothing from worker 1 "
                            "within 0.8 s$' comm-away.log"),
                     0);
    assert_int_equal(system("grep -q '^then 1: .*failed before' comm-away.log"), 0);
    remove("comm-away.log");
}

int main(int argc, char **argv)
{
    static int              ranks[] = {1, 2, 3, 5};
    const struct CMUnitTest tests[] = {
        {"one_rank", ranks_agree, NULL, NULL, &ranks[0]},
        {"two_ranks", ranks_agree, NULL, NULL, &ranks[1]},
        {"three_ranks", ranks_agree, NULL, NULL, &ranks[2]},
        {"more_ranks_than_cores", ranks_agree, NULL, NULL, &ranks[3]},
        cmocka_unit_test(a_worker_that_stays_away_is_named_and_the_failure_is_final),
    };

    program = argv[0];
    if (getenv("OMPI_COMM_WORLD_SIZE")) {
        if (comm_open(&group, clock_monotonic(), argc > 1 ? AWAY_S : PATIENCE_S) != OK) {
            fprintf(stderr, "%s\n", err_text());
            return 1;
        }
        return argc > 1 ? stay_away() : run_group();
    }
    if (comm_self(&group) != OK)
        return 1;
    int failed = run_group();
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
