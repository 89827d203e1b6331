#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "worker/console.h"

static int64_t the_time;

static int64_t test_now(void *self)
{
    (void)self;
    return the_time;
}

static const clock_source test_clock = {.now = test_now};

static void durations_read_as_people_say_them(void **state)
{
    (void)state;
    char text[32];
    console_duration(text, 12.4);
    assert_string_equal(text, "12 s");
    console_duration(text, 200);
    assert_string_equal(text, "3 min 20 s");
    console_duration(text, 3720);
    assert_string_equal(text, "1 h 02 min");
}

/* 100 of 400 steps in 30 s: 90 s are left. */
static void a_plain_line_tells_progress_and_time_left(void **state)
{
    (void)state;
    char   *text;
    size_t  size;
    FILE   *f = open_memstream(&text, &size);
    console c;

    the_time = 0;
    console_init(&c, f, &test_clock, false, 80, 0, 400, 200);
    the_time = 1 * NS_PER_S;
    console_step(&c, 3, 0.7, 1000);
    fflush(f);
    assert_int_equal(size, 0); /* not yet time for a line */
    the_time = 30 * NS_PER_S;
    console_step(&c, 100, 0.5, 2000);
    fclose(f);
    assert_string_equal(text, "step 100/400  epoch 0.50  loss 0.5000  2000 samples/s  "
                              "[#####...............]  25 %  1 min 30 s left\n");
    free(text);
}

static void a_terminal_line_renews_itself_within_its_width(void **state)
{
    (void)state;
    char   *text;
    size_t  size;
    FILE   *f = open_memstream(&text, &size);
    console c;

    the_time = 0;
    console_init(&c, f, &test_clock, true, 40, 0, 10, 10);
    for (int step = 1; step <= 9; step++) {
        the_time += NS_PER_S;
        console_step(&c, step, 0.5, 2000);
    }
    fflush(f);
    assert_int_equal(size, 9 * 40); /* "\r" and 39 columns each */
    assert_null(strchr(text, '\n'));
    console_step(&c, 10, 0.5, 2000);
    fclose(f);
    assert_int_equal(text[size - 1], '\n');
    free(text);
}

/* The line of a terminal of so many columns, 400 of 1600 steps in 240 s. */
static void expect_line(int columns, const char *wanted)
{
    char   *text;
    size_t  size;
    FILE   *f = open_memstream(&text, &size);
    console c;

    the_time = 0;
    console_init(&c, f, &test_clock, true, columns, 0, 1600, 200);
    the_time = 240 * NS_PER_S;
    console_step(&c, 400, 0.5, 200000);
    fclose(f);
    assert_int_equal(size, columns);
    size_t n = strlen(wanted);
    assert_memory_equal(text + 1, wanted, n);
    assert_int_equal(strspn(text + 1 + n, " "), (size_t)columns - 1 - n);
    free(text);
}

static void what_is_left_shows_on_a_narrow_terminal_too(void **state)
{
    (void)state;
    expect_line(120, "step 400/1600  epoch 2.00  loss 0.5000  200000 samples/s  "
                     "[#####...............]  25 %  12 min 00 s left");
    expect_line(90, "step 400/1600  epoch 2.00  loss 0.5000  200000 samples/s  "
                    "[#....]  25 %  12 min 00 s left");
    expect_line(85, "step 400/1600  epoch 2.00  loss 0.5000  200000 samples/s  25 %  "
                    "12 min 00 s left");
    expect_line(80, "step 400/1600  loss 0.5000  200000 samples/s  25 %  12 min 00 s left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_read_as_people_say_them),
        cmocka_unit_test(a_plain_line_tells_progress_and_time_left),
        cmocka_unit_test(a_terminal_line_renews_itself_within_its_width),
        cmocka_unit_test(what_is_left_shows_on_a_narrow_terminal_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
