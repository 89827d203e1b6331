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

#include "tests/bench/machine_bench.h"
#include "worker/layers/layers.h"

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
    model_bench m;
    setting     setting;
    part        until;
    bool        ragged;
    int         B, events, sessions;
    double      pairs; /* of events within sessions */
} bench;

/* ---- setting up ---- */

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
    const model_config *c = &b->m.config->model;
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
    const setting *s    = &b->setting;
    yaml_text      kind = {0};

    b->m = (model_bench){.fields = s->fields, .dim = s->dim};
    yaml_add(&kind,
             "kind: dsin, attention: {score: bilinear, normalize: softmax}, transformer: "
             "{heads: %d}, sessions: {keep: %d, max_len: %d}, mlp: {units: [%d, %d]}",
             s->heads, KEEP, LENGTH, s->mlp[0], s->mlp[1]);
    model_bench_open(&b->m, ", time: {kind: time}", kind.at, "");
    graph_set_logits(b->m.graph, build(b, b->m.graph));
    MUST(graph_error(b->m.graph));
    MUST(dense_seal(b->m.dense, 1));
}

/* Sessions of a sample; ragged: 3.6 with 5.5 events each in the mean. */
static int sessions_of(const bench *b, rng *r)
{
    return b->ragged ? (int)rng_below(r, KEEP) + (rng_below(r, 5) < 3) + 1 : KEEP;
}

static void draw_history(bench *b, batch_sequence *s, rng *r)
{
    size_t most = (size_t)b->B * (KEEP + 1) * LENGTH;

    s->time = room(&b->m, most * sizeof *s->time);
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
}

/* ---- timing ---- */

/* The seconds of one forward and backward pass. */
static double step(bench *b)
{
    double begin = thread_seconds(), loss = train_step(&b->m);

    if (!isfinite(loss)) {
        fprintf(stderr, "bench_sessions: the loss is %g\n", loss);
        exit(1);
    }
    return thread_seconds() - begin;
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
    begin_batch(&b->m, B);
    draw_history(b, b->m.batch.sequences, &r);
    draw_ids(&b->m, &r);
    draw_rows(&b->m, &r);
    return b;
}

/* The fastest of each counts: what else runs on the machine only ever adds time. */
static void measure(bench **b, double budget, best *m)
{
    double begin = thread_seconds();

    *m = (best){.large = 0};
    for (part i = 0; i < PARTS; i++)
        m->step[i] = step(b[i]);
    for (int n = 0; n < 5 || thread_seconds() - begin < budget; n++) {
        for (part i = 0; i < PARTS; i++)
            m->step[i] = fmin(m->step[i], step(b[i]));
        if (n >= 5)
            continue;
        m->multiply_adds = fmax(m->multiply_adds, multiply_adds());
        m->large         = fmax(m->large, large_gemm(&b[0]->m));
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
        model_bench_clear(&b[i]->m);
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
