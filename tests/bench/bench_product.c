/* bench_product - small products in fp32 and in bf16, by each path that the machine has.
 *
 *     bench_product [seconds a number]
 *
 * GFLOP/s in one thread, at the shapes of DIN's activation unit for a piece of 128 events: in
 * bf16 once with both operands laid out before, and once with the left one rounded and the
 * right one paired from fp32 each time. */
#include <math.h>

#include "tests/bench/bench.h"
#include "worker/kernels/halves.h"
#include "worker/kernels/product.h"
#include "worker/kernels/product_bf16.h"

#define ROOM (512 * 512)

typedef struct shape {
    const char *what;
    int         M, N, K;
} shape;

static const shape shapes[] = {
    {"3 x 16: x = [k, q*k] W", 128, 80, 96},    {"        [gk, gqk] = g W'", 128, 96, 80},
    {"        gW = g' [k, q*k]", 80, 96, 128},  {"2 x 64: x = [k, q*k] W", 128, 80, 256},
    {"        [gk, gqk] = g W'", 128, 256, 80}, {"        gW = g' [k, q*k]", 80, 256, 128},
    {"80-40:  x = a W", 128, 40, 80},           {"        ga = g W'", 128, 80, 40},
    {"        gW = g' a", 40, 80, 128},
};

typedef struct room {
    real     A[ROOM], B[ROOM], C[ROOM];
    uint16_t left[ROOM], rows[ROOM];
    uint32_t right[ROOM];
} room;

typedef enum { FP32, LAID_OUT, WITH_LAYOUT } kind;

static void lay_out(room *r, const shape *s)
{
    int deep = bf16_deep(s->K), wide = bf16_wide(s->N);

    halves_round(r->left, deep, r->A, s->K, NULL, s->M, s->K, deep);
    halves_round(r->rows, wide, r->B, s->N, NULL, s->K, s->N, wide);
    halves_pair(r->right, wide, r->rows, wide, s->K, wide);
}

static void once(room *r, const shape *s, kind k, bf16_path path)
{
    if (k == FP32) {
        product(r->C, s->N, NULL, 0, rows_of(r->A, s->K), r->B, s->N, s->M, s->N, s->K);
        return;
    }
    if (k == WITH_LAYOUT)
        lay_out(r, s);
    product_bf16(path, r->C, s->N, NULL, 0, (bf16_left){r->left, bf16_deep(s->K)},
                 (bf16_right){r->right, bf16_wide(s->N)}, s->M, s->N, s->K);
}

/* The fastest of many rounds of 20: what else runs only ever adds time. */
static double rate(room *r, const shape *s, kind k, bf16_path path, double budget)
{
    double best = 1e9, begin = thread_seconds();

    lay_out(r, s);
    while (thread_seconds() - begin < budget) {
        double since = thread_seconds();
        for (int i = 0; i < 20; i++)
            once(r, s, k, path);
        best = fmin(best, (thread_seconds() - since) / 20);
    }
    return 2e-9 * s->M * s->N * s->K / best;
}

int main(int n, char **words)
{
    double budget = n > 1 ? atof(words[1]) : .05;
    room  *r      = aligned_alloc(64, sizeof *r);

    if (!r)
        return 1;
    for (int i = 0; i < ROOM; i++)
        r->A[i] = r->B[i] = (real)sin(i);
    printf("%-26s %5s %5s %5s %9s", "GFLOP/s", "M", "N", "K", "fp32");
    for (bf16_path path = 0; path < BF16_PATHS; path++)
        if (bf16_has_path(path))
            printf("  %s, +layout", bf16_path_name(path));
    printf("\n");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        printf("%-26s %5d %5d %5d %9.0f", s->what, s->M, s->N, s->K,
               rate(r, s, FP32, BF16_LOOPS, budget));
        for (bf16_path path = 0; path < BF16_PATHS; path++)
            if (bf16_has_path(path))
                printf("  %12.0f %6.0f", rate(r, s, LAID_OUT, path, budget),
                       rate(r, s, WITH_LAYOUT, path, budget));
        printf("\n");
    }
    free(r);
    return 0;
}
