#include "worker/nearest.h"

#include <stdbool.h>
#include <stdlib.h>

#include "worker/kernels/kernel.h"
#include "worker/kernels/product.h"

#define BLOCK_PRODUCTS 1024 /* rows whose products lie in memory at a time */

/* A heap of at most k rows, the worst one on top. */
typedef struct best {
    nearest_row    *heap;
    int             n;
    int             n_excluded;
    const uint64_t *excluded;
} best;

struct nearest {
    int          n, dim, k;
    real        *queries;  /* (dim, n) */
    real        *products; /* (BLOCK_PRODUCTS, n) */
    best        *best;     /* (n) */
    nearest_row *rows;     /* (n, k) of the heaps */
};

err_t nearest_new(nearest **out, int n, int dim, int k, const real *queries)
{
    nearest *x     = calloc(1, sizeof *x);
    size_t   bytes = (size_t)n * (size_t)k * sizeof *x->rows;

    *out = x;
    if (!x)
        return err_memory(sizeof *x, "a search");
    *x          = (nearest){.n = n, .dim = dim, .k = k};
    x->queries  = malloc(((size_t)n * (size_t)dim + 1) * sizeof *x->queries);
    x->products = malloc(((size_t)n * BLOCK_PRODUCTS + 1) * sizeof *x->products);
    x->best     = calloc((size_t)n + 1, sizeof *x->best);
    x->rows     = malloc(bytes + 1);
    if (!x->queries || !x->products || !x->best || !x->rows) {
        nearest_free(out);
        return err_memory(bytes, "the best rows of a search");
    }
    for (int q = 0; q < n; q++)
        for (int d = 0; d < dim; d++)
            ROW(x->queries, d, n)[q] = ROW(queries, q, dim)[d];
    for (int q = 0; q < n; q++)
        x->best[q].heap = x->rows + (size_t)q * (size_t)k;
    return OK;
}

void nearest_free(nearest **x)
{
    if (!*x)
        return;
    free((*x)->queries);
    free((*x)->products);
    free((*x)->best);
    free((*x)->rows);
    free(*x);
    *x = NULL;
}

void nearest_exclude(nearest *x, int q, int n, const uint64_t *ids)
{
    x->best[q].n_excluded = n;
    x->best[q].excluded   = ids;
}

/* ---- heaps ---- */

static bool worse(const nearest_row *a, const nearest_row *b)
{
    return a->product != b->product ? a->product < b->product : a->id > b->id;
}

static void swap(nearest_row *a, nearest_row *b)
{
    nearest_row kept = *a;

    *a = *b;
    *b = kept;
}

static void sift_up(nearest_row *heap, int i)
{
    for (; i > 0 && worse(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&heap[i], &heap[(i - 1) / 2]);
}

static void sift_down(nearest_row *heap, int n)
{
    for (int i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(&heap[child + 1], &heap[child]))
            child++;
        if (!worse(&heap[child], &heap[i]))
            return;
        swap(&heap[i], &heap[child]);
    }
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool excluded(const best *b, uint64_t id)
{
    return b->n_excluded > 0 &&
           bsearch(&id, b->excluded, (size_t)b->n_excluded, sizeof id, by_id);
}

/* A product that is not a number is no answer. */
static void offer(best *b, int k, nearest_row row)
{
    bool full = b->n == k;

    if (row.product != row.product || k == 0 || (full && worse(&row, &b->heap[0])) ||
        excluded(b, row.id))
        return;
    if (full) {
        b->heap[0] = row;
        sift_down(b->heap, k);
        return;
    }
    b->heap[b->n] = row;
    sift_up(b->heap, b->n++);
}

/* ---- rows ---- */

/* A product is one running sum over the row, whatever other queries there are. */
static void add_block(nearest *x, int n, const uint64_t *ids, const real *rows)
{
    product(x->products, x->n, NULL, 0, rows_of(rows, x->dim), x->queries, x->n, n, x->n,
            x->dim);
    for (int i = 0; i < n; i++) {
        const real *products = ROW(x->products, i, x->n);
        for (int q = 0; q < x->n; q++)
            offer(&x->best[q], x->k, (nearest_row){ids[i], products[q]});
    }
}

void nearest_add(nearest *x, int n, const uint64_t *ids, const real *rows)
{
    for (int i = 0; i < n; i += BLOCK_PRODUCTS)
        add_block(x, least(BLOCK_PRODUCTS, n - i), ids + i, ROW(rows, i, x->dim));
}

static int best_first(const void *a, const void *b)
{
    const nearest_row *x = a, *y = b;

    return worse(x, y) ? 1 : worse(y, x) ? -1 : 0;
}

const nearest_row *nearest_best(nearest *x, int q, int *n)
{
    best *b = &x->best[q];

    qsort(b->heap, (size_t)b->n, sizeof *b->heap, best_first);
    *n = b->n;
    return b->heap;
}
