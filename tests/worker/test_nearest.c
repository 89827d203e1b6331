/* The nearest rows against all products, sorted: more rows than a block holds, in pieces of any
 * size and any order, with many equal products. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "worker/nearest.h"

enum { ROWS = 5000, DIM = 7, QUERIES = 5 };

/* Small whole numbers: their products are exact, and many are equal. */
static void draw(real *x, size_t n, rng *r)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (real)((int)rng_below(r, 7) - 3);
}

static int best_first(const void *a, const void *b)
{
    const nearest_row *x = a, *y = b;

    if (x->product != y->product)
        return x->product > y->product ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* All rows but those whose id is `without`, the best first; how many. */
static int by_sorting(nearest_row *all, const uint64_t *ids, const real *rows,
                      const real *query, const uint64_t *without)
{
    int n = 0;

    for (int i = 0; i < ROWS; i++) {
        real product = 0;
        for (int d = 0; d < DIM; d++)
            product += query[d] * rows[i * DIM + d];
        if (!without || ids[i] != *without)
            all[n++] = (nearest_row){ids[i], product};
    }
    qsort(all, (size_t)n, sizeof *all, best_first);
    return n;
}

static void check_best(int k, int piece)
{
    static real        rows[ROWS * DIM], queries[QUERIES * DIM];
    static uint64_t    ids[ROWS];
    static nearest_row all[ROWS];
    rng                r = rng_named(1, RNG_TEST, 0, 0);
    nearest           *x;
    uint64_t           without = 17 * 4242 % ROWS;

    draw(rows, ROWS * DIM, &r);
    draw(queries, QUERIES * DIM, &r);
    for (uint64_t i = 0; i < ROWS; i++)
        ids[i] = 17 * i % ROWS; /* each once, in another order */
    assert_int_equal(nearest_new(&x, QUERIES, DIM, k, queries), OK);
    nearest_exclude(x, 0, 1, &without);
    for (int i = 0; i < ROWS; i += piece)
        nearest_add(x, i + piece < ROWS ? piece : ROWS - i, ids + i, rows + i * DIM);
    for (int q = 0; q < QUERIES; q++) {
        int n, there = by_sorting(all, ids, rows, queries + q * DIM, q == 0 ? &without : NULL);
        const nearest_row *best = nearest_best(x, q, &n);
        assert_int_equal(n, k < there ? k : there);
        for (int i = 0; i < n; i++) {
            assert_int_equal(best[i].id, all[i].id);
            assert_true(best[i].product == all[i].product);
        }
    }
    nearest_free(&x);
}

static void the_best_are_those_of_sorting_all(void **state)
{
    (void)state;
    check_best(1, ROWS);
    check_best(400, ROWS);
    check_best(400, 1024);
    check_best(37, 1025);
    check_best(12, 1);
    check_best(ROWS + 1, 1500); /* more than there are */
    check_best(0, 700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_best_are_those_of_sorting_all)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
