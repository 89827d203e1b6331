/* Some flipped bits in all files of a checkpoint; every single one: test_flipped_bits_long.c.
 */
#include "flipped_bits.h"

/* What a run goes on from is looked at bit by bit: there is no file but those. */
static void every_file_is_covered_by_a_checksum(void **unused)
{
    (void)unused;
    for (int64_t step = FULL; step <= DELTA; step++) {
        char folder[CONFIG_PATH_MAX];
        int  n = 0;
        manifest_folder(folder, "run/checkpoints", step);
        DIR *d = opendir(folder);
        assert_non_null(d);
        for (struct dirent *e; (e = readdir(d));) {
            bool known = *e->d_name == '.';
            for (int i = 0; i < FLIPPED_FILES; i++)
                known |= !strcmp(e->d_name, flipped_names[i]);
            if (!known)
                fail_msg("%s is in no list", e->d_name);
            n += *e->d_name != '.';
        }
        closedir(d);
        assert_int_equal(n, FLIPPED_FILES);
    }
}

static void the_checkpoints_are_what_is_meant(void **unused)
{
    manifest_chain c;

    (void)unused;
    must(manifest_chain_read(&c, last));
    assert_int_equal(c.n, 2);
    manifest_chain_clear(&c);
    must(flipped_verify(last));
}

static void bits_of_manifests_count(void **unused)
{
    (void)unused;
    for (int64_t step = FULL; step <= DELTA; step++)
        flip_file(step, flipped_names[0], 7, 1);
}

static void every_bit_of_the_dense_weights_counts(void **unused)
{
    (void)unused;
    for (int64_t step = FULL; step <= DELTA; step++)
        flip_file(step, flipped_names[1], 1, 1);
}

static void bits_of_shards_count(void **unused)
{
    (void)unused;
    for (int64_t step = FULL; step <= DELTA; step++)
        flip_file(step, flipped_names[2], 23, 4099);
}

/* The words of the tool are those of the run. */
static void verify_names_the_file_too(void **unused)
{
    (void)unused;
    for (int64_t step = FULL; step <= DELTA; step++)
        for (int i = 0; i < FLIPPED_FILES; i++) {
            flipped_file f;
            flipped_open(&f, step, flipped_names[i]);
            flip_each(&f, flipped_verify, 3, f.size * 8, f.size / 2 + 1);
            flipped_close(&f);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checkpoints_are_what_is_meant),
        cmocka_unit_test(every_file_is_covered_by_a_checksum),
        cmocka_unit_test(bits_of_manifests_count),
        cmocka_unit_test(every_bit_of_the_dense_weights_counts),
        cmocka_unit_test(bits_of_shards_count),
        cmocka_unit_test(verify_names_the_file_too),
    };
    return cmocka_run_group_tests(tests, flipped_open_room, room_close);
}
