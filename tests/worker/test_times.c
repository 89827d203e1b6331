#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "worker/times.h"

/* Four seconds of two steps: 1 s in backward, half a second of 2 s in flight waited for. */
static const times some = {.steps     = 2,
                           .samples   = 100,
                           .seconds   = 4,
                           .rows      = .5,
                           .backward  = 1,
                           .in_flight = 2,
                           .waited    = .5,
                           .behind    = 3};

static void sums_and_differences_are_of_every_part(void **state)
{
    (void)state;
    times all[2];

    memset(all, 0, sizeof all);
    for (int i = 0; i < TIMES_PARTS; i++)
        ((double *)&all[0])[i] = i + 1;
    assert_int_equal(sizeof(times), TIMES_PARTS * sizeof(double));
    times_add(&all[1], &all[0]);
    times_add(&all[1], &all[0]);
    for (int i = 0; i < TIMES_PARTS; i++)
        assert_true(((double *)&all[1])[i] == 2 * (i + 1));
    const times passed = times_since(&all[1], &all[0]);
    assert_memory_equal(&passed, &all[0], sizeof passed);
}

static void what_is_told_follows_from_the_sums(void **state)
{
    (void)state;
    metrics_field fields[TIMES_FIELDS];
    const times   none = {.steps = 0};
    char          text[240];

    assert_true(times_speed(&some) == 25);
    assert_true(times_staleness(&some) == 1.5);
    assert_true(times_overlap(&some) == .75);
    assert_true(isnan(times_speed(&none)) && isnan(times_overlap(&none)));
    times_fields(fields, &some);
    for (int i = 0; i < TIMES_FIELDS; i++)
        if (!strcmp(fields[i].key, "overlap"))
            assert_true(fields[i].real == .75);
    times_describe(&some, text, sizeof text);
    assert_string_equal(text, "read 0 %, rows 12 %, forward 0 %, backward 25 %, push 0 %, "
                              "reduce 0 %, update 0 %; rows 1.5 steps behind, 75 % of their "
                              "way hidden");
}

static void a_short_text_is_cut_off(void **state)
{
    (void)state;
    char text[16 + 1];

    memset(text, '#', sizeof text);
    times_describe(&some, text, 16);
    assert_string_equal(text, "read 0 %, rows ");
    assert_int_equal(text[16], '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_differences_are_of_every_part),
        cmocka_unit_test(what_is_told_follows_from_the_sums),
        cmocka_unit_test(a_short_text_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
