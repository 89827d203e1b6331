/* dips prepare synthetic: the invented world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>

#include "common/metrics.h"
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
    write_text(inside("a/notes.txt"), "mine");
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
    char  *json = read_bytes(inside("a/world.json"), &size);
    assert_non_null(strstr(json, "\"world\""));
    assert_non_null(strstr(json, "fine-grained"));
    assert_non_null(strstr(json, "\"auc\""));
    free(json);
}

/* ---- what each world plants ---- */

/* A key of each sample: what a model knows of it. */
typedef uint64_t (*knowledge)(const safetensors *file, uint64_t i);

#define KEYS 4096

/* The AUC on b/test of a model that knows the key alone: it predicts the share of clicks that
 * samples with the same key had in b/train. */
static double auc_by(const char *folder, knowledge key)
{
    double  clicks[KEYS] = {0}, samples[KEYS] = {0};
    char    path[64];
    metrics m;

    snprintf(path, sizeof path, "%s/train-00000.safetensors", folder);
    safetensors *file = open_file(path);
    for (uint64_t i = 0; i < tensor_of(file, "label")->count; i++) {
        clicks[key(file, i) % KEYS] += safetensors_get_double(tensor_of(file, "label"), i);
        samples[key(file, i) % KEYS]++;
    }
    safetensors_close(&file);
    snprintf(path, sizeof path, "%s/test-00000.safetensors", folder);
    file               = open_file(path);
    uint64_t    n      = tensor_of(file, "label")->count;
    prediction *tested = calloc(n, sizeof *tested);
    assert_non_null(tested);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t k = key(file, i) % KEYS;
        tested[i] =
            (prediction){.probability = (clicks[k] + 1) / (samples[k] + 2),
                         .label  = (float)safetensors_get_double(tensor_of(file, "label"), i),
                         .weight = 1};
    }
    safetensors_close(&file);
    assert_int_equal(metrics_compute(&m, tested, n, false), OK);
    free(tested);
    return m.auc;
}

/* What the command said is the best. */
static double best_auc(const char *folder)
{
    char   path[64];
    size_t n;

    snprintf(path, sizeof path, "%s/world.json", folder);
    char  *json = read_bytes(inside(path), &n);
    double auc  = strtod(strstr(json, "\"auc\":") + 6, NULL);
    free(json);
    return auc;
}

#define PLANT(world)                                                                           \
    run_well(prepare_synthetic,                                                                \
             "--world " world " --samples 40000 --test-samples 20000 --out @a")

/* The events of sample i that are of its candidate's cate. */
static uint64_t matching(const safetensors *file, uint64_t i, const char *list)
{
    char     offsets[64], cates[64];
    uint64_t n = 0;

    snprintf(offsets, sizeof offsets, "%s.offsets", list);
    snprintf(cates, sizeof cates, "%s.cate", list);
    for (uint64_t e = u64_at(file, offsets, i); e < u64_at(file, offsets, i + 1); e++)
        n += u64_at(file, cates, e) == u64_at(file, "cate", i);
    return n;
}

static uint64_t length_of(const safetensors *file, uint64_t i)
{
    return u64_at(file, "history.offsets", i + 1) - u64_at(file, "history.offsets", i);
}

/* How many events match and how many there are: what is left without their order. */
static uint64_t matching_of_length(const safetensors *file, uint64_t i)
{
    return 64 * matching(file, i, "history") + length_of(file, i) % 64;
}

/* Which of the newest events match: the order. */
static uint64_t matching_by_age(const safetensors *file, uint64_t i)
{
    uint64_t end = u64_at(file, "history.offsets", i + 1), newest = 0;
    uint64_t begin = u64_at(file, "history.offsets", i);

    for (uint64_t e = end; e-- > begin && end - e <= 10;)
        if (u64_at(file, "history.cate", e) == u64_at(file, "cate", i))
            newest |= UINT64_C(1) << (end - e);
    return newest;
}

static void the_order_of_events_matters_where_interests_drift(void **state)
{
    (void)state;
    PLANT("drift");
    double best = best_auc("a"), blind = auc_by("a", matching_of_length);
    print_message("drift: best %.4f, by counts %.4f, by ages %.4f\n", best, blind,
                  auc_by("a", matching_by_age));
    assert_true(best - blind > 0.05);
    assert_true(best - auc_by("a", matching_by_age) < 0.03);
}

static uint64_t matching_alone(const safetensors *file, uint64_t i)
{
    return matching(file, i, "history");
}

/* The most matching events of a session: pauses of 30 minutes part them. */
static uint64_t matching_of_a_session(const safetensors *file, uint64_t i)
{
    uint64_t most = 0, here = 0;

    for (uint64_t e = u64_at(file, "history.offsets", i);
         e < u64_at(file, "history.offsets", i + 1); e++) {
        if (e > 0 &&
            u64_at(file, "history.time", e) > u64_at(file, "history.time", e - 1) + 1800)
            here = 0;
        here += u64_at(file, "history.cate", e) == u64_at(file, "cate", i);
        most = here > most ? here : most;
    }
    return most;
}

static void sessions_tell_what_counts_do_not(void **state)
{
    (void)state;
    PLANT("sessions");
    double best = best_auc("a"), blind = auc_by("a", matching_alone);
    print_message("sessions: best %.4f, by counts %.4f, by sessions %.4f\n", best, blind,
                  auc_by("a", matching_of_a_session));
    assert_true(best - blind > 0.2);
    assert_true(best - auc_by("a", matching_of_a_session) < 0.03);
}

static uint64_t candidate_alone(const safetensors *file, uint64_t i)
{
    return u64_at(file, "cate", i);
}

static uint64_t candidate_and_lists(const safetensors *file, uint64_t i)
{
    return matching(file, i, "contextual") + 6 * matching(file, i, "clicked") +
           36 * matching(file, i, "unclicked");
}

static void ads_compete_with_those_around_them(void **state)
{
    (void)state;
    PLANT("page");
    double best = best_auc("a"), blind = auc_by("a", candidate_alone);
    print_message("page: best %.4f, by candidate %.4f, by lists %.4f\n", best, blind,
                  auc_by("a", candidate_and_lists));
    assert_true(best - blind > 0.2);
    assert_true(best - auc_by("a", candidate_and_lists) < 0.04);
}

static uint64_t first_field(const safetensors *file, uint64_t i)
{
    return u64_at(file, "field_0", i);
}

static uint64_t first_and_second(const safetensors *file, uint64_t i)
{
    return u64_at(file, "field_0", i) * 20 + u64_at(file, "field_1", i) % 20;
}

static uint64_t second_and_third(const safetensors *file, uint64_t i)
{
    return u64_at(file, "field_1", i) % 20 * 20 + u64_at(file, "field_2", i) % 20;
}

static void some_crosses_tell_and_others_are_noise(void **state)
{
    (void)state;
    PLANT("crosses");
    double best = best_auc("a"), first = auc_by("a", first_field);
    double signal = auc_by("a", first_and_second), noise = auc_by("a", second_and_third);
    print_message("crosses: best %.4f, field 0 %.4f, fields 0 and 1 %.4f, 1 and 2 %.4f\n", best,
                  first, signal, noise);
    assert_true(best > 0.8);
    assert_true(signal > 0.62);
    assert_true(first < 0.52 && noise < 0.52);
}

static void negatives_are_of_other_goods_with_their_cates(void **state)
{
    uint64_t popular[2] = {0}, all[2] = {0};

    (void)state;
    run_well(prepare_synthetic, "--samples 500 --test-samples 10 --negatives uniform --out @a0 "
                                "--goods 2000");
    run_well(prepare_synthetic,
             "--samples 500 --test-samples 10 --negatives popularity --out @a1 "
             "--goods 2000");
    for (int k = 0; k < 2; k++) {
        safetensors *file =
            open_file(k ? "a1/train-00000.safetensors" : "a0/train-00000.safetensors");
        all[k] = tensor_of(file, "history.negative_goods")->count;
        assert_int_equal(all[k], tensor_of(file, "history.goods")->count);
        for (uint64_t e = 0; e < all[k]; e++) {
            uint64_t goods = u64_at(file, "history.negative_goods", e);
            assert_true(goods != u64_at(file, "history.goods", e));
            assert_int_equal(u64_at(file, "history.negative_cate", e), goods % 200);
            popular[k] += goods < 200; /* the first of each cate */
        }
        safetensors_close(&file);
    }
    assert_true((double)popular[0] / (double)all[0] < 0.12);
    assert_true((double)popular[1] / (double)all[1] > 0.25);
    run_badly(prepare_synthetic, "--goods 1 --cates 1 --negatives uniform --out @b", ERR_USAGE,
              "--goods is 1: there is nothing else that a negative could be");
}

static void a_world_has_its_own_flags(void **state)
{
    (void)state;
    run_badly(prepare_synthetic, "--world crosses --users 10 --out @a", ERR_USAGE,
              "there is no option '--users'");
    run_badly(prepare_synthetic, "--world crosses --fields 5 --out @a", ERR_USAGE,
              "--fields 5 is less than the 6 that this world needs");
    run_badly(prepare_synthetic, "--world sessions --cates 9 --out @a", ERR_USAGE,
              "--cates 9 is less than the 10 that this world needs");
    run_well(prepare_synthetic,
             "--world crosses --fields 7 --samples 10 --test-samples 10 --out @a");
    safetensors *file = open_file("a/train-00000.safetensors");
    assert_non_null(safetensors_find(file, "field_6"));
    assert_null(safetensors_find(file, "field_7"));
    safetensors_close(&file);
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
        IN_ROOM(the_order_of_events_matters_where_interests_drift),
        IN_ROOM(sessions_tell_what_counts_do_not),
        IN_ROOM(ads_compete_with_those_around_them),
        IN_ROOM(some_crosses_tell_and_others_are_noise),
        IN_ROOM(negatives_are_of_other_goods_with_their_cates),
        IN_ROOM(a_world_has_its_own_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
