/* A row's first value. */
#include "harness.h"

enum { DIM = 7, N = 4000 };

/* The birth values of ids 0 .. N-1 under the options in `more`. */
static real *births(const char *more, uint64_t seed)
{
    char    yaml[256];
    config *c;
    schema *s;
    table   t;
    real   *w = malloc(N * DIM * sizeof *w);

    snprintf(yaml, sizeof yaml,
             "tables: {t: {dim: %d, %s}}\nfeatures: {f: {table: t}}\ntrain: {seed: %d}\n", DIM,
             more, (int)seed);
    must(config_parse(&c, "run.yaml", yaml, strlen(yaml), 0, NULL));
    must(schema_new(&s, c));
    must(table_init(&t, &s->tables[0], seed, NULL, 0, HASH_BUCKETS));
    for (uint64_t id = 0; id < N; id++)
        table_birth_value(&t, id, w + id * DIM);
    table_clear(&t);
    schema_free(&s);
    config_free(&c);
    return w;
}

/* Mean and standard deviation of column d. */
static void moments(const real *w, int d, double *mean, double *deviation)
{
    double sum = 0, squares = 0;

    for (int i = 0; i < N; i++) {
        double x = (double)w[i * DIM + d];
        sum += x;
        squares += x * x;
    }
    *mean      = sum / N;
    *deviation = sqrt(squares / N - *mean * *mean);
}

/* Of 4,000 draws the mean is within 5 / sqrt(4000) deviations of 0, and the deviation
 * within 6 % of the true one. */
static void check_column(const real *w, int d, double deviation)
{
    double mean, got;

    moments(w, d, &mean, &got);
    assert_true(fabs(mean) < 0.08 * deviation);
    assert_true(fabs(got / deviation - 1) < 0.06);
}

static void normal_rows_have_the_scale_as_deviation(void **unused)
{
    (void)unused;
    real *w = births("init: {kind: normal, scale: 0.2}", 1);

    for (int d = 0; d < DIM; d++) /* an odd dim: the last value is half a pair */
        check_column(w, d, 0.2);
    free(w);
}

static void uniform_rows_have_the_scale_as_half_width(void **unused)
{
    (void)unused;
    real *w = births("init: {kind: uniform, scale: 0.3}", 1);

    for (int d = 0; d < DIM; d++)
        check_column(w, d, 0.3 / sqrt(3));
    for (int i = 0; i < N * DIM; i++)
        assert_true(fabs_real(w[i]) <= (real)0.3);
    free(w);
}

static void zero_rows_are_zero(void **unused)
{
    (void)unused;
    real *w = births("init: {kind: zero}", 1);

    for (int i = 0; i < N * DIM; i++)
        assert_true(w[i] == 0);
    free(w);
}

static void a_first_value_depends_on_the_seed(void **unused)
{
    (void)unused;
    real *a = births("init: {scale: 1}", 1), *b = births("init: {scale: 1}", 2);
    real *c = births("init: {scale: 1}", 1);

    assert_memory_equal(a, c, N * DIM * sizeof *a);
    for (int i = 0; i < N * DIM; i++)
        assert_true(a[i] != b[i]);
    free(a);
    free(b);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_rows_have_the_scale_as_deviation),
        cmocka_unit_test(uniform_rows_have_the_scale_as_half_width),
        cmocka_unit_test(zero_rows_are_zero),
        cmocka_unit_test(a_first_value_depends_on_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
