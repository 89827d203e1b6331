/* A compressed file holds the bits of the plain one, and no damage to it goes unnoticed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <xxhash.h>

#include "common/rng.h"
#include "common/safetensors.h"
#include "common/zst_file.h"
#include "tests/room.h"

enum { TENSORS = 4, LONG = 700001 };

static const dtype    types[TENSORS]  = {DTYPE_U64, DTYPE_F32, DTYPE_U8, DTYPE_U32};
static const uint64_t counts[TENSORS] = {5000, LONG, 77, 0};

static float floats[LONG];

/* The same tensors, in turns, as they come from a cut: many floats, in pieces. */
static void write_file(const char *path, int level, safetensors_digest *digest)
{
    safetensors_writer *w;
    int                 tensor[TENSORS];
    rng                 chance = rng_named(3, RNG_TEST, 0, 0);
    const char         *names[TENSORS] = {"ids", "weight", "flag", "none"};

    assert_int_equal(safetensors_create_later(&w, path), OK);
    if (level)
        assert_int_equal(safetensors_compress(w, level), OK);
    for (int i = 0; i < TENSORS; i++)
        assert_int_equal(
            safetensors_declare(w, names[i], types[i], 1, &counts[i], &tensor[i]), OK);
    for (size_t at = 0, n; at < LONG; at += n) {
        n = 1 + rng_below(&chance, at > 200000 ? 500000 : 20000);
        n = n < LONG - at ? n : LONG - at;
        assert_int_equal(safetensors_append(w, tensor[1], floats + at, n * 4), OK);
    }
    for (uint64_t i = 0; i < counts[0]; i++)
        assert_int_equal(safetensors_append(w, tensor[0], &(uint64_t){i * i}, 8), OK);
    for (uint64_t i = 0; i < counts[2]; i++)
        assert_int_equal(safetensors_append(w, tensor[2], &(uint8_t){(uint8_t)i}, 1), OK);
    assert_int_equal(safetensors_finish(&w, digest), OK);
}

static void skip_without_zstd(void)
{
    if (!zst_is_there())
        skip();
}

static void it_is_opened_under_the_plain_name(void **state)
{
    (void)state;
    safetensors_digest plain, small;
    safetensors       *one, *two;
    size_t             size;

    skip_without_zstd();
    write_file(inside("plain"), 0, &plain);
    for (int level = 1; level <= 4; level += 3) {
        write_file(inside("small"), level, &small);
        assert_int_equal(access(inside("small"), F_OK), -1);
        free(read_bytes(inside("small.zst"), &size));
        assert_int_equal(size, small.bytes);
        assert_true(small.bytes < plain.bytes * 95 / 100); /* floats: the high bytes alone */
        assert_int_equal(safetensors_open(&one, inside("plain")), OK);
        assert_int_equal(safetensors_open(&two, inside("small")), OK);
        assert_int_equal(safetensors_count(two), TENSORS);
        for (int i = 0; i < TENSORS; i++) {
            const safetensors_tensor *a = safetensors_at(one, i);
            const safetensors_tensor *b = safetensors_find(two, a->name);
            assert_non_null(b);
            assert_int_equal(b->bytes, a->bytes);
            assert_memory_equal(b->data, a->data, a->bytes);
        }
        safetensors_close(&one);
        safetensors_close(&two);
    }
    assert_int_equal(safetensors_open(&two, inside("small.zst")), OK);
    safetensors_close(&two);
}

/* Unfolds: refused with the file's name, or, where a bit does not matter, the same bytes. */
static bool is_refused(const char *bytes, size_t size, const char *plain, size_t plain_size)
{
    int      fd = memfd_create("plain", 0);
    uint64_t n;

    assert_true(fd >= 0);
    err_t err = zst_unfold(fd, &n, "a.zst", bytes, size);
    if (err != OK) {
        assert_int_equal(err, ERR_FORMAT);
        assert_non_null(strstr(err_text(), "a.zst"));
    } else {
        char *back = malloc(plain_size);
        assert_int_equal(n, plain_size);
        assert_int_equal(pread(fd, back, plain_size, 0), plain_size);
        assert_memory_equal(back, plain, plain_size);
        free(back);
    }
    close(fd);
    return err != OK;
}

/* A small file, so that many places of it can be tried. */
static char *small_file(size_t *size, char **plain, size_t *plain_size)
{
    safetensors_digest digest;

    for (int level = 0; level < 2; level++) {
        safetensors_writer *w;
        int                 tensor;
        assert_int_equal(safetensors_create_later(&w, inside("few")), OK);
        if (level)
            assert_int_equal(safetensors_compress(w, level), OK);
        assert_int_equal(
            safetensors_declare(w, "x", DTYPE_F32, 1, (const uint64_t[]){400}, &tensor), OK);
        assert_int_equal(safetensors_append(w, tensor, floats, 1600), OK);
        assert_int_equal(safetensors_finish(&w, &digest), OK);
    }
    *plain = read_bytes(inside("few"), plain_size);
    return read_bytes(inside("few.zst"), size);
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    size_t size, plain_size, unnoticed = 0;
    char  *plain;

    skip_without_zstd();
    char *bytes = small_file(&size, &plain, &plain_size);
    assert_false(is_refused(bytes, size, plain, plain_size));
    for (size_t i = 0; i < size * 8; i++) {
        bytes[i / 8] ^= (char)(1 << i % 8);
        unnoticed += !is_refused(bytes, size, plain, plain_size);
        bytes[i / 8] ^= (char)(1 << i % 8);
    }
    assert_true(unnoticed <= 16); /* bits that zstd leaves unused; the content is the same */
    free(bytes);
    free(plain);
}

static void every_truncation_is_noticed(void **state)
{
    (void)state;
    size_t size, plain_size;
    char  *plain;

    skip_without_zstd();
    char *bytes = small_file(&size, &plain, &plain_size);
    for (size_t i = 0; i < size; i++) {
        char *block = malloc(i + 1); /* so that a sanitizer sees reads beyond it */
        memcpy(block, bytes, i);
        assert_true(is_refused(block, i, plain, plain_size));
        free(block);
    }
    free(bytes);
    free(plain);
}

/* An index of one frame, behind the bytes of it. */
static size_t make_file(char *to, const char *frame, uint32_t stored, uint64_t plain,
                        uint32_t bytes)
{
    uint32_t entry[] = {0, 0, bytes, stored, 1, 0}, head[] = {0x184d2a5d, 48};
    uint64_t sum   = XXH3_64bits(entry, sizeof entry);
    uint32_t end[] = {(uint32_t)plain, (uint32_t)(plain >> 32), (uint32_t)sum,
                      (uint32_t)(sum >> 32), 1, 0x31464344};

    memcpy(to, frame, stored);
    memcpy(to + stored, head, sizeof head);
    memcpy(to + stored + 8, entry, sizeof entry);
    memcpy(to + stored + 32, end, sizeof end);
    return stored + 56;
}

static void bombs_are_refused(void **state)
{
    (void)state;
    /* magic, a single segment of 2^40 bytes, one block that says the byte 0 4 MiB/32 times */
    const char frame[] = {0x28, (char)0xb5, 0x2f, (char)0xfd, (char)0xe0, 0, 0, 0, 0, 0, 1, 0, 0,
                          3, 0, 16, 0};
    char       file[128];

    skip_without_zstd();
    size_t size = make_file(file, frame, sizeof frame, UINT64_C(1) << 40, 1 << 20);
    assert_true(is_refused(file, size, "", 0)); /* the index says 2^40, of a frame of 1 MiB */
    size = make_file(file, frame, sizeof frame, 1 << 20, 1 << 20);
    assert_true(is_refused(file, size, "", 0));
    assert_non_null(strstr(err_text(), "does not say"));
    size = make_file(file, frame, sizeof frame, UINT32_MAX, UINT32_MAX);
    assert_true(is_refused(file, size, "", 0));
    assert_non_null(strstr(err_text(), "at most 1048576 bytes"));
}

static void a_damaged_file_is_named_when_it_is_opened(void **state)
{
    (void)state;
    safetensors_digest digest;
    safetensors       *file;
    size_t             size;

    skip_without_zstd();
    write_file(inside("torn"), 1, &digest);
    char *bytes = read_bytes(inside("torn.zst"), &size);
    bytes[size / 2] ^= 16;
    write_bytes(inside("torn.zst"), bytes, size);
    assert_int_equal(safetensors_open(&file, inside("torn")), ERR_FORMAT);
    assert_null(file);
    assert_non_null(strstr(err_text(), "torn.zst"));
    assert_non_null(strstr(err_text(), "is damaged"));
    write_bytes(inside("torn.zst"), bytes, 0);
    assert_int_equal(safetensors_open(&file, inside("torn")), ERR_FORMAT);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_opened_under_the_plain_name),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(a_damaged_file_is_named_when_it_is_opened),
    };
    rng chance = rng_named(5, RNG_TEST, 0, 0);

    for (size_t i = 0; i < LONG; i++)
        floats[i] = (float)(rng_normal(&chance) * 0.01);
    return cmocka_run_group_tests(tests, room_open, room_close);
}
