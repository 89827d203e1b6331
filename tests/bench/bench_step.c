/* bench_step - how fast one training step of DIN computes, without reading and servers.
 *
 *     bench_step [seconds] [batch] [events]
 *
 * Times forward and backward on random rows, in one thread, and prints samples/s, GFLOP/s
 * and their share of what a large sgemm reaches in the same run. Only arithmetic that is
 * needed counts: the activation unit's first layer as one product per event,
 * k (Wk - Wd + diag(q) Wp), forward once and backward twice. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"
#include "worker/kernels/gemm.h"
#include "worker/models/model.h"

#define MUST(call)                                                                             \
    do {                                                                                       \
        if ((call) != OK) {                                                                    \
            fprintf(stderr, "bench_step: %s\n", err_text());                                   \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

typedef struct setting {
    const char *name;
    int         fields, dim, units[2], mlp[2];
} setting;

static const setting settings[] = {
    {"3 fields x 16, attention 80-40, mlp 200-80", 3, 16, {80, 40}, {200, 80}},
    {"2 fields x 64, attention 80-40, mlp 80-40", 2, 64, {80, 40}, {80, 40}},
};

/* A model and one batch for it. */
typedef struct bench {
    setting setting;
    int     B, T; /* samples; events of each */
    config *config;
    schema *schema;
    dense  *dense;
    graph  *graph;
    arena   inputs, step;
    batch   batch;
    real  **rows, **gradients;
} bench;

#define IDS 20000 /* distinct ids of a table in the batch at most */

/* ---- setting up ---- */

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
    at += snprintf(at, (size_t)(end - at), "  history: {columns: {");
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), "%sf%d: {table: f%d}", f ? ", " : "", f, f);
    at += snprintf(at, (size_t)(end - at),
                   "}}\nmodel: {kind: din, profile: [user], history: history, candidate: [");
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), "%sf%d", f ? ", " : "", f);
    snprintf(at, (size_t)(end - at),
             "], attention: {units: [%d, %d]}, mlp: {units: [%d, %d]}}\n", s->units[0],
             s->units[1], s->mlp[0], s->mlp[1]);
    MUST(config_parse(&b->config, "bench", yaml, strlen(yaml), 0, NULL));
    MUST(schema_new(&b->schema, b->config));
    MUST(dense_new(&b->dense, b->config));
    MUST(graph_new(&b->graph, b->config, b->schema, b->dense));
    MUST(model_build(b->graph, b->config));
    MUST(dense_seal(b->dense, 1));
}

static void *room(bench *b, size_t bytes)
{
    void *piece = NULL;

    MUST(arena_take_zero(&b->inputs, bytes, &piece));
    return piece;
}

static void draw_batch(bench *b, rng *r)
{
    const schema *s = b->schema;
    batch        *x = &b->batch;

    *x                    = (batch){.B = b->B, .weight_sum = b->B};
    x->label              = room(b, (size_t)b->B * sizeof *x->label);
    x->slots              = room(b, (size_t)s->n_slots * sizeof *x->slots);
    x->sequences          = room(b, sizeof *x->sequences);
    x->sequences->events  = b->B * b->T;
    x->sequences->offsets = room(b, (size_t)(b->B + 1) * sizeof *x->sequences->offsets);
    for (int i = 0; i < b->B; i++) {
        x->label[i]                  = (real)rng_below(r, 2);
        x->sequences->offsets[i + 1] = (i + 1) * b->T;
    }
    for (int k = 0; k < s->n_slots; k++) {
        batch_slot *slot = &x->slots[k];
        slot->rows = slot->n = s->slots[k].sequence < 0 ? b->B : x->sequences->events;
        slot->distinct       = room(b, (size_t)slot->n * sizeof *slot->distinct);
        for (int i = 0; i < slot->n; i++)
            slot->distinct[i] = (int)rng_below(r, IDS);
    }
}

static void draw_rows(bench *b, rng *r)
{
    size_t tables = (size_t)b->schema->n_tables, n = (size_t)IDS * (size_t)b->setting.dim;

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

/* The mean loss of one forward and backward pass. */
static double step(bench *b)
{
    real  *logits;
    double loss;
    pass   p = {.batch         = &b->batch,
                .rows          = b->rows,
                .row_gradients = b->gradients,
                .arena         = &b->step,
                .training      = true};

    arena_reset(&b->step);
    dense_clear_gradients(b->dense);
    for (int t = 0; t < b->schema->n_tables; t++)
        memset(b->gradients[t], 0, (size_t)IDS * (size_t)b->setting.dim * sizeof(real));
    MUST(graph_forward(b->graph, &p, &logits));
    MUST(graph_backward(b->graph, &p, &loss));
    return loss / b->B;
}

/* Floating point operations of a step that nobody can do without. */
static double operations(const bench *b)
{
    const setting *s = &b->setting;
    double         D = s->fields * s->dim, in = 2 * D + s->dim;
    double event = D * s->units[0] + (double)s->units[0] * s->units[1] + s->units[1] + D;
    double sample =
        D * s->units[0] + in * s->mlp[0] + (double)s->mlp[0] * s->mlp[1] + s->mlp[1];

    return 3 * 2 * b->B * (b->T * event + sample);
}

#define LARGE 1536

/* Operations per second of a large product. */
static double peak(bench *b)
{
    real *A     = room(b, (size_t)LARGE * LARGE * sizeof *A),
         *C     = room(b, (size_t)LARGE * LARGE * sizeof *C);
    double best = 1e9;

    for (int i = 0; i < 4; i++) {
        double begin = seconds();
        gemm(C, LARGE, plain(A, LARGE), plain(A, LARGE), LARGE, LARGE, LARGE, false);
        best = fmin(best, seconds() - begin);
    }
    return 2.0 * LARGE * LARGE * LARGE / best;
}

/* The fastest step counts: what else runs on the machine only ever adds time. */
static void run(const setting *s, int B, int T, double budget)
{
    bench  b    = {.setting = *s, .B = B, .T = T};
    rng    r    = rng_named(1, RNG_TEST, 0, 0);
    double best = 1e9, total = 0, first;
    int    n = 0;

    configure(&b);
    draw_rows(&b, &r);
    draw_batch(&b, &r);
    first = step(&b);
    for (; total < budget || n < 3; n++) {
        double begin = seconds(), loss = step(&b), took = seconds() - begin;
        best = fmin(best, took);
        total += took;
        if (loss != first || !(loss > .5 && loss < 1)) {
            fprintf(stderr, "bench_step: the loss was %.9g and is %.9g\n", first, loss);
            exit(1);
        }
    }
    double rate = operations(&b) / best, most = peak(&b);
    printf("%s: batch %d, %d events: best %.0f samples/s, mean %.0f; %.1f GFLOP/s, "
           "%.0f %% of sgemm's %.1f; loss %.6f\n",
           s->name, B, T, B / best, B * n / total, rate * 1e-9, 100 * rate / most, most * 1e-9,
           first);
    clear(&b);
}

static void print_machine(void)
{
    char  line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10)) {
            printf("machine: %s", strchr(line, ':') + 2);
            break;
        }
    if (f)
        fclose(f);
}

int main(int n, char **words)
{
    double budget = n > 1 ? atof(words[1]) : 2;
    int    B = n > 2 ? atoi(words[2]) : 1024, T = n > 3 ? atoi(words[3]) : 50;

    print_machine();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        run(&settings[i], B, T, budget);
    return 0;
}
