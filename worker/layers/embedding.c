/* Rows of ids, bags of them, and numbers, side by side. */
#include <stdio.h>
#include <stdlib.h>

#include "worker/kernels/gather.h"
#include "worker/layers/layers.h"
#include "worker/layers/places.h"
#include "worker/requests.h"

/* A run of columns of the output: an id slot or a float feature. */
typedef struct piece {
    bool           numbers; /* a float feature; else a slot of ids */
    int            index;   /* of the schema's floats or slots */
    int            column, width;
    int            table;
    transform_kind transform;
    param         *mean, *deviation; /* of transform standard */
} piece;

typedef struct embedding {
    const schema *schema;
    int           n;
    piece         pieces[];
} embedding;

/* ---- numbers ---- */

static real transformed(real x, const piece *one, int d)
{
    switch (one->transform) {
    case TRANSFORM_LOG:
        return x < 0 ? -log1p_real(-x) : log1p_real(x);
    case TRANSFORM_STANDARD:
        return (x - one->mean->w[d]) / one->deviation->w[d];
    case TRANSFORM_NONE:
        break;
    }
    return x;
}

static err_t forward_numbers(tensor *y, const piece *one, const char *name, const pass *p)
{
    const batch_float *numbers = &p->batch->floats[one->index];

    if (y->rows > 0 && numbers->width != one->width)
        return err_set(
            ERR_DATA,
            "feature %s has %d numbers a sample in the data, the configuration says %d", name,
            numbers->width, one->width);
    for (int i = 0; i < y->rows; i++)
        for (int d = 0; d < one->width; d++)
            y->x[(size_t)i * (size_t)y->cols + (size_t)(one->column + d)] =
                transformed(numbers->x[(size_t)i * (size_t)one->width + (size_t)d], one, d);
    return OK;
}

/* ---- the layer ---- */

/* Rows first .. first+count-1 to x. */
static void forward_ids(real *x, int stride, const piece *one, pool_kind pool, const int *place,
                        int first, int count, const pass *p)
{
    const int  *offsets = p->batch->slots[one->index].offsets;
    const real *table   = p->rows[one->table];

    if (offsets)
        gather_bags_forward(x, stride, table, place, offsets + first, pool == POOL_MEAN, count,
                            one->width);
    else
        gather_forward(x, stride, table, place + first, count, one->width);
}

static void embedding_rows(const node *n, const pass *p, real *x, int first, int count)
{
    const embedding *e      = n->config;
    int            **places = n->scratch;

    for (int i = 0; i < e->n; i++)
        if (!e->pieces[i].numbers)
            forward_ids(x + e->pieces[i].column, n->output->cols, &e->pieces[i],
                        e->schema->slots[e->pieces[i].index].pool, places[i], first, count, p);
}

/* scratch: for each piece the places of its ids, which backward needs again. */
static err_t embedding_forward(node *n, pass *p)
{
    const embedding *e    = n->config;
    int              rows = pass_rows(p, n->output->per), **places;

    if (n->output->by_rows && pass_learns(p))
        graph_output_by_rows(n, rows);
    else
        TRY(graph_output(n, p, rows));
    TRY(arena_take(p->arena, (size_t)e->n * sizeof *places, &places));
    for (int i = 0; i < e->n; i++) {
        const piece *one = &e->pieces[i];
        if (one->numbers) {
            TRY(forward_numbers(n->output, one, e->schema->floats[one->index].name, p));
            continue;
        }
        TRY(places_take(&places[i], e->schema, one->index, p));
    }
    n->scratch = places;
    if (n->output->x)
        embedding_rows(n, p, n->output->x, 0, rows);
    return OK;
}

static void backward_ids(const real *g, int stride, const piece *one, pool_kind pool,
                         const int *place, int first, int count, const pass *p)
{
    const int *offsets   = p->batch->slots[one->index].offsets;
    real      *gradients = p->row_gradients[one->table];

    if (offsets)
        gather_bags_backward(gradients, g, stride, place, offsets + first, pool == POOL_MEAN,
                             count, one->width);
    else
        gather_backward(gradients, g, stride, place + first, count, one->width);
}

static void embedding_rows_backward(const node *n, const pass *p, const real *g, int first,
                                    int count)
{
    const embedding *e      = n->config;
    int            **places = n->scratch;

    for (int i = 0; i < e->n; i++)
        if (!e->pieces[i].numbers)
            backward_ids(g + e->pieces[i].column, n->output->cols, &e->pieces[i],
                         e->schema->slots[e->pieces[i].index].pool, places[i], first, count, p);
}

static void ids_ahead(ahead *a, const real *table, const piece *one, const int *place,
                      int first, int count, const pass *p)
{
    const int *offsets = p->batch->slots[one->index].offsets;
    int        begin   = offsets ? offsets[first] : first;
    int        end     = offsets ? offsets[first + count] : first + count;

    ahead_rows(a, table, place + begin, end - begin, one->width);
}

static void embedding_rows_ahead(const node *n, const pass *p, ahead *a, int first, int count,
                                 bool backward)
{
    const embedding *e      = n->config;
    int            **places = n->scratch;

    for (int i = 0; i < e->n; i++) {
        const piece *one = &e->pieces[i];
        if (one->numbers)
            continue;
        ids_ahead(a, p->rows[one->table], one, places[i], first, count, p);
        if (backward)
            ids_ahead(a, p->row_gradients[one->table], one, places[i], first, count, p);
    }
}

static err_t embedding_backward(node *n, pass *p)
{
    embedding_rows_backward(n, p, n->output->g, 0, n->output->rows);
    return OK;
}

static const layer embedding_layer = {
    .name = "embedding", .forward = embedding_forward, .backward = embedding_backward};

/* Columns of a sequence: many rows, and ids alone. */
static const layer events_layer = {.name          = "events",
                                   .forward       = embedding_forward,
                                   .backward      = embedding_backward,
                                   .rows          = embedding_rows,
                                   .rows_backward = embedding_rows_backward,
                                   .rows_ahead    = embedding_rows_ahead};

/* ---- building ---- */

static piece slot_piece(const schema *s, int slot)
{
    int table = s->slots[slot].table;

    return (piece){.index = slot, .table = table, .width = s->tables[table].config->dim};
}

static piece float_piece(const schema *s, int i)
{
    return (piece){.numbers   = true,
                   .index     = i,
                   .width     = s->floats[i].width,
                   .transform = s->floats[i].transform};
}

static err_t find_piece(const schema *s, const char *name, piece *out)
{
    int slot = schema_find_slot(s, name), numbers = schema_find_float(s, name);

    if (slot >= 0 && s->slots[slot].sequence < 0)
        *out = slot_piece(s, slot);
    else if (numbers >= 0)
        *out = float_piece(s, numbers);
    else
        return err_set(ERR_CONFIG,
                       "the model uses feature %s, which is no id or float of a sample", name);
    return OK;
}

/* Mean and deviation of transform standard, shared by all nodes that read the feature. */
static err_t find_statistics(dense *d, const char *name, piece *one)
{
    char full[sizeof((param *)0)->name];

    snprintf(full, sizeof full, "%s.mean", name);
    one->mean = dense_find(d, full);
    if (!one->mean)
        TRY(dense_statistic(d, &one->mean, full, one->width, 0));
    snprintf(full, sizeof full, "%s.deviation", name);
    one->deviation = dense_find(d, full);
    if (!one->deviation)
        TRY(dense_statistic(d, &one->deviation, full, one->width, 1));
    return OK;
}

/* Whether model.candidate has one of the features. */
static bool of_candidate(graph *g, int n, const piece *pieces)
{
    const schema       *s = graph_schema(g);
    const model_config *c = &graph_config(g)->model;

    for (int i = 0; i < n; i++) {
        int k = pieces[i].index;
        if (pieces[i].numbers ? requests_float_of_candidate(s, c, k)
                              : requests_slot_of_candidate(s, c, k))
            return true;
    }
    return false;
}

/* A node of n pieces, side by side. */
static tensor *embed(graph *g, const layer *l, int n, const piece *pieces, int per)
{
    int cols = 0;

    for (int i = 0; i < n; i++)
        cols += pieces[i].width;
    node *added =
        graph_add(g, l, 0, NULL, cols, per, sizeof(embedding) + (size_t)n * sizeof *pieces);
    if (!added)
        return NULL;
    embedding *e = added->config;
    e->schema    = graph_schema(g);
    e->n         = n;
    cols         = 0;
    for (int i = 0; i < n; i++) {
        e->pieces[i]        = pieces[i];
        e->pieces[i].column = cols;
        cols += pieces[i].width;
        added->output->wants_gradient |= !pieces[i].numbers;
    }
    if (!of_candidate(g, n, pieces))
        node_mark_request(added);
    if (per == PER_SAMPLE)
        node_mark_samples(added);
    return added->output;
}

static err_t find_pieces(graph *g, const config_names *names, piece *pieces)
{
    for (int i = 0; i < names->n; i++) {
        TRY(find_piece(graph_schema(g), names->at[i], &pieces[i]));
        if (pieces[i].transform == TRANSFORM_STANDARD)
            TRY(find_statistics(graph_dense(g), names->at[i], &pieces[i]));
    }
    return OK;
}

tensor *embed_features(graph *g, const config_names *names)
{
    tensor *y = NULL;

    if (names->n == 0)
        return NULL;
    piece *pieces = calloc((size_t)names->n, sizeof *pieces);
    if (!pieces)
        return graph_fail(g, err_memory((size_t)names->n * sizeof *pieces, "a layer"));
    err_t e = find_pieces(g, names, pieces);
    if (e == OK)
        y = embed(g, &embedding_layer, names->n, pieces, PER_SAMPLE);
    else
        graph_fail(g, e);
    free(pieces);
    return y;
}

tensor *embed_slots(graph *g, int n, const int *slots)
{
    const schema *s = graph_schema(g);

    if (n == 0)
        return NULL;
    piece *pieces = calloc((size_t)n, sizeof *pieces);
    if (!pieces)
        return graph_fail(g, err_memory((size_t)n * sizeof *pieces, "a layer"));
    for (int i = 0; i < n; i++)
        pieces[i] = slot_piece(s, slots[i]);
    tensor *y = embed(g, &events_layer, n, pieces, s->slots[slots[0]].sequence);
    free(pieces);
    return y;
}

tensor *embed_sequence(graph *g, const char *name)
{
    const schema *s        = graph_schema(g);
    int           sequence = schema_find_sequence(s, name), n = 0;

    if (!name[0])
        return NULL;
    int *slots = calloc((size_t)s->n_slots + 1, sizeof *slots);
    if (!slots)
        return graph_fail(g, err_memory((size_t)s->n_slots * sizeof *slots, "a layer"));
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].sequence == sequence)
            slots[n++] = i;
    tensor *y =
        n > 0 ? embed_slots(g, n, slots)
              : graph_fail(g, err_set(ERR_CONFIG, "sequence %s has no column of ids", name));
    free(slots);
    return y;
}
