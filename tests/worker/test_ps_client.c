#include "worker/ps_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rng.h"
#include "common/wire.h"

enum { TABLES = 2, MOST_SHARDS = 8, MOST_MESSAGES = 256, GENERATION = 7 };
static const int dims[TABLES] = {3, 1};

/* ---- a run of shards in memory, and a network that does what a test wants ---- */

typedef struct letter {
    int         from;
    net_message m;
} letter;

typedef struct fake {
    transport    transport;
    clock_source clock;
    int64_t      now;
    letter       mail[MOST_MESSAGES]; /* on its way to the client, the oldest first */
    int          letters;
    net_message  got[MOST_MESSAGES]; /* a copy of all that the client sent, in order */
    int          got_by[MOST_MESSAGES];
    int64_t      got_at[MOST_MESSAGES];
    int          sent;
    unsigned     silent;     /* bit k: shard k does not answer */
    bool         backwards;  /* the youngest letter arrives first */
    bool         twice;      /* every answer comes twice */
    err_t        fails;      /* shard 1 answers FAILED with this code */
    wire_kind    fails_at;   /* ... to requests of this kind */
    int          checks;     /* times that check was asked */
    err_t        check_says;
    void (*spoil)(wire_rows *rows); /* done to the ROWS of shard 1 */
} fake;

static net_message copy_of(const net_message *m)
{
    net_message copy = {0};

    assert_int_equal(net_message_new(&copy, m->size), OK);
    memcpy(copy.data, m->data, m->size);
    return copy;
}

static void post(fake *f, int from, net_message m)
{
    for (int i = 0; i < (f->twice ? 2 : 1); i++) {
        assert_true(f->letters < MOST_MESSAGES);
        f->mail[f->letters++] = (letter){from, i ? copy_of(&m) : m};
    }
}

/* What number d of the row of id is in version. */
static real row_value(uint64_t id, int d, uint64_t version)
{
    return (real)(id * 10 + (uint64_t)d + version * 1000);
}

static void answer_rows(fake *f, int shard, const wire_header *asked, const net_message *m)
{
    wire_header  h = {WIRE_ROWS, asked->generation, (uint32_t)shard, asked->step};
    wire_request r;
    wire_rows    rows;
    net_message  answer = {0};

    assert_int_equal(wire_decode_request(&r, m), OK);
    rows = (wire_rows){.version = r.version, .request = asked->kind, .tables = r.tables};
    for (int t = 0; t < r.tables; t++)
        rows.table[t] = (wire_values){.n = r.table[t].n, .dim = (uint32_t)dims[t]};
    if (f->spoil && shard == 1)
        f->spoil(&rows);
    assert_int_equal(wire_prepare_rows(&answer, &h, &rows), OK);
    for (int t = 0; t < rows.tables && t < r.tables; t++)
        for (uint32_t i = 0; i < rows.table[t].n * rows.table[t].dim; i++)
            rows.table[t].values[i] =
                i / rows.table[t].dim < r.table[t].n
                    ? row_value(r.table[t].ids[i / rows.table[t].dim],
                                (int)(i % rows.table[t].dim), r.version)
                    : 0;
    wire_seal(&answer);
    post(f, shard, answer);
}

static void answer(fake *f, int shard, const net_message *m)
{
    wire_header h;
    net_message a = {0};

    assert_int_equal(wire_open(&h, m), OK);
    assert_int_equal(h.generation, GENERATION);
    wire_header back = {WIRE_DONE, h.generation, (uint32_t)shard, h.step};
    if (f->fails && f->fails_at == h.kind && shard == 1) {
        back.kind = WIRE_FAILED;
        assert_int_equal(
            wire_encode_text(&a, &back, &(wire_text){f->fails, h.kind, "the disk is full", 16}),
            OK);
    } else if (h.kind == WIRE_PULL || h.kind == WIRE_READ) {
        answer_rows(f, shard, &h, m);
        return;
    } else if (h.kind == WIRE_BEGIN || h.kind == WIRE_BIRTH) {
        assert_int_equal(wire_encode_done(&a, &back, &(wire_done){h.kind, 5}), OK);
    } else if (h.kind == WIRE_SAVE) {
        back.kind = WIRE_SAVED;
        assert_int_equal(
            wire_encode_saved(&a, &back, &(wire_saved){100 + (uint64_t)shard, 9, 5}), OK);
    } else if (h.kind == WIRE_STATS) {
        back.kind = WIRE_STATED;
        assert_int_equal(
            wire_encode_stated(&a, &back,
                               &(wire_stated){10 + (uint64_t)shard, 1000, 1, 20, 30, 40}),
            OK);
    } else {
        assert_int_equal(h.kind, WIRE_PUSH);
        return;
    }
    post(f, shard, a);
}

static err_t fake_send(void *self, int to, net_message *m, int timeout_ms)
{
    fake *f = self;

    assert_true(timeout_ms >= 0);
    assert_true(f->sent < MOST_MESSAGES);
    f->got[f->sent]      = *m;
    f->got_at[f->sent]   = f->now;
    f->got_by[f->sent++] = to;
    if (!(f->silent >> to & 1))
        answer(f, to, m);
    *m = (net_message){0};
    return OK;
}

static err_t fake_receive(void *self, int *from, net_message *m, int timeout_ms)
{
    fake *f = self;

    *m = (net_message){0};
    assert_in_range(timeout_ms, 1, 100);
    if (f->letters == 0) {
        f->now += timeout_ms * NS_PER_MS;
        return OK;
    }
    int at = f->backwards ? f->letters - 1 : 0;
    *from  = f->mail[at].from;
    *m     = f->mail[at].m;
    memmove(&f->mail[at], &f->mail[at + 1], (size_t)(--f->letters - at) * sizeof *f->mail);
    return OK;
}

static int64_t fake_now(void *self)
{
    return ((fake *)self)->now;
}

static err_t fake_check(void *self)
{
    fake *f = self;

    f->checks++;
    return f->check_says ? err_set(f->check_says, "stop, please") : OK;
}

/* ---- a client of it ---- */

static table_config configs[TABLES] = {{.name = "goods", .dim = 3}, {.name = "shop", .dim = 1}};
static schema_table schema_tables[TABLES];
static schema       world = {.n_tables = TABLES, .tables = schema_tables};
static fake         run;
static ps_client   *client;
static arena        memory;
static id_set       sets[TABLES];
static real        *rows[TABLES];

static void start(int shards, int in_flight)
{
    memset(&run, 0, sizeof run);
    run.transport = (transport){
        .self = &run, .peers = shards, .send = fake_send, .receive = fake_receive};
    run.clock = (clock_source){.now = fake_now, .self = &run};
    for (int t = 0; t < TABLES; t++)
        schema_tables[t] = (schema_table){&configs[t], hash_table_salt(configs[t].name)};
    ps_client_options options = {.transport  = &run.transport,
                                 .clock      = &run.clock,
                                 .schema     = &world,
                                 .generation = GENERATION,
                                 .worker     = 4,
                                 .workers    = 6,
                                 .in_flight  = in_flight,
                                 .timeout_s  = 2.5,
                                 .checkpoint_timeout_s = 40,
                                 .check      = fake_check,
                                 .self       = &run};
    assert_int_equal(ps_client_new(&client, &options), OK);
}

static void stop(void)
{
    ps_client_free(&client);
    arena_clear(&memory);
    for (int i = 0; i < run.letters; i++)
        net_message_clear(&run.mail[i].m);
    for (int i = 0; i < run.sent; i++)
        net_message_clear(&run.got[i]);
}

/* n random ids in table goods, a few in shop; counts 1, 2, 3, ... */
static void draw_ids(int shards, int n, uint64_t seed)
{
    uint64_t        ids[TABLES][256];
    const uint64_t *lists[TABLES] = {ids[0], ids[1]};
    const size_t    many[TABLES]  = {(size_t)n, (size_t)n / 8};
    rng             r             = rng_named(seed, RNG_TEST, 0, 0);
    id_maker       *maker         = NULL;

    for (int i = 0; i < n; i++) {
        ids[0][i] = rng_below(&r, 100000);
        ids[1][i] = rng_below(&r, 1000);
    }
    assert_int_equal(id_maker_new(&maker, &world, shards), OK);
    assert_int_equal(id_maker_make_bare(maker, lists, many, &memory, sets), OK);
    id_maker_free(&maker);
    for (int t = 0; t < TABLES; t++)
        for (int i = 0; i < sets[t].n; i++)
            sets[t].samples[i] = (uint32_t)i + 1;
}

static void assert_rows_of(uint64_t version)
{
    for (int t = 0; t < TABLES; t++)
        for (int i = 0; i < sets[t].n; i++)
            for (int d = 0; d < dims[t]; d++)
                assert_true(rows[t][i * dims[t] + d] == row_value(sets[t].ids[i], d, version));
}

static void assert_says(const char *sentence)
{
    assert_string_equal(err_text(), sentence);
}

/* ---- the claims ---- */

static void rows_come_in_the_order_of_the_ids_from_any_number_of_shards(void **state)
{
    (void)state;
    for (int shards = 1; shards <= MOST_SHARDS; shards++) {
        start(shards, 1);
        draw_ids(shards, 100, 1);
        assert_int_equal(ps_pull(client, 5, 3, sets), OK);
        assert_int_equal(ps_rows(client, 5, sets, rows), OK);
        assert_rows_of(3);
        assert_int_equal(run.sent, shards);
        stop();
    }
}

static void a_pull_tells_counts_and_goes_to_every_shard_even_without_ids(void **state)
{
    wire_request r;
    wire_header  h;
    int          seen[TABLES] = {0};

    (void)state;
    start(3, 1);
    draw_ids(3, 16, 2);
    assert_int_equal(ps_pull(client, 5, 3, sets), OK);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(run.got_by[k], k);
        assert_int_equal(wire_open(&h, &run.got[k]), OK);
        assert_int_equal(h.kind, WIRE_PULL);
        assert_int_equal(h.sender, 4);
        assert_int_equal(h.step, 5);
        assert_int_equal(wire_decode_request(&r, &run.got[k]), OK);
        assert_int_equal(r.version, 3);
        for (int t = 0; t < TABLES; t++)
            for (uint32_t i = 0; i < r.table[t].n; i++, seen[t]++) {
                assert_int_equal(r.table[t].ids[i], sets[t].ids[seen[t]]);
                assert_int_equal(r.table[t].counts[i], sets[t].samples[seen[t]]);
            }
    }
    for (int t = 0; t < TABLES; t++)
        assert_int_equal(seen[t], sets[t].n);
    stop();

    start(3, 1);
    draw_ids(3, 0, 2);
    assert_int_equal(ps_pull(client, 5, 3, sets), OK);
    assert_int_equal(ps_rows(client, 5, sets, rows), OK);
    assert_int_equal(run.sent, 3);
    stop();
}

static void pulls_in_flight_may_be_answered_in_any_order(void **state)
{
    (void)state;
    start(3, 3);
    run.backwards = true;
    draw_ids(3, 60, 3);
    for (int step = 10; step < 13; step++)
        assert_int_equal(ps_pull(client, step, step - 2, sets), OK);
    for (int step = 10; step < 13; step++) {
        assert_int_equal(ps_rows(client, step, sets, rows), OK);
        assert_rows_of((uint64_t)step - 2);
    }
    stop();
}

static void answers_that_come_twice_or_late_are_dropped(void **state)
{
    (void)state;
    start(2, 1);
    run.twice = true;
    draw_ids(2, 40, 4);
    for (int step = 0; step < 5; step++) { /* the second copies arrive in later steps */
        assert_int_equal(ps_pull(client, step, step, sets), OK);
        assert_int_equal(ps_rows(client, step, sets, rows), OK);
        assert_rows_of((uint64_t)step);
        assert_int_equal(ps_gradients(client, step, sets, rows), OK);
        assert_int_equal(ps_push(client, step, step + 1, &(ps_part){8, 0, true}, sets), OK);
        assert_int_equal(ps_read(client, step, sets, rows), OK);
        assert_rows_of((uint64_t)step);
        assert_int_equal(ps_birth(client, step, sets), OK);
    }
    stop();
}

static void a_late_answer_to_one_call_is_none_to_the_next(void **state)
{
    (void)state;
    start(2, 1);
    draw_ids(2, 40, 4);
    run.twice = true;
    assert_int_equal(ps_birth(client, 0, sets), OK);
    assert_int_equal(run.letters, 1); /* the second copy of shard 1's */
    run.silent = 2;
    assert_int_equal(ps_birth(client, 0, sets), ERR_TIMEOUT);
    assert_says("shard 1 of 2 is silent for 2.5 s: asked for BIRTH of 2");
    stop();
}

/* Of the same step: of an older generation, of a shard that it is not, with a flipped
 * bit, with other counts, of a kind that is no answer. */
static void garbage_is_dropped_and_the_answer_is_still_found(void **state)
{
    net_message good = {0}, bad = {0};
    wire_header old = {WIRE_ROWS, GENERATION - 1, 0, 5}, other = {WIRE_ROWS, GENERATION, 1, 5};
    wire_header beat = {WIRE_BEAT, GENERATION, 0, 5};
    wire_rows   lie  = {.request = WIRE_PULL, .tables = 1, .table = {{.n = 1, .dim = 1}}};

    (void)state;
    start(2, 1);
    draw_ids(2, 40, 5);
    run.silent = 3;
    assert_int_equal(wire_prepare_rows(&bad, &old, &lie), OK);
    lie.table[0].values[0] = 1;
    wire_seal(&bad);
    post(&run, 0, bad);
    assert_int_equal(wire_prepare_rows(&bad, &other, &lie), OK);
    lie.table[0].values[0] = 1;
    wire_seal(&bad);
    post(&run, 0, bad);
    assert_int_equal(wire_encode_empty(&bad, &beat), OK);
    post(&run, 0, bad);
    assert_int_equal(net_message_new(&bad, 100), OK);
    memset(bad.data, 0xa5, bad.size);
    post(&run, 1, bad);
    assert_int_equal(net_message_new(&bad, 0), OK);
    post(&run, 1, bad);
    assert_int_equal(ps_pull(client, 5, 3, sets), OK);
    answer(&run, 0, &run.got[0]);
    good = copy_of(&run.mail[run.letters - 1].m);
    good.data[60] ^= 1;
    run.mail[run.letters++] = (letter){1, good};
    answer(&run, 1, &run.got[1]);
    assert_int_equal(ps_rows(client, 5, sets, rows), OK);
    assert_rows_of(3);
    stop();
}

static void a_silent_shard_is_named_after_the_timeout(void **state)
{
    (void)state;
    start(3, 1);
    run.silent = 1 << 2;
    draw_ids(3, 40, 6);
    assert_int_equal(ps_pull(client, 12, 3, sets), OK);
    assert_int_equal(ps_rows(client, 12, sets, rows), ERR_TIMEOUT);
    assert_says("shard 2 of 3 is silent for 2.5 s: asked for PULL of 12");
    assert_int_equal(run.now, 2500 * NS_PER_MS);
    run.silent = 6;
    assert_int_equal(ps_read(client, 3, sets, rows), ERR_TIMEOUT);
    assert_says("2 of 3 shards are silent for 2.5 s, the first is 1: asked for READ of 1");
    stop();
}

/* Shards write and read files for longer than any step takes. */
static void a_checkpoint_has_a_deadline_of_its_own(void **state)
{
    (void)state;
    start(2, 1);
    run.silent = 2;
    assert_int_equal(ps_save_begin(client, 7, -1, "runs/a/step-7"), ERR_TIMEOUT);
    assert_says("shard 1 of 2 is silent for 40 s: asked for SAVE of 7");
    assert_int_equal(run.now, 40000 * NS_PER_MS);
    stop();
    start(2, 1);
    run.silent = 1;
    assert_int_equal(ps_begin(client, "runs/a/step-7", 7), ERR_TIMEOUT);
    assert_says("shard 0 of 2 is silent for 40 s: asked for BEGIN of 7");
    stop();
}

static void a_wait_asks_whether_to_go_on_every_100_ms(void **state)
{
    (void)state;
    start(2, 1);
    run.silent = 3;
    draw_ids(2, 8, 6);
    assert_int_equal(ps_pull(client, 1, 1, sets), OK);
    assert_int_equal(ps_rows(client, 1, sets, rows), ERR_TIMEOUT);
    assert_in_range(run.checks, 24, 25);
    run.check_says = ERR_INTERRUPT;
    assert_int_equal(ps_rows(client, 1, sets, rows), ERR_INTERRUPT);
    assert_says("stop, please");
    stop();
}

static void assert_same_message(int a, int b)
{
    assert_int_equal(run.got[a].size, run.got[b].size);
    assert_memory_equal(run.got[a].data, run.got[b].data, run.got[a].size);
}

/* After 1 s, and then after twice as long each time. */
static void who_is_silent_is_asked_again_with_the_same_bytes_and_growing_patience(void **state)
{
    (void)state;
    start(2, 1);
    run.silent = 2;
    assert_int_equal(ps_begin(client, "runs/a/step-7", 7), ERR_TIMEOUT); /* after 40 s */
    assert_int_equal(run.sent, 2 + 5);
    for (int i = 2, at = 1, pause = 2; i < run.sent; i++, at += pause, pause *= 2) {
        assert_int_equal(run.got_by[i], 1);
        assert_int_equal(run.got_at[i], at * NS_PER_S);
        assert_same_message(i, 1);
    }
    assert_int_equal(ps_client_traffic(client).repeated, 5);
    stop();
}

static void write_gradients(void);

/* Shard 1 goes silent with the push of step 5 and wakes up at its third repetition. */
static void pushes_are_sent_again_until_later_rows_tell_that_they_arrived(void **state)
{
    (void)state;
    start(2, 2);
    draw_ids(2, 40, 3);
    assert_int_equal(ps_pull(client, 5, 5, sets), OK);
    assert_int_equal(ps_rows(client, 5, sets, rows), OK);
    write_gradients();
    assert_int_equal(ps_push(client, 5, 7, &(ps_part){8, 0, true}, sets), OK);
    run.silent = 2;
    assert_int_equal(ps_pull(client, 6, 6, sets), OK);
    assert_int_equal(run.sent, 6); /* shard 0, shard 1: PULL 5, PUSH 5, PULL 6 */
    assert_int_equal(ps_rows(client, 6, sets, rows), ERR_TIMEOUT);
    assert_int_equal(run.sent, 8); /* once more PUSH 5 and PULL 6, to shard 1 alone */
    assert_same_message(6, 3);
    assert_same_message(7, 5);
    run.silent = 0;
    assert_int_equal(ps_rows(client, 6, sets, rows), OK);
    assert_int_equal(run.sent, 10);
    assert_same_message(8, 3);
    assert_rows_of(6); /* hence step 5 is applied */
    run.silent = 2;
    assert_int_equal(ps_read(client, 7, sets, rows), ERR_TIMEOUT);
    assert_int_equal(run.sent, 13); /* READ to both, and to shard 1 again: no PUSH */
    assert_same_message(12, 11);
    stop();
}

static void a_drain_asks_only_where_something_was_pushed(void **state)
{
    wire_header  h;
    wire_request r;

    (void)state;
    start(2, 1);
    draw_ids(2, 40, 3);
    assert_int_equal(ps_drain(client, 5), OK);
    assert_int_equal(run.sent, 0);
    assert_int_equal(ps_pull(client, 5, 5, sets), OK);
    assert_int_equal(ps_rows(client, 5, sets, rows), OK);
    write_gradients();
    assert_int_equal(ps_push(client, 5, 6, &(ps_part){8, 0, true}, sets), OK);
    assert_int_equal(run.sent, 4);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ps_drain(client, 6), OK);
        assert_int_equal(run.sent, 6);
    }
    assert_int_equal(wire_open(&h, &run.got[5]), OK);
    assert_int_equal(wire_decode_request(&r, &run.got[5]), OK);
    assert_int_equal(h.kind, WIRE_READ);
    assert_int_equal(r.version, 6);
    assert_int_equal(r.table[0].n + r.table[1].n, 0);
    stop();
}

static void spoil_n(wire_rows *r)
{
    r->table[0].n++;
}

static void spoil_dim(wire_rows *r)
{
    r->table[1].dim = 2;
}

static void spoil_tables(wire_rows *r)
{
    r->tables = 1;
}

static void spoil_version(wire_rows *r)
{
    r->version = 4;
}

static void rows_that_were_not_asked_for_are_refused(void **state)
{
    static const struct {
        void (*spoil)(wire_rows *);
        const char *says;
    } cases[] = {
        {spoil_n, "shard 1, PULL of 5: table goods: 10 rows of 3; wanted 9 of 3"},
        {spoil_dim, "shard 1, PULL of 5: table shop: 2 rows of 2; wanted 2 of 1"},
        {spoil_tables, "shard 1, PULL of 5: rows of 1 tables; wanted 2"},
        {spoil_version, "shard 1, PULL of 5: rows of version 4; wanted 3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(2, 1);
        run.spoil = cases[i].spoil;
        draw_ids(2, 16, 8);
        assert_int_equal(sets[0].shard_begin[2] - sets[0].shard_begin[1], 9);
        assert_int_equal(sets[1].shard_begin[2] - sets[1].shard_begin[1], 2);
        assert_int_equal(ps_pull(client, 5, 3, sets), OK);
        assert_int_equal(ps_rows(client, 5, sets, rows), ERR_MESSAGE);
        assert_says(cases[i].says);
        stop();
    }
}

static void a_failed_shard_tells_its_own_sentence_and_code(void **state)
{
    static const struct {
        err_t told, code;
    } cases[] = {{ERR_FORMAT, ERR_FORMAT}, {ERR_MEMORY, ERR_MEMORY}, {(err_t)99, ERR_DEATH}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(2, 1);
        run.fails    = cases[i].told;
        run.fails_at = WIRE_BEGIN;
        assert_int_equal(ps_begin(client, "runs/a/step-1", 1), cases[i].code);
        assert_says("shard 1: the disk is full");
        stop();
    }
    start(2, 1);
    draw_ids(2, 8, 1);
    run.fails    = ERR_MEMORY;
    run.fails_at = WIRE_PULL;
    run.silent   = 1; /* it does not wait for the others */
    assert_int_equal(ps_pull(client, 1, 1, sets), OK);
    assert_int_equal(ps_rows(client, 1, sets, rows), ERR_MEMORY);
    assert_int_equal(run.now, 0);
    stop();
}

/* What number d of the gradient of id is. */
static real gradient_value(uint64_t id, int d)
{
    return (real)((double)(id % 1000) + d / 8.0);
}

static void write_gradients(void)
{
    real *gradients[TABLES];

    assert_int_equal(ps_gradients(client, 5, sets, gradients), OK);
    for (int t = 0; t < TABLES; t++)
        for (int i = 0; i < sets[t].n * dims[t]; i++) {
            assert_true(gradients[t][i] == 0);
            gradients[t][i] = gradient_value(sets[t].ids[i / dims[t]], i % dims[t]);
        }
}

static void a_push_carries_each_shards_gradients_and_the_part(void **state)
{
    wire_push   p;
    wire_header h;

    (void)state;
    for (int shards = 1; shards <= 3; shards++) {
        int seen[TABLES] = {0};
        start(shards, 1);
        draw_ids(shards, 80, 9);
        assert_int_equal(ps_pull(client, 5, 3, sets), OK);
        assert_int_equal(ps_rows(client, 5, sets, rows), OK);
        write_gradients();
        assert_int_equal(ps_push(client, 5, 7, &(ps_part){12.5, 1234, false}, sets), OK);
        assert_int_equal(run.sent, 2 * shards);
        for (int k = 0; k < shards; k++) {
            assert_int_equal(run.got_by[shards + k], k);
            assert_int_equal(wire_open(&h, &run.got[shards + k]), OK);
            assert_int_equal(h.kind, WIRE_PUSH);
            assert_int_equal(h.step, 5);
            assert_int_equal(wire_decode_push(&p, &run.got[shards + k]), OK);
            assert_int_equal(p.pulled_until, 7);
            assert_true(p.samples == 12.5);
            assert_int_equal(p.time, 1234);
            assert_false(p.finite);
            assert_int_equal(p.tables, TABLES);
            for (int t = 0; t < TABLES; t++) {
                assert_int_equal(p.table[t].dim, dims[t]);
                for (int i = 0; i < (int)p.table[t].n * dims[t]; i++, seen[t]++)
                    assert_true(p.table[t].values[i] ==
                                gradient_value(sets[t].ids[seen[t] / dims[t]], i % dims[t]));
            }
        }
        for (int t = 0; t < TABLES; t++)
            assert_int_equal(seen[t], sets[t].n * dims[t]);
        stop();
    }
}

static void begin_tells_the_cut_to_all_shards(void **state)
{
    wire_begin  b;
    wire_header h;

    (void)state;
    start(3, 1);
    assert_int_equal(ps_begin(client, "runs/a/step-9", 9), OK);
    assert_int_equal(ps_begin(client, NULL, 0), OK);
    assert_int_equal(run.sent, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(wire_open(&h, &run.got[i]), OK);
        assert_int_equal(h.step, i < 3 ? 9 : 0);
        assert_int_equal(wire_decode_begin(&b, &run.got[i]), OK);
        assert_int_equal(b.workers, 6);
        assert_int_equal(b.real_bytes, sizeof(real));
        assert_int_equal(b.path_bytes, i < 3 ? 13 : 0);
        assert_memory_equal(b.path, "runs/a/step-9", b.path_bytes);
    }
    stop();
}

static void a_save_lists_the_file_of_every_shard(void **state)
{
    manifest_file files[3];

    (void)state;
    start(3, 1);
    run.backwards = true;
    assert_int_equal(ps_save_begin(client, 9, -1, "runs/a/step-9"), OK);
    assert_int_equal(ps_save_end(client, files), OK);
    for (int k = 0; k < 3; k++) {
        char name[64];
        snprintf(name, sizeof name, "shard-000%d-of-0003.safetensors", k);
        assert_string_equal(files[k].name, name);
        assert_int_equal(files[k].digest.bytes, 100 + k);
        assert_int_equal(files[k].digest.xxh3, 9);
    }
    stop();
}

static void a_save_that_fails_on_one_shard_waits_for_the_others_and_harms_nothing(void **state)
{
    manifest_file files[3];

    (void)state;
    start(3, 1);
    draw_ids(3, 40, 9);
    run.twice    = true;
    run.fails    = ERR_SYSTEM;
    run.fails_at = WIRE_SAVE;
    assert_int_equal(ps_save_begin(client, 9, -1, "runs/a/step-9"), OK);
    assert_int_equal(ps_save_end(client, files), ERR_SYSTEM);
    assert_says("shard 1: the disk is full");
    assert_int_equal(run.mail[0].from, 2); /* the second copy of the last answer */
    assert_int_equal(run.letters, 1);
    assert_int_equal(ps_pull(client, 9, 9, sets), OK);
    assert_int_equal(ps_rows(client, 9, sets, rows), OK);
    assert_rows_of(9);
    run.fails = OK;
    assert_int_equal(ps_save_begin(client, 10, -1, "runs/a/step-10"), OK);
    assert_int_equal(ps_save_end(client, files), OK);
    stop();
}

static void statistics_are_summed_over_the_shards(void **state)
{
    ps_stats stats;

    (void)state;
    start(3, 1);
    assert_int_equal(ps_client_stats(client, &stats), OK);
    assert_int_equal(stats.rows, 33);
    assert_int_equal(stats.bytes, 3000);
    assert_int_equal(stats.dropped, 3);
    assert_int_equal(stats.refused, 60);
    assert_int_equal(stats.admitted, 90);
    assert_int_equal(stats.evicted, 120);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_in_the_order_of_the_ids_from_any_number_of_shards),
        cmocka_unit_test(a_pull_tells_counts_and_goes_to_every_shard_even_without_ids),
        cmocka_unit_test(pulls_in_flight_may_be_answered_in_any_order),
        cmocka_unit_test(answers_that_come_twice_or_late_are_dropped),
        cmocka_unit_test(a_late_answer_to_one_call_is_none_to_the_next),
        cmocka_unit_test(garbage_is_dropped_and_the_answer_is_still_found),
        cmocka_unit_test(a_silent_shard_is_named_after_the_timeout),
        cmocka_unit_test(a_checkpoint_has_a_deadline_of_its_own),
        cmocka_unit_test(a_wait_asks_whether_to_go_on_every_100_ms),
        cmocka_unit_test(who_is_silent_is_asked_again_with_the_same_bytes_and_growing_patience),
        cmocka_unit_test(pushes_are_sent_again_until_later_rows_tell_that_they_arrived),
        cmocka_unit_test(a_drain_asks_only_where_something_was_pushed),
        cmocka_unit_test(rows_that_were_not_asked_for_are_refused),
        cmocka_unit_test(a_failed_shard_tells_its_own_sentence_and_code),
        cmocka_unit_test(a_push_carries_each_shards_gradients_and_the_part),
        cmocka_unit_test(begin_tells_the_cut_to_all_shards),
        cmocka_unit_test(a_save_lists_the_file_of_every_shard),
        cmocka_unit_test(a_save_that_fails_on_one_shard_waits_for_the_others_and_harms_nothing),
        cmocka_unit_test(statistics_are_summed_over_the_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
