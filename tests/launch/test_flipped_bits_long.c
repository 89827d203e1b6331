/* A bit of every byte of all files of a checkpoint, and every single one of its manifests and
 * headers; as many processes as there are processors share them, each with a run of its own. An
 * argument of 1 has every bit of every byte flipped. */
#include "flipped_bits.h"

enum { SHARES_MOST = 16 };

/* Seven bits on is the next byte or the same one, and another bit of it. */
static size_t stride = 7;

static void every_bit_of_the_manifests_counts(void **unused)
{
    (void)unused;
    flip_file(FULL, flipped_names[0], 1, 1);
    flip_file(DELTA, flipped_names[0], 1, 1);
}

static void every_byte_of_a_full_shard_counts(void **unused)
{
    (void)unused;
    flip_file(FULL, flipped_names[2], 1, stride);
}

static void every_byte_of_a_delta_counts(void **unused)
{
    (void)unused;
    flip_file(DELTA, flipped_names[2], 1, stride);
}

static int run_share(size_t share)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bit_of_the_manifests_counts),
        cmocka_unit_test(every_byte_of_a_full_shard_counts),
        cmocka_unit_test(every_byte_of_a_delta_counts),
    };

    flip_share = share;
    return cmocka_run_group_tests(tests, flipped_open_room, room_close);
}

int main(int argc, char **argv)
{
    long   processors = sysconf(_SC_NPROCESSORS_ONLN);
    pid_t  children[SHARES_MOST];
    size_t n;
    int    failed = 0;

    if (argc > 1)
        stride = (size_t)strtoul(argv[1], NULL, 10);
    if (stride == 0)
        return 2;
    flip_shares = processors < 1             ? 1
                  : processors < SHARES_MOST ? (size_t)processors
                                             : SHARES_MOST;
    for (n = 0; n < flip_shares; n++) {
        children[n] = fork();
        if (children[n] < 0)
            return 2;
        if (children[n] == 0)
            exit(run_share(n) != 0);
    }
    while (n-- > 0) {
        int status;
        failed |= waitpid(children[n], &status, 0) != children[n] || status != 0;
    }
    return failed;
}
