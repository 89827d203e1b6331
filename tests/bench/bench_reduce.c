/* bench_reduce - how long workers take to sum their dense gradients.
 *
 *     mpirun -n 2 bench_reduce [SECONDS]
 *
 * As many weights as the two models of bench_step have, and four times as many: the median
 * of reductions that all workers enter together. What backward could hide of a step, were it
 * to begin with the first weights before the last are known, is less than that. */
#include <stdio.h>
#include <stdlib.h>

#include "common/comm.h"

enum { SIZES = 4, TIMES = 1001 };

static const struct {
    const char *name;
    size_t      weights;
} sizes[SIZES] = {
    {"3 fields x 16", 57522},
    {"2 fields x 64", 73043},
    {"3 fields x 16, four times the weights", 4 * 57522},
    {"2 fields x 64, four times the weights", 4 * 73043},
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static err_t measure(comm *c, int which, double most_s)
{
    const clock_source *clock = clock_monotonic();
    size_t              n     = sizes[which].weights;
    real               *x     = calloc(n, sizeof *x);
    double              took[TIMES], all = 0;
    int                 times = 0;

    if (!x)
        return err_memory(n * sizeof *x, "gradients");
    for (uint64_t go = 1; go; times++) {
        TRY(comm_barrier(c));
        int64_t since = clock_now(clock);
        TRY(comm_sum_real(c, x, n));
        took[times] = clock_seconds(clock, since);
        all += took[times];
        go = all < most_s && times + 1 < TIMES;
        TRY(comm_max_u64(c, &go, 1));
        go = go && times + 1 < TIMES;
    }
    qsort(took, (size_t)times, sizeof *took, ascending);
    if (comm_rank(c) == 0)
        printf("%-40s %7zu weights  %8.3f ms  least %8.3f ms\n", sizes[which].name, n,
               took[times / 2] * 1e3, took[0] * 1e3);
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
