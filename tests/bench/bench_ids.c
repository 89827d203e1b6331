/* bench_ids - what it takes to find the distinct ids of a batch.
 *
 *     bench_ids [SECONDS]
 *
 * Nanoseconds for each id of a slot (a sequence of 50 events a sample), over batch sizes
 * and over how often ids repeat; and for bare ids, all different. Medians of rounds. */
#include "common/rng.h"
#include "tests/bench/bench.h"
#include "worker/data/id_set.h"

enum { EVENTS = 50, ROUNDS = 9, BATCHES = 4 };

static const char yaml[] = "tables: {t: {dim: 16}}\n"
                           "features: {h: {columns: {c: {table: t}}}}\n";

typedef struct bench {
    config   *config;
    schema   *schema;
    id_maker *maker;
    arena     inputs, step;
    batch     batches[BATCHES];
    double    seconds;
} bench;

/* Ids from a universe of 2^bits: all alike, or k with a probability like 1/k. */
static uint64_t draw_id(rng *r, int bits, bool skewed)
{
    int b = skewed ? (int)(rng_uniform(r) * bits) : bits;

    return ((uint64_t)1 << b) + rng_below(r, (uint64_t)1 << b);
}

static err_t draw_batches(bench *b, int B, int bits, bool skewed)
{
    rng r = rng_named(1, RNG_TEST, 0, 0);

    arena_reset(&b->inputs);
    for (int i = 0; i < BATCHES; i++) {
        batch *x = &b->batches[i];
        int   *offsets, n = B * EVENTS;
        *x = (batch){.B = B};
        TRY(arena_take_zero(&b->inputs, sizeof *x->slots, &x->slots));
        TRY(arena_take_zero(&b->inputs, sizeof *x->sequences, &x->sequences));
        TRY(arena_take(&b->inputs, (size_t)(B + 1) * sizeof *offsets, &offsets));
        TRY(arena_take(&b->inputs, (size_t)n * sizeof *x->slots->ids, &x->slots->ids));
        for (int k = 0; k <= B; k++)
            offsets[k] = k * EVENTS;
        for (int k = 0; k < n; k++)
            x->slots->ids[k] = draw_id(&r, bits, skewed);
        *x->sequences  = (batch_sequence){.events = n, .offsets = offsets};
        x->slots->rows = x->slots->n = n;
    }
    return OK;
}

/* Make sets of all batches again and again; bare: without counts and places. */
static err_t time_sets(bench *b, bool bare, int *distinct, double *ns)
{
    double rounds[ROUNDS];
    id_set set;

    for (int round = 0; round < ROUNDS; round++) {
        double begin = thread_seconds(), took = 0, n = 0;
        while (took < b->seconds / ROUNDS) {
            for (int i = 0; i < BATCHES; i++) {
                const uint64_t *lists[1] = {b->batches[i].slots->ids};
                const size_t    many[1]  = {(size_t)b->batches[i].slots->n};
                arena_reset(&b->step);
                TRY(bare ? id_maker_make_bare(b->maker, lists, many, &b->step, &set)
                         : id_maker_make(b->maker, &b->batches[i], &b->step, &set));
                n += b->batches[i].slots->n;
            }
            took = thread_seconds() - begin;
        }
        rounds[round] = took / n * 1e9;
    }
    qsort(rounds, ROUNDS, sizeof *rounds, ascending);
    *distinct = set.n;
    *ns       = rounds[ROUNDS / 2];
    return OK;
}

static err_t run(bench *b)
{
    static const int sizes[] = {4, 32, 256, 1024, 4096};

    TRY(config_parse(&b->config, "bench.yaml", yaml, strlen(yaml), 0, NULL));
    TRY(schema_new(&b->schema, b->config));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int skewed = 1; skewed >= 0; skewed--) {
            int    distinct;
            double ns, bare;
            TRY(id_maker_new(&b->maker, b->schema, 2));
            TRY(draw_batches(b, sizes[i], skewed ? 20 : 40, skewed));
            TRY(time_sets(b, false, &distinct, &ns));
            TRY(time_sets(b, true, &distinct, &bare));
            printf("batch %5d: %6d ids, %6d distinct: %5.1f ns an id; bare %5.1f\n", sizes[i],
                   sizes[i] * EVENTS, distinct, ns, bare);
            fflush(stdout);
            id_maker_free(&b->maker);
        }
    return OK;
}

int main(int argc, char **argv)
{
    bench b = {.seconds = argc > 1 ? atof(argv[1]) : 0.5};

    if (run(&b) != OK) {
        fprintf(stderr, "bench_ids: %s\n", err_text());
        return 1;
    }
    schema_free(&b.schema);
    config_free(&b.config);
    arena_clear(&b.inputs);
    arena_clear(&b.step);
    return 0;
}
