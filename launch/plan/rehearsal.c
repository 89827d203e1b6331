#include "launch/plan/rehearsal.h"

#include <glob.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/optim.h"
#include "worker/data/gap.h"
#include "worker/data/id_set.h"
#include "worker/data/order.h"
#include "worker/models/model.h"

#define STEPS        3   /* of data that are looked at */
#define MODEL_MOST   256 /* samples that go through the model; what it takes grows by samples */
#define MODEL_S      0.1 /* at least, of being timed */
#define DENSE_HEADER 160 /* bytes that a tensor takes in the header of a file, about */

typedef struct stage {
    const rehearsal_options *options;
    dataset                 *data; /* NULL: invented */
    order                   *order;
    uint64_t                *samples;
    id_maker                *maker;
    id_set                  *sets; /* (n_tables) */
    arena                    arena;
    dense                   *dense;
    graph                   *graph;
    comm                    *alone;
} stage;

static int part_size(const rehearsal_options *o)
{
    return (o->config->train.batch + o->workers - 1) / o->workers;
}

/* ---- samples ---- */

/* The first file that data.train names, or NULL where there is none (yet). */
static char *first_file(const config *c)
{
    glob_t found;
    char  *path = NULL;

    if (c->data.train.n == 0 || glob(c->data.train.at[0], GLOB_BRACE, NULL, &found) != 0)
        return NULL;
    if (found.gl_pathc > 0)
        path = strdup(found.gl_pathv[0]);
    globfree(&found);
    return path;
}

static err_t open_data(stage *g)
{
    const config *c    = g->options->config;
    char         *path = first_file(c);

    if (!path)
        return OK;
    const config_names one = {.n = 1, .at = &path};
    err_t              err = dataset_open(&g->data, g->options->schema, &one, true);
    free(path);
    TRY(err);
    if (dataset_samples(g->data) == 0) {
        dataset_close(&g->data);
        return OK;
    }
    const order_options options = {.samples = dataset_samples(g->data),
                                   .batch   = c->train.batch,
                                   .shuffle = c->data.shuffle,
                                   .block   = c->data.block,
                                   .window  = c->data.window,
                                   .seed    = c->train.seed};
    return order_new(&g->order, &options);
}

static err_t real_batch(stage *g, int64_t step, int most, batch *b)
{
    int      n;
    uint64_t first;

    TRY(order_part(g->order, step, 0, g->options->workers, g->samples, &n, &first));
    return dataset_batch(g->data, g->samples, n < most ? n : most, first, &g->arena, b);
}

/* Offsets of rows of `each` things. */
static err_t even_offsets(arena *a, int rows, int each, int **offsets)
{
    TRY(arena_take(a, ((size_t)rows + 1) * sizeof **offsets, offsets));
    for (int i = 0; i <= rows; i++)
        (*offsets)[i] = i * each;
    return OK;
}

/* Ten events a minute apart, then a day of nothing. */
static err_t invent_times(arena *a, int events, int64_t **time)
{
    TRY(arena_take(a, (size_t)events * sizeof **time, time));
    for (int i = 0; i < events; i++)
        (*time)[i] = i / 10 * INT64_C(86400) + i % 10 * 60;
    return OK;
}

static err_t invent_sequence(stage *g, int i, int B, batch_sequence *out)
{
    const schema_sequence *s = &g->options->schema->sequences[i];

    out->events = B * s->max_len;
    TRY(even_offsets(&g->arena, B, s->max_len, &out->offsets));
    out->time = NULL;
    return s->timed ? invent_times(&g->arena, out->events, &out->time) : OK;
}

static err_t invent_slot(stage *g, int i, const batch *b, batch_slot *out)
{
    const schema_slot *slot = &g->options->schema->slots[i];

    *out =
        (batch_slot){.rows = slot->sequence < 0 ? b->B : b->sequences[slot->sequence].events};
    out->n = out->rows;
    if (slot->pool != POOL_NONE)
        TRY(even_offsets(&g->arena, out->rows, 1, &out->offsets));
    return arena_take(&g->arena, (size_t)out->n * sizeof *out->ids, &out->ids);
}

static err_t invent_float(stage *g, int i, int B, batch_float *out)
{
    out->width = g->options->schema->floats[i].width;
    return arena_take_zero(&g->arena, (size_t)B * (size_t)out->width * sizeof *out->x, &out->x);
}

/* A batch of B samples without ids yet. */
static err_t invent_batch(stage *g, int B, batch *b)
{
    const schema *s = g->options->schema;
    arena        *a = &g->arena;

    *b = (batch){.B = B, .weight_sum = B};
    TRY(arena_take_zero(a, (size_t)B * sizeof *b->label, &b->label));
    TRY(arena_take_zero(a, (size_t)B * sizeof *b->time, &b->time));
    TRY(arena_take_zero(a, (size_t)B * sizeof *b->group, &b->group));
    TRY(arena_take(a, (size_t)s->n_sequences * sizeof *b->sequences, &b->sequences));
    TRY(arena_take(a, (size_t)s->n_slots * sizeof *b->slots, &b->slots));
    TRY(arena_take(a, (size_t)s->n_floats * sizeof *b->floats, &b->floats));
    for (int i = 0; i < s->n_sequences; i++)
        TRY(invent_sequence(g, i, B, &b->sequences[i]));
    for (int i = 0; i < s->n_slots; i++)
        TRY(invent_slot(g, i, b, &b->slots[i]));
    for (int i = 0; i < s->n_floats; i++)
        TRY(invent_float(g, i, B, &b->floats[i]));
    return OK;
}

/* Ids of which the share that the caller tells is distinct; all, where nobody knows. */
static void invent_ids(const stage *g, batch *b)
{
    const schema *s     = g->options->schema;
    double        share = g->options->distinct > 0 ? g->options->distinct : 1;

    for (int t = 0; t < s->n_tables; t++) {
        uint64_t all = 0, at = 0;
        for (int i = 0; i < s->n_slots; i++)
            all += s->slots[i].table == t ? (uint64_t)b->slots[i].n : 0;
        uint64_t distinct = (uint64_t)(share * (double)all + 0.5);
        distinct          = distinct ? distinct : 1;
        for (int i = 0; i < s->n_slots; i++)
            for (int k = 0; s->slots[i].table == t && k < b->slots[i].n; k++)
                b->slots[i].ids[k] = s->slots[i].is_gap ? (uint64_t)k % GAP_BUCKETS
                                                        : hash_mix(at++ % distinct + 1);
    }
}

static err_t check_invention(const rehearsal_options *o)
{
    for (int i = 0; i < o->schema->n_sequences; i++) {
        const schema_sequence *s = &o->schema->sequences[i];
        if ((int64_t)s->max_len * part_size(o) > INT_MAX)
            return err_set(ERR_CONFIG,
                           "a worker's %d samples of a step with %d events of features.%s each "
                           "are more than a step may have, %d",
                           part_size(o), s->max_len, s->name, INT_MAX);
        if (s->max_len == 0)
            return err_set(ERR_CONFIG,
                           "features.%s has no max_len and data.train is not there yet: how "
                           "long are its sequences?",
                           s->name);
    }
    return OK;
}

/* A batch of at most `most` samples with its id sets, in the arena. */
static err_t make_batch(stage *g, int64_t step, int most, batch *b)
{
    arena_reset(&g->arena);
    if (g->data)
        TRY(real_batch(g, step, most, b));
    else
        TRY(invent_batch(g, most, b));
    if (!g->data || g->options->distinct > 0)
        invent_ids(g, b);
    return id_maker_make(g->maker, b, &g->arena, g->sets);
}

/* ---- ids and messages ---- */

static err_t count_ids(stage *g, rehearsal *r)
{
    const schema *s     = g->options->schema;
    int           part  = part_size(g->options);
    int64_t       epoch = g->data ? order_steps_per_epoch(g->order) : 1;
    int           steps = g->data ? STEPS : 1;
    batch         b;

    for (int64_t i = 0; i < steps; i++) {
        TRY(make_batch(g, epoch * i / steps, part, &b));
        r->samples += b.B;
        for (int k = 0; k < s->n_slots; k++)
            r->tables[s->slots[k].table].looked_up += b.slots[k].n;
        for (int t = 0; t < s->n_tables; t++)
            r->tables[t].distinct += g->sets[t].n;
    }
    double whole = r->samples > 0 ? part / r->samples : 0; /* data may be short of a step */
    for (int t = 0; t < s->n_tables; t++) {
        r->tables[t].looked_up *= whole;
        r->tables[t].distinct *= whole;
    }
    r->samples = part;
    TRY(make_batch(g, 0, part, &b));
    int64_t since = clock_now(clock_of_thread());
    TRY(make_batch(g, 0, part, &b)); /* its memory is of one piece now */
    if (b.B == 0)
        return OK;
    r->reading_s = clock_seconds(clock_of_thread(), since) * part / b.B;
    r->batch     = (double)g->arena.used * part / b.B;
    return OK;
}

/* Ids of one shard's message for table t. */
static uint32_t ids_of_shard(const stage *g, const rehearsal *r, int t)
{
    return (uint32_t)(r->tables[t].distinct / g->options->shards + 0.5);
}

static err_t make_request(const stage *g, const rehearsal *r, net_message *m)
{
    const schema *s    = g->options->schema;
    wire_header   h    = {.kind = WIRE_PULL};
    wire_request  q    = {.tables = s->n_tables};
    size_t        most = 1;

    for (int t = 0; t < s->n_tables; t++)
        most = ids_of_shard(g, r, t) > most ? ids_of_shard(g, r, t) : most;
    uint64_t *zeros = calloc(most, sizeof *zeros);
    if (!zeros)
        return err_memory(most * sizeof *zeros, "a message");
    for (int t = 0; t < s->n_tables; t++)
        q.table[t] = (wire_ids){
            .n = ids_of_shard(g, r, t), .ids = zeros, .counts = (const uint32_t *)zeros};
    err_t err = wire_encode_request(m, &h, &q);
    free(zeros);
    return err;
}

static void list_values(const stage *g, const rehearsal *r, wire_values *values)
{
    const schema *s = g->options->schema;

    for (int t = 0; t < s->n_tables; t++)
        values[t] = (wire_values){.n    = ids_of_shard(g, r, t),
                                  .dim  = (uint32_t)s->tables[t].config->dim,
                                  .type = g->options->config->cluster.values};
}

static err_t make_messages(const stage *g, rehearsal *r)
{
    wire_header h = {0};
    net_message m;
    double      shards = g->options->shards;
    wire_rows   rows   = {.request = WIRE_PULL, .tables = g->options->schema->n_tables};
    wire_push   push   = {.finite = true, .tables = rows.tables};

    TRY(make_request(g, r, &m));
    r->pull = (double)m.size * shards;
    net_message_clear(&m);

    h.kind = WIRE_ROWS;
    list_values(g, r, rows.table);
    TRY(wire_prepare_rows(&m, &h, &rows));
    r->rows = (double)m.size * shards;
    net_message_clear(&m);

    h.kind = WIRE_PUSH;
    list_values(g, r, push.table);
    TRY(wire_prepare_push(&m, &h, &push));
    r->push = (double)m.size * shards;
    net_message_clear(&m);
    return OK;
}

/* ---- the model ---- */

static err_t build_model(stage *g)
{
    const rehearsal_options *o = g->options;

    TRY(comm_self(&g->alone));
    TRY(dense_new(&g->dense, o->config));
    TRY(graph_new(&g->graph, o->config, o->schema, g->dense));
    TRY(model_build(g->graph, o->config));
    return dense_seal(g->dense, o->config->train.seed);
}

static err_t take_rows(stage *g, real ***rows)
{
    const schema *s = g->options->schema;

    TRY(arena_take(&g->arena, (size_t)s->n_tables * sizeof **rows, rows));
    for (int t = 0; t < s->n_tables; t++)
        TRY(arena_take_zero(
            &g->arena, (size_t)g->sets[t].n * (size_t)s->tables[t].config->dim * sizeof(real),
            &(*rows)[t]));
    return OK;
}

/* A step over b: bytes of the arena after it, without and with its way back. */
static err_t run_model(stage *g, const batch *b, size_t *forward, size_t *both)
{
    real **rows, **gradients, *logits;
    double loss;

    TRY(take_rows(g, &rows));
    pass p = {.batch    = b,
              .rows     = rows,
              .arena    = &g->arena,
              .training = true,
              .seed     = g->options->config->train.seed,
              .workers  = g->alone};
    TRY(graph_forward(g->graph, &p, &logits));
    *forward = g->arena.used;
    TRY(take_rows(g, &gradients));
    p.row_gradients = gradients;
    TRY(graph_backward(g->graph, &p, &loss));
    *both = g->arena.used;
    dense_update(g->dense, 0);
    return OK;
}

/* *least = seconds of one step over a batch of `most` samples: what nothing disturbed. */
static err_t time_model(stage *g, int most, double *least)
{
    const clock_source *clock = clock_of_thread();
    int64_t             began = clock_now(clock);
    size_t              forward, both;
    batch               b;

    *least = INFINITY;
    while (clock_seconds(clock, began) < MODEL_S) {
        TRY(make_batch(g, 0, most, &b));
        int64_t since = clock_now(clock);
        TRY(run_model(g, &b, &forward, &both));
        *least = fmin(*least, clock_seconds(clock, since));
    }
    return OK;
}

static err_t weigh_model(stage *g, rehearsal *r)
{
    batch  b;
    int    most = part_size(g->options) < MODEL_MOST ? part_size(g->options) : MODEL_MOST;
    size_t made = 0, forward = 0, both = 0;

    for (int round = 0; round < 2; round++) { /* in the second one, memory is of one piece */
        TRY(make_batch(g, 0, most, &b));
        made = g->arena.used;
        TRY(run_model(g, &b, &forward, &both));
    }
    if (b.B == 0)
        return OK;
    r->work       = (double)(both - made) / b.B * r->samples;
    r->evaluation = (double)forward / b.B * g->options->config->train.eval_batch;
    TRY(time_model(g, most, &r->arithmetic_s));
    r->arithmetic_s *= r->samples / b.B;
    return OK;
}

static void weigh_dense(const stage *g, rehearsal *r)
{
    optimizer_kind kind = g->options->config->dense.kind;
    double         held = 0;
    int            parts;

    optim_parts(kind, &parts);
    r->weights = (double)dense_weights(g->dense);
    for (int i = 0; i < dense_count(g->dense); i++) {
        const param *p     = dense_at(g->dense, i);
        double       state = p->trained ? (double)optim_state_size(kind, p->count) : 0;
        held += (double)p->count + state;
        r->dense_file += DENSE_HEADER * (1 + (p->trained ? parts : 0));
    }
    r->dense_file += held * sizeof(real);
    r->dense   = (held + r->weights) * sizeof(real);
    r->reduced = r->weights * sizeof(real);
}

/* ---- all of it ---- */

static err_t open_stage(stage *g)
{
    const rehearsal_options *o = g->options;
    size_t                   n = (size_t)part_size(o) + 2;

    TRY(open_data(g));
    if (!g->data)
        TRY(check_invention(o));
    g->samples = calloc(n, sizeof *g->samples);
    g->sets    = calloc((size_t)o->schema->n_tables + 1, sizeof *g->sets);
    if (!g->samples || !g->sets)
        return err_memory(n * sizeof *g->samples, "the samples of a step");
    return id_maker_new(&g->maker, o->schema, o->shards);
}

static void close_stage(stage *g)
{
    graph_free(&g->graph);
    dense_free(&g->dense);
    comm_close(&g->alone);
    id_maker_free(&g->maker);
    arena_clear(&g->arena);
    order_free(&g->order);
    dataset_close(&g->data);
    free(g->samples);
    free(g->sets);
}

static err_t perform(stage *g, rehearsal *r)
{
    TRY(open_stage(g));
    r->from_data     = g->data != NULL;
    r->distinct_told = g->options->distinct > 0;
    TRY(count_ids(g, r));
    TRY(make_messages(g, r));
    TRY(build_model(g));
    TRY(weigh_model(g, r));
    weigh_dense(g, r);
    return OK;
}

err_t rehearsal_do(rehearsal *r, const rehearsal_options *options)
{
    stage g = {.options = options};

    *r        = (rehearsal){0};
    err_t err = perform(&g, r);
    close_stage(&g);
    return err;
}
