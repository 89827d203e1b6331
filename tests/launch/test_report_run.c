/* What launch/report reads from a run folder, and what it makes of curves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/report/differences.h"
#include "launch/report/spending.h"
#include "launch/report/summary.h"
#include "tests/room.h"

static const char yaml[] = "tables: {goods: {dim: 4}}\nfeatures: {goods: {table: goods}}\n"
                           "model: {kind: base, candidate: [goods]}\n";

static int open_run(void **unused)
{
    room_open(unused);
    write_text(inside("run.yaml"), yaml);
    return 0;
}

static void read_run(run *r, const char *lines)
{
    write_text(inside("metrics.jsonl"), lines);
    if (run_read(r, room) != OK)
        fail_msg("%s", err_text());
}

static void steps_and_evaluations_become_curves(void **state)
{
    (void)state;
    run r;

    read_run(&r,
             "{\"event\":\"start\"}\n"
             "{\"event\":\"step\",\"step\":1,\"loss\":0.7,\"samples_per_s\":10,\"more\":[1]}\n"
             "{\"event\":\"step\",\"step\":2,\"loss\":null,\"samples_per_s\":30}\n"
             "{\"event\":\"eval\",\"split\":\"train\",\"step\":2,\"auc\":0.9}\n"
             "{\"event\":\"eval\",\"split\":\"test\",\"step\":2,\"auc\":0.6,\"gauc\":null,"
             "\"logloss\":0.5,\"calibration\":1.5}\n"
             "{\"event\":\"step\",\"step\":3,\"loss\":0.5,\"samples_per_s\":20}\n");
    assert_int_equal(r.loss.n, 2);
    assert_true(r.loss.at[1].step == 3 && r.loss.at[1].value == 0.5);
    assert_int_equal(r.auc.n, 1);
    assert_true(curve_last(&r.auc) == 0.6);
    assert_int_equal(r.gauc.n, 0);
    assert_true(isnan(curve_max(&r.gauc)));
    assert_true(curve_min(&r.logloss) == 0.5);
    assert_true(curve_last(&r.calibration) == 1.5);
    assert_true(r.median_speed == 20);
    assert_true(r.steps == 3);
    assert_string_equal(r.name, strrchr(room, '/') + 1);
    run_clear(&r);
}

static void times_are_summed_and_shown_as_shares(void **state)
{
    (void)state;
    run  r;
    char cell[SPENDING_CELL_MAX];

    read_run(&r, "{\"event\":\"time\",\"step\":2,\"steps\":2,\"seconds\":1,\"forward_s\":0.5,"
                 "\"in_flight_s\":0,\"waited_s\":0}\n"
                 "{\"event\":\"time\",\"step\":4,\"steps\":2,\"seconds\":3,\"forward_s\":0.5,"
                 "\"in_flight_s\":0,\"waited_s\":0}\n");
    assert_true(spending_known(&r, 1));
    assert_true(r.times.steps == 4 && r.times.seconds == 4 && r.times.forward == 1);
    for (int i = 0; i < SPENDING_COLUMNS; i++) {
        spending_cell(cell, &r, i);
        if (!strcmp(spending_title(i), "ms a step"))
            assert_string_equal(cell, "1000.00");
        if (!strcmp(spending_title(i), "forward"))
            assert_string_equal(cell, "25.0%");
        if (!strcmp(spending_title(i), "pulls hidden"))
            assert_string_equal(cell, "-");
    }
    run_clear(&r);
}

static void steps_that_a_resumed_run_repeats_count_once(void **state)
{
    (void)state;
    run r;

    read_run(&r, "{\"event\":\"step\",\"step\":1,\"loss\":1}\n"
                 "{\"event\":\"step\",\"step\":2,\"loss\":2}\n"
                 "{\"event\":\"step\",\"step\":3,\"loss\":3}\n"
                 "{\"event\":\"step\",\"step\":2,\"loss\":4}\n");
    assert_int_equal(r.loss.n, 2);
    assert_true(r.loss.at[1].step == 2 && r.loss.at[1].value == 4);
    run_clear(&r);
}

static void returns_are_told_with_their_reason(void **state)
{
    run r;

    (void)state;
    read_run(&r, "{\"event\":\"step\",\"step\":7,\"loss\":0.5}\n"
                 "{\"event\":\"restart\",\"step\":4,\"who\":\"server 1\",\"why\":\"it died\"}\n"
                 "{\"event\":\"restart\",\"step\":6}\n");
    assert_int_equal(r.returns.n, 2);
    assert_true(r.returns.at[0].step == 4 && r.returns.at[1].step == 6);
    assert_string_equal(r.returns.at[0].why, "it died");
    assert_true(r.steps == 7);
    run_clear(&r);
}

static void a_last_line_that_was_cut_off_is_passed_over(void **state)
{
    (void)state;
    run r;

    read_run(&r, "{\"event\":\"step\",\"step\":1,\"loss\":1}\n{\"event\":\"st");
    assert_int_equal(r.loss.n, 1);
    run_clear(&r);
    read_run(&r, "");
    assert_int_equal(r.loss.n, 0);
    assert_true(isnan(r.median_speed));
    run_clear(&r);
}

static void a_bad_line_in_the_middle_is_named(void **state)
{
    (void)state;
    run  r;
    char wanted[128];

    write_text(inside("metrics.jsonl"), "{\"event\":\"step\",\"step\":1}\noops\n{}\n");
    assert_int_equal(run_read(&r, room), ERR_DATA);
    snprintf(wanted, sizeof wanted, "%s/metrics.jsonl:2: not a line of JSON", room);
    assert_string_equal(err_text(), wanted);
    run_clear(&r);
}

/* Weights 2^-d: of (0, 0, 1, 0, 0) the middle gets 1 / (1 + 2/2 + 2/4) = 0.4, its
 * neighbours (1/2) / (1 + 1/2 + 1/2 + 1/4 + 1/8), the ends (1/4) / (1 + ... + 1/16). */
static void smoothing_weighs_both_sides_by_distance(void **state)
{
    (void)state;
    curve in = {0}, out = {0};

    for (int i = 0; i < 5; i++)
        assert_int_equal(vec_push(&in, ((point){i, i == 2})), OK);
    assert_int_equal(curve_smooth(&in, 1, &out), OK);
    assert_int_equal(out.n, 5);
    assert_true(fabs(out.at[2].value - 0.4) < 1e-15);
    assert_true(fabs(out.at[1].value - 0.5 / 2.375) < 1e-15);
    assert_true(fabs(out.at[3].value - 0.5 / 2.375) < 1e-15);
    assert_true(fabs(out.at[0].value - 0.25 / 1.9375) < 1e-15);
    assert_true(out.at[4].step == 4);
    vec_clear(&in);
    vec_clear(&out);
}

static void thinning_takes_means_and_loses_no_point(void **state)
{
    (void)state;
    curve in = {0}, out = {0};

    for (int i = 0; i < 10; i++)
        assert_int_equal(vec_push(&in, ((point){i, 2 * i})), OK);
    assert_int_equal(curve_thin(&in, 4, &out), OK); /* 2, 3, 2, 3 points */
    assert_int_equal(out.n, 4);
    assert_true(out.at[0].step == 0.5 && out.at[0].value == 1);
    assert_true(fabs(out.at[1].step - 3) < 1e-12 && fabs(out.at[3].value - 16) < 1e-12);
    out.n = 0;
    assert_int_equal(curve_thin(&in, 100, &out), OK);
    assert_int_equal(out.n, 10);
    assert_true(out.at[9].value == 18);
    vec_clear(&in);
    vec_clear(&out);
}

/* The AUCs of DIN's table 3, Amazon: RelaImpr 5.35 %. */
static void the_summary_compares_with_the_first_run(void **state)
{
    (void)state;
    run         runs[2];
    summary_row rows[2];
    differences d;

    read_run(&runs[0], "{\"event\":\"eval\",\"split\":\"test\",\"step\":8,\"auc\":0.8624}\n");
    write_text(inside("run.yaml"), "tables: {goods: {dim: 4}, more: {dim: 2}}\n"
                                   "features: {goods: {table: goods}}\n"
                                   "model: {kind: din, candidate: [goods]}\n");
    read_run(&runs[1], "{\"event\":\"eval\",\"split\":\"test\",\"step\":8,\"auc\":0.8818}\n"
                       "{\"event\":\"eval\",\"split\":\"test\",\"step\":9,\"auc\":0.5}\n");
    summary_make(rows, runs, 2);
    for (int i = 0; i < SUMMARY_COLUMNS; i++) {
        if (!strcmp(summary_title(i), "RelaImpr")) {
            assert_string_equal(rows[0].cells[i].text, "-");
            assert_string_equal(rows[1].cells[i].text, "+5.35%");
        }
        if (!strcmp(summary_group(i), "AUC") && !strcmp(summary_title(i), "last")) {
            assert_string_equal(rows[1].cells[i].text, "0.5000");
            assert_true(rows[0].cells[i].best && !rows[1].cells[i].best);
        }
    }
    assert_int_equal(differences_find(&d, runs, 2), OK);
    assert_string_equal(d.list.at[0].key, "model.kind");
    assert_string_equal(d.list.at[0].values[0], "base");
    assert_string_equal(d.list.at[0].values[1], "din");
    assert_string_equal(d.list.at[1].key, "tables.more.dim");
    assert_null(d.list.at[1].values[0]);
    assert_string_equal(d.list.at[1].values[1], "2");
    differences_clear(&d);
    run_clear(&runs[0]);
    run_clear(&runs[1]);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, open_run, room_close)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(steps_and_evaluations_become_curves),
        IN_FOLDER(times_are_summed_and_shown_as_shares),
        IN_FOLDER(steps_that_a_resumed_run_repeats_count_once),
        IN_FOLDER(returns_are_told_with_their_reason),
        IN_FOLDER(a_last_line_that_was_cut_off_is_passed_over),
        IN_FOLDER(a_bad_line_in_the_middle_is_named),
        cmocka_unit_test(smoothing_weighs_both_sides_by_distance),
        cmocka_unit_test(thinning_takes_means_and_loses_no_point),
        IN_FOLDER(the_summary_compares_with_the_first_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
