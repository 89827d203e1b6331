/* Cuts packed while steps go on: the same files as those of a shard that stands still, whatever
 * is touched, born, admitted or evicted between two pieces; and chains of deltas. */
#include "keeper.h"

#include "common/manifest_chain.h"
#include "ps/table_cut.h"

static void expect_same_files(const char *a, const char *b)
{
    manifest one, two;

    must(manifest_read(&one, a));
    must(manifest_read(&two, b));
    assert_int_equal(one.n_files, two.n_files);
    for (int i = 0; i < one.n_files; i++) {
        if (one.files[i].digest.bytes != two.files[i].digest.bytes)
            fail_msg("%s/%s has %llu bytes, in %s it has %llu", a, one.files[i].name,
                     (unsigned long long)one.files[i].digest.bytes, b,
                     (unsigned long long)two.files[i].digest.bytes);
        assert_true(one.files[i].digest.xxh3 == two.files[i].digest.xxh3);
    }
    manifest_clear(&one);
    manifest_clear(&two);
}

static bool all_saved(const world *w)
{
    for (int i = 0; i < w->n_shards; i++)
        if (shard_is_saving(w->shards[i]))
            return false;
    return true;
}

static void save_by_pieces(const world *w, int buckets)
{
    for (int i = 0; i < w->n_shards; i++) {
        w->shards[i]->options.save         = SAVE_BY_PIECES;
        w->shards[i]->options.save_buckets = buckets;
    }
}

/* Some pieces without messages in between. */
static void idle(const keeper *k, rng *chance)
{
    bool more;

    for (uint64_t n = rng_below(chance, 8); n > 0; n--)
        for (int i = 0; i < k->w->n_shards; i++)
            must(shard_idle(k->w->shards[i], &more));
}

/* Nobody whom a delta says has left has a row. */
static void nobody_left_who_is_there(const keeper *was, const char *folder)
{
    for (int k = 0; k < was->w->n_shards; k++) {
        char         name[CONFIG_NAME_MAX], path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
        safetensors *file;
        manifest_shard_name(name, k, was->w->n_shards);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        must(safetensors_open(&file, path));
        const safetensors_tensor *left = safetensors_find(file, "t.evicted");
        assert_non_null(left);
        for (uint64_t i = 0; i < left->count; i++) {
            person key = {.id = safetensors_get_u64(left, i)};
            key.bucket = hash_bucket(hash_id(was->w->schema->tables[0].salt, key.id));
            const person *p =
                bsearch(&key, was->people, KEEPER_IDS, sizeof *was->people, by_bucket);
            assert_non_null(p);
            assert_false(p->row);
        }
        safetensors_close(&file);
    }
}

/* The days of the first shard's table; returned, calendar_clear. */
static calendar days_of(const world *w)
{
    const calendar *from = &w->shards[0]->tables[0].calendar;
    calendar        days = {0};

    for (size_t i = 0; i < from->days.n; i++)
        must(vec_push(&days.days, from->days.at[i]));
    return days;
}

static void expect_days(const world *w, const calendar *days)
{
    for (int i = 0; i < w->n_shards; i++) {
        const calendar *c = &w->shards[i]->tables[0].calendar;
        assert_int_equal(c->days.n, days->days.n);
        for (size_t k = 0; k < c->days.n; k++) {
            assert_int_equal(c->days.at[k].day, days->days.at[k].day);
            assert_int_equal(c->days.at[k].step, days->days.at[k].step);
        }
    }
}

/* One keeper packs its cut while it runs on; its twin stands still for a full one at the same
 * step. What the first has written is what the second has, also by way of deltas. */
static void cut_and_compare(keeper *live, keeper *twin, uint64_t parent, int buckets,
                            rng *chance)
{
    char     folder[CONFIG_PATH_MAX];
    uint64_t step = live->clock;
    keeper   was  = *live;
    calendar days = days_of(live->w);

    was.people = malloc(KEEPER_IDS * sizeof *was.people);
    memcpy(was.people, live->people, KEEPER_IDS * sizeof *was.people);
    manifest_folder(folder, room, (int64_t)step);
    world_save(twin->w, inside("twin"), step);
    save_by_pieces(live->w, buckets);
    world_ask_save(live->w, folder, step, parent);
    for (int n = 0; !all_saved(live->w); n++) {
        uint64_t to = live->clock + 1 + rng_below(chance, 4);
        assert_true(n < 2000);
        idle(live, chance);
        if (n >= 200)
            continue;
        keeper_run(live, to);
        keeper_run(twin, to); /* with the same drain points: chance is drawn in their order */
    }
    world_take_saved(live->w, folder, step, parent);
    keeper_compare(live);
    for (int i = 0; i < live->w->n_shards; i++)
        assert_null(live->w->shards[i]->tables[0].cut);

    if (parent != FULL)
        nobody_left_who_is_there(&was, folder);
    was.w = keeper_world(&live->o, twin->w->n_shards);
    world_begin(was.w, KEEPER_WORKERS, folder, step);
    expect_days(was.w, &days);
    was.refused = was.admitted = was.evicted = 0;
    keeper_compare(&was);
    world_save(was.w, inside("again"), step);
    expect_same_files(inside("twin"), inside("again"));
    if (parent == FULL && live->w->n_shards == twin->w->n_shards)
        expect_same_files(inside("twin"), folder);
    world_free(was.w);
    free(was.people);
    calendar_clear(&days);
}

/* A full cut, and deltas upon it, at steps and in pieces that chance chooses. */
static void keep_cutting(const keeper_options *o, uint64_t seed)
{
    enum { STEPS = 12000 };
    rng      chance = rng_named(seed, RNG_TEST, 1, 0);
    int      shards = 1 + (int)rng_below(&chance, 3);
    keeper  *live = keeper_new(o, shards, STEPS), *twin = keeper_new(o, shards, STEPS);
    uint64_t parent = FULL;

    for (int n = 0; n < 5; n++) {
        uint64_t to = live->clock + rng_below(&chance, 60);
        keeper_run(live, to);
        keeper_run(twin, to);
        uint64_t step = live->clock;
        cut_and_compare(live, twin, parent, 1 + (int)rng_below(&chance, 300), &chance);
        parent = n == 2 ? FULL : step;
    }
    keeper_free(live);
    keeper_free(twin);
}

static void a_cut_is_that_of_a_shard_that_stands_still(void **unused)
{
    (void)unused;
    keep_cutting(&(keeper_options){.yaml = ""}, 1);
    keep_cutting(&(keeper_options){.yaml = "", .staleness = 4}, 2);
}

static void rows_leave_while_it_is_packed(void **unused)
{
    (void)unused;
    const keeper_options o = {.yaml = "evict: {idle_steps: 40}", .idle_steps = 40,
                              .buckets = 16};
    const keeper_options full = {.yaml = "evict: {max_bytes: 2M}", .max_bytes = 2000000,
                                 .buckets = 64};
    keep_cutting(&o, 3);
    keep_cutting(&full, 4);
}

static void counters_go_on_while_it_is_packed(void **unused)
{
    (void)unused;
    keep_cutting(&(keeper_options){.yaml = "admit: {min_count: 5, counter: exact}",
                                   .min_count = 5, .exact = true, .buckets = 64,
                                   .staleness = 4}, 5);
    keep_cutting(&(keeper_options){.yaml      = "admit: {min_count: 5, counter: sketch, "
                                                "false_positive: 1e-6, expected_ids: 20000}",
                                   .min_count = 5, .sketch = true}, 6);
    keep_cutting(&(keeper_options){.yaml      = "admit: {min_count: 3, counter: exact}, "
                                                "evict: {idle_steps: 60, idle_days: 2}",
                                   .min_count = 3, .exact = true, .idle_steps = 60,
                                   .idle_days = 2, .buckets = 16}, 7);
}

/* Two pulls see id 1 without a row. The push of the first makes it, which the cut has; that of
 * the second, which knows no row of it, changes it before the cut is packed. */
static void a_row_made_after_a_pull_and_before_the_cut_is_in_it_as_it_was(void **unused)
{
    const keeper_options o      = {.yaml = "", .staleness = 4};
    const need           one    = {.n = 1, .ids = (uint64_t[]){1}};
    real                 step[] = {SAMPLES, SAMPLES}, *gradients[] = {step}, at[KEEPER_DIM];
    world               *w = keeper_world(&o, 1), *again = keeper_world(&o, 1);
    bool                 more;

    (void)unused;
    world_begin(w, 1, NULL, 0);
    for (uint64_t t = 0; t < 2; t++)
        ask(w, WIRE_PULL, 0, t, 0, &one);
    push(w, 0, 0, 2, SAMPLES, true, &one, gradients);
    deliver_all(w);
    memcpy(at, row_of(w, 0, 1)->x, sizeof at);
    save_by_pieces(w, 1);
    world_ask_save(w, inside("pulled"), 1, FULL);
    push(w, 0, 1, 2, SAMPLES, true, &one, gradients);
    deliver_all(w);
    assert_memory_not_equal(row_of(w, 0, 1)->x, at, sizeof at);
    while (!all_saved(w))
        must(shard_idle(w->shards[0], &more));
    world_take_saved(w, inside("pulled"), 1, FULL);
    world_begin(again, 1, inside("pulled"), 1);
    assert_memory_equal(row_of(again, 0, 1)->x, at, sizeof at);
    assert_int_equal(row_of(again, 0, 1)->touched, 1);
    world_free(again);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_is_that_of_a_shard_that_stands_still),
        cmocka_unit_test(rows_leave_while_it_is_packed),
        cmocka_unit_test(counters_go_on_while_it_is_packed),
        cmocka_unit_test(a_row_made_after_a_pull_and_before_the_cut_is_in_it_as_it_was),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
