/* machine_bench - what one thread of the machine can do, in operations per second: fused
 * multiply-adds that need no memory, and a large sgemm. Measured in the same run as what is
 * compared with them. */
#ifndef DIPS_TESTS_BENCH_MACHINE_BENCH_H
#define DIPS_TESTS_BENCH_MACHINE_BENCH_H

#include "common/clones.h"
#include "tests/bench/model_bench.h"
#include "worker/kernels/gemm.h"

#define MULTIPLY_ADDS 16 /* that do not wait for one another */

typedef real wide __attribute__((vector_size(64)));

/* Rounds of independent multiply-adds of 64 bytes. */
CLONES static void multiply_add(wide *sums, long rounds)
{
    wide x[MULTIPLY_ADDS], factor = sums[0] + (real).5, addend = sums[1] + (real).25;

    for (int i = 0; i < MULTIPLY_ADDS; i++)
        x[i] = sums[i];
    for (long n = 0; n < rounds; n++)
        for (int i = 0; i < MULTIPLY_ADDS; i++)
            x[i] = x[i] * factor + addend;
    for (int i = 0; i < MULTIPLY_ADDS; i++)
        sums[i] = x[i];
}

static double multiply_adds(void)
{
    wide       sums[MULTIPLY_ADDS] = {{0}};
    const long rounds              = 400000;
    double     begin               = thread_seconds();

    multiply_add(sums, rounds);
    return 2.0 * MULTIPLY_ADDS * sizeof(wide) / sizeof(real) * (double)rounds /
           (thread_seconds() - begin);
}

#define LARGE 1024

static double large_gemm(model_bench *b)
{
    real  *A     = room(b, (size_t)LARGE * LARGE * sizeof *A);
    real  *C     = room(b, (size_t)LARGE * LARGE * sizeof *C);
    double begin = thread_seconds();

    gemm(C, LARGE, plain(A, LARGE), plain(A, LARGE), LARGE, LARGE, LARGE, false);
    return 2.0 * LARGE * LARGE * LARGE / (thread_seconds() - begin);
}

#endif
