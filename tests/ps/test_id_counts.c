#include "harness.h"

static const uint64_t ids[]    = {0, 1, 2, 65536, UINT64_MAX};
static const uint32_t counts[] = {7, 1, 1000000, 3, UINT32_MAX};

static err_t open_counts(id_counts *c, safetensors **file, const char *path)
{
    must(safetensors_open(file, path));
    return id_counts_init(c, *file, "t", hash_table_salt("t"), 0, HASH_BUCKETS);
}

static uint32_t find(const id_counts *c, uint64_t id)
{
    return id_counts_find(c, hash_bucket(hash_id(hash_table_salt("t"), id)), id);
}

static void an_ids_count_is_found(void **unused)
{
    (void)unused;
    safetensors *file;
    id_counts    c;

    write_counts(inside("counts"), "t", ids, counts, 5);
    must(open_counts(&c, &file, inside("counts")));
    for (int i = 0; i < 5; i++)
        assert_int_equal(find(&c, ids[i]), counts[i]);
    assert_int_equal(find(&c, 3), 0);
    assert_int_equal(find(&c, UINT64_MAX - 1), 0);
    safetensors_close(&file);
}

static void many_ids_are_all_found(void **unused)
{
    (void)unused;
    enum { N = 50000 };
    uint64_t    *many  = malloc(N * sizeof *many);
    uint32_t    *count = malloc(N * sizeof *count);
    safetensors *file;
    id_counts    c;

    for (uint32_t i = 0; i < N; i++) {
        many[i]  = (uint64_t)i * i;
        count[i] = i + 1;
    }
    write_counts(inside("counts"), "t", many, count, N);
    must(open_counts(&c, &file, inside("counts")));
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(find(&c, many[i]), count[i]);
    assert_int_equal(find(&c, 2), 0);
    safetensors_close(&file);
    free(many);
    free(count);
}

/* Id i of N under a pattern: in turn, with holes that grow, at both ends of the 64 bits, in
 * clumps far apart. */
static uint64_t in_turn(uint64_t i)
{
    return 1000 + i;
}

static uint64_t ever_rarer(uint64_t i)
{
    return i * i * i * 1000003;
}

static uint64_t at_both_ends(uint64_t i)
{
    return i % 2 ? UINT64_MAX - i : i;
}

static uint64_t in_clumps(uint64_t i)
{
    return (i / 1000 << 58) + i % 1000 * (i % 7 + 1);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Each id is found with its count, 1 more than its place among all, and its neighbours that
 * do not occur are not. */
static void ids_are_found_however_they_are_spread(void **unused)
{
    (void)unused;
    enum { N = 20000 };
    static uint64_t (*const spreads[])(uint64_t) = {in_turn, ever_rarer, at_both_ends,
                                                    in_clumps};
    static uint64_t many[N];
    static uint32_t count[N];

    for (size_t k = 0; k < sizeof spreads / sizeof *spreads; k++) {
        safetensors *file;
        id_counts    c;
        uint32_t     n = 0;
        for (uint64_t i = 0; i < N; i++)
            many[i] = spreads[k](i);
        qsort(many, N, sizeof *many, ascending);
        for (uint32_t i = 0; i < N; i++)
            if (n == 0 || many[i] != many[n - 1])
                many[n++] = many[i];
        for (uint32_t i = 0; i < n; i++)
            count[i] = i + 1;
        write_counts(inside("counts"), "t", many, count, n);
        must(open_counts(&c, &file, inside("counts")));
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(find(&c, many[i]), count[i]);
            if (i + 1 < n && many[i] + 1 < many[i + 1])
                assert_int_equal(find(&c, many[i] + 1), 0);
        }
        if (many[n - 1] < UINT64_MAX)
            assert_int_equal(find(&c, UINT64_MAX), 0);
        safetensors_close(&file);
    }
}

static void a_table_that_is_not_in_the_file_has_no_counts(void **unused)
{
    (void)unused;
    safetensors *file;
    id_counts    c;

    write_counts(inside("counts"), "other", ids, counts, 5);
    must(open_counts(&c, &file, inside("counts")));
    assert_null(c.ids);
    safetensors_close(&file);
}

/* Change the 8 bytes that hold `from`, the first such place behind the header, to `to`. */
static void change(const char *path, uint64_t from, uint64_t to)
{
    FILE    *f = fopen(path, "r+");
    uint64_t x = 0;
    long     at;

    assert_non_null(f);
    assert_int_equal(fread(&x, 8, 1, f), 1);
    for (at = 8 + (long)x;; at += 8) {
        assert_int_equal(fseek(f, at, SEEK_SET), 0);
        assert_int_equal(fread(&x, 8, 1, f), 1);
        if (x == from)
            break;
    }
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(fwrite(&to, 8, 1, f), 1);
    fclose(f);
}

static void expect_refused(uint64_t from, uint64_t to)
{
    safetensors *file;
    id_counts    c;

    write_counts(inside("counts"), "t", ids, counts, 5);
    change(inside("counts"), from, to);
    assert_int_equal(open_counts(&c, &file, inside("counts")), ERR_FORMAT);
    assert_non_null(strstr(err_text(), "counts: t."));
    assert_null(c.ids);
    safetensors_close(&file);
}

static void a_file_out_of_order_is_refused(void **unused)
{
    (void)unused;
    expect_refused(UINT64_MAX, 12345); /* an id outside its bucket */
    expect_refused(4, 77);             /* an offset that the next one is below */
    expect_refused(5, 6);              /* an offset behind the end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ids_count_is_found),
        cmocka_unit_test(many_ids_are_all_found),
        cmocka_unit_test(ids_are_found_however_they_are_spread),
        cmocka_unit_test(a_table_that_is_not_in_the_file_has_no_counts),
        cmocka_unit_test(a_file_out_of_order_is_refused),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
