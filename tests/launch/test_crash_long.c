/* A run of checkpoints dies, loses power, or finds its disk full, broken or read-only at every
 * single call that writes one. An argument is a pattern of names: the claims that it
 * fits are tested. */
#include "crashes.h"

static void a_process_may_die_at_any_call(void **unused)
{
    (void)unused;
    die_at(DISK_KILL, 0, 1, 1);
}

static void power_may_fail_at_any_call_and_take_all_that_was_not_synced(void **unused)
{
    (void)unused;
    die_at(DISK_POWER, 0, 1, 1);
}

static void power_may_fail_and_take_any_part_of_what_was_not_synced(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 6; seed++)
        die_at(DISK_POWER, seed, 1, 1);
}

static void a_disk_that_fails_costs_a_checkpoint_at_most(void **unused)
{
    const int errors[] = {ENOSPC, EIO, EROFS};

    (void)unused;
    for (int i = 0; i < 3; i++)
        for (int how_many = 1; how_many <= 1000; how_many *= 10)
            fail_at(errors[i], how_many, 1, 1);
}

static void a_chain_of_deltas_bears_deaths_and_power_cuts_at_any_call(void **unused)
{
    (void)unused;
    set_rhythm(chains);
    die_at(DISK_KILL, 0, 1, 1);
    for (uint64_t seed = 0; seed <= 2; seed++)
        die_at(DISK_POWER, seed, 1, 1);
}

static void a_chain_of_deltas_bears_a_disk_that_fails(void **unused)
{
    const int errors[] = {ENOSPC, EIO, EROFS};

    (void)unused;
    set_rhythm(chains);
    for (int i = 0; i < 3; i++)
        for (int how_many = 1; how_many <= 1000; how_many *= 30)
            fail_at(errors[i], how_many, 1, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_may_die_at_any_call),
        cmocka_unit_test(power_may_fail_at_any_call_and_take_all_that_was_not_synced),
        cmocka_unit_test(power_may_fail_and_take_any_part_of_what_was_not_synced),
        cmocka_unit_test(a_disk_that_fails_costs_a_checkpoint_at_most),
        cmocka_unit_test(a_chain_of_deltas_bears_deaths_and_power_cuts_at_any_call),
        cmocka_unit_test(a_chain_of_deltas_bears_a_disk_that_fails),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, open_room, close_room);
}
