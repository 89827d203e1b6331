/* model_bench - a model, and random rows and samples for it: what benchmarks of models share.
 *
 * All fields f0, f1, ... are alike: features of the candidate, and columns of a history beside
 * the user's one row. Time is that of this thread's work, as other programs may run beside. */
#ifndef DIPS_TESTS_BENCH_MODEL_BENCH_H
#define DIPS_TESTS_BENCH_MODEL_BENCH_H

#include <stdarg.h>

#include "common/rng.h"
#include "tests/bench/bench.h"
#include "worker/models/model.h"

#define MUST(call)                                                                             \
    do {                                                                                       \
        if ((call) != OK) {                                                                    \
            fprintf(stderr, "%s: %s\n", program_invocation_short_name, err_text());            \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

typedef struct model_bench {
    int     fields, dim; /* dim: of each, and of the user */
    config *config;
    schema *schema;
    dense  *dense;
    graph  *graph;
    arena   inputs, step; /* for ever; for a step */
    int     ids;          /* distinct ids of a table */
    batch   batch;
    real  **rows, **gradients; /* of the tables */
} model_bench;

/* ---- a model ---- */

/* Text of a configuration that grows. */
typedef struct yaml_text {
    size_t n;
    char   at[4096];
} yaml_text;

__attribute__((format(printf, 2, 3))) static inline void yaml_add(yaml_text  *t,
                                                                  const char *format, ...)
{
    va_list values;

    va_start(values, format);
    t->n += (size_t)vsnprintf(t->at + t->n, sizeof t->at - t->n, format, values);
    va_end(values);
}

/* The same for each field, parted by commas; # is its number. */
static inline void yaml_add_fields(yaml_text *t, const model_bench *b, const char *field)
{
    char name[16];

    for (int f = 0; f < b->fields; f++) {
        if (f)
            yaml_add(t, ", ");
        snprintf(name, sizeof name, "%d", f);
        for (const char *c = field; *c; c++)
            yaml_add(t, "%.*s", *c == '#' ? (int)strlen(name) : 1, *c == '#' ? name : c);
    }
}

/* b->fields and b->dim are given. columns: more of the history's, ", NAME: {...}, ..."; kind:
 * what `model` has but for profile, history and candidate; rest: what follows it. The graph is
 * empty still. */
static inline void model_bench_open(model_bench *b, const char *columns, const char *kind,
                                    const char *rest)
{
    yaml_text t = {0};

    yaml_add(&t, "tables: {user: {dim: %d}", b->dim);
    for (int f = 0; f < b->fields; f++)
        yaml_add(&t, ", f%d: {dim: %d}", f, b->dim);
    yaml_add(&t, "}\nfeatures:\n  user: {table: user}\n");
    for (int f = 0; f < b->fields; f++)
        yaml_add(&t, "  f%d: {table: f%d}\n", f, f);
    yaml_add(&t, "  history: {columns: {");
    yaml_add_fields(&t, b, "f#: {table: f#}");
    yaml_add(&t, "%s}}\nmodel: {profile: [user], history: history, candidate: [", columns);
    yaml_add_fields(&t, b, "f#");
    yaml_add(&t, "], %s}\n%s", kind, rest);
    MUST(config_parse(&b->config, "bench", t.at, t.n, 0, NULL));
    MUST(schema_new(&b->schema, b->config));
    MUST(dense_new(&b->dense, b->config));
    MUST(graph_new(&b->graph, b->config, b->schema, b->dense));
}

static inline void model_bench_clear(model_bench *b)
{
    graph_free(&b->graph);
    dense_free(&b->dense);
    schema_free(&b->schema);
    config_free(&b->config);
    arena_clear(&b->inputs);
    arena_clear(&b->step);
}

/* Zeros that stay until model_bench_clear. */
static inline void *room(model_bench *b, size_t bytes)
{
    void *piece = NULL;

    MUST(arena_take_zero(&b->inputs, bytes, &piece));
    return piece;
}

/* ---- rows and a batch ---- */

static inline real **draw_numbers(model_bench *b, rng *r)
{
    size_t tables = (size_t)b->schema->n_tables, n = (size_t)b->ids * (size_t)b->dim;
    real **rows = room(b, tables * sizeof *rows);

    for (size_t t = 0; t < tables; t++) {
        rows[t] = room(b, n * sizeof *rows[t]);
        for (size_t i = 0; i < n && r; i++)
            rows[t][i] = (real)(.1 * rng_normal(r));
    }
    return rows;
}

/* The rows of b->ids ids, and room for their gradients. */
static inline void draw_rows(model_bench *b, rng *r)
{
    b->rows      = draw_numbers(b, r);
    b->gradients = draw_numbers(b, NULL);
}

/* B samples without their history: draw it into batch.sequences, then draw_ids. */
static inline void begin_batch(model_bench *b, int B)
{
    batch *x = &b->batch;

    *x                    = (batch){.B = B, .weight_sum = B};
    x->label              = room(b, (size_t)B * sizeof *x->label);
    x->slots              = room(b, (size_t)b->schema->n_slots * sizeof *x->slots);
    x->sequences          = room(b, sizeof *x->sequences);
    x->sequences->offsets = room(b, (size_t)(B + 1) * sizeof *x->sequences->offsets);
}

/* Labels, and ids, of which a table has two for five events: a share as in real data. */
static inline void draw_ids(model_bench *b, rng *r)
{
    const schema *s = b->schema;
    batch        *x = &b->batch;

    b->ids = 1 + x->sequences->events * 2 / 5;
    for (int i = 0; i < x->B; i++)
        x->label[i] = (real)rng_below(r, 2);
    for (int k = 0; k < s->n_slots; k++) {
        batch_slot *slot = &x->slots[k];
        slot->rows = slot->n = s->slots[k].sequence < 0 ? x->B : x->sequences->events;
        slot->distinct       = room(b, (size_t)slot->n * sizeof *slot->distinct);
        for (int i = 0; i < slot->n; i++)
            slot->distinct[i] = (int)rng_below(r, (uint64_t)b->ids);
    }
}

/* The mean loss of one forward and backward pass. */
static inline double train_step(model_bench *b)
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
        memset(b->gradients[t], 0, (size_t)b->ids * (size_t)b->dim * sizeof(real));
    MUST(graph_forward(b->graph, &p, &logits));
    MUST(graph_backward(b->graph, &p, &loss));
    return loss / b->batch.B;
}

#endif
