#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "launch/checkpoint/npy.h"

/* np.save of np.array([[1, 2, 3], [4, 5, 6]], dtype='<f4'), as NumPy 1.24 writes it. */
static const char numpy_header[] =
    "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
static const float numbers[6] = {1, 2, 3, 4, 5, 6};

static size_t numpy_file(char file[256])
{
    size_t n = sizeof numpy_header - 1;

    memset(file, ' ', 128);
    memcpy(file, numpy_header, n);
    file[127] = '\n';
    memcpy(file + 128, numbers, sizeof numbers);
    return 128 + sizeof numbers;
}

static void the_header_is_that_of_numpy(void **state)
{
    char   header[NPY_HEADER_MOST], file[256];
    size_t size;

    (void)state;
    numpy_file(file);
    assert_int_equal(npy_header(header, &size, DTYPE_F32, 2, (uint64_t[]){2, 3}), OK);
    /* NumPy leaves room for the first size to grow; the format asks for a multiple of 64 */
    assert_int_equal(size % 64, 0);
    assert_int_equal((unsigned char)header[8] + 256 * (unsigned char)header[9], size - 10);
    assert_memory_equal(header, file, 8);
    assert_memory_equal(header + 10, file + 10, sizeof numpy_header - 1 - 10);
    assert_int_equal(header[size - 1], '\n');
    assert_int_equal(npy_header(header, &size, DTYPE_U64, 1, (uint64_t[]){7}), OK);
    assert_memory_equal(header + 10,
                        "{'descr': '<u8', 'fortran_order': False, 'shape': (7,), }", 57);
    assert_int_equal(npy_header(header, &size, DTYPE_BF16, 1, (uint64_t[]){7}), ERR_FORMAT);
}

static void numpy_s_file_is_read(void **state)
{
    char file[256];
    npy  a;

    (void)state;
    assert_int_equal(npy_parse(&a, "a.npy", file, numpy_file(file)), OK);
    assert_int_equal(a.array.type, DTYPE_F32);
    assert_int_equal(a.array.n_dims, 2);
    assert_int_equal(a.array.shape[0], 2);
    assert_int_equal(a.array.shape[1], 3);
    assert_memory_equal(a.array.data, numbers, sizeof numbers);
}

/* The file is copied to memory of its very size, so that a read behind it is seen. */
static err_t parse_copy(const char *bytes, size_t size)
{
    char *copy = malloc(size ? size : 1);
    npy   a;

    memcpy(copy, bytes, size);
    err_t err = npy_parse(&a, "a.npy", copy, size);
    free(copy);
    return err;
}

static void every_truncation_is_refused(void **state)
{
    char   file[256];
    size_t size = numpy_file(file);

    (void)state;
    for (size_t n = 0; n < size; n++)
        assert_int_equal(parse_copy(file, n), ERR_FORMAT);
    assert_int_equal(parse_copy(file, size), OK);
}

static void change(char file[256], const char *from, const char *to)
{
    char *at = memmem(file, 128, from, strlen(from));

    assert_non_null(at);
    memcpy(at, to, strlen(to));
}

static void what_cannot_be_read_is_refused(void **state)
{
    static const char *const changes[][2] = {
        {"<f4", ">f4"},         {"<f4", "|O8"},       {"False", "True "},
        {"(2, 3)", "(2, 4)"},   {"(2, 3)", "[2, 3]"}, {"(2, 3)", "(2,-3)"},
        {"'shape'", "'shade'"}, {"descr", "discr"},
    };
    char   file[256];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        size = numpy_file(file);
        change(file, changes[i][0], changes[i][1]);
        assert_int_equal(parse_copy(file, size), ERR_FORMAT);
    }
    size = numpy_file(file);
    change(file, "(2, 3), }", "(9999999999999999,");
    change(file, "9999,", "9999,9999)");
    assert_int_equal(parse_copy(file, size), ERR_FORMAT);
}

/* Whatever a byte becomes, nothing behind the file is read. */
static void no_byte_can_do_harm(void **state)
{
    char   file[256];
    size_t size = numpy_file(file);

    (void)state;
    for (size_t i = 0; i < size; i++) {
        char kept = file[i];
        for (int x = 0; x < 256; x++) {
            file[i] = (char)x;
            (void)parse_copy(file, size);
        }
        file[i] = kept;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_is_that_of_numpy),
        cmocka_unit_test(numpy_s_file_is_read),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(no_byte_can_do_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
