#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xxhash.h>
#include <cmocka.h>

#include "common/rng.h"
#include "common/safetensors.h"
#include "tests/room.h"

/* ---- files written by hand ---- */

typedef struct image {
    unsigned char bytes[4096];
    size_t        size;
} image;

/* A file of the JSON text and n bytes of data that count 0, 1, 2, ... */
static image by_hand(const char *json, size_t n)
{
    image    m      = {.size = 8 + strlen(json) + n};
    uint64_t length = strlen(json);

    memcpy(m.bytes, &length, 8);
    memcpy(m.bytes + 8, json, length);
    for (size_t i = 0; i < n; i++)
        m.bytes[8 + length + i] = (unsigned char)i;
    return m;
}

/* Open the bytes from a block of exactly their size, so that a sanitizer sees any read
 * beyond them. *block must outlive the file. */
static err_t open_exactly(safetensors **file, const void *bytes, size_t size, void **block)
{
    *block = malloc(size ? size : 1);
    if (size)
        memcpy(*block, bytes, size);
    return safetensors_open_memory(file, "test.safetensors", *block, size);
}

/* The file is refused as ERR_FORMAT, and the sentence has its name and these words. */
static void assert_refused(const char *json, size_t n, const char *words)
{
    image        m = by_hand(json, n);
    safetensors *file;
    void        *block;

    assert_int_equal(open_exactly(&file, m.bytes, m.size, &block), ERR_FORMAT);
    assert_null(file);
    if (!strstr(err_text(), words) || !strstr(err_text(), "test.safetensors"))
        fail_msg("'%s' does not say '%s'", err_text(), words);
    free(block);
}

/* ---- reading ---- */

static void a_file_of_another_program_is_read(void **state)
{
    (void)state;
    /* as the Python package writes it: spaces, metadata, any order, unaligned */
    image m =
        by_hand("{ \"__metadata__\" : {\"format\": \"pt\"},\n"
                "  \"b\": {\"shape\": [2], \"data_offsets\": [3, 11], \"dtype\": \"I32\"},"
                "  \"a\": {\"dtype\": \"U8\", \"shape\": [3, 1], \"data_offsets\": [0, 3]},"
                "  \"s\": {\"dtype\": \"U8\", \"shape\": [], \"data_offsets\": [11, 12]},"
                "  \"none\": {\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[3, 3]}}   ",
                12);
    safetensors *file;
    void        *block;

    assert_int_equal(open_exactly(&file, m.bytes, m.size, &block), OK);
    assert_int_equal(safetensors_count(file), 4);
    assert_string_equal(safetensors_metadata(file, "format"), "pt");
    assert_null(safetensors_metadata(file, "other"));
    assert_null(safetensors_find(file, "c"));
    assert_null(safetensors_find(file, "__metadata__"));
    assert_string_equal(safetensors_at(file, 0)->name, "a");
    assert_string_equal(safetensors_at(file, 1)->name, "none");
    assert_string_equal(safetensors_at(file, 2)->name, "b");
    assert_string_equal(safetensors_at(file, 3)->name, "s");

    const safetensors_tensor *a = safetensors_find(file, "a"), *b = safetensors_find(file, "b");
    assert_int_equal(a->n_dims, 2);
    assert_int_equal(a->shape[0], 3);
    assert_int_equal(a->shape[1], 1);
    assert_int_equal(safetensors_get_u64(a, 2), 2);
    assert_int_equal(b->count, 2);
    assert_int_equal(safetensors_get_u64(b, 0), 0x06050403);
    assert_int_equal(safetensors_get_u64(b, 1), 0x0a090807);
    assert_int_equal(safetensors_find(file, "none")->count, 0);
    assert_int_equal(safetensors_find(file, "s")->count, 1);
    assert_int_equal(safetensors_get_u64(safetensors_find(file, "s"), 0), 11);
    safetensors_close(&file);
    assert_null(file);
    free(block);
}

static void a_file_without_tensors_is_legal(void **state)
{
    (void)state;
    image        m = by_hand("{}", 0);
    safetensors *file;
    void        *block;

    assert_int_equal(open_exactly(&file, m.bytes, m.size, &block), OK);
    assert_int_equal(safetensors_count(file), 0);
    safetensors_close(&file);
    free(block);
}

static void every_dtype_is_read_by_its_bits(void **state)
{
    (void)state;
    static const struct {
        const char *dtype;
        uint64_t    bits;
        double      value;
    } cases[] = {
        {"F64", 0x3ff8000000000000, 1.5},
        {"F32", 0xc0200000, -2.5},
        {"F16", 0x3c00, 1},
        {"F16", 0x0001, 0x1p-24}, /* the least subnormal */
        {"F16", 0xfbff, -65504},  /* the largest finite */
        {"F16", 0x7c00, INFINITY},
        {"BF16", 0xbf80, -1},
        {"BF16", 0x4049, 3.140625},
        {"I64", UINT64_MAX, -1},
        {"U64", UINT64_C(1) << 63, 0x1p63},
        {"I32", 0xfffffffe, -2},
        {"U32", 0xffffffff, 4294967295.0},
        {"I16", 0x8000, -32768},
        {"U16", 0x8000, 32768},
        {"I8", 0xff, -1},
        {"U8", 0xff, 255},
        {"BOOL", 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char   json[200];
        size_t size = !strncmp(cases[i].dtype, "BO", 2) || cases[i].dtype[1] == '8' ? 1
                      : strstr(cases[i].dtype, "64")                                ? 8
                      : strstr(cases[i].dtype, "32")                                ? 4
                                                                                    : 2;
        snprintf(json, sizeof json,
                 "{\"x\": {\"dtype\": \"%s\", \"shape\": [1], \"data_offsets\": [0, %zu]}}",
                 cases[i].dtype, size);
        image m = by_hand(json, size);
        memcpy(m.bytes + m.size - size, &cases[i].bits, size);
        safetensors *file;
        void        *block;
        assert_int_equal(open_exactly(&file, m.bytes, m.size, &block), OK);
        const safetensors_tensor *x = safetensors_at(file, 0);
        assert_string_equal(dtype_name(x->type), cases[i].dtype);
        assert_int_equal(dtype_size(x->type), size);
        assert_true(safetensors_get_double(x, 0) == cases[i].value);
        real copy;
        safetensors_copy_real(&copy, x, 0, 1);
        assert_true(copy == (real)cases[i].value);
        if (dtype_is_integer(x->type)) {
            uint64_t wide;
            safetensors_copy_u64(&wide, x, 0, 1);
            assert_true(wide == (cases[i].value < 0 ? (uint64_t)(int64_t)cases[i].value
                                                    : (uint64_t)cases[i].value));
        }
        safetensors_close(&file);
        free(block);
    }
}

/* ---- refusing ---- */

#define F32(name, shape, begin, end)                                                           \
    "\"" name "\": {\"dtype\": \"F32\", \"shape\": [" shape "], \"data_offsets\": [" begin     \
    ", " end "]}"

static void a_wrong_header_is_refused_in_words(void **state)
{
    (void)state;
    assert_refused("[1]", 0, "does not begin with '{'");
    assert_refused(" {}", 0, "does not begin with '{'");
    assert_refused("{\"a\": 1", 0, "header: ");
    assert_refused("{} {}", 0, "header: ");
    assert_refused("{\"a\": 1}", 0, "dtype ''");
    assert_refused("{" F32("a", "1", "0", "4") ", " F32("a", "1", "4", "8") "}", 8,
                   "duplicate");
    assert_refused("{\"a\": {\"dtype\": \"F99\", \"shape\": [1], \"data_offsets\": [0, 4]}}", 4,
                   "'F99', which is unknown");
    assert_refused("{\"a\": {\"dtype\": \"F32\", \"data_offsets\": [0, 4]}}", 4, "no shape");
    assert_refused("{\"a\": {\"dtype\": \"F32\", \"shape\": [1]}}", 4, "not [begin, end]");
    assert_refused("{\"__metadata__\": {\"a\": 1}}", 0, "'a' is not a text");
    assert_refused("{\"__metadata__\": []}", 0, "not an object");
}

static void a_wrong_shape_is_refused_in_words(void **state)
{
    (void)state;
    assert_refused("{" F32("a", "2", "0", "4") "}", 4, "has 4 bytes, but its shape asks for 8");
    assert_refused("{" F32("a", "-1", "0", "4") "}", 4, "dimension 0 is not a size");
    assert_refused("{" F32("a", "1.0", "0", "4") "}", 4, "dimension 0 is not a size");
    assert_refused("{" F32("a", "1,1,1,1,1,1,1,1,1", "0", "4") "}", 4, "9 dimensions");
    assert_refused("{" F32("a", "4294967296, 4294967296", "0", "0") "}", 0,
                   "larger than 64 bits");
    assert_refused("{" F32("a", "4611686018427387904", "0", "0") "}", 0, "larger than 64 bits");
    assert_refused("{" F32("a", "9223372036854775808", "0", "0") "}", 0, "header: ");
}

static void wrong_offsets_are_refused_in_words(void **state)
{
    (void)state;
    assert_refused("{" F32("a", "1", "4", "0") "}", 4, "not [begin, end]");
    assert_refused("{" F32("a", "1", "-4", "0") "}", 4, "not [begin, end]");
    assert_refused("{" F32("a", "1", "0", "4, 8") "}", 8, "not [begin, end]");
    assert_refused("{" F32("a", "2", "0", "8") "}", 7, "ends at byte 8 of 7");
    assert_refused("{" F32("a", "1", "9223372036854775803", "9223372036854775807") "}", 4,
                   "truncated");
    assert_refused("{" F32("a", "2", "0", "8") "," F32("b", "1", "4", "8") "}", 8,
                   "'b' overlaps 'a'");
    assert_refused("{" F32("a", "1", "0", "4") "," F32("b", "1", "0", "4") "}", 4, "overlaps");
    assert_refused("{" F32("a", "1", "0", "4") "," F32("b", "1", "8", "12") "}", 12,
                   "4 bytes before tensor 'b'");
    assert_refused("{" F32("a", "1", "4", "8") "}", 8, "4 bytes before tensor 'a'");
    assert_refused("{" F32("a", "1", "0", "4") "}", 9, "last 5 bytes belong to no tensor");
    assert_refused("{" F32("a", "0", "4", "4") "}", 4, "4 bytes before tensor 'a'");
}

static void a_header_longer_than_the_file_is_refused(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {3, 1000, 100000001, UINT64_MAX, UINT64_MAX - 7, 0};

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        image        m = by_hand("{}", 0);
        safetensors *file;
        void        *block;
        memcpy(m.bytes, &lengths[i], 8);
        assert_int_equal(open_exactly(&file, m.bytes, m.size, &block), ERR_FORMAT);
        free(block);
    }
}

static const char sample[] = "{\"__metadata__\":{\"made\":\"by hand\"}," F32(
    "a", "2, 1", "0", "8") "," F32("empty", "0", "8", "8") "," F32("b", "1", "8", "12") "}";

static void every_truncation_is_refused(void **state)
{
    (void)state;
    image m = by_hand(sample, 12);

    for (size_t size = 0; size < m.size; size++) {
        safetensors *file;
        void        *block;
        assert_int_equal(open_exactly(&file, m.bytes, size, &block), ERR_FORMAT);
        free(block);
    }
}

/* Touch all that a file claims to hold. */
static double sum_of_everything(const safetensors *file)
{
    double sum = 0;

    for (int i = 0; i < safetensors_count(file); i++) {
        const safetensors_tensor *t = safetensors_at(file, i);
        for (uint64_t k = 0; k < t->count; k++)
            sum += safetensors_get_double(t, k);
    }
    return sum;
}

static void no_flipped_bit_of_a_header_leads_beyond_the_file(void **state)
{
    (void)state;
    image m = by_hand(sample, 12);

    for (size_t bit = 0; bit < 8 * (m.size - 12); bit++) {
        safetensors *file;
        void        *block;
        m.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        if (open_exactly(&file, m.bytes, m.size, &block) == OK) {
            (void)sum_of_everything(file);
            safetensors_close(&file);
        } else {
            assert_non_null(strstr(err_text(), "test.safetensors: "));
        }
        free(block);
        m.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

static void what_is_not_a_file_is_named(void **state)
{
    (void)state;
    safetensors *file;

    assert_int_equal(safetensors_open(&file, inside("nowhere")), ERR_DATA);
    assert_non_null(strstr(err_text(), "nowhere: there is no such file"));
    assert_int_equal(safetensors_open(&file, room), ERR_DATA);
    assert_non_null(strstr(err_text(), "not a file"));
    write_text(inside("empty"), "");
    assert_int_equal(safetensors_open(&file, inside("empty")), ERR_FORMAT);
    assert_null(file);
}

/* ---- writing ---- */

static void assert_digest(const char *path, const safetensors_digest *digest)
{
    size_t size;
    char  *bytes = read_bytes(path, &size);

    assert_int_equal(digest->bytes, size);
    assert_true(digest->xxh3 == XXH3_64bits(bytes, size));
    free(bytes);
}

static void what_was_written_in_turns_is_read_back(void **state)
{
    (void)state;
    enum { N = 30000 }; /* beyond a tensor's buffer */
    safetensors_writer *w;
    safetensors_digest  digest;
    safetensors        *file;
    int                 flag, id, value, none, one;

    assert_int_equal(safetensors_create(&w, inside("turns")), OK);
    assert_int_equal(safetensors_declare(w, "flag", DTYPE_U8, 1, (const uint64_t[]){N}, &flag),
                     OK);
    assert_int_equal(
        safetensors_declare(w, "none", DTYPE_F32, 2, (const uint64_t[]){0, 9}, &none), OK);
    assert_int_equal(safetensors_declare(w, "value \"\\\n\xc3\xa9", DTYPE_F32, 2,
                                         (const uint64_t[]){N / 2, 2}, &value),
                     OK);
    assert_int_equal(safetensors_declare(w, "id", DTYPE_U64, 1, (const uint64_t[]){N}, &id),
                     OK);
    assert_int_equal(safetensors_declare(w, "one", DTYPE_U16, 0, NULL, &one), OK);
    assert_int_equal(safetensors_declare_metadata(w, "made by", "\"dips\""), OK);
    for (uint64_t i = 0; i < N; i++) {
        assert_int_equal(safetensors_append(w, id, &(uint64_t){i * i}, 8), OK);
        assert_int_equal(safetensors_append(w, flag, &(uint8_t){(uint8_t)(i % 7)}, 1), OK);
        assert_int_equal(safetensors_append(w, value, &(float){(float)i}, 4), OK);
    }
    assert_int_equal(safetensors_append(w, one, &(uint16_t){77}, 2), OK);
    assert_int_equal(access(inside("turns"), F_OK), -1); /* not before it is whole */
    assert_int_equal(safetensors_finish(&w, &digest), OK);
    assert_null(w);
    assert_int_equal(access(inside("turns.tmp"), F_OK), -1);
    assert_digest(inside("turns"), &digest);

    assert_int_equal(safetensors_open(&file, inside("turns")), OK);
    assert_int_equal(safetensors_count(file), 5);
    assert_string_equal(safetensors_metadata(file, "made by"), "\"dips\"");
    assert_int_equal(safetensors_find(file, "none")->shape[1], 9);
    assert_int_equal(safetensors_get_u64(safetensors_find(file, "one"), 0), 77);
    for (int i = 0; i < 5; i++) { /* widest first: every tensor is aligned */
        const safetensors_tensor *t = safetensors_at(file, i);
        assert_int_equal((uintptr_t)t->data % dtype_size(t->type), 0);
        if (i > 0)
            assert_true(dtype_size(t->type) <= dtype_size(safetensors_at(file, i - 1)->type));
    }
    static uint64_t ids[N];
    static real     values[N];
    safetensors_copy_u64(ids, safetensors_find(file, "id"), 0, N);
    safetensors_copy_real(values, safetensors_find(file, "value \"\\\n\xc3\xa9"), 0, N);
    for (uint64_t i = 0; i < N; i++) {
        assert_true(ids[i] == i * i && values[i] == (real)i);
        assert_true(safetensors_get_u64(safetensors_find(file, "flag"), i) == i % 7);
    }
    uint64_t middle[2];
    safetensors_copy_u64(middle, safetensors_find(file, "id"), 100, 2);
    assert_true(middle[0] == 10000 && middle[1] == 10201);
    safetensors_close(&file);
}

/* Pieces of every size around the buffer's, in order of the file or not: one content. */
static void the_digest_does_not_depend_on_the_pieces(void **state)
{
    (void)state;
    enum { N = 200000 };
    static unsigned char data[2][N];
    safetensors_digest   first  = {0};
    rng                  chance = rng_named(1, RNG_TEST, 0, 0);

    for (int i = 0; i < N; i++)
        for (int k = 0; k < 2; k++)
            data[k][i] = (unsigned char)rng_next(&chance);
    for (int round = 0; round < 5; round++) {
        safetensors_writer *w;
        safetensors_digest  digest;
        size_t              at[2] = {0, 0};
        int                 tensor[2];
        size_t              most = (size_t[]){N, 1000, 65535, 65537, 100000}[round];
        assert_int_equal(safetensors_create(&w, inside("pieces")), OK);
        for (int k = 0; k < 2; k++)
            assert_int_equal(safetensors_declare(w, k ? "b" : "a", DTYPE_U8, 1,
                                                 (const uint64_t[]){N}, &tensor[k]),
                             OK);
        while (at[0] < N || at[1] < N) {
            int    k = at[0] < N && (round == 0 || at[1] == N || rng_below(&chance, 2));
            size_t n = round == 0 ? N : 1 + rng_below(&chance, most);
            k        = !k; /* round 0: a whole, then b */
            if (n > N - at[k])
                n = N - at[k];
            assert_int_equal(safetensors_append(w, tensor[k], data[k] + at[k], n), OK);
            at[k] += n;
        }
        assert_int_equal(safetensors_finish(&w, &digest), OK);
        assert_digest(inside("pieces"), &digest);
        if (round == 0)
            first = digest;
        assert_true(digest.xxh3 == first.xxh3);
    }
}

static void a_tensor_that_is_not_whole_leaves_no_file(void **state)
{
    (void)state;
    safetensors_writer *w;
    int                 t;

    assert_int_equal(safetensors_create(&w, inside("part")), OK);
    assert_int_equal(safetensors_declare(w, "x", DTYPE_U64, 1, (const uint64_t[]){2}, &t), OK);
    assert_int_equal(safetensors_append(w, t, "12345678", 8), OK);
    assert_int_equal(safetensors_append(w, t, "123456789", 9), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "has room for 16 bytes, not for 17"));
    assert_int_equal(safetensors_finish(&w, NULL), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "'x' ends after 8 of 16 bytes"));
    assert_null(w);
    assert_int_equal(access(inside("part"), F_OK), -1);
    assert_int_equal(access(inside("part.tmp"), F_OK), -1);
}

static void giving_up_leaves_what_was_there(void **state)
{
    (void)state;
    safetensors_writer *w;
    safetensors        *file;
    int                 t;

    assert_int_equal(safetensors_create(&w, inside("kept")), OK);
    assert_int_equal(safetensors_declare(w, "old", DTYPE_U8, 0, NULL, &t), OK);
    assert_int_equal(safetensors_append(w, t, "1", 1), OK);
    assert_int_equal(safetensors_finish(&w, NULL), OK);
    assert_int_equal(safetensors_create(&w, inside("kept")), OK);
    assert_int_equal(safetensors_declare(w, "new", DTYPE_U8, 0, NULL, &t), OK);
    assert_int_equal(safetensors_append(w, t, "2", 1), OK);
    safetensors_abandon(&w);
    assert_null(w);
    assert_int_equal(access(inside("kept.tmp"), F_OK), -1);
    assert_int_equal(safetensors_open(&file, inside("kept")), OK);
    assert_non_null(safetensors_find(file, "old"));
    safetensors_close(&file);
}

static void what_cannot_be_declared_is_refused(void **state)
{
    (void)state;
    safetensors_writer *w;
    int                 t;
    const uint64_t      huge[] = {UINT64_C(1) << 62, 8};

    assert_int_equal(safetensors_create(&w, inside("declared")), OK);
    assert_int_equal(safetensors_declare(w, "a", DTYPE_U8, 0, NULL, &t), OK);
    assert_int_equal(safetensors_declare(w, "a", DTYPE_U8, 0, NULL, &t), ERR_FORMAT);
    assert_int_equal(safetensors_declare(w, "__metadata__", DTYPE_U8, 0, NULL, &t), ERR_FORMAT);
    assert_int_equal(safetensors_declare(w, "b", DTYPE_U8, 9, NULL, &t), ERR_FORMAT);
    assert_int_equal(safetensors_declare(w, "b", DTYPE_U8, 2, huge, &t), ERR_FORMAT);
    assert_int_equal(safetensors_append(w, 0, "1", 1), OK);
    assert_int_equal(safetensors_declare(w, "late", DTYPE_U8, 0, NULL, &t), ERR_FORMAT);
    safetensors_abandon(&w);
    assert_int_equal(safetensors_create(&w, inside("declared")), OK);
    assert_int_equal(safetensors_declare(w, "\xff", DTYPE_U8, 0, NULL, &t), OK);
    assert_int_equal(safetensors_finish(&w, NULL), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "not UTF-8"));
}

static void a_folder_that_is_not_there_is_named(void **state)
{
    (void)state;
    safetensors_writer *w;

    assert_int_equal(safetensors_create(&w, inside("no/such")), ERR_SYSTEM);
    assert_null(w);
    assert_non_null(strstr(err_text(), "no/such"));
}

/* RLIMIT_FSIZE stands for a full disk: write() fails in the middle. */
static void a_full_disk_leaves_no_file(void **state)
{
    (void)state;
    safetensors_writer *w;
    int                 t;
    static char         data[300000];
    struct rlimit       before, small;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    small          = before;
    small.rlim_cur = 200000;
    assert_int_equal(safetensors_create(&w, inside("full")), OK);
    assert_int_equal(
        safetensors_declare(w, "x", DTYPE_U8, 1, (const uint64_t[]){sizeof data}, &t), OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    err_t err = safetensors_append(w, t, data, sizeof data);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err, ERR_SYSTEM);
    assert_non_null(strstr(err_text(), inside("full")));
    safetensors_abandon(&w);
    assert_int_equal(access(inside("full"), F_OK), -1);
    assert_int_equal(access(inside("full.tmp"), F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_another_program_is_read),
        cmocka_unit_test(a_file_without_tensors_is_legal),
        cmocka_unit_test(every_dtype_is_read_by_its_bits),
        cmocka_unit_test(a_wrong_header_is_refused_in_words),
        cmocka_unit_test(a_wrong_shape_is_refused_in_words),
        cmocka_unit_test(wrong_offsets_are_refused_in_words),
        cmocka_unit_test(a_header_longer_than_the_file_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(no_flipped_bit_of_a_header_leads_beyond_the_file),
        cmocka_unit_test(what_is_not_a_file_is_named),
        cmocka_unit_test(what_was_written_in_turns_is_read_back),
        cmocka_unit_test(the_digest_does_not_depend_on_the_pieces),
        cmocka_unit_test(a_tensor_that_is_not_whole_leaves_no_file),
        cmocka_unit_test(giving_up_leaves_what_was_there),
        cmocka_unit_test(what_cannot_be_declared_is_refused),
        cmocka_unit_test(a_folder_that_is_not_there_is_named),
        cmocka_unit_test(a_full_disk_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
