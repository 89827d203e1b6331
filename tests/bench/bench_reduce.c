/* bench_reduce - how long workers take to sum what they learnt in a step.
 *
 *     mpirun -n 2 bench_reduce [SECONDS]
 *
 * As many weights as the two models of bench_step have, and four times as many, and the 20
 * numbers in double that go with them: the median of reductions that all workers enter
 * together, of both at once and one after the other, in turns. What backward could hide of a
 * step, were it to begin with the first weights before the last are known, is less than that.
 */
#include <stdbool.h>

#include "common/comm.h"
#include "tests/bench/bench.h"

enum { SIZES = 4, TIMES = 1001, NUMBERS = 20 };

static const struct {
    const char *name;
    size_t      weights;
} sizes[SIZES] = {
    {"3 fields x 16", 57522},
    {"2 fields x 64", 73043},
    {"3 fields x 16, four times the weights", 4 * 57522},
    {"2 fields x 64, four times the weights", 4 * 73043},
};

/* The seconds of one reduction: both sums at once, or one after the other. */
static err_t reduce(comm *c, real *x, size_t n, bool at_once, double *took)
{
    double numbers[NUMBERS] = {0};

    TRY(comm_barrier(c));
    int64_t since = now();
    if (at_once) {
        TRY(comm_sum_both(c, x, n, numbers, NUMBERS));
    } else {
        TRY(comm_sum_real(c, x, n));
        TRY(comm_sum_double(c, numbers, NUMBERS));
    }
    *took = seconds_since(since);
    return OK;
}

static err_t measure(comm *c, int which, double most_s)
{
    size_t n = sizes[which].weights;
    real  *x = calloc(n, sizeof *x);
    double took[2][TIMES], all = 0;
    int    times = 0;

    if (!x)
        return err_memory(n * sizeof *x, "gradients");
    for (uint64_t go = 1; go; times++) {
        for (int at_once = 0; at_once < 2; at_once++) {
            TRY(reduce(c, x, n, at_once, &took[at_once][times]));
            all += took[at_once][times];
        }
        go = all < most_s;
        TRY(comm_max_u64(c, &go, 1));
        go = go && times + 1 < TIMES;
    }
    for (int at_once = 0; at_once < 2; at_once++)
        qsort(took[at_once], (size_t)times, sizeof **took, ascending);
    if (comm_rank(c) == 0)
        printf("%-38s %6zu weights  %7.3f ms  least %7.3f ms  one after the other %7.3f ms\n",
               sizes[which].name, n, took[1][times / 2] * 1e3, took[1][0] * 1e3,
               took[0][times / 2] * 1e3);
    free(x);
    return OK;
}

int main(int argc, char **argv)
{
    double most_s = argc > 1 ? atof(argv[1]) : 2;
    comm  *c      = NULL;
    err_t  err    = comm_open(&c, clock_monotonic(), 60);

    if (err == OK && comm_rank(c) == 0)
        printf("%d workers\n", comm_size(c));
    for (int i = 0; i < SIZES && err == OK; i++)
        err = measure(c, i, most_s);
    if (err != OK)
        fprintf(stderr, "bench_reduce: %s\n", err_text());
    comm_close(&c);
    return err_exit_status(err);
}
