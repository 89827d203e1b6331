/* Simulated runs: whatever the wire does to messages, and whoever dies when, a run ends with
 * the bits of the one that nothing happened to. An argument, or DIPS_SEED, is the seed of the
 * one history to replay. */
#include "histories.h"

enum { HISTORIES = 90 };

static uint64_t first_seed = 1;
static int      many       = HISTORIES;

static void a_history_of_faults_and_deaths_ends_with_the_bits_of_the_calm_run(void **unused)
{
    (void)unused;
    histories_run(plain_yaml, first_seed, many);
}

/* Which versions a pull sees is up to chance, but not what the gradients add up to. */
static void under_async_each_gradient_counts_once_too(void **unused)
{
    (void)unused;
    histories_run(plain_exact_yaml, first_seed, (many + 2) / 3);
}

static void a_seed_tells_all_that_happens(void **unused)
{
    histories h;
    uint64_t  trace[3];

    (void)unused;
    histories_open(&h, plain_yaml);
    for (uint64_t i = 0; i < 3; i++)
        trace[i] = histories_compare(&h, histories_draw(&h, 3 + i / 2), &rough_weather).trace;
    histories_close(&h);
    assert_true(trace[0] == trace[1]);
    assert_true(trace[0] != trace[2]);
}

static void each_gradient_counts_once_over_thousands_of_steps(void **unused)
{
    (void)unused;
    histories_run_long(plain_yaml, first_seed, 2000, 2);
    histories_run_long(plain_exact_yaml, first_seed, 1000, PLAIN_AHEAD);
}

int main(int argc, char **argv)
{
    const char             *seed    = histories_replayed(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_of_faults_and_deaths_ends_with_the_bits_of_the_calm_run),
        cmocka_unit_test(under_async_each_gradient_counts_once_too),
        cmocka_unit_test(a_seed_tells_all_that_happens),
        cmocka_unit_test(each_gradient_counts_once_over_thousands_of_steps),
    };
    if (!seed)
        return cmocka_run_group_tests(tests, NULL, NULL);
    first_seed = strtoull(seed, NULL, 10);
    many       = 1;
    return cmocka_run_group_tests_name("replay", ((struct CMUnitTest[]){tests[0], tests[1]}),
                                       NULL, NULL);
}
