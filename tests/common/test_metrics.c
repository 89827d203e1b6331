#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/metrics.h"
#include "common/rng.h"
#include "tests/room.h"

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g is not %.17g", a, b);
}

/* ---- figures ---- */

/* The golden rows: four users, of whom user 3 has clicks only. */
static const prediction golden[10] = {
    {.9, 0, 0, 1}, {.8, 0, 1, 1}, {.7, 1, 0, 1}, {.6, 0, 1, 1}, {.5, 1, 1, 1},
    {.4, 2, 1, 1}, {.4, 2, 0, 1}, {.1, 2, 0, 1}, {.3, 3, 1, 1}, {.2, 3, 1, 1},
};

static void the_golden_rows_give_the_golden_figures(void **state)
{
    (void)state;
    prediction p[10];
    metrics    m;

    memcpy(p, golden, sizeof p);
    assert_int_equal(metrics_compute(&m, p, 10, true), OK);
    assert_near(m.auc, .4375, 1e-15);
    assert_near(m.gauc, .28125, 1e-15); /* (3 * 0 + 2 * 0 + 3 * .75) / 8 */
    assert_int_equal(m.groups, 3);
    assert_near(m.samples, 10, 0);
    assert_near(m.logloss, -log(.1 * .8 * .3 * .6 * .5 * .4 * .6 * .9 * .3 * .2) / 10, 1e-15);
    assert_near(m.calibration, 4.9 / 6, 1e-15);
}

static void the_order_of_the_two_lists_of_the_blog_does_not_matter_to_gauc(void **state)
{
    (void)state;
    /* a-, a+, b-, b.. by ascending score: jia-, jia+, yi-, jia+, yi+ */
    prediction first[] = {
        {.1, 1, 0, 1}, {.2, 1, 1, 1}, {.3, 2, 0, 1}, {.4, 1, 1, 1}, {.5, 2, 1, 1}};
    prediction second[] = {
        {.1, 1, 0, 1}, {.2, 1, 1, 1}, {.4, 2, 0, 1}, {.3, 1, 1, 1}, {.5, 2, 1, 1}};
    metrics m;

    assert_int_equal(metrics_compute(&m, first, 5, true), OK);
    assert_near(m.auc, 5. / 6, 1e-15);
    assert_near(m.gauc, 1, 0);
    assert_int_equal(metrics_compute(&m, second, 5, true), OK);
    assert_near(m.auc, 4. / 6, 1e-15);
    assert_near(m.gauc, 1, 0);
}

static void one_class_has_no_auc(void **state)
{
    (void)state;
    prediction p[] = {{.9, 1, 1, 1}, {.8, 2, 1, 1}};
    metrics    m;

    assert_int_equal(metrics_compute(&m, p, 2, true), OK);
    assert_true(isnan(m.auc) && isnan(m.gauc));
    assert_int_equal(m.groups, 0);
    assert_near(m.calibration, .85, 1e-15);
    p[0].label = p[1].label = 0;
    assert_int_equal(metrics_compute(&m, p, 2, false), OK);
    assert_true(isnan(m.auc) && isnan(m.gauc) && isnan(m.calibration));
    assert_near(m.logloss, -(log(.1) + log(.2)) / 2, 1e-15);
    assert_int_equal(metrics_compute(&m, NULL, 0, true), OK);
    assert_true(isnan(m.auc) && isnan(m.logloss) && m.samples == 0);
}

static void a_certain_mistake_costs_a_finite_loss(void **state)
{
    (void)state;
    prediction p[] = {{1, 0, 0, 1}, {0, 0, 1, 1}, {-0.0, 0, 0, 1}};
    metrics    m;

    assert_int_equal(metrics_compute(&m, p, 3, false), OK);
    assert_near(m.logloss, 2 * -log(1e-15) / 3, 0.03); /* 1 - 1e-15 is not a double */
    assert_near(m.auc, .25, 0);                        /* -0 ties with 0 */
}

static void a_weight_is_so_many_samples(void **state)
{
    (void)state;
    prediction heavy[10], copies[30];
    metrics    a, b;
    size_t     n = 0;

    memcpy(heavy, golden, sizeof heavy);
    for (int i = 0; i < 10; i++) {
        heavy[i].weight = (float)(i % 4); /* 0: not there at all */
        for (int k = 0; k < i % 4; k++)
            copies[n++] = golden[i];
    }
    assert_int_equal(metrics_compute(&a, heavy, 10, true), OK);
    assert_int_equal(metrics_compute(&b, copies, n, true), OK);
    assert_near(a.auc, b.auc, 1e-15);
    assert_near(a.gauc, b.gauc, 1e-15);
    assert_near(a.logloss, b.logloss, 1e-15);
    assert_near(a.calibration, b.calibration, 1e-15);
    assert_near(a.samples, (double)n, 0);
    assert_int_equal(a.groups, b.groups);
}

static void what_is_no_probability_is_named(void **state)
{
    (void)state;
    static const double wrong[] = {NAN, INFINITY, -1e-9, 1.0000001};
    metrics             m;

    for (size_t i = 0; i < 4; i++) {
        prediction p[] = {{.5, 1, 1, 1}, {wrong[i], 77, 0, 1}};
        assert_int_equal(metrics_compute(&m, p, 2, true), ERR_NUMERIC);
        assert_non_null(strstr(err_text(), "prediction 1 of group 77"));
    }
    prediction p[] = {{.5, 1, 1, -1}};
    assert_int_equal(metrics_compute(&m, p, 1, true), ERR_NUMERIC);
}

/* Count pairs by the definition: O(n^2). */
static void by_definition(const prediction *p, size_t n, double *auc, double *gauc)
{
    double right = 0, pairs = 0, weighted = 0, impressions = 0;

    for (size_t i = 0; i < n; i++) {
        double right_i = 0, pairs_i = 0, size_i = 0;
        bool   first = true;
        for (size_t k = 0; k < i; k++)
            first &= p[k].group != p[i].group;
        for (size_t a = 0; a < n; a++) {
            size_i += p[a].group == p[i].group;
            for (size_t b = 0; b < n; b++) {
                if (!(p[a].label == 1 && p[b].label == 0))
                    continue;
                double won = p[a].probability > p[b].probability    ? 1
                             : p[a].probability == p[b].probability ? .5
                                                                    : 0;
                if (i == 0) {
                    pairs++;
                    right += won;
                }
                if (first && p[a].group == p[i].group && p[b].group == p[i].group) {
                    pairs_i++;
                    right_i += won;
                }
            }
        }
        if (pairs_i > 0) {
            weighted += size_i * right_i / pairs_i;
            impressions += size_i;
        }
    }
    *auc  = right / pairs;
    *gauc = weighted / impressions;
}

/* Probabilities that spread, tie, differ in the last bit, reach down to 1e-300, and
 * zeros of either sign. */
static double a_probability(rng *chance, int round)
{
    double x = rng_uniform(chance);

    switch (round) {
    case 0:
        return x;
    case 1:
        return floor(x * 20) / 20;
    case 2:
        return .5 + floor(x * 300) * 0x1p-53;
    case 3:
        return pow(x, 300);
    default:
        return x < .3 ? 0.0 : x < .6 ? -0.0 : x;
    }
}

static void many_predictions_agree_with_the_definition(void **state)
{
    (void)state;
    enum { N = 300 };
    rng chance = rng_named(3, RNG_TEST, 0, 0);

    for (int round = 0; round < 5; round++) {
        prediction p[N];
        metrics    m;
        double     auc, gauc;
        for (int i = 0; i < N; i++) {
            uint64_t group = rng_below(&chance, 4) << (8 * rng_below(&chance, 8));
            p[i]           = (prediction){.probability = a_probability(&chance, round),
                                          .group       = group,
                                          .label       = (float)rng_below(&chance, 2),
                                          .weight      = 1};
        }
        by_definition(p, N, &auc, &gauc);
        assert_int_equal(metrics_compute(&m, p, N, true), OK);
        assert_near(m.auc, auc, 1e-12);
        assert_near(m.gauc, gauc, 1e-12);
    }
}

static void the_order_of_predictions_does_not_matter(void **state)
{
    (void)state;
    enum { N = 5000 };
    static prediction p[N], q[N];
    rng               chance = rng_named(4, RNG_TEST, 0, 0);
    metrics           a, b;

    for (int i = 0; i < N; i++)
        q[N - 1 - i] = p[i] = (prediction){.probability = (double)(float)rng_uniform(&chance),
                                           .group       = rng_below(&chance, 50),
                                           .label       = (float)rng_below(&chance, 2),
                                           .weight      = 1};
    assert_int_equal(metrics_compute(&a, p, N, true), OK);
    assert_int_equal(metrics_compute(&b, q, N, true), OK);
    assert_memory_equal(&a, &b, sizeof a);
}

static void rela_impr_reproduces_the_tables_of_din(void **state)
{
    (void)state;
    assert_near(metrics_rela_impr(.8818, .8624), 5.35, .005);
    assert_near(metrics_rela_impr(.8871, .8624), 6.82, .005);
    assert_near(metrics_rela_impr(.7337, .7300), 1.61, .005);
    assert_near(metrics_rela_impr(.6083, .5970), 11.65, .005);
    assert_near(metrics_rela_impr(.6031, .5940), 9.68, .005);
}

/* ---- lines ---- */

static char path[128];

static int open_lines(void **unused)
{
    room_open(unused);
    strcpy(path, inside("metrics.jsonl"));
    return 0;
}

static void assert_content(const char *text)
{
    char *bytes = read_bytes(path, NULL);

    assert_string_equal(bytes, text);
    free(bytes);
}

static void a_line_is_one_object(void **state)
{
    (void)state;
    metrics_log *log;

    unlink(path);
    assert_int_equal(metrics_log_open(&log, path, -1), OK);
    assert_int_equal(
        metrics_log_write(log, "step", 3,
                          (metrics_field[]){METRIC_INT("step", 12), METRIC_REAL("loss", 0.1),
                                            METRIC_REAL("third", 1. / 3)}),
        OK);
    assert_int_equal(
        metrics_log_write(log, "odd", 6,
                          (metrics_field[]){METRIC_REAL("a", NAN), METRIC_REAL("b", -INFINITY),
                                            METRIC_TEXT("c", "\"\\\n\x01\xc3\xa9"),
                                            METRIC_TEXT("d", "\xff"), METRIC_TEXT("e", NULL),
                                            METRIC_INT("f", INT64_MIN)}),
        OK);
    metrics_log_close(&log);
    assert_null(log);
    assert_content(
        "{\"event\":\"step\",\"step\":12,\"loss\":0.1,\"third\":0.3333333333333333}\n"
        "{\"event\":\"odd\",\"a\":null,\"b\":null,\"c\":\"\\\"\\\\\\u000a\\u0001\xc3\xa9\","
        "\"d\":\"\\u00ff\",\"e\":null,\"f\":-9223372036854775808}\n");
}

static void a_resumed_run_reads_like_one_never_stopped(void **state)
{
    (void)state;
    metrics_log *log;

    write_text(
        path,
        "{\"event\":\"start\"}\n{\"event\":\"step\",\"step\":10}\n"
        "{\"event\":\"eval\",\"step\":10,\"auc\":null}\n{\"event\":\"step\",\"step\":11}\n"
        "{\"event\":\"step\",\"step\":12}\n{\"event\":\"step\",\"st");
    assert_int_equal(metrics_log_open(&log, path, 10), OK);
    assert_int_equal(metrics_log_write(log, "step", 1, &METRIC_INT("step", 11)), OK);
    metrics_log_close(&log);
    assert_content("{\"event\":\"start\"}\n{\"event\":\"step\",\"step\":10}\n"
                   "{\"event\":\"eval\",\"step\":10,\"auc\":null}\n"
                   "{\"event\":\"step\",\"step\":11}\n");
}

static void a_torn_line_is_cut_even_where_all_is_kept(void **state)
{
    (void)state;
    metrics_log *log;

    write_text(path, "{\"event\":\"step\",\"step\":10}\n{\"event\":\"step\",\"step\":11}");
    assert_int_equal(metrics_log_open(&log, path, -1), OK);
    metrics_log_close(&log);
    assert_content("{\"event\":\"step\",\"step\":10}\n");
}

static void nothing_to_cut_leaves_the_file_alone(void **state)
{
    (void)state;
    metrics_log *log;

    write_text(path, "{\"event\":\"step\",\"step\":10}\n");
    assert_int_equal(metrics_log_open(&log, path, 10), OK);
    metrics_log_close(&log);
    assert_content("{\"event\":\"step\",\"step\":10}\n");
}

static void a_log_without_a_path_drops_all(void **state)
{
    (void)state;
    metrics_log *log;

    assert_int_equal(metrics_log_open(&log, NULL, 3), OK);
    assert_int_equal(metrics_log_write(log, "step", 0, NULL), OK);
    metrics_log_close(&log);
    metrics_log_close(&log);
    assert_int_equal(metrics_log_open(&log, "/nowhere/at/all", -1), ERR_SYSTEM);
    assert_non_null(strstr(err_text(), "/nowhere/at/all"));
}

/* RLIMIT_FSIZE stands for a full disk. */
static void a_line_that_does_not_fit_is_taken_back(void **state)
{
    (void)state;
    metrics_log  *log;
    struct rlimit before, small;

    write_text(path, "{\"event\":\"step\"}\n");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    small          = before;
    small.rlim_cur = 30;
    assert_int_equal(metrics_log_open(&log, path, -1), OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    err_t err = metrics_log_write(log, "step", 1, &METRIC_TEXT("a", "long enough to be cut"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err, ERR_SYSTEM);
    assert_content("{\"event\":\"step\"}\n");
    metrics_log_close(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_golden_rows_give_the_golden_figures),
        cmocka_unit_test(the_order_of_the_two_lists_of_the_blog_does_not_matter_to_gauc),
        cmocka_unit_test(one_class_has_no_auc),
        cmocka_unit_test(a_certain_mistake_costs_a_finite_loss),
        cmocka_unit_test(a_weight_is_so_many_samples),
        cmocka_unit_test(what_is_no_probability_is_named),
        cmocka_unit_test(many_predictions_agree_with_the_definition),
        cmocka_unit_test(the_order_of_predictions_does_not_matter),
        cmocka_unit_test(rela_impr_reproduces_the_tables_of_din),
        cmocka_unit_test(a_line_is_one_object),
        cmocka_unit_test(a_resumed_run_reads_like_one_never_stopped),
        cmocka_unit_test(a_torn_line_is_cut_even_where_all_is_kept),
        cmocka_unit_test(nothing_to_cut_leaves_the_file_alone),
        cmocka_unit_test(a_log_without_a_path_drops_all),
        cmocka_unit_test(a_line_that_does_not_fit_is_taken_back),
    };
    return cmocka_run_group_tests(tests, open_lines, room_close);
}
