/* Lines that are asked for ahead: which are listed, and that asking changes no product. */
#include "tests/worker/fixture.h"

#include <stdlib.h>

#include "worker/kernels/product.h"

typedef struct list {
    const void *lines[AHEAD_LINES];
    ahead       a;
} list;

static list *new_list(void)
{
    list *l = calloc(1, sizeof *l);

    assert_non_null(l);
    l->a = (ahead){.lines = l->lines, .rate = 1};
    return l;
}

static void a_range_is_every_line_that_it_touches_once(void **state)
{
    char *at = aligned_alloc(LINE_BYTES, 4 * LINE_BYTES);
    list *l  = new_list();

    (void)state;
    ahead_range(&l->a, at + 60, 8);
    assert_int_equal(l->a.n, 2);
    assert_ptr_equal(l->lines[0], at);
    assert_ptr_equal(l->lines[1], at + LINE_BYTES);
    ahead_range(&l->a, at + 2 * LINE_BYTES, LINE_BYTES);
    assert_int_equal(l->a.n, 3);
    assert_ptr_equal(l->lines[2], at + 2 * LINE_BYTES);
    ahead_range(&l->a, at, 0);
    assert_int_equal(l->a.n, 3);
    free(l);
    free(at);
}

static void rows_are_listed_whole_and_missing_ones_harm_nothing(void **state)
{
    enum { D = 2 * VECTOR, ROWS = 5 };
    real     *table   = aligned_alloc(LINE_BYTES, ROWS * D * sizeof *table);
    const int place[] = {3, -1, 0};
    list     *l       = new_list();

    (void)state;
    ahead_rows(&l->a, table, place, 3, D);
    assert_int_equal(l->a.n, 6);
    assert_ptr_equal(l->lines[0], table + 3 * D);
    assert_ptr_equal(l->lines[1], table + 3 * D + VECTOR);
    assert_ptr_equal(l->lines[4], table);
    free(l);
    free(table);
}

static void a_list_ends_where_it_is_full(void **state)
{
    const size_t bytes = (size_t)(AHEAD_LINES + 5) * LINE_BYTES;
    char        *at    = aligned_alloc(LINE_BYTES, bytes);
    const int    place = 0;
    list        *l     = new_list();

    (void)state;
    ahead_range(&l->a, at, bytes - 10 * LINE_BYTES);
    assert_int_equal(l->a.n, AHEAD_LINES - 5);
    ahead_range(&l->a, at, bytes);
    assert_int_equal(l->a.n, AHEAD_LINES);
    assert_ptr_equal(l->lines[AHEAD_LINES - 1], at + 4 * LINE_BYTES);
    ahead_rows(&l->a, (const real *)(const void *)at, &place, 1, 1);
    ahead_range(&l->a, at, 1);
    assert_int_equal(l->a.n, AHEAD_LINES);
    free(l);
    free(at);
}

static void a_product_takes_lines_and_stays_what_it_is(void **state)
{
    enum { M = 23, N = 41, K = 17 };
    real  A[M * K], B[K * N], C[M * N], alone[M * N];
    list *l = new_list();

    (void)state;
    for (int i = 0; i < M * K; i++)
        A[i] = (real)((i * 7) % 13 - 6);
    for (int i = 0; i < K * N; i++)
        B[i] = (real)((i * 5) % 11 - 5);
    ahead_range(&l->a, B, sizeof B);
    product_ahead(&l->a, C, N, NULL, 0, rows_of(A, K), B, N, M, N, K);
    product(alone, N, NULL, 0, rows_of(A, K), B, N, M, N, K);
    assert_memory_equal(C, alone, sizeof C);
    assert_true(l->a.next <= l->a.n);
    free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_is_every_line_that_it_touches_once),
        cmocka_unit_test(rows_are_listed_whole_and_missing_ones_harm_nothing),
        cmocka_unit_test(a_list_ends_where_it_is_full),
        cmocka_unit_test(a_product_takes_lines_and_stays_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
