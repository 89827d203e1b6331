/* bench_step - how fast one training step of DIN or DIEN computes, without reading and servers.
 *
 *     bench_step [seconds a line] [batch] [dice|sigmoid|dien] [fp32|bf16]
 *
 * Times forward and backward on random rows, in one thread, for two models, three batches and
 * histories of 50 events or of 20 in the mean. GFLOP/s count only arithmetic that nobody can
 * do without: the activation unit's first layer as one product per event,
 * k (Wk - Wd + diag(q) Wp), forward once and backward twice; of DIEN the auxiliary net's first
 * layer is split, so that the states' part serves events and negatives. Beside stands their
 * share of what was measured in the same run, between the steps: the machine's fused
 * multiply-adds, a large sgemm, and sgemm at the step's own shapes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clones.h"
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

static const int NET_UNITS[] = {100, 50}; /* of DIEN's auxiliary loss */

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
    setting     setting;
    const char *activation; /* of the activation unit, or dien */
    const char *precision;
    int         B, T, events; /* samples; events of each, or in the mean; of all */
    bool        ragged;
    int     ids; /* distinct ids of a table in the batch at most: unique shares of real data */
    config *config;
    schema *schema;
    dense  *dense;
    graph  *graph;
    arena   inputs, step;
    batch   batch;
    real  **rows, **gradients;
} bench;

/* ---- setting up ---- */

static bool is_dien(const bench *b)
{
    return !strcmp(b->activation, "dien");
}

/* What DIN and DIEN have of their own. */
static void write_kind(char *at, size_t size, const bench *b)
{
    const setting *s = &b->setting;
    int            n = 0;

    if (!is_dien(b)) {
        snprintf(at, size, "kind: din, attention: {units: [%d, %d], activation: %s}",
                 s->units[0], s->units[1], b->activation);
        return;
    }
    n = snprintf(at, size, "kind: dien, auxiliary: {units: [%d, %d], negatives: [",
                 NET_UNITS[0], NET_UNITS[1]);
    for (int f = 0; f < s->fields; f++)
        n += snprintf(at + n, size - (size_t)n, "%sn%d", f ? ", " : "", f);
    snprintf(at + n, size - (size_t)n, "]}");
}

static void configure(bench *b)
{
    char           kind[256];
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
    for (int f = 0; f < s->fields && is_dien(b); f++)
        at += snprintf(at, (size_t)(end - at), ", n%d: {table: f%d}", f, f);
    write_kind(kind, sizeof kind, b);
    at += snprintf(at, (size_t)(end - at),
                   "}}\nmodel: {%s, profile: [user], history: history, candidate: [", kind);
    for (int f = 0; f < s->fields; f++)
        at += snprintf(at, (size_t)(end - at), "%sf%d", f ? ", " : "", f);
    snprintf(at, (size_t)(end - at), "], mlp: {units: [%d, %d]}}\ntrain: {precision: %s}\n",
             s->mlp[0], s->mlp[1], b->precision);
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

/* Ragged: 1 .. 2 T - 1 events, all as likely. */
static void draw_lengths(bench *b, int *offsets, rng *r)
{
    for (int i = 0; i < b->B; i++)
        offsets[i + 1] =
            offsets[i] + (b->ragged ? 1 + (int)rng_below(r, (uint64_t)(2 * b->T - 1)) : b->T);
    b->events = offsets[b->B];
    b->ids    = 1 + b->events * 2 / 5;
}

static void draw_batch(bench *b, rng *r)
{
    const schema *s = b->schema;
    batch        *x = &b->batch;

    *x                    = (batch){.B = b->B, .weight_sum = b->B};
    x->label              = room(b, (size_t)b->B * sizeof *x->label);
    x->slots              = room(b, (size_t)s->n_slots * sizeof *x->slots);
    x->sequences          = room(b, sizeof *x->sequences);
    x->sequences->offsets = room(b, (size_t)(b->B + 1) * sizeof *x->sequences->offsets);
    draw_lengths(b, x->sequences->offsets, r);
    x->sequences->events = b->events;
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
        memset(b->gradients[t], 0, (size_t)b->ids * (size_t)b->setting.dim * sizeof(real));
    MUST(graph_forward(b->graph, &p, &logits));
    MUST(graph_backward(b->graph, &p, &loss));
    return loss / b->B;
}

/* Products of a step, as (rows, columns, inner) of their forward pass. */
typedef struct products {
    int n, shape[14][3];
} products;

/* Two recurrent layers as wide as an event, and the net of the auxiliary loss. */
static products products_of_dien(const bench *b)
{
    const setting *s = &b->setting;
    int D = s->fields * s->dim, E = b->events, *units = (int[]){NET_UNITS[0], NET_UNITS[1]};

    return (products){14,
                      {{E, 3 * D, D},
                       {E, 3 * D, D},
                       {E, 3 * D, D},
                       {E, 3 * D, D},
                       {E, units[0], D}, /* states, events, negatives */
                       {E, units[0], D},
                       {E, units[0], D},
                       {2 * E, units[1], units[0]},
                       {2 * E, 1, units[1]},
                       {b->B, D, D}, /* the candidate's part of the scores */
                       {E, 1, D},
                       {b->B, s->mlp[0], 2 * D + s->dim},
                       {b->B, s->mlp[1], s->mlp[0]},
                       {b->B, 1, s->mlp[1]}}};
}

static products products_of(const bench *b)
{
    const setting *s = &b->setting;
    int            D = s->fields * s->dim, E = b->events;

    if (is_dien(b))
        return products_of_dien(b);
    return (products){6,
                      {{E, s->units[0], D},
                       {E, s->units[1], s->units[0]},
                       {b->B, s->units[0], D}, /* the candidate's part */
                       {b->B, s->mlp[0], 2 * D + s->dim},
                       {b->B, s->mlp[1], s->mlp[0]},
                       {b->B, 1, s->mlp[1]}}};
}

/* Floating point operations of a step that nobody can do without: of its products, of the
 * scores and of the weighted sum. */
static double operations(const bench *b)
{
    products p = products_of(b);
    int      D   = b->setting.fields * b->setting.dim;
    double   sum = is_dien(b) ? 0 : (double)b->events * (b->setting.units[1] + D);

    for (int i = 0; i < p.n; i++)
        sum += (double)p.shape[i][0] * p.shape[i][1] * p.shape[i][2];
    return 3 * 2 * sum;
}

/* ---- what the machine can do, in operations per second ---- */

#define SUMS 16

typedef real wide __attribute__((vector_size(64)));

/* Rounds of SUMS independent multiply-adds of 64 bytes. */
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
    real  *A = room(b, (size_t)LARGE * LARGE * sizeof *A);
    real  *C = room(b, (size_t)LARGE * LARGE * sizeof *C);
    double begin;

    begin = seconds();
    gemm(C, LARGE, plain(A, LARGE), plain(A, LARGE), LARGE, LARGE, LARGE, false);
    return 2.0 * LARGE * LARGE * LARGE / (seconds() - begin);
}

/* All products of a step, forward and backward, by the library. */
static double gemm_of_shapes(bench *b, real *room_of_three, size_t stride)
{
    real    *x = room_of_three, *y = x + stride, *w = y + stride;
    products p   = products_of(b);
    double   sum = 0, begin = seconds();

    for (int i = 0; i < p.n; i++) {
        int M = p.shape[i][0], N = p.shape[i][1], K = p.shape[i][2];
        gemm(y, N, plain(x, K), transposed(w, K), M, N, K, false);
        gemm(w, K, transposed(y, N), plain(x, K), N, K, M, false);
        gemm(x, K, plain(y, N), plain(w, K), M, K, N, false);
        sum += 3 * 2.0 * M * N * K;
    }
    return sum / (seconds() - begin);
}

/* ---- a line ---- */

typedef struct best {
    double step, multiply_adds, large, shapes; /* seconds; operations per second */
} best;

/* The fastest of each counts: what else runs on the machine only ever adds time. */
static void measure(bench *b, double budget, best *m)
{
    size_t stride = (size_t)b->events * 384 + 384 * 384;
    real  *spare  = room(b, 3 * stride * sizeof *spare);
    double first = step(b), begin = seconds();

    *m = (best){.step = 1e9};
    for (int n = 0; n < 5 || seconds() - begin < budget; n++) {
        double since = seconds(), loss = step(b);
        m->step = fmin(m->step, seconds() - since);
        if (loss != first || !(loss > .5 && loss < 1)) {
            fprintf(stderr, "bench_step: the loss was %.9g and is %.9g\n", first, loss);
            exit(1);
        }
        if (n >= 5)
            continue;
        m->multiply_adds = fmax(m->multiply_adds, multiply_adds());
        m->large         = fmax(m->large, large_gemm(b));
        m->shapes        = fmax(m->shapes, gemm_of_shapes(b, spare, stride));
    }
}

static void run(const setting *s, const char *activation, const char *precision, int B,
                bool ragged, double budget)
{
    bench b = {.setting    = *s,
               .activation = activation,
               .precision  = precision,
               .B          = B,
               .T          = ragged ? 20 : 50,
               .ragged     = ragged};
    rng   r = rng_named(1, RNG_TEST, 0, 0);
    best  m;

    configure(&b);
    draw_batch(&b, &r);
    draw_rows(&b, &r);
    measure(&b, budget, &m);
    double rate = operations(&b) / m.step;
    printf("%-8s %5d  %s %9.0f %8.1f %7.0f %% %7.0f %% %7.0f %%\n", activation, B,
           ragged ? "mean 20" : " all 50", B / m.step, rate * 1e-9,
           100 * rate / m.multiply_adds, 100 * rate / m.large, 100 * rate / m.shapes);
    fflush(stdout);
    clear(&b);
}

static void run_setting(const setting *s, const char *activation, const char *precision,
                        int only, double budget)
{
    static const int batches[] = {256, 1024, 4096};

    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        for (int ragged = 0; ragged < 2; ragged++)
            if (!only || only == batches[i])
                run(s, activation, precision, batches[i], ragged, budget);
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
    double budget = n > 1 ? atof(words[1]) : 1;
    int    only   = n > 2 ? atoi(words[2]) : 0;
    const char *precision = n > 4 ? words[4] : "fp32";

    print_machine();
    gemm_single_thread();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        printf("%s\n                        samples/s  GFLOP/s    of FMA   of sgemm  of its "
               "shapes\n",
               settings[i].name);
        run_setting(&settings[i], n > 3 ? words[3] : "dice", precision, only, budget);
        if (n <= 3)
            run_setting(&settings[i], "sigmoid", precision, only, budget);
    }
    return 0;
}
