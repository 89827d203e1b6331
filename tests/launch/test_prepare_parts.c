/* The parts that the sources of `dips prepare` share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>

#include "common/hash.h"
#include "common/rng.h"
#include "launch/prepare/auxiliary.h"
#include "launch/prepare/catalog.h"
#include "launch/prepare/counts.h"
#include "launch/prepare/delimited.h"
#include "launch/prepare/id_map.h"
#include "launch/prepare/raw_lines.h"
#include "launch/prepare/names.h"
#include "launch/prepare/sorter.h"
#include "launch/prepare/zipf.h"
#include "tests/launch/prepare_room.h"

#define WELL(call)                                                                             \
    do {                                                                                       \
        if ((call) != OK)                                                                      \
            fail_msg("%s: %s", #call, err_text());                                             \
    } while (0)

/* ---- sorter ---- */

typedef struct record {
    uint32_t key, number;
} record;

static int by_key(const void *a, const void *b)
{
    const record *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static void check_sorted(size_t n, size_t memory, uint64_t keys)
{
    sorter     *s;
    const void *next;
    rng         r   = rng_named(1, RNG_TEST, n, memory);
    uint64_t    sum = 0, seen = 0;

    WELL(sorter_new(&s, sizeof(record), by_key, memory, room));
    for (uint32_t i = 0; i < n; i++) {
        record x = {(uint32_t)rng_below(&r, keys), i};
        sum += x.key;
        WELL(sorter_push(s, &x));
    }
    for (int pass = 0; pass < 2; pass++) {
        record last = {0, 0};
        size_t got  = 0;
        seen        = 0;
        WELL(sorter_rewind(s));
        for (;; got++) {
            WELL(sorter_next(s, &next));
            if (!next)
                break;
            record x = *(const record *)next;
            assert_true(got == 0 || x.key > last.key ||
                        (x.key == last.key && x.number > last.number));
            seen += x.key;
            last = x;
        }
        assert_int_equal(got, n);
        assert_int_equal(seen, sum);
    }
    sorter_free(&s);
    assert_int_equal(count_files("*"), 2); /* "." and ".." */
}

static void records_come_back_in_order_from_memory_and_from_many_merged_runs(void **state)
{
    (void)state;
    check_sorted(0, 1000, 10);
    check_sorted(1, 1000, 10);
    check_sorted(5000, 1 << 20, 1000000);
    check_sorted(5000, 1 << 10, 1000000); /* 79 runs, merged 16 at a time */
    check_sorted(5000, 1 << 10, 3);       /* equal keys stay in the order of pushes */
    check_sorted(3000, 8, 100);           /* every record is a run */
}

/* ---- maps and chance ---- */

static void a_map_finds_what_was_put_and_nothing_else(void **state)
{
    id_map m = {0};

    (void)state;
    assert_null(id_map_find(&m, 0));
    for (uint64_t i = 0; i < 5000; i++)
        WELL(id_map_put(&m, i * i * UINT64_C(0x9e3779b97f4a7c15), i));
    WELL(id_map_put(&m, 0, 77)); /* known: 0 squared */
    assert_int_equal(m.n, 5000);
    for (uint64_t i = 1; i < 5000; i++)
        assert_int_equal(*id_map_find(&m, i * i * UINT64_C(0x9e3779b97f4a7c15)), i);
    assert_int_equal(*id_map_find(&m, 0), 77);
    assert_null(id_map_find(&m, 12345));
    id_map_clear(&m);
}

/* The frequencies of draws against k^-s / H(n, s), each within 5 standard deviations. */
static void check_zipf(uint64_t n, double s)
{
    enum { DRAWS = 100000 };
    int    seen[21] = {0};
    zipf   z        = zipf_of(n, s);
    rng    r        = rng_named(7, RNG_TEST, n, (uint64_t)(1000 * s));
    double all      = 0;

    for (int i = 0; i < DRAWS; i++) {
        uint64_t k = zipf_draw(&z, &r);
        assert_in_range(k, 1, n);
        seen[k < 20 ? k : 20]++;
    }
    for (uint64_t k = 1; k <= n; k++)
        all += pow((double)k, -s);
    for (uint64_t k = 1; k < 20 && k <= n; k++) {
        double want = DRAWS * pow((double)k, -s) / all;
        if (fabs(seen[k] - want) > 5 * sqrt(want) + 1)
            fail_msg("n %llu, s %g: %llu was drawn %d times, wanted about %g",
                     (unsigned long long)n, s, (unsigned long long)k, seen[k], want);
    }
}

static void zipf_numbers_have_their_frequencies(void **state)
{
    (void)state;
    check_zipf(1, 1);
    check_zipf(2, 1);
    check_zipf(10, 0);
    check_zipf(10, 0.5);
    check_zipf(1000, 1);
    check_zipf(1000, 1.2);
    check_zipf(100000, 2.5);
}

static void zipf_numbers_of_a_thousand_million_need_no_table(void **state)
{
    zipf   z   = zipf_of(1000000000, 1);
    rng    r   = rng_named(3, RNG_TEST, 0, 0);
    double log_sum = 0;

    (void)state;
    for (int i = 0; i < 100000; i++)
        log_sum += log((double)zipf_draw(&z, &r));
    /* density 1 / (x log n): the mean of log x is about log(n) / 2 */
    assert_true(fabs(log_sum / 100000 / (log(1e9) / 2) - 1) < 0.05);
}

/* ---- fields ---- */

static field f(const char *text)
{
    return (field){text, strlen(text)};
}

static void numbers_are_taken_whole_or_not_at_all(void **state)
{
    uint64_t u;
    int64_t  i;
    double   d;

    (void)state;
    WELL(field_u64(f("18446744073709551615"), "id", &u));
    assert_true(u == UINT64_MAX);
    assert_int_equal(field_u64(f("18446744073709551616"), "id", &u), ERR_DATA);
    assert_int_equal(field_u64(f(""), "id", &u), ERR_DATA);
    assert_int_equal(field_u64(f("-1"), "id", &u), ERR_DATA);
    assert_int_equal(field_u64(f("1 "), "id", &u), ERR_DATA);
    WELL(field_i64(f("-9223372036854775807"), "time", &i));
    assert_true(i == -INT64_MAX);
    assert_int_equal(field_i64(f("-"), "time", &i), ERR_DATA);
    WELL(field_double(f("-2.5e3"), "price", &d));
    assert_true(d == -2500);
    assert_int_equal(field_double(f("nan"), "price", &d), ERR_DATA);
    assert_int_equal(field_double(f("1e999"), "price", &d), ERR_DATA);
    assert_int_equal(field_double(f(" 1"), "price", &d), ERR_DATA);
    assert_int_equal(field_double(f("9x"), "rating", &d), ERR_DATA);
    assert_string_equal(err_text(), "rating '9x' is not a number");
}

static void check_split(const char *text, const char *separator, bool quotes,
                        const char *joined)
{
    char   line[200], got[400] = "";
    field  fields[8];
    size_t n;

    strcpy(line, text);
    if (delimited_split(line, strlen(line), separator, quotes, fields, 8, &n) != OK) {
        strcpy(got, "bad");
        n = 0;
    }
    for (size_t i = 0; i < n; i++)
        sprintf(got + strlen(got), "<%.*s>", (int)fields[i].n, fields[i].at);
    if (strcmp(got, joined) != 0)
        fail_msg("%s: %s, wanted %s", text, got, joined);
}

static void lines_are_split_at_separators_outside_of_quotes(void **state)
{
    (void)state;
    check_split("", ",", true, "<>");
    check_split("a,b,,c,", ",", true, "<a><b><><c><>");
    check_split("1::Heat: a film::x", "::", false, "<1><Heat: a film><x>");
    check_split("11,\"President, The\",x", ",", true, "<11><President, The><x>");
    check_split("\"say \"\"hi\"\"\",\"\"", ",", true, "<say \"hi\"><>");
    check_split("a\"b,c", ",", true, "<a\"b><c>");
    check_split("\"a", ",", true, "bad");
    check_split("\"a\"b,c", ",", true, "bad");
    check_split("\"a\tb", "\t", false, "<\"a><b>");
    check_split("1,2,3,4,5,6,7,8,9", ",", true, "bad");
}

/* ---- lines ---- */

/* All lines of a file of the room, each in <>; "bad" where reading fails. */
static void check_lines(const char *name, const char *want)
{
    raw_lines *l        = NULL;
    char       got[400] = "";
    char      *line;
    size_t     n;

    err_t err = raw_lines_open(&l, inside(name));
    while (err == OK && (err = raw_lines_next(l, &line, &n)) == OK && line)
        sprintf(got + strlen(got), "<%.*s>", (int)n, line);
    raw_lines_close(&l);
    assert_string_equal(err == OK ? got : "bad", want);
}

static void lines_of_plain_and_gzipped_files_are_the_same(void **state)
{
    (void)state;
    write_text(inside("plain"), "one\r\n\ntwo");
    write_gzip("zipped", "one\r\n\ntwo");
    write_text(inside("empty"), "");
    write_gzip("zipped-empty", "");
    check_lines("plain", "<one><><two>");
    check_lines("zipped", "<one><><two>");
    check_lines("empty", "");
    check_lines("zipped-empty", "");
}

static void a_gzip_file_that_was_cut_off_is_damaged(void **state)
{
    size_t n;
    char   text[20000];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + hash_mix(i) % 26);
    text[sizeof text - 1] = '\0';
    write_gzip("zipped", text);
    char *bytes = read_bytes(inside("zipped"), &n);
    write_bytes(inside("cut"), bytes, n / 2);
    free(bytes);
    check_lines("cut", "bad");
    assert_non_null(strstr(err_text(), "ends too early"));
}

static void a_line_may_be_long_but_not_endless(void **state)
{
    raw_lines *l;
    char      *line, *text = malloc(LINE_MOST + 10);
    size_t     n;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', LINE_MOST + 10);
    write_bytes(inside("long"), text, 1000000);
    WELL(raw_lines_open(&l, inside("long")));
    WELL(raw_lines_next(l, &line, &n));
    assert_int_equal(n, 1000000);
    raw_lines_close(&l);
    write_bytes(inside("endless"), text, LINE_MOST + 10);
    WELL(raw_lines_open(&l, inside("endless")));
    assert_int_equal(raw_lines_next(l, &line, &n), ERR_DATA);
    assert_non_null(strstr(err_text(), "endless:1: line of more than"));
    raw_lines_close(&l);
    free(text);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    raw_lines *l;

    (void)state;
    assert_int_equal(raw_lines_open(&l, inside("nothing")), ERR_DATA);
    assert_non_null(strstr(err_text(), "nothing: No such file"));
    raw_lines_close(&l);
    assert_int_equal(raw_lines_open(&l, room), ERR_DATA);
    raw_lines_close(&l);
}

/* ---- counts ---- */

/* Samples of random ids, counted in memory bytes, against a plain array. */
static void check_counts(size_t memory)
{
    enum { SAMPLES = 3000, IDS = 2000 };
    static uint32_t   want[2][IDS];
    const char *const tables[] = {"goods", "cate"};
    counts           *c;
    rng               r = rng_named(5, RNG_TEST, 0, 0);

    memset(want, 0, sizeof want);
    WELL(counts_new(&c, tables, 2, memory, room));
    for (int s = 0; s < SAMPLES; s++) {
        for (int t = 0; t < 2; t++) {
            uint64_t ids[40];
            size_t   n = rng_below(&r, 20);
            for (size_t i = 0; i < n; i++)
                ids[i] = rng_below(&r, t ? 50 : IDS);
            for (size_t i = 0; i < n; i++) {
                size_t first = 0;
                while (ids[first] != ids[i])
                    first++;
                want[t][ids[i]] += first == i;
            }
            WELL(counts_see(c, t, ids, n / 2)); /* two places of the sample */
            WELL(counts_see(c, t, ids + n / 2, n - n / 2));
            WELL(counts_see(c, t, ids, n));
        }
        WELL(counts_end_sample(c));
    }
    WELL(counts_write(c, inside("counts.safetensors")));
    counts_free(&c);

    safetensors *file = open_file("counts.safetensors");
    for (int t = 0; t < 2; t++) {
        const char *table = tables[t];
        uint64_t    salt = hash_table_salt(table), last_id = 0, distinct = 0;
        uint32_t    last_bucket = 0;
        char        ids[20], buckets[20];
        snprintf(ids, sizeof ids, "%s.ids", table);
        snprintf(buckets, sizeof buckets, "%s.buckets", table);
        assert_int_equal(tensor_of(file, buckets)->count, HASH_BUCKETS + 1);
        for (uint64_t i = 0; i < tensor_of(file, ids)->count; i++) {
            uint64_t id     = u64_at(file, ids, i);
            uint32_t bucket = hash_bucket(hash_id(salt, id));
            assert_true(i == 0 || bucket > last_bucket ||
                        (bucket == last_bucket && id > last_id));
            assert_true(u64_at(file, buckets, bucket) <= i);
            assert_true(u64_at(file, buckets, bucket + 1) > i);
            last_id     = id;
            last_bucket = bucket;
        }
        for (uint64_t id = 0; id < IDS; id++) {
            distinct += want[t][id] > 0;
            if (id % 50 == 0) /* count_of is slow */
                assert_int_equal(count_of(file, table, id), want[t][id]);
        }
        assert_int_equal(tensor_of(file, ids)->count, distinct);
    }
    safetensors_close(&file);
}

static void counts_are_of_samples_and_the_same_in_any_memory(void **state)
{
    size_t n_first, n;

    (void)state;
    check_counts(1 << 20);
    char *first = read_bytes(inside("counts.safetensors"), &n_first);
    check_counts(4096);
    char *second = read_bytes(inside("counts.safetensors"), &n);
    assert_int_equal(n, n_first);
    assert_memory_equal(first, second, n);
    free(first);
    free(second);
}

/* ---- names ---- */

static void names_are_kept_once_each_by_their_hash(void **state)
{
    names   *n;
    uint64_t id, shared;
    char     text[30];

    (void)state;
    WELL(names_new(&n, 2000, room));
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "name %d", i % 100);
        WELL(names_see(n, f(text), &id));
        assert_true(id == hash_bytes(text, strlen(text)));
    }
    WELL(names_see(n, f(""), &id));
    WELL(names_write(n, "goods", &shared));
    names_free(&n);
    assert_int_equal(shared, 0);
    safetensors *file = open_file("names-goods.safetensors");
    assert_int_equal(tensor_of(file, "ids")->count, 101);
    const char *bytes = tensor_of(file, "bytes")->data;
    for (uint64_t i = 0; i < 101; i++) {
        uint64_t begin = u64_at(file, "offsets", i), end = u64_at(file, "offsets", i + 1);
        assert_true(hash_bytes(bytes + begin, end - begin) == u64_at(file, "ids", i));
        assert_true(i == 0 || u64_at(file, "ids", i) > u64_at(file, "ids", i - 1));
    }
    safetensors_close(&file);
}

static void two_strings_with_one_hash_are_reported(void **state)
{
    names   *n;
    uint64_t shared;

    (void)state;
    WELL(names_new(&n, 2000, room));
    for (int i = 0; i < 10; i++) {
        WELL(names_put(n, 5, f("left")));
        WELL(names_put(n, 5, f("right")));
        WELL(names_put(n, 6, f("alone")));
    }
    WELL(names_write(n, "goods", &shared));
    names_free(&n);
    assert_int_equal(shared, 1);
    safetensors *file = open_file("names-goods.safetensors");
    EXPECT_U64(file, "ids", 5, 6);
    safetensors_close(&file);
}

/* ---- catalog ---- */

/* Items 0 .. 3 occur 0, 1, 2 and 7 times: how often each is drawn in place of number 2. */
static void draw_many(negatives_kind kind, uint64_t drawn[4])
{
    catalog  c = {0};
    rng      r = rng_named(1, RNG_TEST, kind, 0);
    uint64_t number;

    for (uint64_t i = 0; i < 4; i++) {
        WELL(catalog_number(&c, 100 + i, &number));
        assert_int_equal(number, i);
        c.items.at[number].times = (uint64_t[]){0, 1, 2, 7}[i];
    }
    WELL(catalog_number(&c, 102, &number));
    assert_int_equal(number, 2);
    WELL(catalog_complete(&c, kind));
    for (int i = 0; i < 8000; i++)
        drawn[catalog_draw(&c, kind, 2, &r)->id - 100]++;
    catalog_clear(&c);
}

static void negatives_are_drawn_from_all_or_by_popularity(void **state)
{
    uint64_t uniform[4] = {0}, popular[4] = {0};

    (void)state;
    draw_many(NEGATIVES_UNIFORM, uniform);
    assert_int_equal(uniform[2], 0);
    for (int i = 0; i < 4; i++) /* 8000 / 3, and 4 standard deviations */
        if (i != 2)
            assert_in_range(uniform[i], 2667 - 169, 2667 + 169);
    draw_many(NEGATIVES_POPULARITY, popular);
    assert_int_equal(popular[0] + popular[2], 0);
    assert_in_range(popular[1], 1000 - 119, 1000 + 119);
}

static void a_negative_needs_another_item_to_be(void **state)
{
    catalog  c = {0};
    uint64_t number;

    (void)state;
    WELL(catalog_number(&c, 1, &number));
    c.items.at[0].times = 5;
    WELL(catalog_complete(&c, NEGATIVES_NONE));
    assert_int_equal(catalog_complete(&c, NEGATIVES_UNIFORM), ERR_DATA);
    WELL(catalog_number(&c, 2, &number)); /* but it never occurs */
    assert_int_equal(catalog_complete(&c, NEGATIVES_POPULARITY), ERR_DATA);
    WELL(catalog_complete(&c, NEGATIVES_UNIFORM));
    catalog_clear(&c);
}

/* ---- auxiliary ---- */

static void clicks_of_the_page_itself_are_not_known_when_it_is_made(void **state)
{
    const impression shown[] = {
        {.time = 10, .page = 1, .clicked = true},  {.time = 10, .page = 1},
        {.time = 20, .page = 2, .clicked = true},  {.time = 20, .page = 2},
        {.time = 20, .page = 3, .clicked = true},  {.time = 20, .page = 2},
        {.time = 20, .page = 2},
    };
    const auxiliary_limits all = {5, 0}, young = {1, 9};
    size_t                 picked[AUXILIARY_MOST];

    (void)state;
    assert_int_equal(auxiliary_pick(shown, 6, AUXILIARY_CONTEXTUAL, all, picked), 3);
    assert_true(picked[0] == 2 && picked[1] == 3 && picked[2] == 5);
    assert_int_equal(auxiliary_pick(shown, 6, AUXILIARY_CONTEXTUAL, young, picked), 1);
    assert_int_equal(picked[0], 5);
    assert_int_equal(auxiliary_pick(shown, 6, AUXILIARY_CLICKED, all, picked), 1);
    assert_int_equal(picked[0], 0); /* not 2, nor 4, which is of the same second */
    assert_int_equal(auxiliary_pick(shown, 6, AUXILIARY_UNCLICKED, all, picked), 1);
    assert_int_equal(picked[0], 1);
    assert_int_equal(auxiliary_pick(shown, 6, AUXILIARY_CLICKED, young, picked), 0);
    assert_int_equal(auxiliary_pick(shown, 0, AUXILIARY_CONTEXTUAL, all, picked), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ROOM(records_come_back_in_order_from_memory_and_from_many_merged_runs),
        cmocka_unit_test(a_map_finds_what_was_put_and_nothing_else),
        cmocka_unit_test(zipf_numbers_have_their_frequencies),
        cmocka_unit_test(zipf_numbers_of_a_thousand_million_need_no_table),
        cmocka_unit_test(numbers_are_taken_whole_or_not_at_all),
        cmocka_unit_test(lines_are_split_at_separators_outside_of_quotes),
        IN_ROOM(lines_of_plain_and_gzipped_files_are_the_same),
        IN_ROOM(a_gzip_file_that_was_cut_off_is_damaged),
        IN_ROOM(a_line_may_be_long_but_not_endless),
        IN_ROOM(a_file_that_is_not_there_is_named),
        IN_ROOM(counts_are_of_samples_and_the_same_in_any_memory),
        IN_ROOM(names_are_kept_once_each_by_their_hash),
        IN_ROOM(two_strings_with_one_hash_are_reported),
        cmocka_unit_test(negatives_are_drawn_from_all_or_by_popularity),
        cmocka_unit_test(a_negative_needs_another_item_to_be),
        cmocka_unit_test(clicks_of_the_page_itself_are_not_known_when_it_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
