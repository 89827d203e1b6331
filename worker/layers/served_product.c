#include "worker/layers/served_product.h"

#include "worker/kernels/halves.h"
#include "worker/kernels/product.h"

#define LEAST_K 32 /* of a product that gains: as deep as a tile */

bool served_product_splits(void)
{
    return bf16_best_path() == BF16_TILES;
}

err_t served_weights_open(served_weights *w, int K, int N, bool split, pass *p)
{
    size_t words = (size_t)bf16_deep(K) / 2 * (size_t)N;

    *w = (served_weights){.K = K, .N = N, .split = split && K >= LEAST_K};
    if (!w->split)
        return OK;
    TRY(arena_take(p->arena, words * sizeof *w->upper, &w->upper));
    return arena_take(p->arena, words * sizeof *w->lower, &w->lower);
}

err_t served_rows_open(served_rows *a, int rows, const served_weights *w, pass *p)
{
    *a         = (served_rows){.K = w->K, .deep = bf16_deep(w->K), .split = w->split};
    size_t all = (size_t)bf16_wide(rows) * (size_t)a->deep;
    if (!a->split)
        return OK;
    TRY(arena_take(p->arena, all * sizeof *a->upper, &a->upper));
    return arena_take(p->arena, all * sizeof *a->lower, &a->lower);
}

void served_weights_set(served_weights *w, const real *at, int stride)
{
    w->at     = at;
    w->stride = stride;
    if (w->split)
        halves_split_pairs(w->upper, w->lower, w->N, at, stride, w->K, w->N);
}

void served_rows_set(served_rows *a, const real *at, int stride, int M)
{
    a->at     = at;
    a->stride = stride;
    if (a->split)
        halves_split(a->upper, a->lower, a->deep, at, stride, M, a->K, a->deep);
}

void served_product(real *C, int stride, const real *first, int first_stride,
                    const served_rows *a, int begin, const served_weights *w, int M)
{
    if (!w->split) {
        product(C, stride, first, first_stride,
                rows_of(ROW(a->at, begin, a->stride), a->stride), w->at, w->stride, M, w->N,
                w->K);
        return;
    }
    const bf16_left upper    = {ROW(a->upper, begin, a->deep), a->deep},
                    lower    = {ROW(a->lower, begin, a->deep), a->deep};
    const bf16_right   above = {w->upper, w->N}, below = {w->lower, w->N};
    const bf16_factors factors[] = {{upper, above}, {upper, below}, {lower, above}};
    product_bf16_sum(BF16_TILES, C, stride, first, first_stride, 3, factors, M, w->N, w->K);
}
