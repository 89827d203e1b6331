/* Crashes at some of the calls that write checkpoints; at all of them: test_crash_long.c. */
#include "crashes.h"

static void a_process_may_die_at_any_call(void **unused)
{
    (void)unused;
    die_at(DISK_KILL, 0, 1, 5);
}

static void power_may_fail_at_any_call_and_take_all_that_was_not_synced(void **unused)
{
    (void)unused;
    die_at(DISK_POWER, 0, 4, 6);
}

static void power_may_fail_and_take_any_part_of_what_was_not_synced(void **unused)
{
    (void)unused;
    die_at(DISK_POWER, 1, 4, 12);
    die_at(DISK_POWER, 2, 8, 10);
}

static void a_disk_that_is_full_for_a_while_costs_a_checkpoint_at_most(void **unused)
{
    (void)unused;
    fail_at(ENOSPC, 1, 1, 12);
    fail_at(ENOSPC, 20, 2, 30);
}

static void a_disk_that_fails_or_turns_read_only_costs_a_checkpoint_at_most(void **unused)
{
    (void)unused;
    fail_at(EIO, 1, 3, 20);
    fail_at(EROFS, 1000, 4, 40);
}

static void a_slow_folder_is_only_slow(void **unused)
{
    disk_plan p = {.fault = DISK_SLOW};

    (void)unused;
    remove_all(RUN);
    assert_int_equal(train(p, LAST), 0);
    assert_goes_on(&p);
}

static void a_chain_of_deltas_bears_all_of_it_too(void **unused)
{
    (void)unused;
    set_rhythm(chains);
    die_at(DISK_KILL, 0, 3, 20);
    die_at(DISK_POWER, 0, 6, 25);
    die_at(DISK_POWER, 1, 9, 40);
    fail_at(ENOSPC, 1, 5, 50);
    fail_at(EIO, 20, 12, 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_may_die_at_any_call),
        cmocka_unit_test(power_may_fail_at_any_call_and_take_all_that_was_not_synced),
        cmocka_unit_test(power_may_fail_and_take_any_part_of_what_was_not_synced),
        cmocka_unit_test(a_disk_that_is_full_for_a_while_costs_a_checkpoint_at_most),
        cmocka_unit_test(a_disk_that_fails_or_turns_read_only_costs_a_checkpoint_at_most),
        cmocka_unit_test(a_slow_folder_is_only_slow),
        cmocka_unit_test(a_chain_of_deltas_bears_all_of_it_too),
    };
    return cmocka_run_group_tests(tests, open_room, close_room);
}
