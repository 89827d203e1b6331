/* Small products against sums in double, in every width of vectors that the machine has. */
#include "tests/worker/fixture.h"

#include <string.h>

#include "common/rng.h"
#include "worker/kernels/product.h"

#define NEAR (sizeof(real) == sizeof(float) ? 1e-5 : 1e-13)
#define ROOM 8192

static real A[ROOM], B[ROOM], C[ROOM], before[ROOM], first[ROOM];

static void draw(real *x)
{
    rng r = rng_named(5, RNG_TEST, 4, 0);

    for (int i = 0; i < ROOM; i++)
        x[i] = (real)rng_normal(&r);
}

/* ---- one product: where first lies, and whether A is transposed ---- */

typedef enum { NOTHING, ONE_ROW, A_MATRIX, ITSELF, KINDS } first_kind;

typedef struct shape {
    int bits, M, N, K;
} shape;

static const real *first_of(first_kind kind, int *stride, int C_stride)
{
    *stride = kind == ONE_ROW ? 0 : kind == A_MATRIX ? 97 : C_stride;
    return kind == NOTHING ? NULL : kind == ITSELF ? C : first;
}

static double want(const shape *s, int m, int n, int stride, first_kind kind, bool transposed)
{
    int    at = m * stride + n;
    double sum;

    if (m >= s->M || n >= s->N)
        return (double)before[at];
    sum = kind == NOTHING   ? 0
          : kind == ITSELF  ? (double)before[at]
          : kind == ONE_ROW ? (double)first[n]
                            : (double)first[m * 97 + n];
    for (int k = 0; k < s->K; k++)
        sum += (double)A[transposed ? k * 31 + m : m * 31 + k] * (double)B[k * 89 + n];
    return sum;
}

/* Also the numbers around C are looked at. */
static void check(const shape *s, first_kind kind, bool transposed)
{
    int         stride = s->N + 3, first_stride;
    const real *begin  = first_of(kind, &first_stride, stride);

    memcpy(C, before, sizeof C);
    if (!product_by(s->bits, C, stride, begin, first_stride,
                    transposed ? columns_of(A, 31) : rows_of(A, 31), B, 89, s->M, s->N, s->K))
        return;
    for (int m = 0; m < s->M + 1; m++)
        for (int n = 0; n < stride; n++)
            assert_near((double)C[m * stride + n], want(s, m, n, stride, kind, transposed),
                        NEAR * 5);
}

static void check_shape(const shape *s)
{
    for (first_kind kind = 0; kind < KINDS; kind++) {
        check(s, kind, false);
        check(s, kind, true);
    }
}

/* Rows to two full tiles of each height and one more, columns over strips of all widths and
 * last vectors of all sizes. */
static void products_of_all_small_shapes_are_right(void **state)
{
    static const int widths[] = {512, 256, 0};

    (void)state;
    draw(A);
    draw(B);
    draw(before);
    draw(first);
    for (int i = 0; i < 3; i++) {
        for (int M = 0; M <= 25; M++)
            for (int vectors = 0; vectors < 12; vectors++)
                check_shape(&(shape){widths[i], M, 8 * vectors - vectors % 3, 3});
        for (int N = 0; N <= 200; N++)
            for (int K = 0; K <= 3; K++)
                check_shape(&(shape){widths[i], 7, N, K});
    }
}

/* The widest is taken unasked: the same bits. */
static void the_widest_vectors_are_taken(void **state)
{
    static real   D[ROOM];
    const strided a = rows_of(A, 31);

    (void)state;
    draw(A);
    draw(B);
    product(C, 89, NULL, 0, a, B, 89, 30, 83, 29);
    for (int bits = 512; bits >= 0; bits -= 256)
        if (product_by(bits, D, 89, NULL, 0, a, B, 89, 30, 83, 29)) {
            for (int m = 0; m < 30; m++)
                assert_memory_equal(C + m * 89, D + m * 89, 83 * sizeof(real));
            return;
        }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_all_small_shapes_are_right),
        cmocka_unit_test(the_widest_vectors_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
