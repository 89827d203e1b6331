/* dips prepare amazon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/hash.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/python_json.h"
#include "tests/launch/prepare_room.h"

#define REVIEW(user, goods, time)                                                              \
    "{\"reviewerID\": \"" user "\", \"asin\": \"" goods "\", \"unixReviewTime\": " #time "}\n"

/* u1 reviewed a, c, b, d in this order of time (b and d in one second); u2 only a. */
static const char reviews[] =
    REVIEW("u1", "b", 300) REVIEW("u1", "a", 100) REVIEW("u2", "a", 50) REVIEW("u1", "d", 300)
        REVIEW("u1", "c", 200) REVIEW("u3", "e", 10) REVIEW("u3", "f", 20);

static const char meta[] =
    "{\"asin\": \"a\", \"categories\": [[\"Sports\", \"Golf\"]]}\n"
    "{\"asin\": \"b\", \"categories\": [[\"Toys\"], [\"Sports\", \"Rope\"]]}\n"
    "{\"asin\": \"c\", \"categories\": [[\"Golf\"]]}\n"
    "{\"asin\": \"never reviewed\", \"categories\": [[\"Golf\"]]}\n"
    "{\"asin\": \"d\", \"categories\": [[\"Rope\"]]}\n"
    "{\"asin\": \"e\", \"categories\": [[\"Ball\"]]}\n";

#define AMAZON "--reviews @reviews --meta @meta --out @out "

static uint64_t id(const char *text)
{
    return hash_bytes(text, strlen(text));
}

/* Number of the first sample of user, or UINT64_MAX. */
static uint64_t first_of(const safetensors *file, const char *user)
{
    for (uint64_t i = 0; i < tensor_of(file, "user")->count; i++)
        if (u64_at(file, "user", i) == id(user))
            return i;
    return UINT64_MAX;
}

static void check_pair(const safetensors *file, uint64_t i, const char *goods, const char *cate,
                       const char *history)
{
    for (uint64_t twin = i; twin < i + 2; twin++) {
        uint64_t begin = u64_at(file, "history.offsets", twin);
        assert_int_equal(u64_at(file, "history.offsets", twin + 1) - begin, strlen(history));
        for (size_t k = 0; k < strlen(history); k++)
            assert_true(u64_at(file, "history.goods", begin + k) ==
                        id((char[]){history[k], '\0'}));
    }
    assert_true(safetensors_get_double(tensor_of(file, "label"), i) == 1);
    assert_true(safetensors_get_double(tensor_of(file, "label"), i + 1) == 0);
    assert_true(u64_at(file, "goods", i) == id(goods));
    assert_true(u64_at(file, "cate", i) == id(cate));
    uint64_t negative = u64_at(file, "goods", i + 1);
    assert_true(negative == id("e") || negative == id("f")); /* what u1 never touched */
    assert_true(u64_at(file, "cate", i + 1) == id(negative == id("e") ? "Ball" : "unknown"));
}

static void k_goods_and_the_next_train_and_the_last_tests(void **state)
{
    (void)state;
    write_text(inside("reviews"), reviews);
    write_gzip("meta", meta);
    run_well(prepare_amazon, AMAZON);
    safetensors *train = open_file("out/train-00000.safetensors");
    assert_int_equal(tensor_of(train, "label")->count, 4);
    check_pair(train, 0, "c", "Golf", "a");
    check_pair(train, 2, "b", "Rope", "ac");
    safetensors *test = open_file("out/test-00000.safetensors");
    assert_int_equal(tensor_of(test, "label")->count, 4); /* of u1 and u3 */
    check_pair(test, first_of(test, "u1"), "d", "Rope", "acb");
    assert_int_equal(first_of(test, "u2"), UINT64_MAX); /* one review is no sample */
    safetensors_close(&train);
    safetensors_close(&test);

    safetensors *counts = open_file("out/counts.safetensors");
    assert_int_equal(count_of(counts, "goods", id("a")), 4);
    assert_int_equal(count_of(counts, "cate", id("Golf")), 4);
    assert_int_equal(count_of(counts, "user", id("u1")), 4);
    assert_int_equal(count_of(counts, "user", id("u3")), 0);
    safetensors_close(&counts);
    safetensors *goods = open_file("out/names-goods.safetensors");
    assert_int_equal(tensor_of(goods, "ids")->count, 6);
    safetensors_close(&goods);
}

static void the_seed_alone_decides_about_negatives(void **state)
{
    (void)state;
    write_text(inside("reviews"), reviews);
    write_text(inside("meta"), meta);
    run_well(prepare_amazon, AMAZON);
    run_well(prepare_amazon, "--reviews @reviews --meta @meta --out @b");
    check_same_folder("out", "b");
}

static void metadata_may_be_as_python_prints_it(void **state)
{
    const char *python = "{'a': 'it\\'s \"x\" \\xe9', \"b'\": [True, None, 1.5]}";
    const char *want   = "{\"a\": \"it's \\\"x\\\" \\u00e9\", \"b'\": [true, null, 1.5]}";
    char        json[200];

    (void)state;
    json[python_json(json, python, strlen(python))] = '\0';
    assert_string_equal(json, want);

    write_text(inside("reviews"), reviews);
    write_text(inside("meta"),
               "{'asin': 'c', 'title': \"Rider's \\x22best\\x22\", 'price': 3.5, "
               "'categories': [['Sports', 'Golf']]}\n");
    run_well(prepare_amazon, AMAZON);
    safetensors *train = open_file("out/train-00000.safetensors");
    assert_true(u64_at(train, "cate", 0) == id("Golf"));
    safetensors_close(&train);
}

static void what_cannot_be_samples_is_refused(void **state)
{
    (void)state;
    write_text(inside("meta"), meta);
    write_text(inside("reviews"), "");
    run_badly(prepare_amazon, AMAZON, ERR_DATA, "has no reviews");
    write_text(inside("reviews"), REVIEW("u", "a", 1) "{\"asin\": \"b\"\n");
    run_badly(prepare_amazon, AMAZON, ERR_DATA, "reviews:2: not JSON at byte");
    write_text(inside("reviews"), "[1, 2]\n");
    run_badly(prepare_amazon, AMAZON, ERR_DATA, "reviews:1: not a JSON object");
    write_text(inside("reviews"), "{\"asin\": \"b\", \"unixReviewTime\": 1}\n");
    run_badly(prepare_amazon, AMAZON, ERR_DATA, "reviews:1: reviewerID is not there");
    write_text(inside("reviews"), REVIEW("u", "a", 1.5));
    run_badly(prepare_amazon, AMAZON, ERR_DATA,
              "reviews:1: unixReviewTime is not there or not");
    write_text(inside("reviews"), REVIEW("u", "a", 1) REVIEW("u", "b", 2));
    run_badly(prepare_amazon, AMAZON, ERR_DATA, "a user chose all 2 goods");
    write_text(inside("meta"), "{\"asin\": \"a\", \"categories\": [[]]}\n");
    run_badly(prepare_amazon, AMAZON, ERR_DATA, "meta:1: the last of categories is not there");
    assert_int_equal(count_files("out/*"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ROOM(k_goods_and_the_next_train_and_the_last_tests),
        IN_ROOM(the_seed_alone_decides_about_negatives),
        IN_ROOM(metadata_may_be_as_python_prints_it),
        IN_ROOM(what_cannot_be_samples_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
