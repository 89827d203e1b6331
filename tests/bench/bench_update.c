/* bench_update - rows/s of one step applied to a table, and births/s.
 *
 *     bench_update [ROWS [SECONDS [DIM [RULE]]]]
 *
 * For each rule (or RULE alone), with weights in fp32 and bf16: a table of ROWS rows of DIM;
 * steps of 50,000 random distinct ids whose rows the pull has found, from one worker, and the
 * same ids from four workers, 12,500 each of its own and 3,125 more that its neighbour has as
 * well. Beside them the bare rule: the same rows in the same memory, their addresses known,
 * the worker's sum divided and the rule applied, nothing else; for dim 16 and row-wise
 * Adagrad it is written by hand. SECONDS for each figure; the four are measured in turns,
 * and the medians told. Rows after a step are compared with the plain rule. */
#include <math.h>

#include "common/bf16.h"
#include "common/clones.h"
#include "common/rng.h"
#include "ps/gradient.h"
#include "ps/update.h"
#include "tests/bench/bench.h"

enum { IDS = 50000, BATCHES = 40, WORKERS = 4, OWN = IDS / WORKERS, SHARED = OWN / 4 };
enum { ROUNDS = 5, AHEAD = 16, SAMPLES = 1024 };

#define MUST(call)                                                                             \
    do {                                                                                       \
        if ((call) != OK) {                                                                    \
            fprintf(stderr, "bench_update: %s\n", err_text());                                 \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

typedef struct bench {
    config   *config;
    schema   *schema;
    table     table;
    uint64_t  n_rows;
    size_t    dim;
    double    lr;
    int64_t   step;
    arena     scratch;
    uint64_t *ids;       /* (BATCHES, IDS + SHARED) distinct but for the last, like the first */
    uint32_t *rows;      /* of them */
    row     **at;        /* their addresses */
    real     *gradients; /* (IDS + WORKERS SHARED, dim) */
} bench;

static void *room(size_t n, size_t size)
{
    void *at = calloc(n, size);

    if (!at) {
        fprintf(stderr, "bench_update: no memory for %zu x %zu bytes\n", n, size);
        exit(1);
    }
    return at;
}

/* ---- a table and the steps it gets ---- */

static void configure(bench *b, const char *rule, const char *precision)
{
    char yaml[256];

    snprintf(yaml, sizeof yaml,
             "tables: {t: {dim: %zu, optimizer: %s, precision: %s, init: {scale: 0.1}}}\n"
             "features: {f: {table: t}}\n",
             b->dim, rule, precision);
    MUST(config_parse(&b->config, "bench", yaml, strlen(yaml), 0, NULL));
    MUST(schema_new(&b->schema, b->config));
    MUST(table_init(&b->table, &b->schema->tables[0], 1, NULL, 0, HASH_BUCKETS));
    b->lr = b->config->tables[0].optimizer.lr;
}

/* Rows for ids 0 .. n_rows-1; their births a second. */
static double bear_all(bench *b)
{
    uint64_t ids[1024];
    uint32_t rows[1024];
    int64_t  start = now();

    for (uint64_t first = 0; first < b->n_rows; first += 1024) {
        uint64_t n = b->n_rows - first < 1024 ? b->n_rows - first : 1024;
        for (uint64_t i = 0; i < n; i++)
            ids[i] = first + i;
        MUST(table_bear(&b->table, ids, n, rows));
    }
    return (double)b->n_rows / seconds_since(start);
}

/* What a pull of ids without rows is answered with, ids/s. */
static double tell_unborn(bench *b)
{
    enum { N = 100000 };
    uint64_t *ids    = room(N, sizeof *ids);
    uint32_t *rows   = room(N, sizeof *rows);
    real     *values = room(N * b->dim, sizeof *values);

    for (uint64_t i = 0; i < N; i++)
        ids[i] = b->n_rows + i;
    int64_t start = now();
    table_gather(&b->table, ids, N, rows, values);
    double per_s = N / seconds_since(start);
    free(ids);
    free(rows);
    free(values);
    return per_s;
}

/* Distinct ids of a batch are drawn one by one, those drawn before being marked. */
static void draw_batches(bench *b)
{
    uint8_t *drawn = room(b->n_rows, 1);
    rng      r     = rng_named(1, RNG_TEST, 0, 0);

    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t *ids = b->ids + (size_t)batch * (IDS + SHARED);
        for (int i = 0; i < IDS;) {
            uint64_t id = rng_below(&r, b->n_rows);
            if (drawn[id] != batch + 1) {
                drawn[id] = (uint8_t)(batch + 1);
                ids[i++]  = id;
            }
        }
        memcpy(ids + IDS, ids, SHARED * sizeof *ids);
    }
    free(drawn);
    row_store_find(b->table.rows, b->ids, (size_t)BATCHES * (IDS + SHARED), b->rows);
    for (size_t i = 0; i < (size_t)BATCHES * (IDS + SHARED); i++)
        b->at[i] = row_store_at(b->table.rows, b->rows[i]);
}

static void draw_gradients(bench *b)
{
    rng r = rng_named(2, RNG_TEST, (uint64_t)b->step, 0);

    for (size_t i = 0; i < (IDS + WORKERS * SHARED) * b->dim; i++)
        b->gradients[i] = (real)(rng_uniform(&r) * 2 - 1);
}

/* ---- what is timed: a step of batch number `batch` ---- */

static void apply(bench *b, update_part *parts, int n)
{
    update_step step = {.step = b->step++, .samples = SAMPLES, .lr = b->lr};

    MUST(update_apply(&b->table, parts, n, &step, &b->scratch));
    arena_reset(&b->scratch);
}

static size_t one_worker(bench *b, int batch)
{
    size_t      at   = (size_t)batch * (IDS + SHARED);
    update_part part = {
        .n = IDS, .ids = b->ids + at, .rows = b->rows + at, .gradients = b->gradients};

    apply(b, &part, 1);
    return IDS;
}

static size_t four_workers(bench *b, int batch)
{
    update_part parts[WORKERS];

    for (size_t k = 0; k < WORKERS; k++) {
        size_t at = (size_t)batch * (IDS + SHARED) + k * OWN;
        parts[k]  = (update_part){.n         = OWN + SHARED,
                                  .ids       = b->ids + at,
                                  .rows      = b->rows + at,
                                  .gradients = b->gradients + k * (OWN + SHARED) * b->dim};
    }
    apply(b, parts, WORKERS);
    return IDS;
}

static void fetch(const bench *b, const row *r)
{
    size_t bytes = sizeof *r + ((size_t)b->table.state_at +
                                optim_state_size(b->config->tables[0].optimizer.kind, b->dim)) *
                                   sizeof(real);

    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch((const char *)r + at, 1);
    __builtin_prefetch((const char *)r + bytes - 1, 1);
}

/* The rule and nothing else. */
static size_t bare(bench *b, int batch)
{
    row *const *at   = b->at + (size_t)batch * (IDS + SHARED);
    bool        bf16 = b->config->tables[0].precision == PRECISION_BF16;

    for (size_t i = 0; i < IDS; i++) {
        real g[CONFIG_DIM_MAX], wide[CONFIG_DIM_MAX], *w = bf16 ? wide : at[i]->x;
        if (i + AHEAD < IDS)
            fetch(b, at[i + AHEAD]);
        if (bf16)
            bf16_widen(w, (const void *)at[i]->x, b->dim);
        gradient_share(g, b->gradients + i * b->dim, (real)(1. / SAMPLES), 0, b->dim);
        optim_update(&b->table.rule, b->lr, w, at[i]->x + b->table.state_at, g, b->dim);
        if (bf16)
            bf16_nearest((void *)at[i]->x, w, b->dim);
    }
    return IDS;
}

/* Row-wise Adagrad on rows of 16, by hand. */
typedef real x16 __attribute__((vector_size(16 * sizeof(real))));

CLONES static void by_hand_16(row *const *at, const real *gradients, real lr, real eps)
{
    for (size_t i = 0; i < IDS; i++) {
        real *x = at[i]->x, sum = 0;
        x16   w, g, squares;
        if (i + AHEAD < IDS) {
            __builtin_prefetch(at[i + AHEAD], 1);
            __builtin_prefetch((const char *)at[i + AHEAD] + 83, 1);
        }
        memcpy(&g, gradients + i * 16, sizeof g);
        memcpy(&w, x, sizeof w);
        g *= (real)(1. / SAMPLES);
        squares = g * g;
        for (int d = 0; d < 16; d++)
            sum += squares[d];
        x[16] += sum / 16;
        w -= lr / (sqrt_real(x[16]) + eps) * g;
        memcpy(x, &w, sizeof w);
    }
}

static size_t by_hand(bench *b, int batch)
{
    const optimizer_config *c = &b->config->tables[0].optimizer;

    by_hand_16(b->at + (size_t)batch * (IDS + SHARED), b->gradients, (real)b->lr, (real)c->eps);
    return IDS;
}

/* ---- the timing ---- */

typedef size_t kind_of_step(bench *b, int batch);

static const struct way {
    const char   *name;
    kind_of_step *step;
} ways[] = {{"1 worker", one_worker},
            {"4 workers", four_workers},
            {"bare", bare},
            {"by hand", by_hand}};

enum { WAYS = sizeof ways / sizeof *ways };

static double rows_per_s(bench *b, kind_of_step *step, double seconds)
{
    size_t  rows  = 0;
    int64_t start = now();
    int     batch = 0;

    do {
        rows += step(b, batch);
        batch = (batch + 1) % BATCHES;
    } while (seconds_since(start) < seconds);
    return (double)rows / seconds_since(start);
}

static void time_ways(bench *b, int n, double seconds, double medians[WAYS])
{
    double got[WAYS][ROUNDS];

    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < n; i++) {
            draw_gradients(b);
            got[i][round] = rows_per_s(b, ways[i].step, seconds / ROUNDS);
        }
    for (int i = 0; i < n; i++) {
        qsort(got[i], ROUNDS, sizeof *got[i], ascending);
        medians[i] = got[i][ROUNDS / 2];
    }
}

/* ---- the check ---- */

/* One more step, every row of which must be as the plain rule makes it: within a few units in
 * the last place of fp32, or of bf16. */
static void check(bench *b)
{
    const table_config *c     = &b->config->tables[0];
    size_t              state = optim_state_size(c->optimizer.kind, b->dim);
    size_t              size  = b->dim + state;
    real               *want  = room(IDS * size, sizeof *want), got[CONFIG_DIM_MAX];
    double              fine  = c->precision == PRECISION_BF16 ? 1. / 128 : 1e-5;

    draw_gradients(b);
    for (size_t i = 0; i < IDS; i++) {
        real g[CONFIG_DIM_MAX], *w = want + i * size;
        table_read_weights(&b->table, b->at[i], w);
        memcpy(w + b->dim, b->at[i]->x + b->table.state_at, state * sizeof *w);
        for (size_t d = 0; d < b->dim; d++)
            g[d] = b->gradients[i * b->dim + d] / SAMPLES;
        optim_update_plain(&c->optimizer, b->lr, w, w + b->dim, g, b->dim);
    }
    one_worker(b, 0);
    for (size_t i = 0; i < IDS; i++) {
        table_read_weights(&b->table, b->at[i], got);
        for (size_t d = 0; d < b->dim; d++) {
            double x = (double)want[i * size + d];
            if (!(fabs((double)got[d] - x) <= fine * fabs(x) + 1e-6)) {
                fprintf(stderr, "bench_update: row %zu, column %zu is %g, wanted %g\n", i, d,
                        (double)got[d], x);
                exit(1);
            }
        }
    }
    free(want);
}

/* ---- */

static void run(bench *b, const char *rule, const char *precision, double seconds)
{
    size_t n  = (size_t)BATCHES * (IDS + SHARED);
    bool hand = b->dim == 16 && !strcmp(rule, "rowwise_adagrad") && !strcmp(precision, "fp32");
    double medians[WAYS];

    configure(b, rule, precision);
    b->step       = 0;
    b->ids        = room(n, sizeof *b->ids);
    b->rows       = room(n, sizeof *b->rows);
    b->at         = room(n, sizeof *b->at);
    b->gradients  = room((IDS + WORKERS * SHARED) * b->dim, sizeof *b->gradients);
    double births = bear_all(b);
    double told   = tell_unborn(b);
    draw_batches(b);
    time_ways(b, hand ? WAYS : WAYS - 1, seconds, medians);
    check(b);
    printf("%-16s %s  births %5.2f  unborn told %5.2f  1 worker %5.1f  4 workers %5.1f  bare "
           "%5.1f  share %.2f",
           rule, precision, births * 1e-6, told * 1e-6, medians[0] * 1e-6, medians[1] * 1e-6,
           medians[2] * 1e-6, medians[0] / medians[2]);
    if (hand)
        printf("  by hand %5.1f  share %.2f", medians[3] * 1e-6, medians[0] / medians[3]);
    printf("\n");
    fflush(stdout);
    free(b->ids);
    free(b->rows);
    free(b->at);
    free(b->gradients);
    arena_clear(&b->scratch);
    table_clear(&b->table);
    schema_free(&b->schema);
    config_free(&b->config);
}

int main(int n, char **words)
{
    static const char *const rules[] = {"sgd",  "momentum", "adagrad", "rowwise_adagrad",
                                        "adam", "ftrl"};
    bench                    b       = {0};
    double                   rows    = n > 1 ? atof(words[1]) : 2e6;
    double                   seconds = n > 2 ? atof(words[2]) : 1;
    int                      dim     = n > 3 ? atoi(words[3]) : 16;

    if (rows < IDS || seconds <= 0 || dim < 1 || dim > CONFIG_DIM_MAX) {
        fprintf(stderr, "usage: bench_update [ROWS (at least %d) [SECONDS [DIM [RULE]]]]\n",
                IDS);
        return 2;
    }
    b.n_rows = (uint64_t)rows;
    b.dim    = (size_t)dim;
    printf("%.0f rows of %d, M rows/s; share: 1 worker of bare\n", rows, dim);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        for (int p = 0; p < 2; p++)
            if (n <= 4 || !strcmp(words[4], rules[i]))
                run(&b, rules[i], p ? "bf16" : "fp32", seconds);
    return 0;
}
