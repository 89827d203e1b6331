/* bench_remote - what it costs a training step that the rows are elsewhere.
 *
 *     bench_remote [SECONDS [BATCH [EVENTS]]]
 *
 * Whole steps of DIN (pull, forward, backward, push, update) by one worker against a shard
 * that is a thread of the same process (embedded), and a process of its own over ipc, over
 * tcp, over tcp through another process that passes on at once what comes (tcp + 0 ms), and
 * through one that keeps every byte for a millisecond: all in one run, in turns of a few
 * steps; figures are medians over the turns, and so are the shares by which a step takes
 * longer than the embedded one of its turn. What the millisecond costs is told against
 * tcp + 0 ms, where a process passes on the same bytes, with somewhat fewer awakenings. With
 * staleness s the rows of the next s steps travel while a step computes. Beside a step's time
 * stand what it waits for rows, and the CPU time that worker, server and wire have for it,
 * all in ms. SECONDS for each figure; 11 turns of 8 steps at least. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "far_side.h"
#include "slow_wire.h"
#include "worker/learner.h"

enum { PLACES = 5, BATCHES = 8, TURNS = 11, FIELDS = 3, GOODS = 1000000, STALENESS = 2 };
enum { STEPS_LEAST = 8 };            /* of a turn: fewer would hide nothing behind each other */
enum { UNDELAYED = 3, DELAYED = 4 }; /* places behind a slow wire */
enum { RATE, WAIT, OF_WORKER, OF_SERVER, OF_WIRE, FIGURES };

static const char yaml[] =
    "tables:\n"
    "  user: {dim: 16, optimizer: rowwise_adagrad}\n"
    "  f0: {dim: 16, optimizer: rowwise_adagrad}\n"
    "  f1: {dim: 16, optimizer: rowwise_adagrad}\n"
    "  f2: {dim: 16, optimizer: rowwise_adagrad}\n"
    "features:\n"
    "  user: {table: user}\n"
    "  f0: {table: f0}\n"
    "  f1: {table: f1}\n"
    "  f2: {table: f2}\n"
    "  history: {columns: {f0: {table: f0}, f1: {table: f1}, f2: {table: f2}}}\n"
    "model: {kind: din, profile: [user], candidate: [f0, f1, f2], history: history}\n";

/* A worker with its shard somewhere. */
typedef struct place {
    const char *kind, *name;
    bool        wired; /* behind a slow wire */
    int64_t     delay; /* of that; nanoseconds */
    far_side    far;
    slow_wire   wire;
    net        *net;
    net_link   *link;
    job         job;
    learner    *learner;
    int64_t     step;
    double      figures[FIGURES][TURNS];
} place;

typedef struct bench {
    int     B, T;
    double  seconds;
    config *config;
    schema *schema;
    comm   *alone;
    arena   inputs, step;
    batch   batches[BATCHES];
    id_set *sets[BATCHES];
    double  ids; /* distinct ones of a batch, in the mean */
    place   places[PLACES];
} bench;

/* ---- batches ---- */

/* Few ids are seen often, most of them seldom: k with a probability like 1/k. */
static uint64_t draw_id(rng *r)
{
    double bits = rng_uniform(r) * 20; /* 2^20 is about GOODS */

    return (((uint64_t)1 << (int)bits) + rng_below(r, (uint64_t)1 << (int)bits)) % GOODS;
}

static err_t draw_slot(bench *b, const schema_slot *about, batch_slot *slot, rng *r)
{
    slot->rows = slot->n = about->sequence < 0 ? b->B : b->B * b->T;
    TRY(arena_take(&b->inputs, (size_t)slot->n * sizeof *slot->ids, &slot->ids));
    for (int i = 0; i < slot->n; i++)
        slot->ids[i] = draw_id(r);
    return OK;
}

static err_t draw_batch(bench *b, batch *x, rng *r)
{
    const schema *s = b->schema;
    arena        *a = &b->inputs;
    int          *offsets;

    *x = (batch){.B = b->B, .weight_sum = b->B};
    TRY(arena_take(a, (size_t)b->B * sizeof *x->label, &x->label));
    TRY(arena_take_zero(a, (size_t)s->n_slots * sizeof *x->slots, &x->slots));
    TRY(arena_take_zero(a, sizeof *x->sequences, &x->sequences));
    TRY(arena_take(a, (size_t)(b->B + 1) * sizeof *offsets, &offsets));
    for (int i = 0; i <= b->B; i++)
        offsets[i] = i * b->T;
    for (int i = 0; i < b->B; i++)
        x->label[i] = (real)rng_below(r, 2);
    *x->sequences = (batch_sequence){.events = b->B * b->T, .offsets = offsets};
    for (int k = 0; k < s->n_slots; k++)
        TRY(draw_slot(b, &s->slots[k], &x->slots[k], r));
    return OK;
}

static err_t draw_batches(bench *b)
{
    rng       r     = rng_named(1, RNG_TEST, 0, 0);
    id_maker *maker = NULL;
    size_t    bytes = (size_t)b->schema->n_tables * sizeof(id_set);

    TRY(id_maker_new(&maker, b->schema, 1));
    for (int i = 0; i < BATCHES; i++) {
        TRY(draw_batch(b, &b->batches[i], &r));
        TRY(arena_take(&b->inputs, bytes, &b->sets[i]));
        TRY(id_maker_make(maker, &b->batches[i], &b->inputs, b->sets[i]));
        for (int t = 0; t < b->schema->n_tables; t++)
            b->ids += b->sets[i][t].n / (double)BATCHES;
    }
    id_maker_free(&maker);
    return OK;
}

/* ---- places ---- */

static err_t place_open(bench *b, place *p)
{
    const char *there = p->wired ? p->wire.endpoint : p->far.endpoints[0];

    p->net = p->far.net;
    if (p->far.pid)
        TRY(net_new(&p->net));
    TRY(net_dial(&p->link, p->net, 1, &there));
    p->job = (job){.config  = b->config,
                   .schema  = b->schema,
                   .workers = b->alone,
                   .shards  = net_link_transport(p->link),
                   .clock   = clock_monotonic()};
    TRY(learner_new(&p->learner, &p->job, STALENESS + 1));
    return learner_begin(p->learner, NULL, 0);
}

static err_t place_close(place *p)
{
    learner_free(&p->learner);
    net_link_close(&p->link);
    if (p->far.pid)
        net_free(&p->net);
    if (p->wired)
        TRY(slow_wire_close(&p->wire));
    return far_close(&p->far);
}

/* n steps from a drain point to the next. */
static err_t train(bench *b, place *p, int n, int staleness)
{
    int64_t first = p->step, end = p->step + n, pulled = first;

    for (; p->step < end; p->step++) {
        learner_outcome outcome;
        arena_reset(&b->step);
        for (; pulled < end && pulled <= p->step + staleness; pulled++) {
            int64_t version = pulled - staleness;
            TRY(learner_pull(p->learner, pulled, version > first ? version : first,
                             b->sets[pulled % BATCHES]));
        }
        TRY(learner_step(p->learner, p->step, pulled, &b->batches[p->step % BATCHES],
                         b->sets[p->step % BATCHES], &b->step, OK, &outcome));
        if (outcome.bad)
            return err_set(ERR_NUMERIC, "step %lld is bad", (long long)p->step);
    }
    return OK;
}

static double median(const double *x)
{
    double sorted[TURNS];

    memcpy(sorted, x, sizeof sorted);
    qsort(sorted, TURNS, sizeof *sorted, ascending);
    return sorted[TURNS / 2];
}

/* The median over turns of a's rate by b's. */
static double faster(const place *a, const place *b)
{
    double ratios[TURNS];

    for (int turn = 0; turn < TURNS; turn++)
        ratios[turn] = a->figures[RATE][turn] / b->figures[RATE][turn];
    return median(ratios);
}

static void tell(bench *b, int staleness)
{
    for (int i = 0; i < PLACES; i++) {
        const place *p = &b->places[i];
        double       m[FIGURES];
        for (int f = 0; f < FIGURES; f++)
            m[f] = median(p->figures[f]);
        printf("staleness %d  %-10s  %8.0f samples/s  %6.2f ms a step  %+5.1f %%  rows %5.2f  "
               "CPU %6.2f %5.2f %5.2f\n",
               staleness, p->name, m[RATE], b->B / m[RATE] * 1e3,
               100 * (faster(&b->places[0], p) - 1), m[WAIT], m[OF_WORKER], m[OF_SERVER],
               m[OF_WIRE]);
    }
    printf("staleness %d  a millisecond keeps %.0f %% of the throughput\n", staleness,
           100 * faster(&b->places[DELAYED], &b->places[UNDELAYED]));
    fflush(stdout);
}

/* What n steps of a place were, beside others. */
static err_t turn_of(bench *b, place *p, int turn, int n, int staleness)
{
    const double waited = learner_time(p->learner)->rows, mine = cpu_seconds(0);
    const double far   = p->far.pid ? cpu_seconds(p->far.pid) : 0;
    const double wire  = p->wired ? cpu_seconds(p->wire.pid) : 0;
    int64_t      begin = now();

    TRY(train(b, p, n, staleness));
    p->figures[RATE][turn]      = n * b->B / seconds_since(begin);
    p->figures[WAIT][turn]      = (learner_time(p->learner)->rows - waited) / n * 1e3;
    p->figures[OF_WORKER][turn] = (cpu_seconds(0) - mine) / n * 1e3;
    p->figures[OF_SERVER][turn] = p->far.pid ? (cpu_seconds(p->far.pid) - far) / n * 1e3 : 0;
    p->figures[OF_WIRE][turn]   = p->wired ? (cpu_seconds(p->wire.pid) - wire) / n * 1e3 : 0;
    return OK;
}

static err_t compare(bench *b, int staleness)
{
    int n = STEPS_LEAST;

    for (int i = 0; i < PLACES; i++) { /* rows are born, memory is there; how many steps fit */
        int64_t begin = now();
        TRY(train(b, &b->places[i], BATCHES, staleness));
        double took = seconds_since(begin) / BATCHES;
        int    fit  = (int)(b->seconds / TURNS / took);
        n           = fit > STEPS_LEAST ? fit : STEPS_LEAST;
    }
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < PLACES; i++)
            TRY(turn_of(b, &b->places[i], turn, n, staleness));
    tell(b, staleness);
    return OK;
}

static err_t run(bench *b)
{
    static const place places[PLACES] = {
        {.kind = "inproc", .name = "embedded"},
        {.kind = "ipc", .name = "ipc"},
        {.kind = "tcp", .name = "tcp"},
        [UNDELAYED] = {.kind = "tcp", .name = "tcp + 0 ms", .wired = true},
        [DELAYED]   = {.kind = "tcp", .name = "tcp + 1 ms", .wired = true, .delay = NS_PER_MS},
    };

    TRY(config_parse(&b->config, "bench.yaml", yaml, strlen(yaml), 0, NULL));
    TRY(schema_new(&b->schema, b->config));
    for (int i = PLACES - 1; i >= 0; i--) { /* threads come last */
        place *p = &b->places[i];
        *p       = places[i];
        TRY(far_open(&p->far, p->kind, 1, b->config, b->schema));
        if (p->wired)
            TRY(slow_wire_open(&p->wire, p->far.endpoints[0], p->delay));
    }
    TRY(comm_self(&b->alone));
    TRY(draw_batches(b));
    print_machine();
    printf("DIN, %d fields x 16, batch %d, %d events, %.0f distinct ids a step\n", FIELDS, b->B,
           b->T, b->ids);
    for (int i = 0; i < PLACES; i++)
        TRY(place_open(b, &b->places[i]));
    for (int staleness = 0; staleness <= STALENESS; staleness++)
        TRY(compare(b, staleness));
    for (int i = 0; i < PLACES; i++)
        TRY(place_close(&b->places[i]));
    return OK;
}

int main(int argc, char **argv)
{
    bench b = {.seconds = argc > 1 ? atof(argv[1]) : 5,
               .B       = argc > 2 ? atoi(argv[2]) : 1024,
               .T       = argc > 3 ? atoi(argv[3]) : 50};

    if (b.seconds <= 0 || b.B <= 0 || b.T <= 0) {
        fprintf(stderr, "usage: bench_remote [SECONDS [BATCH [EVENTS]]]\n");
        return 2;
    }
    if (run(&b) != OK) {
        fprintf(stderr, "bench_remote: %s\n", err_text());
        return 1;
    }
    comm_close(&b.alone);
    schema_free(&b.schema);
    config_free(&b.config);
    arena_clear(&b.inputs);
    arena_clear(&b.step);
    return 0;
}
