/* The clock and the tickets: whatever the post does, shards end with the same rows. */
#include "harness.h"

#include <unistd.h>

#define TABLES 2
#define IDS    30 /* that a worker needs of a table for a step */

static const char yaml[] =
    "tables:\n"
    "  goods: {dim: 3, optimizer: adam, lr: 0.1,\n"
    "          penalty: {kind: minibatch_aware, lambda: 0.1, count: running}}\n"
    "  user: {dim: 5, optimizer: rowwise_adagrad, init: {scale: 1}}\n"
    "features: {goods: {table: goods}, user: {table: user}}\n"
    "clip: {row_norm: 0.5}\n";

static const int dims[TABLES] = {3, 5};

/* What worker k does in a step is a matter of (k, step) and of the rows it gets. */
typedef struct part {
    uint64_t ids[TABLES][IDS];
    uint32_t counts[TABLES][IDS];
    need     needs[TABLES];
    real     rows[TABLES][IDS * 5];
    real    *at[TABLES];
} part;

static void make_part(part *p, int worker, uint64_t step)
{
    rng r = rng_named(11, RNG_TEST, (uint64_t)worker, step);

    for (int t = 0; t < TABLES; t++) {
        uint64_t id = rng_below(&r, 4);
        for (int i = 0; i < IDS; i++) {
            p->ids[t][i]    = id << (id % 3 * 16);
            p->counts[t][i] = 1 + (uint32_t)rng_below(&r, 3);
            id += 1 + rng_below(&r, 6);
        }
        p->needs[t] = (need){(uint32_t)rng_below(&r, IDS + 1), p->ids[t], p->counts[t]};
        p->at[t]    = p->rows[t];
    }
}

/* Rows become gradients in place. */
static void make_gradients(part *p, int worker, uint64_t step)
{
    rng r = rng_named(12, RNG_TEST, (uint64_t)worker, step);

    for (int t = 0; t < TABLES; t++)
        for (uint32_t i = 0; i < p->needs[t].n * (uint32_t)dims[t]; i++)
            p->rows[t][i] = p->rows[t][i] * 3 + (real)rng_normal(&r);
}

static double samples_of(int worker, uint64_t step)
{
    return (double)(4 + (uint64_t)worker + step % 3);
}

/* ---- the post ---- */

typedef struct player {
    uint64_t next_pull, next_push;
} player;

typedef struct game {
    world   *w;
    uint64_t steps, staleness;
    bool     disorder; /* deliver in any order, some letters twice or again much later */
    rng      chance;
    letters  past; /* copies of what was delivered */
    player   players[4];
    uint64_t seen[4][SHARDS_MOST][64]; /* hash of the rows of (worker, shard, step); 0: none */
} game;

static bool rows_are_here(const game *g, int worker, uint64_t step)
{
    int here = 0;

    for (int i = 0; i < g->w->n_shards; i++)
        here += g->seen[worker][i][step] != 0;
    return here == g->w->n_shards;
}

/* Every answer to the same question must have the same bytes. */
static void note_answers(game *g, size_t from)
{
    for (size_t i = from; i < g->w->answers.n; i++) {
        letter     *l = &g->w->answers.at[i];
        wire_header h;
        must(wire_open(&h, &l->message));
        uint64_t  hash = hash_bytes(l->message.data, l->message.size);
        uint64_t *seen = &g->seen[l->peer - 1][l->shard][h.step];
        assert_true(h.kind == WIRE_ROWS && (!*seen || *seen == hash));
        *seen = hash;
    }
}

static void play(game *g, int worker)
{
    player *p = &g->players[worker];
    part    x;

    for (; p->next_pull < g->steps && p->next_pull <= p->next_push + g->staleness;
         p->next_pull++) {
        uint64_t t = p->next_pull, version = t > g->staleness ? t - g->staleness : 0;
        make_part(&x, worker, t);
        ask(g->w, WIRE_PULL, worker, t, version, x.needs);
    }
    if (p->next_push < p->next_pull && rows_are_here(g, worker, p->next_push)) {
        make_part(&x, worker, p->next_push);
        take_rows(g->w, worker, p->next_push, x.needs, x.at);
        make_gradients(&x, worker, p->next_push);
        push(g->w, worker, p->next_push, p->next_pull, samples_of(worker, p->next_push), true,
             x.needs, x.at);
        p->next_push++;
    }
}

static void remember(game *g, const letter *l)
{
    letter copy = *l;

    must(net_message_new(&copy.message, l->message.size));
    memcpy(copy.message.data, l->message.data, l->message.size);
    must(vec_push(&g->past, copy));
}

static void bring_some(game *g)
{
    world *w    = g->w;
    size_t from = w->answers.n;

    if (!g->disorder) {
        deliver_all(w);
    } else if (w->questions.n) {
        size_t i = rng_below(&g->chance, w->questions.n);
        remember(g, &w->questions.at[i]);
        deliver(w, i, 1 + (rng_below(&g->chance, 4) == 0));
    }
    if (g->disorder && g->past.n && rng_below(&g->chance, 4) == 0) {
        const letter *l = &g->past.at[rng_below(&g->chance, g->past.n)];
        hand_in(w, l->shard, l->peer, &l->message);
    }
    note_answers(g, from);
}

static bool over(const game *g)
{
    for (int i = 0; i < g->w->n_shards; i++)
        if ((uint64_t)shard_clock(g->w->shards[i]) < g->steps)
            return false;
    return true;
}

/* A run from nothing; seed 0 delivers in order. */
static world *run(int shards, int workers, uint64_t steps, uint64_t staleness, uint64_t seed)
{
    game *g = calloc(1, sizeof *g);

    *g = (game){.w         = world_new(yaml, shards, NULL),
                .steps     = steps,
                .staleness = staleness,
                .disorder  = seed != 0,
                .chance    = rng_named(seed, RNG_TEST, 1, 2)};
    world_begin(g->w, workers, NULL, 0);
    for (int turns = 0; !over(g); turns++) {
        if (turns == 100000)
            fail_msg("the shards wait for something that never comes");
        for (int worker = 0; worker < workers; worker++)
            play(g, worker);
        bring_some(g);
    }
    letters_clear(&g->past);
    world *w = g->w;
    free(g);
    return w;
}

/* All rows, their state and their counts. */
static void expect_same_rows(const world *a, const world *b)
{
    for (int t = 0; t < TABLES; t++) {
        size_t reals =
            (size_t)dims[t] +
            optim_state_size(a->schema->tables[t].config->optimizer.kind, (size_t)dims[t]);
        assert_true(rows_held_by_all(a, t) > 50);
        assert_int_equal(rows_held_by_all(a, t), rows_held_by_all(b, t));
        for (uint64_t id = 0; id < 6 * IDS + 4; id++) {
            const row *x = row_of(a, t, id << (id % 3 * 16));
            const row *y = row_of(b, t, id << (id % 3 * 16));
            assert_true(!x == !y);
            if (x)
                assert_memory_equal(x, y, sizeof *x + reals * sizeof(real));
        }
    }
}

static void any_number_of_shards_ends_with_the_same_bits(void **unused)
{
    (void)unused;
    world *one = run(1, 3, 50, 0, 0);

    for (int shards = 2; shards <= 8; shards += shards == 3 ? 5 : 1) {
        world *many = run(shards, 3, 50, 0, 0);
        expect_same_rows(one, many);
        world_free(many);
    }
    world_free(one);
}

static void repeated_late_and_reordered_messages_change_nothing(void **unused)
{
    (void)unused;
    for (uint64_t staleness = 0; staleness <= 3; staleness++) {
        world *orderly = run(2, 3, 20, staleness, 0);
        for (uint64_t seed = 1; seed <= 4; seed++) {
            world *wild = run(2, 3, 20, staleness, seed);
            expect_same_rows(orderly, wild);
            assert_true(dropped_by_all(wild) > 0);
            world_free(wild);
        }
        world_free(orderly);
    }
}

static void a_row_is_born_the_same_on_any_server(void **unused)
{
    (void)unused;
    uint64_t ids[]         = {0, 1, 2, 3, UINT64_MAX, 65536, 1u << 31};
    need     needs[TABLES] = {{7, ids, NULL}, {7, ids, NULL}};
    real     first[TABLES][7 * 5], other[TABLES][7 * 5];

    for (int shards = 1; shards <= 8; shards++) {
        world *w = world_new(yaml, shards, NULL);
        world_begin(w, 1, NULL, 0);
        memset(other, 0, sizeof other);
        read_rows(w, 0, needs, (real *[]){other[0], other[1]});
        if (shards == 1)
            memcpy(first, other, sizeof first);
        assert_memory_equal(first, other, sizeof first);
        assert_int_equal(rows_held_by_all(w, 0), 0); /* reading bears nothing */
        world_free(w);
    }
    assert_true(first[0][0] != first[1][0] && first[1][0] != first[1][5]);
}

/* ---- the clock, one message at a time ---- */

static const uint64_t one_id[]         = {42};
static const need     one_need[TABLES] = {{1, one_id, NULL}, {0, one_id, NULL}};

static bool answered(world *w, int worker, uint64_t step, real *got)
{
    real none[1], *at[] = {got, none};

    for (size_t i = 0; i < w->answers.n; i++) {
        wire_header h;
        must(wire_open(&h, &w->answers.at[i].message));
        if (h.kind == WIRE_ROWS && h.step == step &&
            w->answers.at[i].peer == (uint64_t)worker + 1) {
            take_rows(w, worker, step, one_need, at);
            return true;
        }
    }
    return false;
}

static void push_one(world *w, int worker, uint64_t step, uint64_t pulled_until)
{
    real g[3] = {1, 1, 1}, none[1];

    push(w, worker, step, pulled_until, 1, true, one_need, (real *[]){g, none});
    deliver_all(w);
}

static void pull_one(world *w, int worker, uint64_t step, uint64_t version)
{
    ask(w, WIRE_PULL, worker, step, version, one_need);
    deliver_all(w);
}

static void a_pull_sees_exactly_the_version_it_names(void **unused)
{
    (void)unused;
    real   birth[3], later[3], got[3];
    world *w = world_new(yaml, 1, NULL);

    world_begin(w, 1, NULL, 0);
    pull_one(w, 0, 0, 0);
    pull_one(w, 0, 1, 0);
    pull_one(w, 0, 2, 1);
    assert_true(answered(w, 0, 0, birth) && answered(w, 0, 1, got));
    assert_memory_equal(got, birth, sizeof got);
    assert_false(answered(w, 0, 2, got)); /* parked */
    push_one(w, 0, 0, 3);
    assert_int_equal(shard_clock(w->shards[0]), 1);
    assert_true(answered(w, 0, 2, later));
    assert_memory_not_equal(later, birth, sizeof later);
    pull_one(w, 0, 1, 0); /* once more: what it sees is gone, its answer is not */
    assert_true(answered(w, 0, 1, got));
    assert_memory_equal(got, birth, sizeof got);
    world_free(w);
}

static void a_step_waits_for_every_worker_and_every_pull_told_of(void **unused)
{
    (void)unused;
    real   got[3];
    world *w = world_new(yaml, 1, NULL);

    world_begin(w, 2, NULL, 0);
    for (int worker = 0; worker < 2; worker++) {
        pull_one(w, worker, 0, 0);
        assert_true(answered(w, worker, 0, got));
    }
    push_one(w, 1, 0, 2); /* speaks of a pull for step 1, which is late */
    assert_int_equal(shard_clock(w->shards[0]), 0);
    push_one(w, 0, 0, 1);
    assert_int_equal(shard_clock(w->shards[0]), 0);
    pull_one(w, 1, 1, 0);
    assert_int_equal(shard_clock(w->shards[0]), 1);
    assert_true(answered(w, 1, 1, got));
    world_free(w);
}

static void a_read_waits_for_its_version(void **unused)
{
    (void)unused;
    real   got[3], now[3];
    world *w = world_new(yaml, 1, NULL);

    world_begin(w, 1, NULL, 0);
    pull_one(w, 0, 0, 0);
    assert_true(answered(w, 0, 0, got));
    ask(w, WIRE_READ, 0, 77, 1, one_need);
    ask(w, WIRE_READ, 0, 77, 1, one_need); /* repeated: one answer is enough */
    deliver_all(w);
    assert_false(answered(w, 0, 77, now));
    push_one(w, 0, 0, 1);
    assert_true(answered(w, 0, 77, now));
    assert_false(answered(w, 0, 77, now));
    assert_memory_equal(now, row_of(w, 0, 42)->x, sizeof now);
    world_free(w);
}

/* However many others wait too, and for however long. */
static void many_reads_wait_for_their_versions(void **unused)
{
    (void)unused;
    real   got[3];
    world *w = world_new(yaml, 1, NULL);

    world_begin(w, 1, NULL, 0);
    for (uint64_t i = 0; i < 60; i++)
        ask(w, WIRE_READ, 0, 1000 + i, 1 + i % 3, one_need);
    deliver_all(w);
    for (uint64_t step = 0; step < 3; step++) {
        pull_one(w, 0, step, step);
        assert_true(answered(w, 0, step, got));
        push_one(w, 0, step, step + 1);
        for (uint64_t i = step; i < 60; i += 3) {
            assert_true(answered(w, 0, 1000 + i, got));
            assert_memory_equal(got, row_of(w, 0, 42)->x, sizeof got);
        }
        assert_int_equal(w->answers.n, 0);
    }
    assert_int_equal(dropped_by_all(w), 0);
    world_free(w);
}

/* Requests that wait take memory: so many may, no more. */
static void who_finds_too_many_waiting_is_told_so(void **unused)
{
    (void)unused;
    world      *w = world_new(yaml, 1, NULL);
    net_message m;
    uint64_t    most = 0;

    world_begin(w, 1, NULL, 0);
    while (most < 1000 && !take_answer(w, 0, 0, WIRE_FAILED, most, &m)) {
        most++;
        ask(w, WIRE_READ, 0, most, 1, one_need);
        deliver_all(w);
    }
    assert_in_range(most, 61, 999);
    assert_int_equal(w->shards[0]->parked.n, most - 1);
    net_message_clear(&m);
    world_free(w);
}

/* Worker 1's messages are all under way while worker 0 goes as far as it can: through the
 * 65 steps whose rows are of version 0, and into the stretch behind the drain point 65. */
static void the_largest_staleness_has_room_for_every_pull(void **unused)
{
    (void)unused;
    const uint64_t s = CONFIG_STALENESS_MAX, drain = s + 1;
    real           got[3];
    world         *w = world_new(yaml, 1, NULL);

    world_begin(w, 2, NULL, 0);
    for (int worker = 0; worker < 2; worker++) {
        for (uint64_t step = 0; step < drain; step++)
            pull_one(w, worker, step, 0);
        for (uint64_t step = 0; step < drain; step++) {
            assert_true(answered(w, worker, step, got));
            push_one(w, worker, step, drain);
        }
        for (uint64_t step = drain; step <= drain + s; step++)
            pull_one(w, worker, step, drain);
    }
    assert_int_equal(dropped_by_all(w), 0);
    assert_int_equal(shard_clock(w->shards[0]), drain);
    for (int worker = 0; worker < 2; worker++)
        for (uint64_t step = drain; step <= drain + s; step++)
            assert_true(answered(w, worker, step, got));
    world_free(w);
}

/* Hand in a SAVE of step and return the answer. */
static net_message save_at(world *w, const char *folder, uint64_t step)
{
    wire_header h = head(w, WIRE_SAVE, 0, step);
    wire_text   t = {.text = folder, .bytes = (uint32_t)strlen(folder)};
    net_message m;

    must(wire_encode_text(&m, &h, &t));
    post(w, 0, 0, m);
    deliver_all(w);
    expect_answer(w, 0, 0, WIRE_SAVED, step, &m);
    return m;
}

/* Even when steps were applied since, and the file was moved away. */
static void a_repeated_save_gets_the_same_bytes_and_writes_nothing(void **unused)
{
    (void)unused;
    real   got[3];
    char   folder[256], file[512];
    world *w = world_new(yaml, 1, NULL);

    snprintf(folder, sizeof folder, "%s", inside("step-000000000000"));
    world_begin(w, 1, NULL, 0);
    must(manifest_begin(folder));
    net_message once = save_at(w, folder, 0);
    snprintf(file, sizeof file, "%s/shard-0000-of-0001.safetensors", folder);
    assert_int_equal(remove(file), 0);
    pull_one(w, 0, 0, 0);
    assert_true(answered(w, 0, 0, got));
    push_one(w, 0, 0, 1);
    assert_int_equal(shard_clock(w->shards[0]), 1);
    net_message again = save_at(w, folder, 0);
    assert_int_equal(again.size, once.size);
    assert_memory_equal(again.data, once.data, once.size);
    assert_int_not_equal(access(file, F_OK), 0);
    net_message_clear(&once);
    net_message_clear(&again);
    world_free(w);
}

/* ---- generations ---- */

static void a_repeated_begin_is_answered_and_changes_nothing(void **unused)
{
    (void)unused;
    real        got[3];
    world      *w = world_new(yaml, 1, NULL);
    net_message m;

    world_begin(w, 1, NULL, 0);
    pull_one(w, 0, 0, 0);
    assert_true(answered(w, 0, 0, got));
    push_one(w, 0, 0, 1);
    w->generation--; /* world_begin raises it */
    world_begin(w, 1, NULL, 0);
    assert_int_equal(shard_clock(w->shards[0]), 1);
    assert_int_equal(rows_held_by_all(w, 0), 1);
    assert_false(take_answer(w, 0, 0, WIRE_FAILED, 0, &m));
    world_free(w);
}

static void a_new_generation_starts_over_and_old_messages_are_dropped(void **unused)
{
    (void)unused;
    real   got[3];
    world *w = world_new(yaml, 1, NULL);

    world_begin(w, 1, NULL, 0);
    pull_one(w, 0, 0, 0);
    assert_true(answered(w, 0, 0, got));
    push_one(w, 0, 0, 1);
    ask(w, WIRE_READ, 0, 5, 2, one_need); /* parked, and forgotten by the next BEGIN */
    deliver_all(w);
    world_begin(w, 2, NULL, 7);
    assert_int_equal(shard_clock(w->shards[0]), 7);
    assert_int_equal(rows_held_by_all(w, 0), 0);
    uint64_t dropped = dropped_by_all(w);
    w->generation--;
    pull_one(w, 0, 7, 7);
    w->generation += 2;
    pull_one(w, 0, 7, 7);
    w->generation--;
    assert_false(answered(w, 0, 7, got));
    assert_int_equal(dropped_by_all(w), dropped + 2);
    pull_one(w, 1, 7, 7);
    assert_true(answered(w, 1, 7, got));
    world_free(w);
}

static void a_run_that_cannot_begin_is_told_why(void **unused)
{
    (void)unused;
    world      *w = world_new(yaml, 1, NULL);
    wire_header h = {WIRE_BEGIN, 3, 0, 0};
    wire_begin  b = {
         .workers = 1, .real_bytes = sizeof(real), .path = "/nowhere", .path_bytes = 8};
    net_message m;
    wire_text   t;

    w->generation = 3;
    must(wire_encode_begin(&m, &h, &b));
    post(w, 0, 0, m);
    deliver_all(w);
    expect_answer(w, 0, 0, WIRE_FAILED, 0, &m);
    must(wire_decode_text(&t, &m));
    assert_int_equal(t.request, WIRE_BEGIN);
    assert_non_null(memmem(t.text, t.bytes, "/nowhere", 8));
    net_message_clear(&m);
    b = (wire_begin){.workers = 1, .real_bytes = 3};
    must(wire_encode_begin(&m, &h, &b));
    post(w, 0, 0, m);
    deliver_all(w);
    expect_answer(w, 0, 0, WIRE_FAILED, 0, &m);
    net_message_clear(&m);
    w->generation = 2;
    world_begin(w, 1, NULL, 0); /* the same generation may try again */
    world_free(w);
}

/* A row remembers steps in 32 bits: the last step is the last whose number fits, plus one. */
static void steps_end_where_a_row_cannot_remember_them(void **unused)
{
    (void)unused;
    const uint64_t last = UINT32_MAX - 1;
    wire_begin     b    = {.workers = 1, .real_bytes = sizeof(real)};
    real           got[3];
    net_message    m;
    wire_text      t;
    world         *w = world_new(yaml, 1, NULL);

    world_begin(w, 1, NULL, last);
    pull_one(w, 0, last, last);
    assert_true(answered(w, 0, last, got));
    push_one(w, 0, last, last + 1);
    assert_int_equal(shard_clock(w->shards[0]), last + 1);
    assert_int_equal(row_of(w, 0, one_id[0])->touched, UINT32_MAX);
    pull_one(w, 0, last + 1, last + 1);
    expect_answer(w, 0, 0, WIRE_FAILED, last + 1, &m);
    must(wire_decode_text(&t, &m));
    assert_int_equal(t.request, WIRE_PULL);
    net_message_clear(&m);

    w->generation++;
    wire_header h = head(w, WIRE_BEGIN, 0, last + 1);
    must(wire_encode_begin(&m, &h, &b));
    post(w, 0, 0, m);
    deliver_all(w);
    expect_answer(w, 0, 0, WIRE_FAILED, last + 1, &m);
    net_message_clear(&m);
    world_free(w);
}

static void missing_counts_are_named_at_the_start(void **unused)
{
    (void)unused;
    const char exact[] = "tables: {goods: {dim: 2, penalty: {kind: minibatch_aware}}}\n"
                         "features: {goods: {table: goods}}\n";
    config    *c;
    schema    *s;
    shard     *x;

    must(config_parse(&c, "run.yaml", exact, sizeof exact - 1, 0, NULL));
    must(schema_new(&s, c));
    shard_options o = {.config = c, .schema = s, .shards = 1};
    assert_int_equal(shard_new(&x, &o), ERR_CONFIG);
    assert_non_null(strstr(err_text(), "tables.goods.penalty.count"));
    assert_non_null(strstr(err_text(), "counts.safetensors"));
    write_counts(inside("other.safetensors"), "user", one_id, &(uint32_t){1}, 1);
    o.counts = inside("other.safetensors");
    assert_int_equal(shard_new(&x, &o), ERR_CONFIG);
    assert_non_null(strstr(err_text(), "other.safetensors"));
    schema_free(&s);
    config_free(&c);
}

/* ---- nonsense ---- */

/* Bring a message that the shard must drop. */
static void expect_dropped(world *w, int to, net_message m)
{
    uint64_t dropped = w->shards[to]->dropped;
    size_t   answers = w->answers.n;

    hand_in(w, to, 99, &m);
    net_message_clear(&m);
    assert_int_equal(w->shards[to]->dropped, dropped + 1);
    assert_int_equal(w->answers.n, answers);
}

/* Bring a request that the shard must refuse in words; its asker waits for an answer. */
static void expect_refused(world *w, int to, net_message m, const char *word)
{
    uint64_t    dropped = w->shards[to]->dropped;
    wire_header asked, h;
    wire_text   t;

    must(wire_open(&asked, &m));
    hand_in(w, to, 99, &m);
    net_message_clear(&m);
    assert_int_equal(w->shards[to]->dropped, dropped);
    assert_true(w->answers.n > 0);
    letter *last = &w->answers.at[--w->answers.n];
    must(wire_open(&h, &last->message));
    must(wire_decode_text(&t, &last->message));
    assert_true(h.kind == WIRE_FAILED && h.step == asked.step && t.request == asked.kind);
    assert_int_equal(last->peer, 99);
    assert_non_null(memmem(t.text, t.bytes, word, strlen(word)));
    net_message_clear(&last->message);
}

static net_message request(const world *w, wire_kind kind, uint32_t worker, uint64_t step,
                           uint64_t version, int tables, uint64_t id)
{
    wire_header  h = {kind, w->generation, worker, step};
    wire_request q = {.version = version, .tables = tables};
    net_message  m;

    for (int t = 0; t < tables; t++)
        q.table[t] = (wire_ids){1, &id, NULL};
    must(wire_encode_request(&m, &h, &q));
    return m;
}

static net_message pushed(const world *w, uint32_t worker, uint64_t step, uint64_t until,
                          uint32_t n, uint32_t dim, int tables)
{
    wire_header h = {WIRE_PUSH, w->generation, worker, step};
    wire_push   p = {.pulled_until = until, .samples = 1, .finite = true, .tables = tables};
    net_message m;

    for (int t = 0; t < tables; t++)
        p.table[t] = (wire_values){.n = n, .dim = t ? 5 : dim};
    must(wire_prepare_push(&m, &h, &p));
    for (int t = 0; t < tables; t++)
        memset(p.table[t].values, 0, p.table[t].n * p.table[t].dim * sizeof(real));
    wire_seal(&m);
    return m;
}

/* An id of both tables that shard k of the world owns. */
static uint64_t id_of_shard(const world *w, int k)
{
    for (uint64_t id = 0;; id++)
        if (owner_of(w, 0, id) == k && owner_of(w, 1, id) == k)
            return id;
}

static void what_makes_no_sense_is_counted_and_dropped(void **unused)
{
    (void)unused;
    world   *w    = world_new(yaml, 2, NULL);
    uint64_t mine = id_of_shard(w, 0), other = id_of_shard(w, 1);

    expect_dropped(w, 0, request(w, WIRE_PULL, 0, 0, 0, 2, mine)); /* before BEGIN */
    world_begin(w, 2, NULL, 100);
    expect_dropped(w, 0, request(w, WIRE_PULL, 2, 100, 100, 2, mine));  /* no such worker */
    expect_dropped(w, 0, request(w, WIRE_PULL, 0, 100, 100, 1, mine));  /* a table short */
    expect_dropped(w, 0, request(w, WIRE_PULL, 0, 100, 100, 3, mine));  /* a table too many */
    expect_dropped(w, 0, request(w, WIRE_PULL, 0, 100, 100, 2, other)); /* another's ids */
    expect_dropped(w, 0, request(w, WIRE_PULL, 0, 99, 99, 2, mine));    /* the past */
    expect_dropped(w, 0, pushed(w, 0, 100, 101, 1, 3, 2));              /* nothing pulled */

    net_message pull = request(w, WIRE_PULL, 0, 100, 100, 2, mine);
    hand_in(w, 0, 1, &pull);
    net_message_clear(&pull);
    expect_dropped(w, 0, pushed(w, 0, 100, 101, 2, 3, 2)); /* n is not the pull's */
    expect_dropped(w, 0, pushed(w, 0, 100, 101, 1, 4, 2)); /* dim is not the table's */
    expect_dropped(w, 0, pushed(w, 0, 100, 101, 1, 3, 1)); /* a table short */
    expect_dropped(w, 0, pushed(w, 0, 100, 100, 1, 3, 2)); /* pulled until before itself */
    expect_dropped(w, 0, pushed(w, 0, 100, 101 + TICKETS, 1, 3, 2)); /* or too far */
    expect_dropped(w, 0, pushed(w, 1, 100, 101, 1, 3, 2));           /* another worker's */
    net_message once = pushed(w, 0, 100, 101, 1, 3, 2);
    hand_in(w, 0, 1, &once);
    expect_dropped(w, 0, once); /* twice */
    assert_int_equal(shard_clock(w->shards[0]), 100);

    net_message m;
    wire_header h = {WIRE_BEAT, w->generation, 0, 100};
    must(wire_encode_empty(&m, &h));
    expect_dropped(w, 0, m);
    wire_begin b = {.workers = 1, .real_bytes = sizeof(real)};
    h            = (wire_header){WIRE_BEGIN, w->generation + 1, 1, 0};
    must(wire_encode_begin(&m, &h, &b));
    expect_dropped(w, 0, m); /* only worker 0 begins */
    world_free(w);
}

static void who_asks_for_what_is_gone_or_never_comes_is_told_so(void **unused)
{
    (void)unused;
    world   *w    = world_new(yaml, 2, NULL);
    uint64_t mine = id_of_shard(w, 0);

    world_begin(w, 2, NULL, 100);
    expect_refused(w, 0, request(w, WIRE_PULL, 0, 100, 99, 2, mine), "99, which is gone");
    expect_refused(w, 0, request(w, WIRE_PULL, 0, 100, 101, 2, mine), "later version 101");
    expect_refused(w, 0, request(w, WIRE_PULL, 0, 100 + TICKETS, 100, 2, mine), "step 230");
    expect_refused(w, 0, request(w, WIRE_PULL, 0, UINT64_MAX, 0, 2, mine), "clock is 100");
    expect_refused(w, 0, request(w, WIRE_READ, 0, 1, 99, 2, mine), "99, which is gone");
    expect_refused(w, 0, request(w, WIRE_READ, 0, 1, 1000, 2, mine), "version 1000");
    expect_refused(w, 0, request(w, WIRE_READ, 0, 1, UINT64_MAX, 2, mine), "clock is 100");
    expect_refused(w, 0, request(w, WIRE_BIRTH, 0, 1, 99, 2, mine), "99, which is gone");
    wire_header h = {WIRE_SAVE, w->generation, 0, 99};
    wire_text   t = {.text = "/tmp", .bytes = 4};
    net_message m;
    must(wire_encode_text(&m, &h, &t));
    expect_refused(w, 0, m, "99, which is gone");
    world_free(w);
}

/* Flip bits, cut, and repair neither checksum: nothing gets through. */
static void damaged_bytes_are_dropped(void **unused)
{
    (void)unused;
    world *w = world_new(yaml, 1, NULL);
    rng    r = rng_named(5, RNG_TEST, 0, 0);

    world_begin(w, 1, NULL, 0);
    for (int i = 0; i < 500; i++) {
        net_message m = request(w, WIRE_READ, 0, 1, 0, 2, 42);
        if (i % 2)
            m.size = rng_below(&r, m.size);
        else
            m.data[rng_below(&r, m.size)] ^= (unsigned char)(1u << rng_below(&r, 8));
        expect_dropped(w, 0, m);
    }
    world_free(w);
}

static void stats_tell_rows_and_drops(void **unused)
{
    (void)unused;
    real        got[3];
    net_message m;
    wire_stated stated;
    world      *w = world_new(yaml, 1, NULL);

    world_begin(w, 1, NULL, 0);
    pull_one(w, 0, 0, 0);
    assert_true(answered(w, 0, 0, got));
    push_one(w, 0, 0, 1);
    push_one(w, 0, 0, 1);
    wire_header h = head(w, WIRE_STATS, 0, 8);
    must(wire_encode_empty(&m, &h));
    post(w, 0, 0, m);
    deliver_all(w);
    expect_answer(w, 0, 0, WIRE_STATED, 8, &m);
    must(wire_decode_stated(&stated, &m));
    net_message_clear(&m);
    assert_int_equal(stated.rows, 1);
    assert_int_equal(stated.dropped, 1);
    assert_true(stated.bytes > 0);
    world_free(w);
}

static int setup(void **state)
{
    log_threshold(LOG_ERROR); /* drops are meant here */
    return room_open(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_shards_ends_with_the_same_bits),
        cmocka_unit_test(repeated_late_and_reordered_messages_change_nothing),
        cmocka_unit_test(a_row_is_born_the_same_on_any_server),
        cmocka_unit_test(a_pull_sees_exactly_the_version_it_names),
        cmocka_unit_test(a_step_waits_for_every_worker_and_every_pull_told_of),
        cmocka_unit_test(a_read_waits_for_its_version),
        cmocka_unit_test(many_reads_wait_for_their_versions),
        cmocka_unit_test(who_finds_too_many_waiting_is_told_so),
        cmocka_unit_test(the_largest_staleness_has_room_for_every_pull),
        cmocka_unit_test(a_repeated_save_gets_the_same_bytes_and_writes_nothing),
        cmocka_unit_test(a_repeated_begin_is_answered_and_changes_nothing),
        cmocka_unit_test(a_new_generation_starts_over_and_old_messages_are_dropped),
        cmocka_unit_test(a_run_that_cannot_begin_is_told_why),
        cmocka_unit_test(steps_end_where_a_row_cannot_remember_them),
        cmocka_unit_test(missing_counts_are_named_at_the_start),
        cmocka_unit_test(what_makes_no_sense_is_counted_and_dropped),
        cmocka_unit_test(who_asks_for_what_is_gone_or_never_comes_is_told_so),
        cmocka_unit_test(damaged_bytes_are_dropped),
        cmocka_unit_test(stats_tell_rows_and_drops),
    };
    return cmocka_run_group_tests(tests, setup, room_close);
}
