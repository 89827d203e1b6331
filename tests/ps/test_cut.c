/* Cuts packed while steps go on: the same files as those of a shard that stands still, whatever
 * is touched, born, admitted or evicted between two pieces; and chains of deltas. */
#include "keeper.h"

#include "common/manifest_chain.h"
#include "ps/table_cut.h"

#define FULL UINT64_MAX /* a parent's step */

/* Ask all shards for the cut at the keeper's clock. */
static void ask_save(keeper *k, const char *folder, uint64_t parent)
{
    wire_header h = head(k->w, WIRE_SAVE, 0, k->clock);
    wire_text   t = {.status = parent == FULL ? 0 : (uint32_t)parent + 1,
                     .text   = folder,
                     .bytes  = (uint32_t)strlen(folder)};

    must(manifest_begin(folder));
    for (int i = 0; i < k->w->n_shards; i++) {
        net_message m;
        must(wire_encode_text(&m, &h, &t));
        post(k->w, i, 0, m);
    }
    deliver_all(k->w);
}

/* What the shards have answered, and the manifest. */
static void take_saved(const keeper *k, const char *folder, uint64_t step, uint64_t parent)
{
    world              *w = k->w;
    manifest_file       files[SHARDS_MOST + 1];
    manifest            m = {.step          = (int64_t)step,
                             .shards        = w->n_shards,
                             .schema_hash   = w->schema->hash,
                             .real          = REAL_NAME,
                             .configuration = (char[]){""},
                             .n_files       = w->n_shards + 1,
                             .files         = files};
    char                path[CONFIG_PATH_MAX];
    safetensors_writer *dense;

    for (int i = 0; i < w->n_shards; i++) {
        net_message message;
        wire_saved  saved;
        expect_answer(w, i, 0, WIRE_SAVED, step, &message);
        must(wire_decode_saved(&saved, &message));
        net_message_clear(&message);
        manifest_shard_name(files[i].name, i, w->n_shards);
        files[i].digest = (safetensors_digest){saved.bytes, saved.xxh3};
    }
    if (parent != FULL) {
        char     under[CONFIG_PATH_MAX];
        manifest p;
        manifest_folder(under, room, (int64_t)parent);
        must(manifest_read(&p, under));
        m.parent = (manifest_parent){true, p.step, p.xxh3};
        manifest_clear(&p);
    }
    snprintf(path, sizeof path, "%s/dense.safetensors", folder);
    snprintf(files[w->n_shards].name, sizeof files->name, "dense.safetensors");
    must(safetensors_create(&dense, path));
    must(safetensors_finish(&dense, &files[w->n_shards].digest));
    must(manifest_write(folder, &m, w->schema));
    must(manifest_verify(&m, folder));
}

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

static bool all_saved(const keeper *k)
{
    for (int i = 0; i < k->w->n_shards; i++)
        if (shard_is_saving(k->w->shards[i]))
            return false;
    return true;
}

static void save_by_pieces(const keeper *k, int buckets)
{
    for (int i = 0; i < k->w->n_shards; i++) {
        k->w->shards[i]->options.save         = SAVE_BY_PIECES;
        k->w->shards[i]->options.save_buckets = buckets;
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

/* One keeper packs its cut while it runs on; its twin stands still for a full one at the same
 * step. What the first has written is what the second has, also by way of deltas. */
static void cut_and_compare(keeper *live, keeper *twin, uint64_t parent, int buckets,
                            rng *chance)
{
    char     folder[CONFIG_PATH_MAX];
    uint64_t step = live->clock;
    keeper   was  = *live;

    was.people = malloc(KEEPER_IDS * sizeof *was.people);
    memcpy(was.people, live->people, KEEPER_IDS * sizeof *was.people);
    manifest_folder(folder, room, (int64_t)step);
    world_save(twin->w, inside("twin"), step);
    save_by_pieces(live, buckets);
    ask_save(live, folder, parent);
    for (int n = 0; !all_saved(live); n++) {
        uint64_t to = live->clock + 1 + rng_below(chance, 4);
        assert_true(n < 2000);
        idle(live, chance);
        if (n >= 200)
            continue;
        keeper_run(live, to);
        keeper_run(twin, to); /* with the same drain points: chance is drawn in their order */
    }
    take_saved(live, folder, step, parent);
    keeper_compare(live);
    for (int i = 0; i < live->w->n_shards; i++)
        assert_null(live->w->shards[i]->tables[0].cut);

    if (parent != FULL)
        nobody_left_who_is_there(&was, folder);
    was.w = keeper_world(&live->o, twin->w->n_shards);
    world_begin(was.w, KEEPER_WORKERS, folder, step);
    was.refused = was.admitted = was.evicted = 0;
    keeper_compare(&was);
    world_save(was.w, inside("again"), step);
    expect_same_files(inside("twin"), inside("again"));
    if (parent == FULL && live->w->n_shards == twin->w->n_shards)
        expect_same_files(inside("twin"), folder);
    world_free(was.w);
    free(was.people);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_is_that_of_a_shard_that_stands_still),
        cmocka_unit_test(rows_leave_while_it_is_packed),
        cmocka_unit_test(counters_go_on_while_it_is_packed),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
