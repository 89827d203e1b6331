#include "worker/kernels/ahead.h"

/* The line in which address i lies, and how many from the one of i to that of last. */
static uintptr_t line_of(uintptr_t i)
{
    return i / LINE_BYTES * LINE_BYTES;
}

static int lines_between(uintptr_t first, uintptr_t last)
{
    return (int)((line_of(last) - line_of(first)) / LINE_BYTES) + 1;
}

CLONES static void list(const void **lines, uintptr_t first, int n)
{
    for (int i = 0; i < n; i++)
        lines[i] = (const void *)(first + (uintptr_t)i * LINE_BYTES);
}

void ahead_range(ahead *a, const void *at, size_t bytes)
{
    uintptr_t first = (uintptr_t)at;

    if (bytes == 0)
        return;
    size_t most = (size_t)(AHEAD_LINES - a->n) * LINE_BYTES;
    int n = least(AHEAD_LINES - a->n, lines_between(first, first + (bytes < most ? bytes : most) - 1));
    list(a->lines + a->n, line_of(first), n);
    a->n += n;
}

INLINE int list_rows(const void **lines, const real *table, const int *place, int N, int D,
                     const int of_a_row)
{
    for (int i = 0; i < N; i++) {
        const real *row = ROW(table, place[i] < 0 ? 0 : place[i], D);
        for (int line = 0; line < of_a_row; line++)
            lines[i * of_a_row + line] = row + line * VECTOR;
    }
    return N * of_a_row;
}

/* All rows are as many lines: a line more, where some rows reach into it, is not worth telling
 * them apart. */
CLONES void ahead_rows(ahead *a, const real *table, const int *place, int N, int D)
{
    int          of_a_row = (D + VECTOR - 1) / VECTOR;
    int          rows     = least(N, (AHEAD_LINES - a->n) / of_a_row);
    const void **lines    = a->lines + a->n;

    switch (of_a_row) {
    case 1:
        a->n += list_rows(lines, table, place, rows, D, 1);
        break;
    case 2:
        a->n += list_rows(lines, table, place, rows, D, 2);
        break;
    case 4:
        a->n += list_rows(lines, table, place, rows, D, 4);
        break;
    default:
        a->n += list_rows(lines, table, place, rows, D, of_a_row);
    }
}
