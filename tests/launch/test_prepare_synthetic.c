/* dips prepare synthetic: the invented world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>

#include "launch/prepare/prepare.h"
#include "tests/launch/prepare_room.h"

static void same_flags_give_the_same_files(void **state)
{
    (void)state;
    run_well(prepare_synthetic, "--samples 3000 --test-samples 500 --out @a");
    run_well(prepare_synthetic, "--samples=3000 --test-samples=500 --out @b");
    check_same_folder("a", "b");
    run_well(prepare_synthetic, "--samples 3000 --test-samples 500 --out @c --seed 2");
    safetensors *a = open_file("a/train-00000.safetensors");
    safetensors *c = open_file("c/train-00000.safetensors");
    assert_true(u64_at(a, "history.goods", 9) != u64_at(c, "history.goods", 9));
    safetensors_close(&a);
    safetensors_close(&c);
}

static void histories_are_tuples_before_the_sample(void **state)
{
    uint64_t empty = 0;

    (void)state;
    run_well(prepare_synthetic,
             "--samples 2000 --test-samples 10 --cates 50 --out @a --max-len 30");
    safetensors *file = open_file("a/train-00000.safetensors");
    assert_int_equal(tensor_of(file, "label")->count, 2000);
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t begin = u64_at(file, "history.offsets", i);
        uint64_t end   = u64_at(file, "history.offsets", i + 1);
        uint64_t after = u64_at(file, "time", i);
        assert_in_range(end - begin, 0, 30);
        empty += end == begin;
        assert_int_equal(u64_at(file, "cate", i), u64_at(file, "goods", i) % 50);
        for (uint64_t e = end; e-- > begin;) {
            assert_true(u64_at(file, "history.time", e) < after);
            after = u64_at(file, "history.time", e);
            assert_int_equal(u64_at(file, "history.cate", e),
                             u64_at(file, "history.goods", e) % 50);
        }
    }
    assert_in_range(empty, 30, 100); /* about 3 % */
    assert_int_equal(u64_at(file, "history.offsets", 2000),
                     tensor_of(file, "history.shop")->count);
    safetensors_close(&file);
}

static void equal_histories_have_the_mean_length_and_none_is_empty(void **state)
{
    (void)state;
    run_well(prepare_synthetic,
             "--samples 1000 --test-samples 10 --out @a --history 7 --lengths equal");
    safetensors *file = open_file("a/train-00000.safetensors");
    for (uint64_t i = 0; i <= 1000; i++)
        assert_int_equal(u64_at(file, "history.offsets", i), 7 * i);
    safetensors_close(&file);
}

/* The world's formula (world.h), from the columns: the logit less what the evidence adds is
 * one number for each cate. */
static void the_probability_is_that_of_the_matching_events(void **state)
{
    enum { CATES = 20 };
    double quality[CATES];

    (void)state;
    for (int c = 0; c < CATES; c++)
        quality[c] = NAN;
    run_well(prepare_synthetic,
             "--samples 2000 --test-samples 10 --cates 20 --shops 50 --out @a");
    safetensors *file = open_file("a/train-00000.safetensors");
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t cate = u64_at(file, "cate", i), shop = u64_at(file, "shop", i);
        double   evidence = 0;
        for (uint64_t e = u64_at(file, "history.offsets", i);
             e < u64_at(file, "history.offsets", i + 1); e++)
            evidence += (u64_at(file, "history.cate", e) == cate) +
                        0.5 * (u64_at(file, "history.shop", e) == shop);
        double p    = safetensors_get_double(tensor_of(file, "probability"), i);
        double rest = log(p / (1 - p)) - 4 * (1 - exp(-evidence / 1.5));
        if (isnan(quality[cate]))
            quality[cate] = rest;
        assert_true(fabs(rest - quality[cate]) < 1e-4);
    }
    safetensors_close(&file);
}

static void labels_are_drawn_by_the_probability(void **state)
{
    double sum = 0, variance = 0;

    (void)state;
    run_well(prepare_synthetic, "--samples 20000 --test-samples 10 --out @a");
    safetensors *file = open_file("a/train-00000.safetensors");
    for (uint64_t i = 0; i < 20000; i++) {
        double p = safetensors_get_double(tensor_of(file, "probability"), i);
        sum += safetensors_get_double(tensor_of(file, "label"), i) - p;
        variance += p * (1 - p);
    }
    assert_true(fabs(sum) < 4 * sqrt(variance));
    safetensors_close(&file);
}

static void hundreds_of_millions_of_ids_are_a_flag_away(void **state)
{
    uint64_t most = 0;

    (void)state;
    run_well(prepare_synthetic,
             "--samples 2000 --test-samples 10 --out @a --goods 800M --users 400M "
             "--shops 1M --cates 100K --zipf 0.3");
    safetensors *file = open_file("a/train-00000.safetensors");
    for (uint64_t i = 0; i < tensor_of(file, "history.goods")->count; i++)
        most =
            u64_at(file, "history.goods", i) > most ? u64_at(file, "history.goods", i) : most;
    assert_in_range(most, 700000000, 799999999);
    safetensors_close(&file);
}

static void shards_hold_no_more_than_they_may(void **state)
{
    (void)state;
    run_well(prepare_synthetic,
             "--samples 1000 --test-samples 300 --out @a --shard-samples 300");
    assert_int_equal(count_files("a/train-*"), 4);
    assert_int_equal(count_files("a/test-*"), 1);
    safetensors *last = open_file("a/train-00003.safetensors");
    assert_int_equal(tensor_of(last, "label")->count, 100);
    assert_int_equal(u64_at(last, "history.offsets", 0), 0);
    safetensors_close(&last);
    run_well(prepare_synthetic, "--samples 1000 --test-samples 300 --out @b --memory 100K");
    assert_true(count_files("b/train-*") > 4);
}

static void a_prepared_folder_is_replaced_only_on_demand_and_as_a_whole(void **state)
{
    (void)state;
    run_well(prepare_synthetic, "--samples 900 --test-samples 50 --out @a --shard-samples 300");
    write_text("a/notes.txt", "mine");
    run_badly(prepare_synthetic, "--samples 10 --out @a", ERR_USAGE,
              "holds prepared data already");
    assert_int_equal(count_files("a/train-*"), 3);
    run_badly(prepare_synthetic, "--samples 10 --cates 100 --goods 50 --out @a --overwrite",
              ERR_USAGE, "--goods 50 is less than --cates 100");
    assert_int_equal(count_files("a/train-*"), 3);
    run_well(prepare_synthetic, "--samples 10 --test-samples 10 --out @a --overwrite");
    assert_int_equal(count_files("a/train-*"), 1);
    assert_int_equal(count_files("a/notes.txt"), 1);
    assert_int_equal(count_files("a/.partial"), 0);
}

static void worlds_differ_in_what_can_be_learnt_by_heart(void **state)
{
    (void)state;
    run_well(prepare_synthetic,
             "--world fine-grained --samples 20000 --test-samples 2000 --out @a");
    safetensors *file = open_file("a/counts.safetensors");
    uint64_t     n = tensor_of(file, "goods.ids")->count, sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += u64_at(file, "goods.count", i);
    assert_true((double)sum / (double)n < 4); /* a goods is seen a few times only */
    safetensors_close(&file);
    size_t size;
    char  *json = read_bytes(in_room("a/world.json"), &size);
    assert_non_null(strstr(json, "\"world\""));
    assert_non_null(strstr(json, "fine-grained"));
    assert_non_null(strstr(json, "\"auc\""));
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ROOM(same_flags_give_the_same_files),
        IN_ROOM(histories_are_tuples_before_the_sample),
        IN_ROOM(equal_histories_have_the_mean_length_and_none_is_empty),
        IN_ROOM(the_probability_is_that_of_the_matching_events),
        IN_ROOM(labels_are_drawn_by_the_probability),
        IN_ROOM(hundreds_of_millions_of_ids_are_a_flag_away),
        IN_ROOM(shards_hold_no_more_than_they_may),
        IN_ROOM(a_prepared_folder_is_replaced_only_on_demand_and_as_a_whole),
        IN_ROOM(worlds_differ_in_what_can_be_learnt_by_heart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
