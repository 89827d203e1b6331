/* product_tile - the tiles of product.c for one width of vectors: included once for each, after
 * the words in capitals were given their meaning, which ends with this file. */

typedef real NAME(vector) __attribute__((vector_size(LANES * sizeof(real))));
typedef real NAME(vector_at)
    __attribute__((vector_size(LANES * sizeof(real)), aligned(sizeof(real)), may_alias));

/* A vector at x; where it is the last of its row, its lanes behind N are not touched. */
TARGET INLINE NAME(vector) NAME(load)(const real *x, bool last, MASK mask)
{
    return last ? (NAME(vector))LOAD(x, mask) : (NAME(vector))*(const NAME(vector_at) *)x;
}

TARGET INLINE void NAME(store)(real *x, NAME(vector) v, bool last, MASK mask)
{
    if (last)
        STORE(x, mask, v);
    else
        *(NAME(vector_at) *)x = v;
}

/* A step along K: a column of A meets a row of B. */
#define STEP                                                                                   \
    do {                                                                                       \
        for (int v = 0; v < vectors; v++)                                                      \
            b[v] = NAME(load)(B + v * LANES, v == vectors - 1, mask);                          \
        for (int r = 0; r < rows; r++)                                                         \
            for (int v = 0; v < vectors; v++)                                                  \
                sum[r][v] += A[r * row] * b[v];                                                \
        A += w->A.column;                                                                      \
        B += w->b_stride;                                                                      \
    } while (0)

/* `rows` rows of C from row m and `vectors` vectors from column n on. Both counts are constants
 * where this is unrolled, so that all sums are registers. */
TARGET UNROLLED void NAME(tile)(const product_work *w, int m, int n, MASK mask, const int rows,
                                const int vectors)
{
    const real     *A = w->A.at + m * w->A.row, *B = w->B + n, *first = NULL;
    const ptrdiff_t row = w->A.row;
    NAME(vector)    sum[MOST_ROWS][MOST_VECTORS], b[MOST_VECTORS];

    if (w->first)
        first = ROW(w->first, m, w->first_stride) + n;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = first ? NAME(load)(ROW(first, r, w->first_stride) + v * LANES,
                                           v == vectors - 1, mask)
                              : (NAME(vector)){0};
    const void *const *lines = NULL;
    int asked = w->ahead ? ahead_take(w->ahead, w->K / STEPS_A_LINE, &lines) : 0;
    for (int i = 0; i < asked; i++) {
        ahead_ask(lines[i]);
        for (int k = 0; k < STEPS_A_LINE; k++)
            STEP;
    }
    for (int k = asked * STEPS_A_LINE; k < w->K; k++)
        STEP;
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            NAME(store)(ROW(w->C, m + r, w->stride) + n + v * LANES, sum[r][v],
                        v == vectors - 1, mask);
}

#undef STEP

#define CASE(count)                                                                            \
    case count:                                                                                \
        NAME(tile)(w, m, n, mask, count < most ? count : most, vectors);                       \
        break;

/* A strip of C from column n on, in tiles of about the same height. */
TARGET UNROLLED void NAME(strip)(const product_work *w, int n, MASK mask, const int vectors,
                                 const int most)
{
    int tiles = (w->M + most - 1) / most;

    for (int m = 0, rows; m < w->M; m += rows) {
        rows = (w->M - m + tiles - 1) / tiles;
        tiles--;
        switch (rows) {
            CASE(1)
            CASE(2)
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
            CASE(8)
            CASE(9)
            CASE(10)
            CASE(11)
            CASE(12)
        }
    }
}
#undef CASE

/* C in strips of about the same width. */
TARGET static void NAME(product)(const product_work *w)
{
    int vectors = (w->N + LANES - 1) / LANES;
    int strips  = (vectors + MOST_VECTORS - 1) / MOST_VECTORS;

    for (int n = 0, width; n < w->N; n += width * LANES) {
        width = (vectors + strips - 1) / strips;
        vectors -= width;
        strips--;
        int        there = w->N - n - (width - 1) * LANES;
        const MASK mask  = MASK_OF(there < LANES ? there : LANES);
        switch (width) {
        case 1:
            NAME(strip)(w, n, mask, 1, ROWS_1);
            break;
        case 2:
            NAME(strip)(w, n, mask, 2, ROWS_2);
            break;
        case 3:
            NAME(strip)(w, n, mask, 3, ROWS_3);
            break;
#if MOST_VECTORS > 3
        case 4:
            NAME(strip)(w, n, mask, 4, ROWS_4);
            break;
        case 5:
            NAME(strip)(w, n, mask, 5, ROWS_5);
            break;
#endif
        }
    }
}

#undef NAME
#undef TARGET
#undef LANES
#undef MOST_VECTORS
#undef ROWS_1
#undef ROWS_2
#undef ROWS_3
#undef ROWS_4
#undef ROWS_5
#undef MASK
#undef MASK_OF
#undef LOAD
#undef STORE
