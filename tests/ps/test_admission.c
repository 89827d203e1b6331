/* Which ids earn a row: compared with a plain model, and counters beside exact ones. */
#include "keeper.h"

/* ---- in a run ---- */

static void an_exact_counter_admits_at_min_count(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml      = "admit: {min_count: 5, counter: exact}",
                                  .exact     = true,
                                  .min_count = 5},
                3000);
}

static void a_sketch_large_enough_admits_at_min_count(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml      = "admit: {min_count: 5, counter: sketch, "
                                               "false_positive: 1e-6, expected_ids: 1M}",
                                  .sketch    = true,
                                  .min_count = 5},
                3000);
}

static void chance_admits_with_its_own_bits(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml = "admit: {probability: 0.1}", .probability = 0.1},
                3000);
}

static void tickets_of_a_pipeline_stay_refused(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml      = "admit: {min_count: 3, counter: exact}",
                                  .exact     = true,
                                  .min_count = 3,
                                  .staleness = 4},
                3000);
}

static void who_was_evicted_is_counted_from_zero(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml       = "admit: {min_count: 3, counter: exact}, "
                                                "evict: {idle_steps: 200}",
                                  .exact      = true,
                                  .min_count  = 3,
                                  .idle_steps = 200,
                                  .staleness  = 4},
                5000);
}

static void a_sketch_remembers_who_was_evicted(void **unused)
{
    (void)unused;
    keeper_keep(&(keeper_options){.yaml       = "admit: {min_count: 3, counter: sketch, "
                                                "false_positive: 1e-6, expected_ids: 1M}, "
                                                "evict: {idle_steps: 200}",
                                  .sketch     = true,
                                  .min_count  = 3,
                                  .idle_steps = 200},
                5000);
}

/* With penalty: decay a row that is only counted decays all the same, not less: it is born in
 * step 0, and step 1, whose pull was refused, finds it there. */
static void to_be_counted_does_not_stop_decay(void **unused)
{
    (void)unused;
    const uint64_t id     = 42;
    const uint32_t counts = 2;
    need           one    = {1, &id, &counts};
    real           x[2], g[2] = {1, 1}, born[2], *at[] = {x}, *gs[] = {g};
    world *w = world_new("tables: {t: {dim: 2, optimizer: sgd, lr: 0.5, init: {scale: 1}, "
                         "admit: {min_count: 2, counter: exact}, "
                         "penalty: {kind: decay, lambda: 0.25}}}\n"
                         "features: {t: {table: t}}\n"
                         "train: {mode: pipelined, staleness: 1}\n",
                         1, NULL);

    table_birth_value(&w->shards[0]->tables[0], id, born);
    world_begin(w, 1, NULL, 0);
    for (uint64_t step = 0; step < 2; step++) {
        ask(w, WIRE_PULL, 0, step, 0, &one);
        deliver_all(w);
        take_rows(w, 0, step, &one, at);
        assert_true(x[0] == 0 && x[1] == 0);
    }
    for (uint64_t step = 0; step < 2; step++) {
        push(w, 0, step, 2, 1, true, &one, gs);
        deliver_all(w);
    }
    assert_int_equal(row_of(w, 0, id)->count, 4);
    assert_int_equal(row_of(w, 0, id)->touched, 2);
    read_rows(w, 2, &one, at);
    for (int d = 0; d < 2; d++)
        assert_true(fabs_real(x[d] - born[d] * (real)(1 - 0.5 * 0.25)) < (real)1e-6);
    world_free(w);
}

/* One worker's step with one id, two wide. */
static void train_on(world *w, uint64_t step, const need *one)
{
    real x[2], g[2] = {1, 1}, *at[] = {x}, *gs[] = {g};

    ask(w, WIRE_PULL, 0, step, step, one);
    deliver_all(w);
    take_rows(w, 0, step, one, at);
    push(w, 0, step, step + 1, 1, true, one, gs);
    deliver_all(w);
}

/* Two samples of an id, three admit it: those of a run that is begun anew do not add up. */
static void a_new_beginning_counts_from_zero(void **unused)
{
    (void)unused;
    static const char *const counters[] = {"counter: exact",
                                           "counter: sketch, expected_ids: 1000"};
    const uint64_t           id         = 42;
    const uint32_t           counts     = 2;
    need                     one        = {1, &id, &counts};

    for (int i = 0; i < 2; i++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml,
                 "tables: {t: {dim: 2, admit: {min_count: 3, %s}, evict: {idle_days: 1}}}\n"
                 "features: {t: {table: t}}\n",
                 counters[i]);
        world *w = world_new(yaml, 1, NULL);
        w->time  = 86400;
        for (int run = 0; run < 3; run++) {
            world_begin(w, 1, NULL, 0);
            assert_int_equal(w->shards[0]->tables[0].calendar.days.n, 0);
            for (uint64_t step = 0; step < (run == 2 ? 2 : 1); step++) {
                assert_null(row_of(w, 0, id));
                train_on(w, step, &one);
            }
            assert_true(!row_of(w, 0, id) == (run < 2));
        }
        world_free(w);
    }
}

static void an_id_whose_count_is_not_told_is_in_one_sample(void **unused)
{
    (void)unused;
    const uint64_t id  = 42;
    need           one = {1, &id, NULL};
    world *w = world_new("tables: {t: {dim: 2, admit: {min_count: 3, counter: exact}}}\n"
                         "features: {t: {table: t}}\n",
                         1, NULL);

    world_begin(w, 1, NULL, 0);
    for (uint64_t step = 0; step < 3; step++) {
        assert_null(row_of(w, 0, id));
        train_on(w, step, &one);
    }
    assert_int_equal(row_of(w, 0, id)->count, 3);
    world_free(w);
}

/* Where rows hold exact counts, one that is earned by a running count does too. */
static void an_admitted_row_holds_its_exact_count(void **unused)
{
    (void)unused;
    const char    *path   = inside("counts.safetensors");
    const uint64_t id     = 42;
    const uint32_t counts = 3, exact = 1000;
    need           one = {1, &id, &counts};
    real           x[2], g[2] = {1, 1}, *at[] = {x}, *gs[] = {g};

    write_counts(path, "t", &id, &exact, 1);
    world *w = world_new("tables: {t: {dim: 2, penalty: {kind: minibatch_aware}, "
                         "admit: {min_count: 3, counter: exact}}}\n"
                         "features: {t: {table: t}}\n"
                         "train: {mode: pipelined, staleness: 1}\n",
                         1, path);
    world_begin(w, 1, NULL, 0);
    for (uint64_t step = 0; step < 2; step++) {
        ask(w, WIRE_PULL, 0, step, 0, &one);
        deliver_all(w);
        take_rows(w, 0, step, &one, at);
    }
    for (uint64_t step = 0; step < 2; step++) { /* admitted, then counted */
        push(w, 0, step, 2, 1, true, &one, gs);
        deliver_all(w);
        assert_int_equal(row_of(w, 0, id)->count, exact);
    }
    world_free(w);
}

/* ---- counters ---- */

/* Ids that do not repeat and mean nothing. */
static uint64_t nth_hash(uint64_t i)
{
    return hash_mix(i + 1);
}

/* Count ids 0 .. ids-1, a million in all, once each; of a million others, how many look as
 * if they had been counted? Binomial: six deviations are 6 sqrt(p (1 - p) / million). */
static void measure(double asked)
{
    const uint64_t million = 1000000;
    sketch         s;
    uint64_t       wrong = 0;

    must(sketch_init(&s, 1, asked, (double)million, 0, HASH_BUCKETS));
    for (uint64_t i = 0; i < million; i++)
        sketch_raise(&s, nth_hash(i), 1);
    for (uint64_t i = 0; i < million; i++)
        assert_int_equal(sketch_get(&s, nth_hash(i)), 1);
    for (uint64_t i = million; i < 2 * million; i++)
        wrong += sketch_get(&s, nth_hash(i));
    double got = (double)wrong / (double)million, noise = 6 * sqrt(asked / (double)million);
    print_message("asked %g, got %g: %d hashes, %.2f bits an id\n", asked, got, s.hashes,
                  8. * (double)s.bytes * HASH_BUCKETS / (double)million);
    assert_true(got <= asked + noise);
    assert_true(got >= asked * 0.85 - noise);
    sketch_clear(&s);
}

static void a_sketch_is_wrong_as_often_as_asked(void **unused)
{
    (void)unused;
    measure(0.1);
    measure(0.01);
    measure(0.001);
}

/* Never below the true count, whatever the order; and narrow cells do not spill over. */
static void a_sketch_never_counts_too_low(void **unused)
{
    (void)unused;
    static const uint32_t limits[] = {1, 2, 3, 4, 15, 16, 255};
    enum { IDS = 5000 };
    uint32_t *count = calloc(IDS, sizeof *count);
    rng       r     = rng_named(1, RNG_TEST, 0, 0);
    sketch    s;

    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        uint32_t limit = limits[l];
        must(sketch_init(&s, limit, 0.3, IDS / 4, 100, 4000));
        memset(count, 0, IDS * sizeof *count);
        for (int i = 0; i < 20 * IDS; i++) {
            uint64_t id   = rng_below(&r, IDS);
            uint64_t hash = nth_hash(id);
            if (hash_bucket(hash) < 100 || hash_bucket(hash) >= 4000)
                continue;
            count[id] += 1 + (uint32_t)rng_below(&r, 3);
            uint32_t counted = sketch_get(&s, hash);
            sketch_raise(&s, hash, counted + 3);
            assert_true(sketch_get(&s, hash) >= (count[id] < limit ? count[id] : limit));
            assert_true(sketch_get(&s, hash) <= limit);
        }
        sketch_clear(&s);
    }
    free(count);
}

/* The applicants of a step in any order leave the same cells and the same admitted ids. */
static void the_order_of_applicants_does_not_matter(void **unused)
{
    (void)unused;
    enum { N = 3000 };
    const admit_config c = {.min_count      = 3,
                            .counter        = COUNTER_SKETCH,
                            .false_positive = 0.5,
                            .expected_ids   = 500,
                            .probability    = 1};
    admission          a, b;
    applicant         *up = calloc(N, sizeof *up), *down = calloc(N, sizeof *down);
    size_t             n_up, n_down;

    must(admission_init(&a, &c, 9, 1, 0, HASH_BUCKETS));
    must(admission_init(&b, &c, 9, 1, 0, HASH_BUCKETS));
    for (uint64_t step = 0; step < 4; step++) {
        for (size_t i = 0; i < N; i++)
            up[i] = down[N - 1 - i] = (applicant){i * 3, 1 + (uint32_t)(i + step) % 2};
        must(admission_step(&a, step, up, N, &n_up));
        must(admission_step(&b, step, down, N, &n_down));
        assert_int_equal(n_up, n_down);
        assert_memory_equal(a.sketch.at, b.sketch.at, HASH_BUCKETS * a.sketch.bytes);
    }
    assert_true(n_up > 0);
    admission_clear(&a);
    admission_clear(&b);
    free(up);
    free(down);
}

/* Additions and removals of ids of two buckets, beside an array. */
static void a_tally_is_an_array_of_counts(void **unused)
{
    (void)unused;
    enum { IDS = 600, SALT = 0 };
    uint64_t    *ids = calloc(IDS, sizeof *ids), n = 0, held = 0;
    uint32_t    *count    = calloc(IDS, sizeof *count), got;
    tally_entry *entries  = NULL;
    size_t       capacity = 0, m;
    rng          r        = rng_named(2, RNG_TEST, 0, 0);
    tally       *t;

    for (uint64_t id = 0; n < IDS; id++)
        if (hash_bucket(hash_id(SALT, id)) < 2)
            ids[n++] = id;
    must(tally_new(&t, SALT));
    for (int i = 0; i < 300000; i++) {
        uint64_t k = rng_below(&r, IDS);
        if (rng_below(&r, 3) == 0) {
            tally_remove(t, ids[k]);
            held -= count[k] > 0;
            count[k] = 0;
        } else {
            must(tally_add(t, ids[k], 7, &got));
            held += count[k] == 0;
            count[k] += 7;
            assert_int_equal(got, count[k]);
        }
        assert_int_equal(tally_ids(t), held);
    }
    for (uint32_t bucket = 0; bucket < 2; bucket++) {
        must(tally_bucket(t, bucket, &entries, &capacity, &m));
        for (size_t i = 0, k = 0; k < IDS; k++)
            if (hash_bucket(hash_id(SALT, ids[k])) == bucket && count[k]) {
                assert_true(i < m && entries[i].id == ids[k] && entries[i].count == count[k]);
                held -= ++i <= m;
            }
    }
    assert_int_equal(held, 0);
    must(tally_add(t, 5, UINT32_MAX, &got));
    must(tally_add(t, 5, 2, &got));
    assert_int_equal(got, UINT32_MAX);
    tally_free(&t);
    free(entries);
    free(ids);
    free(count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_counter_admits_at_min_count),
        cmocka_unit_test(a_sketch_large_enough_admits_at_min_count),
        cmocka_unit_test(chance_admits_with_its_own_bits),
        cmocka_unit_test(tickets_of_a_pipeline_stay_refused),
        cmocka_unit_test(who_was_evicted_is_counted_from_zero),
        cmocka_unit_test(a_sketch_remembers_who_was_evicted),
        cmocka_unit_test(a_new_beginning_counts_from_zero),
        cmocka_unit_test(an_id_whose_count_is_not_told_is_in_one_sample),
        cmocka_unit_test(an_admitted_row_holds_its_exact_count),
        cmocka_unit_test(to_be_counted_does_not_stop_decay),
        cmocka_unit_test(a_sketch_is_wrong_as_often_as_asked),
        cmocka_unit_test(a_sketch_never_counts_too_low),
        cmocka_unit_test(the_order_of_applicants_does_not_matter),
        cmocka_unit_test(a_tally_is_an_array_of_counts),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
