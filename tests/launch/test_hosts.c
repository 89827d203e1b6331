#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/hosts.h"

/* The hosts of a file of that text. */
static void read_text(hosts *h, const char *text)
{
    char  path[] = "/tmp/dips-test-hosts-XXXXXX";
    int   fd     = mkstemp(path);
    FILE *f      = fdopen(fd, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(hosts_read(h, path), OK);
    unlink(path);
}

static void lines_name_hosts_and_slots(void **unused)
{
    hosts h;

    (void)unused;
    read_text(&h, "# ours\n\n  h1 slots=4 max_slots=9\nh2\nh3\tmax_slots=7 slots=2\n#h4");
    assert_int_equal(h.n, 3);
    assert_string_equal(h.at[0].name, "h1");
    assert_int_equal(h.at[0].slots, 4);
    assert_string_equal(h.at[1].name, "h2");
    assert_int_equal(h.at[1].slots, 1);
    assert_string_equal(h.at[2].name, "h3");
    assert_int_equal(h.at[2].slots, 2);
    assert_int_equal(hosts_there(&h), 3);
    hosts_clear(&h);
}

static void a_file_without_hosts_is_refused(void **unused)
{
    hosts h;

    (void)unused;
    assert_int_equal(hosts_read(&h, "/dev/null"), ERR_CONFIG);
    hosts_clear(&h);
    assert_int_equal(hosts_read(&h, "/nowhere/hosts"), ERR_SYSTEM);
    hosts_clear(&h);
}

static void servers_go_round_and_move_alone(void **unused)
{
    hosts h;

    (void)unused;
    read_text(&h, "a\nb\nc\n");
    for (int i = 0; i < 7; i++)
        assert_int_equal(hosts_of_server(&h, i), i % 3);
    h.at[1].there        = false;
    const int with_two[] = {0, 2, 2, 0, 0, 2, 0};
    for (int i = 0; i < 7; i++)
        assert_int_equal(hosts_of_server(&h, i), with_two[i]);
    h.at[0].there = false;
    for (int i = 0; i < 7; i++)
        assert_int_equal(hosts_of_server(&h, i), 2);
    hosts_clear(&h);
}

static void workers_are_as_many_as_have_room(void **unused)
{
    hosts h;

    (void)unused;
    read_text(&h, "a slots=4\nb slots=4\nc slots=2\n");
    assert_int_equal(hosts_workers(&h, 10), 10);
    assert_int_equal(hosts_workers(&h, 25), 25); /* two and a half a slot */
    h.at[1].there = false;
    assert_int_equal(hosts_workers(&h, 10), 6);
    assert_int_equal(hosts_workers(&h, 5), 5); /* there was room to spare */
    assert_int_equal(hosts_workers(&h, 25), 15);
    h.at[0].there = false;
    assert_int_equal(hosts_workers(&h, 10), 2);
    assert_int_equal(hosts_workers(&h, 1), 1);
    hosts_clear(&h);
}

static void those_that_are_there_are_written_as_they_were(void **unused)
{
    hosts h, again;
    char  path[] = "/tmp/dips-test-hosts-XXXXXX", missing[64];

    (void)unused;
    close(mkstemp(path));
    read_text(&h, "a slots=4 max_slots=4\nb\nc slots=2 # third\nd");
    h.at[1].there = h.at[3].there = false;
    assert_int_equal(hosts_write(&h, path), OK);
    assert_int_equal(hosts_read(&again, path), OK);
    assert_int_equal(again.n, 2);
    assert_string_equal(again.at[0].line, "a slots=4 max_slots=4");
    assert_string_equal(again.at[1].line, "c slots=2 # third");
    hosts_missing(&h, missing, sizeof missing);
    assert_string_equal(missing, "b, d");
    hosts_clear(&h);
    hosts_clear(&again);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_name_hosts_and_slots),
        cmocka_unit_test(a_file_without_hosts_is_refused),
        cmocka_unit_test(servers_go_round_and_move_alone),
        cmocka_unit_test(workers_are_as_many_as_have_room),
        cmocka_unit_test(those_that_are_there_are_written_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
