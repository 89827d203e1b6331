/* bench_step - how fast one training step of DIN or DIEN computes, without reading and servers.
 *
 *     bench_step [seconds a line] [batch] [dice|sigmoid|dien] [fp32|bf16]
 *
 * Times forward and backward on random rows, in one thread, for two models, three batches and
 * histories of 50 events, or of 20 or 5 in the mean. GFLOP/s count only arithmetic that nobody
 * can do without: the activation unit's first layer as one product per event,
 * k (Wk - Wd + diag(q) Wp), forward once and backward twice; of DIEN the auxiliary net's first
 * layer is split, so that the states' part serves events and negatives. Beside stands their
 * share of what was measured in the same run, between the steps: the machine's fused
 * multiply-adds, a large sgemm, and sgemm at the step's own shapes. */
#include <math.h>

#include "tests/bench/machine_bench.h"

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
    model_bench m;
    setting     setting;
    const char *activation; /* of the activation unit, or dien */
    const char *precision;
    int         B, T, events; /* samples; events of each, or in the mean; of all */
    bool        ragged;
} bench;

/* ---- setting up ---- */

static bool is_dien(const bench *b)
{
    return !strcmp(b->activation, "dien");
}

/* What DIN and DIEN have of their own. */
static void write_kind(yaml_text *kind, yaml_text *columns, const bench *b)
{
    const setting *s = &b->setting;

    if (!is_dien(b)) {
        yaml_add(kind, "kind: din, attention: {units: [%d, %d], activation: %s}", s->units[0],
                 s->units[1], b->activation);
        return;
    }
    yaml_add(columns, ", ");
    yaml_add_fields(columns, &b->m, "n#: {table: f#}");
    yaml_add(kind, "kind: dien, auxiliary: {units: [%d, %d], negatives: [", NET_UNITS[0],
             NET_UNITS[1]);
    yaml_add_fields(kind, &b->m, "n#");
    yaml_add(kind, "]}");
}

static void configure(bench *b)
{
    yaml_text kind = {0}, columns = {0}, rest = {0};

    b->m = (model_bench){.fields = b->setting.fields, .dim = b->setting.dim};
    write_kind(&kind, &columns, b);
    yaml_add(&kind, ", mlp: {units: [%d, %d]}", b->setting.mlp[0], b->setting.mlp[1]);
    yaml_add(&rest, "train: {precision: %s}\n", b->precision);
    model_bench_open(&b->m, columns.at, kind.at, rest.at);
    MUST(model_build(b->m.graph, b->m.config));
    MUST(dense_seal(b->m.dense, 1));
}

/* Ragged: 1 .. 2 T - 1 events, all as likely. */
static void draw_batch(bench *b, rng *r)
{
    begin_batch(&b->m, b->B);
    batch_sequence *history = b->m.batch.sequences;
    for (int i = 0; i < b->B; i++)
        history->offsets[i + 1] =
            history->offsets[i] +
            (b->ragged ? 1 + (int)rng_below(r, (uint64_t)(2 * b->T - 1)) : b->T);
    b->events = history->events = history->offsets[b->B];
    draw_ids(&b->m, r);
    draw_rows(&b->m, r);
}

/* ---- what a step is made of ---- */

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

/* All products of a step, forward and backward, by the library. */
static double gemm_of_shapes(bench *b, real *room_of_three, size_t stride)
{
    real    *x = room_of_three, *y = x + stride, *w = y + stride;
    products p   = products_of(b);
    double   sum = 0, begin = thread_seconds();

    for (int i = 0; i < p.n; i++) {
        int M = p.shape[i][0], N = p.shape[i][1], K = p.shape[i][2];
        gemm(y, N, plain(x, K), transposed(w, K), M, N, K, false);
        gemm(w, K, transposed(y, N), plain(x, K), N, K, M, false);
        gemm(x, K, plain(y, N), plain(w, K), M, K, N, false);
        sum += 3 * 2.0 * M * N * K;
    }
    return sum / (thread_seconds() - begin);
}

/* ---- a line ---- */

typedef struct best {
    double step, multiply_adds, large, shapes; /* seconds; operations per second */
} best;

/* The fastest of each counts: what else runs on the machine only ever adds time. */
static void measure(bench *b, double budget, best *m)
{
    size_t stride = (size_t)b->events * 384 + 384 * 384;
    real  *spare  = room(&b->m, 3 * stride * sizeof *spare);
    double first = train_step(&b->m), begin = thread_seconds();

    *m = (best){.step = 1e9};
    for (int n = 0; n < 5 || thread_seconds() - begin < budget; n++) {
        double since = thread_seconds(), loss = train_step(&b->m);
        m->step = fmin(m->step, thread_seconds() - since);
        if (loss != first || !(loss > .5 && loss < 1)) {
            fprintf(stderr, "bench_step: the loss was %.9g and is %.9g\n", first, loss);
            exit(1);
        }
        if (n >= 5)
            continue;
        m->multiply_adds = fmax(m->multiply_adds, multiply_adds());
        m->large         = fmax(m->large, large_gemm(&b->m));
        m->shapes        = fmax(m->shapes, gemm_of_shapes(b, spare, stride));
    }
}

static void run(const setting *s, const char *activation, const char *precision, int B, int T,
                double budget)
{
    bench b = {.setting    = *s,
               .activation = activation,
               .precision  = precision,
               .B          = B,
               .T          = T,
               .ragged     = T < 50};
    rng   r = rng_named(1, RNG_TEST, 0, 0);
    best  m;

    configure(&b);
    draw_batch(&b, &r);
    measure(&b, budget, &m);
    double rate = operations(&b) / m.step;
    printf("%-8s %5d  %s %2d %9.0f %8.1f %7.0f %% %7.0f %% %7.0f %%\n", activation, B,
           b.ragged ? "mean" : " all", T, B / m.step, rate * 1e-9,
           100 * rate / m.multiply_adds, 100 * rate / m.large, 100 * rate / m.shapes);
    fflush(stdout);
    model_bench_clear(&b.m);
}

static void run_setting(const setting *s, const char *activation, const char *precision,
                        int only, double budget)
{
    static const int batches[] = {256, 1024, 4096}, lengths[] = {50, 20, 5};

    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
            if (!only || only == batches[i])
                run(s, activation, precision, batches[i], lengths[l], budget);
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
