#include "common/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/hash.h"
#include "wire_again.h"
#include "wire_samples.h"

#define BODY WIRE_HEADER_BYTES

static wire_header header_of_kind(int kind)
{
    return (wire_header){.kind = (wire_kind)kind, .generation = 3, .sender = 5, .step = 77};
}

static net_message sample(int kind)
{
    wire_header h = header_of_kind(kind);
    net_message m = {0};

    assert_int_equal(wire_sample(&m, &h), OK);
    return m;
}

static uint16_t get_u16(const net_message *m, size_t at)
{
    uint16_t x;
    assert_true(at + sizeof x <= m->size);
    memcpy(&x, m->data + at, sizeof x);
    return x;
}

static uint32_t get_u32(const net_message *m, size_t at)
{
    uint32_t x;
    assert_true(at + sizeof x <= m->size);
    memcpy(&x, m->data + at, sizeof x);
    return x;
}

static uint64_t get_u64(const net_message *m, size_t at)
{
    uint64_t x;
    assert_true(at + sizeof x <= m->size);
    memcpy(&x, m->data + at, sizeof x);
    return x;
}

static double get_real(const net_message *m, size_t at)
{
    real x;
    assert_true(at + sizeof x <= m->size);
    memcpy(&x, m->data + at, sizeof x);
    return (double)x;
}

/* A copy cut (or grown, with zeros) to size bytes, header and checksums made right, in
 * memory of exactly that size so that a sanitizer sees any byte read beyond it. */
static net_message resized(const net_message *m, size_t size)
{
    net_message copy = {0};
    uint64_t    body = size - BODY;

    assert_int_equal(net_message_new(&copy, size), OK);
    memset(copy.data, 0, size);
    memcpy(copy.data, m->data, size < m->size ? size : m->size);
    memcpy(copy.data + 24, &body, sizeof body);
    wire_seal(&copy);
    return copy;
}

/* Write a u32 into a copy and make the checksums right. */
static net_message changed(const net_message *m, size_t at, uint32_t value)
{
    net_message copy = resized(m, m->size);

    memcpy(copy.data + at, &value, sizeof value);
    wire_seal(&copy);
    return copy;
}

static err_t decode(const net_message *m)
{
    wire_header h;
    net_message again = {0};

    TRY(wire_open(&h, m));
    TRY(wire_again(&again, &h, m));
    assert_int_equal(again.size, m->size);
    assert_memory_equal(again.data, m->data, m->size);
    net_message_clear(&again);
    return OK;
}

static void every_kind_comes_back_to_the_same_bytes(void **state)
{
    (void)state;
    for (int kind = 1; kind < WIRE_KIND_COUNT; kind++) {
        net_message m = sample(kind);
        wire_header h = {0};
        assert_int_equal(wire_open(&h, &m), OK);
        assert_int_equal(h.kind, kind);
        assert_int_equal(h.generation, 3);
        assert_int_equal(h.sender, 5);
        assert_int_equal(h.step, 77);
        assert_int_equal(decode(&m), OK);
        net_message_clear(&m);
    }
}

static void the_header_is_as_drawn(void **state)
{
    net_message m = sample(WIRE_DONE);

    (void)state;
    assert_int_equal(m.size, 48 + 16);
    assert_memory_equal(m.data, "dips", 4);
    assert_int_equal(get_u16(&m, 4), WIRE_VERSION);
    assert_int_equal(get_u16(&m, 6), WIRE_DONE);
    assert_int_equal(get_u32(&m, 8), 3);
    assert_int_equal(get_u32(&m, 12), 5);
    assert_int_equal(get_u64(&m, 16), 77);
    assert_int_equal(get_u64(&m, 24), 16);
    assert_int_equal(get_u64(&m, 32), hash_bytes(m.data + 48, 16));
    assert_int_equal(get_u64(&m, 40), hash_bytes(m.data, 40));
    assert_int_equal(get_u64(&m, 48), WIRE_BIRTH);
    assert_int_equal(get_u64(&m, 56), 99);
    net_message_clear(&m);
}

static void a_pull_is_as_drawn(void **state)
{
    net_message m = sample(WIRE_PULL);

    (void)state;
    assert_int_equal(get_u64(&m, BODY + 0), 12);
    assert_int_equal(get_u32(&m, BODY + 8), 3);
    assert_int_equal(get_u32(&m, BODY + 12), 0);
    assert_int_equal(get_u32(&m, BODY + 16), 3); /* n of table 0 */
    assert_int_equal(get_u32(&m, BODY + 20), 1); /* with counts */
    assert_int_equal(get_u32(&m, BODY + 24), 0);
    assert_int_equal(get_u32(&m, BODY + 28), 0);
    assert_int_equal(get_u32(&m, BODY + 32), 2);
    assert_int_equal(get_u32(&m, BODY + 36), 0);
    assert_int_equal(get_u64(&m, BODY + 40), 7);
    assert_int_equal(get_u64(&m, BODY + 48), UINT64_MAX);
    assert_int_equal(get_u64(&m, BODY + 56), 0);
    assert_int_equal(get_u32(&m, BODY + 64), 1);
    assert_int_equal(get_u32(&m, BODY + 72), UINT32_MAX);
    assert_int_equal(get_u32(&m, BODY + 76), 0); /* padding */
    assert_int_equal(get_u64(&m, BODY + 80), UINT64_MAX);
    assert_int_equal(get_u64(&m, BODY + 88), 0);
    assert_int_equal(m.size, BODY + 96);
    net_message_clear(&m);
}

static void rows_and_a_push_are_as_drawn(void **state)
{
    const size_t three = sizeof(real) == 4 ? 16 : 24; /* padded bytes of 3 reals */
    net_message  rows = sample(WIRE_ROWS), push = sample(WIRE_PUSH);
    double       samples;

    (void)state;
    assert_int_equal(get_u64(&rows, BODY + 0), 12);
    assert_int_equal(get_u32(&rows, BODY + 8), 4);
    assert_int_equal(get_u32(&rows, BODY + 12), WIRE_READ);
    assert_int_equal(get_u32(&rows, BODY + 16), 1);
    assert_int_equal(get_u32(&rows, BODY + 20), 3);
    assert_int_equal(get_u32(&rows, BODY + 32), 2);
    assert_int_equal(get_u32(&rows, BODY + 36), 1);
    assert_int_equal(get_u16(&rows, BODY + 44), 3);
    assert_int_equal(get_u16(&rows, BODY + 46), 1);
    assert_true(get_real(&rows, BODY + 48 + 2 * sizeof(real)) == 2.5);
    assert_true(get_real(&rows, BODY + 48 + three + sizeof(real)) == -1);
    assert_int_equal(get_u16(&rows, BODY + 48 + three + 2 * sizeof(real) + 4), 0x3f82);
    assert_int_equal(rows.size, BODY + 48 + three + 2 * sizeof(real) + 8);

    assert_int_equal(get_u64(&push, BODY + 0), 14);
    memcpy(&samples, push.data + BODY + 8, sizeof samples);
    assert_true(samples == 31.5);
    assert_int_equal((int64_t)get_u64(&push, BODY + 16), -5000000000);
    assert_int_equal(get_u32(&push, BODY + 24), 1);
    assert_int_equal(get_u32(&push, BODY + 28), 3);
    assert_int_equal(get_u32(&push, BODY + 32), 3);
    assert_int_equal(get_u32(&push, BODY + 36), 1);
    assert_int_equal(get_u16(&push, BODY + 52), 2);
    assert_int_equal(get_u16(&push, BODY + 54), 1);
    assert_true(get_real(&push, BODY + 56 + 2 * sizeof(real)) == 0.5);
    assert_int_equal(get_u16(&push, BODY + 56 + three + 10), 0xc005);
    assert_int_equal(push.size, BODY + 56 + three + 16);
    net_message_clear(&rows);
    net_message_clear(&push);
}

static void texts_and_endpoints_are_as_drawn(void **state)
{
    net_message begin = sample(WIRE_BEGIN), failed = sample(WIRE_FAILED);
    net_message hello = sample(WIRE_HELLO), welcome = sample(WIRE_WELCOME);

    (void)state;
    assert_int_equal(get_u32(&begin, BODY + 0), 2);
    assert_int_equal(get_u32(&begin, BODY + 4), sizeof(real));
    assert_int_equal(get_u32(&begin, BODY + 8), 13);
    assert_memory_equal(begin.data + BODY + 16, "runs/a/step-7", 13);
    assert_int_equal(begin.size, BODY + 29);

    assert_int_equal(get_u32(&failed, BODY + 0), ERR_FORMAT);
    assert_int_equal(get_u32(&failed, BODY + 4), WIRE_BEGIN);
    assert_int_equal(get_u32(&failed, BODY + 8), 10);
    assert_memory_equal(failed.data + BODY + 16, "a bad file", 10);

    assert_int_equal(get_u16(&hello, BODY + 0), WIRE_SERVER);
    assert_int_equal(get_u16(&hello, BODY + 2), 5);
    assert_int_equal(get_u32(&hello, BODY + 4), 1);
    assert_int_equal(get_u32(&hello, BODY + 8), 4242);
    assert_int_equal(get_u16(&hello, BODY + 12), 2);
    assert_string_equal((char *)hello.data + BODY + 16, "tcp://10.0.0.1:4001");
    assert_string_equal((char *)hello.data + BODY + 16 + 256, "ipc://@shard-1");
    assert_memory_equal(hello.data + BODY + 16 + 512, "node7", 5);

    assert_int_equal(get_u32(&welcome, BODY + 0), 2);
    assert_string_equal((char *)welcome.data + BODY + 8 + 256, "ipc://@shard-1");
    net_message_clear(&begin);
    net_message_clear(&failed);
    net_message_clear(&hello);
    net_message_clear(&welcome);
}

static void decoded_arrays_are_aligned_and_lie_in_the_message(void **state)
{
    net_message  m = sample(WIRE_PULL), n = sample(WIRE_ROWS);
    wire_request r;
    wire_rows    rows;

    (void)state;
    assert_int_equal(wire_decode_request(&r, &m), OK);
    assert_int_equal(r.tables, 3);
    assert_int_equal(r.table[0].ids[1], UINT64_MAX);
    assert_int_equal(r.table[0].counts[2], UINT32_MAX);
    assert_null(r.table[1].counts);
    assert_null(r.table[2].counts);
    assert_int_equal((uintptr_t)r.table[2].ids % 8, 0);
    assert_ptr_equal(r.table[2].ids, m.data + BODY + 80);
    assert_int_equal(wire_decode_rows(&rows, &n), OK);
    assert_int_equal((uintptr_t)rows.table[2].values % 8, 0);
    net_message_clear(&m);
    net_message_clear(&n);
}

static void a_body_summed_piece_by_piece_is_sealed_as_at_once(void **state)
{
    static const size_t steps[] = {1, 7, 64, 1000, 100000};
    wire_header         h       = {.kind = WIRE_ROWS, .generation = 3, .sender = 5, .step = 77};
    wire_rows   r = {.request = WIRE_PULL, .tables = 1, .table = {{.n = 2500, .dim = 7}}};
    net_message m;

    (void)state;
    assert_int_equal(wire_prepare_rows(&m, &h, &r), OK);
    for (int i = 0; i < 2500 * 7; i++)
        r.table[0].values[i] = (real)i;
    wire_seal(&m);
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        uint64_t sealed = get_u64(&m, 32);
        wire_sum sum    = wire_sum_begin(&m);
        for (size_t at = BODY; at < m.size; at += steps[k])
            wire_sum_until(&sum, m.data + at);
        memset(m.data + 32, 0, 16);
        wire_sum_seal(&sum, &m);
        assert_int_equal(get_u64(&m, 32), sealed);
        assert_int_equal(wire_open(&h, &m), OK);
    }
    net_message_clear(&m);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (int kind = 1; kind < WIRE_KIND_COUNT; kind++) {
        net_message m = sample(kind);
        for (size_t size = BODY; size < m.size; size++) {
            net_message cut = resized(&m, size);
            assert_int_equal(decode(&cut), ERR_MESSAGE);
            net_message_clear(&cut);
        }
        for (size_t size = 0; size < m.size; size++) { /* with its old header */
            wire_header h;
            net_message cut = {0};
            assert_int_equal(net_message_new(&cut, size), OK);
            memcpy(cut.data, m.data, size);
            assert_int_equal(wire_open(&h, &cut), ERR_MESSAGE);
            net_message_clear(&cut);
        }
        net_message_clear(&m);
    }
}

static void bytes_behind_the_end_are_refused(void **state)
{
    (void)state;
    for (int kind = 1; kind < WIRE_KIND_COUNT; kind++) {
        net_message m    = sample(kind);
        net_message more = resized(&m, m.size + 8);
        assert_int_equal(decode(&more), ERR_MESSAGE);
        assert_non_null(strstr(err_text(), "bytes behind its end"));
        net_message_clear(&more);
        net_message_clear(&m);
    }
}

static void every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    for (int kind = 1; kind < WIRE_KIND_COUNT; kind++) {
        net_message m = sample(kind);
        wire_header h;
        for (size_t bit = 0; bit < m.size * 8; bit++) {
            m.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
            assert_int_equal(wire_open(&h, &m), ERR_MESSAGE);
            m.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        assert_int_equal(wire_open(&h, &m), OK);
        net_message_clear(&m);
    }
}

/* A message of the kind with one u32 of its body changed is refused with the words. */
static void assert_refused(int kind, size_t at, uint32_t value, const char *words)
{
    net_message m = sample(kind), bad = changed(&m, BODY + at, value);

    assert_int_equal(decode(&bad), ERR_MESSAGE);
    if (!strstr(err_text(), words))
        fail_msg("'%s' does not say '%s'", err_text(), words);
    net_message_clear(&bad);
    net_message_clear(&m);
}

static void sizes_are_checked_against_the_bytes_that_are_there(void **state)
{
    (void)state;
    assert_refused(WIRE_PULL, 16, UINT32_MAX, "ids of 34359738360 bytes");
    assert_refused(WIRE_PULL, 16, 4, "ids of 16 bytes, 8 are left");
    assert_refused(WIRE_PULL, 20, 2, "has counts: 2");
    assert_refused(WIRE_PULL, 8, UINT32_MAX, "4294967295 tables, at most 256");
    assert_refused(WIRE_PULL, 8, 256, "list of tables of 2048 bytes");
    assert_refused(WIRE_ROWS, 16, UINT32_MAX, "values of");
    assert_refused(WIRE_ROWS, 20, 3 | 2 << 16, "table 0 has type 2; wanted 0 or 1");
    assert_refused(WIRE_ROWS, 20, 3 | 1 << 24, "table 0 has type 256; wanted 0 or 1");
    assert_refused(WIRE_ROWS, 28, 0, "table 1 has dim 0");
    assert_refused(WIRE_PUSH, 32, 1 << 30, "values of");
    assert_refused(WIRE_PUSH, 28, 257, "257 tables");
    assert_refused(WIRE_BEGIN, 8, UINT32_MAX, "path of 4294967295 bytes, at most 4096");
    assert_refused(WIRE_BEGIN, 8, 14, "path of 14 bytes, 13 are left");
    assert_refused(WIRE_FAILED, 8, 4097, "text of 4097 bytes, at most");
    assert_refused(WIRE_HELLO, 0, 1 | 6 << 16, "host of 6 bytes, 5 are left");
    assert_refused(WIRE_HELLO, 12, UINT16_MAX, "65535 endpoints, at most");
    assert_refused(WIRE_WELCOME, 0, UINT32_MAX, "4294967295 endpoints, at most");
    assert_refused(WIRE_WELCOME, 0, 3, "endpoints of 768 bytes, 512 are left");
}

static void what_can_not_be_said_is_refused(void **state)
{
    (void)state;
    assert_refused(WIRE_PULL, 12, 1, "must be 0");
    assert_refused(WIRE_PULL, 76, 1, "padding that is not zero");
    assert_refused(WIRE_ROWS, 12, WIRE_PUSH, "cannot answer a request of kind");
    assert_refused(WIRE_DONE, 0, WIRE_STATS, "cannot answer a request of kind");
    assert_refused(WIRE_DONE, 4, 1, "cannot answer a request of kind");
    assert_refused(WIRE_FAILED, 4, WIRE_NONE, "cannot answer a request of kind 0");
    assert_refused(WIRE_FAILED, 4, WIRE_KIND_COUNT, "cannot answer a request of kind");
    assert_refused(WIRE_BYE, 4, WIRE_PULL, "cannot answer a request of kind");
    assert_refused(WIRE_BEGIN, 12, 1, "must be 0");
    assert_refused(WIRE_BEGIN, 16, 0, "path with a zero byte in it");
    assert_refused(WIRE_END, 12, 9, "must be 0");
    assert_refused(WIRE_PUSH, 12, 0xfff00000, "samples");       /* -inf */
    assert_refused(WIRE_PUSH, 12, 0x7ff80000, "samples");       /* NaN */
    assert_refused(WIRE_PUSH, 12, 0xc03f8000, "-31.5 samples"); /* negative */
    assert_refused(WIRE_PUSH, 24, 2, "finite: 2");
    assert_refused(WIRE_HELLO, 0, 3 | 5 << 16, "unknown role 3");
    assert_refused(WIRE_HELLO, 16 + 252, 1, "bytes behind the end of endpoint 0");
    assert_refused(WIRE_WELCOME, 4, 1, "must be 0");
}

static void an_endpoint_without_an_end_is_refused(void **state)
{
    net_message m = sample(WIRE_WELCOME);

    (void)state;
    memset(m.data + BODY + 8 + 256, 'x', 256);
    wire_seal(&m);
    assert_int_equal(decode(&m), ERR_MESSAGE);
    assert_string_equal(err_text(), "WELCOME: endpoint 1 has no end");
    net_message_clear(&m);
}

static void another_version_and_unknown_kinds_are_named(void **state)
{
    net_message m = sample(WIRE_BEAT), bad;
    wire_header h;
    char        wanted[80];

    (void)state;
    bad = changed(&m, 4, (WIRE_VERSION + 1) | WIRE_BEAT << 16);
    assert_int_equal(wire_open(&h, &bad), ERR_MESSAGE);
    snprintf(wanted, sizeof wanted, "a message of version %d; this program speaks %d",
             WIRE_VERSION + 1, WIRE_VERSION);
    assert_string_equal(err_text(), wanted);
    net_message_clear(&bad);
    bad = changed(&m, 4, WIRE_VERSION | WIRE_KIND_COUNT << 16);
    assert_int_equal(wire_open(&h, &bad), ERR_MESSAGE);
    assert_non_null(strstr(err_text(), "unknown kind"));
    net_message_clear(&bad);
    bad = changed(&m, 4, WIRE_VERSION);
    assert_int_equal(wire_open(&h, &bad), ERR_MESSAGE);
    assert_string_equal(err_text(), "a message of unknown kind 0");
    net_message_clear(&bad);
    net_message_clear(&m);
    assert_string_equal(wire_kind_name(WIRE_PULL), "PULL");
    assert_string_equal(wire_kind_name(WIRE_END), "END");
}

static void what_is_too_big_is_not_encoded(void **state)
{
    static char  text[WIRE_MAX_TEXT + 1];
    wire_header  h = header_of_kind(WIRE_BYE);
    net_message  m = {0};
    wire_request r = {.tables = 1, .table = {{.n = (uint32_t)(WIRE_MAX_BODY / 8)}}};

    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(wire_encode_text(&m, &h, &(wire_text){0, WIRE_NONE, text, sizeof text}),
                     ERR_MESSAGE);
    h.kind = WIRE_PULL;
    assert_int_equal(wire_encode_request(&m, &h, &r), ERR_MESSAGE);
    assert_string_equal(
        err_text(), "a PULL of 4294967320 bytes is too big: at most 4294967296 are allowed");
    assert_null(m.data);
}

/* The seeds of tests/fuzz: a file of each kind in folder. */
static int write_seeds(const char *folder)
{
    for (int kind = 1; kind < WIRE_KIND_COUNT; kind++) {
        wire_header h = header_of_kind(kind);
        net_message m = {0};
        char        path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, wire_kind_name(h.kind));
        FILE *f = wire_sample(&m, &h) == OK ? fopen(path, "wb") : NULL;
        if (!f || fwrite(m.data, 1, m.size, f) != m.size || fclose(f) != 0) {
            perror(path);
            return 1;
        }
        net_message_clear(&m);
    }
    return 0;
}

/* test_wire [--write-seeds FOLDER] */
int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write-seeds") == 0)
        return write_seeds(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_to_the_same_bytes),
        cmocka_unit_test(the_header_is_as_drawn),
        cmocka_unit_test(a_pull_is_as_drawn),
        cmocka_unit_test(rows_and_a_push_are_as_drawn),
        cmocka_unit_test(texts_and_endpoints_are_as_drawn),
        cmocka_unit_test(decoded_arrays_are_aligned_and_lie_in_the_message),
        cmocka_unit_test(a_body_summed_piece_by_piece_is_sealed_as_at_once),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(sizes_are_checked_against_the_bytes_that_are_there),
        cmocka_unit_test(what_can_not_be_said_is_refused),
        cmocka_unit_test(an_endpoint_without_an_end_is_refused),
        cmocka_unit_test(another_version_and_unknown_kinds_are_named),
        cmocka_unit_test(what_is_too_big_is_not_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
