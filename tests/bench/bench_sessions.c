/* bench_sessions - how fast a training step of DSIN computes, without reading and servers,
 * and where its time goes.
 *
 *     bench_sessions [seconds a line] [batch]
 *
 * Times forward and backward on random rows, in one thread: histories of 50 events in 5
 * sessions of 10, and ragged ones of 20 in the mean in sessions of 1 to 10. The model is
 * built up part by part; a part's time is what it adds. GFLOP/s count the products alone
 * (projections, heads, feed-forward net, memories, activations, MLP), forward once and backward
 * twice. Beside stands their share of what was measured in the same run: the machine's fused
 * multiply-adds and a large sgemm. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clones.h"
#include "common/rng.h"
#include "worker/kernels/gemm.h"
#include "worker/layers/layers.h"

#define MUST(call)                                                                             \
    do {                                                                                       \
        if ((call) != OK) {                                                                    \
            fprintf(stderr, "bench_sessions: %s\n", err_text());                               \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

#define MOST_FIELDS 3
#define KEEP        5
#define LENGTH      10

typedef struct setting {
    const char *name;
    int         fields, dim, heads, mlp[2];
} setting;

static const setting settings[] = {
    {"3 fields x 16, 2 heads, mlp 200-80", 3, 16, 2, {200, 80}},
    {"2 fields x 64, 4 heads, mlp 80-40", 2, 64, 4, {80, 40}},
};

typedef enum { EVENTS, CUT, ATTENTION, NET, MEMORIES, ALL, PARTS } part;

static const char *const part_words[] = {
    [EVENTS] = "rows", [CUT] = "sessions",      [ATTENTION] = "attention",
    [NET] = "net",     [MEMORIES] = "memories", [ALL] = "the rest"};

/* The model up to a part, and one batch for it. */
typedef struct bench {
    setting setting;
    part    until;
    bool    ragged;
    int     B, events, sessions, ids;
    double  pairs; /* of events within sessions */
    config *config;
    schema *schema;
    dense  *dense;
    graph  *graph;
    arena   inputs, step;
    batch   batch;
    real  **rows, **gradients;
} bench;

/* ---- setting up ---- */

static void *room(bench *b, size_t bytes)
{
    void *piece = NULL;

    MUST(arena_take_zero(&b->inputs, bytes, &piece));
    return piece;
}

static tensor *history(graph *g, int n)
{
    const schema *s = graph_schema(g);
    int           slots[MOST_FIELDS];
    char          name[32];

    for (int f = 0; f < n; f++) {
        snprintf(name, sizeof name, "history.f%d", f);
        slots[f] = schema_find_slot(s, name);
    }
    return embed_slots(g, n, slots);
}

/* DSIN as worker/models/dsin.c has it, ended after the part by sums and one number. */
static tensor *build(const bench *b, graph *g)
{
    const model_config *c = &b->config->model;
    tensor             *x = history(g, b->setting.fields), *interests, *evolved = NULL, *wanted;

    if (b->until >= CUT)
        x = sessions(g, x, &c->sessions, "encoding");
    if (b->until >= ATTENTION)
        x = self_attention(g, x, &c->transformer, "attention");
    if (b->until >= NET)
        x = feed_forward(g, x, &c->transformer, "net");
    interests = x = pool_events(g, x, POOL_MEAN, 0, false);
    if (b->until >= MEMORIES)
        evolved = x = bidirectional_lstm(g, x, &c->lstm, "lstm");
    if (b->until == ALL) {
        attention_config a = c->attention;
        tensor          *q = embed_features(g, &c->candidate);
        wanted             = attention(g, q, interests, &a, "interest");
        x                  = CONCAT(g, embed_features(g, &c->profile), q, wanted,
                                    attention(g, q, evolved, &a, "evolved"));
        return linear(g, mlp(g, x, &c->mlp, "mlp"), 1, "output");
    }
    if (b->until >= CUT)
        x = pool_events(g, x, POOL_SUM, 0, false);
    return linear(g, x, 1, "output");
}

static void configure(bench *b)
{
    char           yaml[4096], *at = yaml, *end = yaml + sizeof yaml;
    const setting *s = &b->setting;

    at += snprintf(at, (size_t)(end - at), "tables: {user: {dim: %d}", s->dim);
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), ", f%d: {dim: %d}", f, s->dim);
    at += snprintf(at, (size_t)(end - at), "}\nfeatures:\n  user: {table: user}\n");
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), "  f%d: {table: f%d}\n", f, f);
    at += snprintf(at, (size_t)(end - at), "  history: {columns: {time: {kind: time}");
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), ", f%d: {table: f%d}", f, f);
    at += snprintf(at, (size_t)(end - at),
                   "}}\nmodel: {kind: dsin, profile: [user], history: history, candidate: [");
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), "%sf%d", f ? ", " : "", f);
    snprintf(at, (size_t)(end - at),
             "], attention: {score: bilinear, normalize: softmax}, transformer: {heads: %d}, "
             "sessions: {keep: %d, max_len: %d}, mlp: {units: [%d, %d]}}\n",
             s->heads, KEEP, LENGTH, s->mlp[0], s->mlp[1]);
    MUST(config_parse(&b->config, "bench", yaml, strlen(yaml), 0, NULL));
    MUST(schema_new(&b->schema, b->config));
    MUST(dense_new(&b->dense, b->config));
    MUST(graph_new(&b->graph, b->config, b->schema, b->dense));
    graph_set_logits(b->graph, build(b, b->graph));
    MUST(graph_error(b->graph));
    MUST(dense_seal(b->dense, 1));
}

/* Sessions of a sample; ragged: 3.6 with 5.5 events each in the mean. */
static int sessions_of(const bench *b, rng *r)
{
    return b->ragged ? (int)rng_below(r, KEEP) + (rng_below(r, 5) < 3) + 1 : KEEP;
}

static void draw_history(bench *b, batch_sequence *s, rng *r)
{
    size_t most = (size_t)b->B * (KEEP + 1) * LENGTH;

    s->offsets = room(b, (size_t)(b->B + 1) * sizeof *s->offsets);
    s->time    = room(b, most * sizeof *s->time);
    for (int i = 0; i < b->B; i++) {
        int n = sessions_of(b, r);
        n     = n > KEEP ? KEEP : n;
        for (int k = 0; k < n; k++) {
            int length = b->ragged ? 1 + (int)rng_below(r, LENGTH) : LENGTH;
            for (int t = 0; t < length; t++)
                s->time[s->events++] = 100000 * (int64_t)k + t;
            b->pairs += (double)length * length;
        }
        b->sessions += n;
        s->offsets[i + 1] = s->events;
    }
    b->events = s->events;
    b->ids    = 1 + b->events * 2 / 5;
}

static void draw_batch(bench *b, rng *r)
{
    const schema *s = b->schema;
    batch        *x = &b->batch;

    *x           = (batch){.B = b->B, .weight_sum = b->B};
    x->label     = room(b, (size_t)b->B * sizeof *x->label);
    x->slots     = room(b, (size_t)s->n_slots * sizeof *x->slots);
    x->sequences = room(b, sizeof *x->sequences);
    draw_history(b, x->sequences, r);
    for (int i = 0; i < b->B; i++)
        x->label[i] = (real)rng_below(r, 2);
    for (int k = 0; k < s->n_slots; k++) {
        batch_slot *slot = &x->slots[k];
        slot->rows = slot->n = s->slots[k].sequence < 0 ? b->B : b->events;
        slot->distinct       = room(b, (size_t)slot->n * sizeof *slot->distinct);
        for (int i = 0; i < slot->n; i++)
            slot->distinct[i] = (int)rng_below(r, (uint64_t)b->ids);
    }
}

static void draw_rows(bench *b, rng *r)
{
    size_t tables = (size_t)b->schema->n_tables, n = (size_t)b->ids * (size_t)b->setting.dim;

    b->rows      = room(b, tables * sizeof *b->rows);
    b->gradients = room(b, tables * sizeof *b->gradients);
    for (size_t t = 0; t < tables; t++) {
        b->rows[t]      = room(b, n * sizeof(real));
        b->gradients[t] = room(b, n * sizeof(real));
        for (size_t i = 0; i < n; i++)
            b->rows[t][i] = (real)(.1 * rng_normal(r));
    }
}

static void clear(bench *b)
{
    graph_free(&b->graph);
    dense_free(&b->dense);
    schema_free(&b->schema);
    config_free(&b->config);
    arena_clear(&b->inputs);
    arena_clear(&b->step);
}

/* ---- timing ---- */

/* Of this thread's work: other programs may run beside. */
static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The seconds of one forward and backward pass. */
static double step(bench *b)
{
    real  *logits;
    double loss, begin = seconds();
    pass   p = {.batch         = &b->batch,
                .rows          = b->rows,
                .row_gradients = b->gradients,
                .arena         = &b->step,
                .training      = true};

    arena_reset(&b->step);
    dense_clear_gradients(b->dense);
    for (int t = 0; t < b->schema->n_tables; t++)
        memset(b->gradients[t], 0, (size_t)b->ids * (size_t)b->setting.dim * sizeof(real));
    MUST(graph_forward(b->graph, &p, &logits));
    MUST(graph_backward(b->graph, &p, &loss));
    if (!isfinite(loss)) {
        fprintf(stderr, "bench_sessions: the loss is %g\n", loss);
        exit(1);
    }
    return seconds() - begin;
}

/* Multiply-adds of the products of a part, forward. */
static double products_of(const bench *b, part which)
{
    double D = b->setting.fields * b->setting.dim, E = b->events, S = b->sessions, B = b->B;

    switch (which) {
    case ATTENTION:
        return E * 4 * D * D + 2 * b->pairs * D;
    case NET:
        return E * 8 * D * D;
    case MEMORIES:
        return S * 16 * D * D;
    case ALL:
        return B * (D * D + 2 * D * D) + 2 * S * 3 * D +
               B * ((5 * D + b->setting.dim) * b->setting.mlp[0] +
                    b->setting.mlp[0] * b->setting.mlp[1] + b->setting.mlp[1]);
    default:
        return 0;
    }
}

#define SUMS 16

typedef real wide __attribute__((vector_size(64)));

CLONES static void multiply_add(wide *sums, long rounds)
{
    wide x[SUMS], factor = sums[0] + (real).5, addend = sums[1] + (real).25;

    for (int i = 0; i < SUMS; i++)
        x[i] = sums[i];
    for (long n = 0; n < rounds; n++)
        for (int i = 0; i < SUMS; i++)
            x[i] = x[i] * factor + addend;
    for (int i = 0; i < SUMS; i++)
        sums[i] = x[i];
}

static double multiply_adds(void)
{
    wide       sums[SUMS] = {{0}};
    const long rounds     = 400000;
    double     begin      = seconds();

    multiply_add(sums, rounds);
    return 2.0 * SUMS * sizeof(wide) / sizeof(real) * (double)rounds / (seconds() - begin);
}

#define LARGE 1024

static double large_gemm(bench *b)
{
    real  *A     = room(b, (size_t)LARGE * LARGE * sizeof *A);
    real  *C     = room(b, (size_t)LARGE * LARGE * sizeof *C);
    double begin = seconds();

    gemm(C, LARGE, plain(A, LARGE), plain(A, LARGE), LARGE, LARGE, LARGE, false);
    return 2.0 * LARGE * LARGE * LARGE / (seconds() - begin);
}

/* ---- lines ---- */

typedef struct best {
    double step[PARTS], multiply_adds, large;
} best;

static bench *open_bench(const setting *s, part until, int B, bool ragged)
{
    bench *b = calloc(1, sizeof *b);
    rng    r = rng_named(1, RNG_TEST, 0, 0);

    *b = (bench){.setting = *s, .until = until, .B = B, .ragged = ragged};
    configure(b);
    draw_batch(b, &r);
    draw_rows(b, &r);
    return b;
}

/* The fastest of each counts: what else runs on the machine only ever adds time. */
static void measure(bench **b, double budget, best *m)
{
    double begin = seconds();

    *m = (best){.large = 0};
    for (part i = 0; i < PARTS; i++)
        m->step[i] = step(b[i]);
    for (int n = 0; n < 5 || seconds() - begin < budget; n++) {
        for (part i = 0; i < PARTS; i++)
            m->step[i] = fmin(m->step[i], step(b[i]));
        if (n >= 5)
            continue;
        m->multiply_adds = fmax(m->multiply_adds, multiply_adds());
        m->large         = fmax(m->large, large_gemm(b[0]));
    }
}

static void report(bench *const *b, const best *m)
{
    const bench *whole = b[ALL];
    double       sum   = 0;

    for (part i = 0; i < PARTS; i++)
        sum += 6 * products_of(whole, i);
    double rate = sum / m->step[ALL];
    printf("%5d  %s %9.0f %8.1f %7.0f %% %7.0f %%\n      ", whole->B,
           whole->ragged ? "ragged" : "all 50", whole->B / m->step[ALL], rate * 1e-9,
           100 * rate / m->multiply_adds, 100 * rate / m->large);
    for (part i = 0; i < PARTS; i++) {
        double took = m->step[i] - (i > 0 ? m->step[i - 1] : 0);
        double own  = 6 * products_of(whole, i) / took;
        printf(" %s %.1f ms", part_words[i], 1e3 * took);
        if (own > 0)
            printf(" (%.0f %%)", 100 * own / m->multiply_adds);
    }
    printf("\n");
    fflush(stdout);
}

static void run(const setting *s, int B, bool ragged, double budget)
{
    bench *b[PARTS];
    best   m;

    for (part i = 0; i < PARTS; i++)
        b[i] = open_bench(s, i, B, ragged);
    measure(b, budget, &m);
    report(b, &m);
    for (part i = 0; i < PARTS; i++) {
        clear(b[i]);
        free(b[i]);
    }
}

int main(int argc, char **argv)
{
    static const int batches[] = {256, 1024};
    double           budget    = argc > 1 ? atof(argv[1]) : 3;
    int              only      = argc > 2 ? atoi(argv[2]) : 0;

    printf("a part's share is of the multiply-adds that the machine does\n");
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        printf("\n%s\n%5s  %s %9s %8s %9s %9s\n", settings[i].name, "batch", "events",
               "samples/s", "GFLOP/s", "of fma", "of sgemm");
        for (size_t k = 0; k < sizeof batches / sizeof *batches; k++)
            for (int ragged = 0; ragged < 2; ragged++)
                if (only == 0 || only == batches[k])
                    run(&settings[i], batches[k], ragged, budget);
    }
    return 0;
}
