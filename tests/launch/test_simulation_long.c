/* Thousands of simulated runs; see test_simulation.c, which replays one of them by its seed.
 * Two arguments, FIRST and N, are other seeds: N histories from FIRST on. */
#include "histories.h"

static uint64_t first_seed;
static int      many;

static void histories_of_other_seeds_end_with_the_bits_of_the_calm_run(void **unused)
{
    (void)unused;
    histories_run(plain_yaml, first_seed, many);
    histories_run(plain_exact_yaml, first_seed, many / 4);
}

static void thousands_of_histories_end_with_the_bits_of_the_calm_run(void **unused)
{
    (void)unused;
    histories_run(plain_yaml, 100000, 4000);
}

static void under_async_too(void **unused)
{
    (void)unused;
    histories_run(plain_exact_yaml, 200000, 1000);
}

static void each_gradient_counts_once_over_tens_of_thousands_of_steps(void **unused)
{
    (void)unused;
    histories_run_long(plain_yaml, 300000, 20000, 1);
    histories_run_long(plain_exact_yaml, 300000, 10000, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest others[] = {
        cmocka_unit_test(histories_of_other_seeds_end_with_the_bits_of_the_calm_run),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_of_histories_end_with_the_bits_of_the_calm_run),
        cmocka_unit_test(under_async_too),
        cmocka_unit_test(each_gradient_counts_once_over_tens_of_thousands_of_steps),
    };
    if (argc != 3)
        return cmocka_run_group_tests(tests, NULL, NULL);
    first_seed = strtoull(argv[1], NULL, 10);
    many       = atoi(argv[2]);
    return cmocka_run_group_tests(others, NULL, NULL);
}
