/* A file's checksum is that of its blocks, whatever the order in which they come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <xxhash.h>

#include "common/file_digest.h"

enum { MIB = 1 << 20, MOST = 3 * MIB + 77 };

static unsigned char bytes[MOST];

static uint64_t in_pieces(size_t size, size_t piece)
{
    file_digest d   = {0};
    digest_run  run = {0};

    for (size_t at = 0; at < size; at += piece)
        assert_int_equal(
            file_digest_add(&d, &run, bytes + at, size - at < piece ? size - at : piece), OK);
    assert_int_equal(file_digest_end(&d, &run), OK);
    uint64_t value = file_digest_value(&d);
    digest_run_clear(&run);
    file_digest_clear(&d);
    return value;
}

static void a_file_of_a_block_has_its_xxh3(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(size_t[]){0, 1, 1000, MIB - 1, MIB} / sizeof(size_t); i++) {
        size_t size = (size_t[]){0, 1, 1000, MIB - 1, MIB}[i];
        assert_true(in_pieces(size, 300) == XXH3_64bits(bytes, size));
        assert_true(in_pieces(size, MOST) == XXH3_64bits(bytes, size));
    }
}

static void a_larger_file_has_that_of_its_blocks(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        size_t   size = (size_t[]){MIB + 1, 2 * MIB, MOST}[i], n = 0;
        uint64_t blocks[4];
        for (size_t at = 0; at < size; at += MIB)
            blocks[n++] = XXH3_64bits(bytes + at, size - at < MIB ? size - at : MIB);
        uint64_t wanted = XXH3_64bits(blocks, n * sizeof *blocks);
        for (size_t k = 0; k < 5; k++)
            assert_true(in_pieces(size, (size_t[]){999, 65536, MIB, MIB + 3, MOST}[k]) ==
                        wanted);
    }
}

/* Runs that begin and end within blocks: what they share is not known before it is put. */
static void runs_may_take_turns(void **state)
{
    (void)state;
    enum { MEET = MIB + 500000 };
    file_digest d   = {0};
    digest_run  one = {0}, two = {.at = MEET};

    assert_int_equal(file_digest_add(&d, &two, bytes + MEET, 700000), OK);
    assert_int_equal(file_digest_add(&d, &one, bytes, 900000), OK);
    assert_int_equal(file_digest_add(&d, &two, bytes + MEET + 700000, MOST - MEET - 700000),
                     OK);
    assert_int_equal(file_digest_add(&d, &one, bytes + 900000, MEET - 900000), OK);
    assert_int_equal(file_digest_end(&d, &two), OK);
    assert_true(file_digest_knows(&d, 0) && !file_digest_knows(&d, 1));
    assert_true(file_digest_knows(&d, 2) && file_digest_knows(&d, 3));
    assert_false(file_digest_knows(&d, 4));
    assert_int_equal(file_digest_put(&d, 1, bytes + MIB, MIB), OK);
    assert_true(file_digest_value(&d) == in_pieces(MOST, MOST));
    digest_run_clear(&one);
    digest_run_clear(&two);
    file_digest_clear(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_a_block_has_its_xxh3),
        cmocka_unit_test(a_larger_file_has_that_of_its_blocks),
        cmocka_unit_test(runs_may_take_turns),
    };

    for (size_t i = 0; i < MOST; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
