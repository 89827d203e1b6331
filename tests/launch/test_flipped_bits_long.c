/* Every single bit of all files of a checkpoint. */
#include "flipped_bits.h"

static void every_bit_of_the_manifests_counts(void **unused)
{
    (void)unused;
    flip_file(FULL, flipped_names[0], 1, 1);
    flip_file(DELTA, flipped_names[0], 1, 1);
}

static void every_bit_of_a_full_shard_counts(void **unused)
{
    (void)unused;
    flip_file(FULL, flipped_names[2], 1, 1);
}

static void every_bit_of_a_delta_counts(void **unused)
{
    (void)unused;
    flip_file(DELTA, flipped_names[2], 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_of_the_manifests_counts),
        cmocka_unit_test(every_bit_of_a_full_shard_counts),
        cmocka_unit_test(every_bit_of_a_delta_counts),
    };
    return cmocka_run_group_tests(tests, flipped_open_room, room_close);
}
