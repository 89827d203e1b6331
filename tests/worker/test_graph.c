/* What fitting the inputs gives; layers and gradients have tests of their own. Run by hand
 * it starts itself under mpirun too. */
#include "fixture.h"
#include "small_shard.h"

#include <math.h>
#include <stdlib.h>

static const char yaml[] =
    "tables: {goods: {dim: 2}}\n"
    "features:\n"
    "  goods: {table: goods}\n"
    "  far: {kind: float, transform: standard, width: 2}\n"
    "  flat: {kind: float, transform: standard}\n"
    "  plain: {kind: float}\n"
    "model: {kind: base, candidate: [goods], context: [far, flat, plain], mlp: {units: [2]}}\n";

#define N 6

/* 2^30 + 0, 1, ... 5 and a column whose numbers cancel. */
static const column samples[] = {
    F32("label", 0, 1, 1, 0, 1, 0),
    U64("goods", 1, 2, 3, 4, 5, 6),
    {"far",
     DTYPE_F64,
     2,
     {N, 2},
     (double[]){0x1p30, -3, 0x1p30 + 1, 3, 0x1p30 + 2, -3, 0x1p30 + 3, 3, 0x1p30 + 4, -3,
                0x1p30 + 5, 3}},
    F64("flat", 0.1, 0.1, 0.1, 0.1, 0.1, 0.1),
    F64("plain", 1, 2, 3, 4, 5, 6),
    {0},
};

static double number(const world *w, const char *name, int i)
{
    const param *p = dense_find(w->dense, name);

    assert_non_null(p);
    return (double)p->w[i];
}

/* Fit this worker's part of the samples; all must come to the moments of all of them:
 * those of 0 .. 5 about 2.5 are (6^2 - 1) / 12. */
static void fit(comm *workers)
{
    int      r = comm_rank(workers), W = comm_size(workers);
    char     path[64], file[96];
    world    w;
    dataset *d;

    world_open(&w, yaml);
    folder_make(path);
    snprintf(file, sizeof file, "%s/data", path);
    write_shard(file, samples);
    MUST(dataset_open(&d, w.schema, &(config_names){1, (char *[]){file}}, true));
    MUST(graph_fit_inputs(w.graph, d, (uint64_t)(N * r / W), (uint64_t)(N * (r + 1) / W),
                          workers));
    assert_near(number(&w, "far.mean", 0), 0x1p30 + 2.5, 1e-7);
    assert_near(number(&w, "far.deviation", 0), sqrt(35. / 12), 1e-6);
    assert_near(number(&w, "far.mean", 1), 0, 1e-7);
    assert_near(number(&w, "far.deviation", 1), 3, 1e-6);
    assert_near(number(&w, "flat.mean", 0), 0.1, 1e-7);
    assert_near(number(&w, "flat.deviation", 0), 1, 0); /* nothing to divide by */
    assert_null(dense_find(w.dense, "plain.mean"));
    dataset_close(&d);
    world_close(&w);
    folder_remove(path);
}

static comm *group;

static void inputs_are_fitted_however_far_from_zero_they_are(void **unused)
{
    (void)unused;
    fit(group);
}

static void without_samples_inputs_stay_as_they_are(void **unused)
{
    (void)unused;
    world    w;
    dataset *d;

    world_open(&w, yaml);
    MUST(dataset_open(&d, w.schema, &(config_names){0}, true));
    MUST(graph_fit_inputs(w.graph, d, 0, 0, w.workers));
    assert_near(number(&w, "far.mean", 0), 0, 0);
    assert_near(number(&w, "far.deviation", 0), 1, 0);
    dataset_close(&d);
    world_close(&w);
}

static const char *program;

/* Four workers over six samples, and more workers than samples. */
static void any_number_of_workers_fits_the_same(void **unused)
{
    static const int workers[] = {2, 4, 7};
    char             line[4096];

    (void)unused;
    if (system("command -v mpirun > /dev/null 2>&1") != 0)
        skip();
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        snprintf(
            line, sizeof line,
            "ASAN_OPTIONS=detect_leaks=0 OMPI_ALLOW_RUN_AS_ROOT=1 "
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe --bind-to none "
            "--mca btl self,vader,tcp --mca btl_tcp_if_include lo --mca oob_tcp_if_include "
            "lo --mca btl_vader_single_copy_mechanism none -n %d '%s' > /dev/null 2>&1 "
            "< /dev/null",
            workers[i], program);
        assert_int_equal(system(line), 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest each[] = {
        cmocka_unit_test(inputs_are_fitted_however_far_from_zero_they_are),
    };
    const struct CMUnitTest once[] = {
        cmocka_unit_test(inputs_are_fitted_however_far_from_zero_they_are),
        cmocka_unit_test(without_samples_inputs_stay_as_they_are),
        cmocka_unit_test(any_number_of_workers_fits_the_same),
    };

    (void)argc;
    program   = argv[0];
    bool rank = getenv("OMPI_COMM_WORLD_SIZE") != NULL;
    if ((rank ? comm_open(&group, clock_monotonic(), 20) : comm_self(&group)) != OK)
        return 1;
    int failed = rank ? cmocka_run_group_tests(each, NULL, NULL)
                      : cmocka_run_group_tests(once, NULL, NULL);
    comm_close(&group);
    return failed;
}
