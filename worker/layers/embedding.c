/* Rows of ids, bags of them, and numbers, side by side. */
#include <stdio.h>
#include <stdlib.h>

#include "common/rng.h"
#include "worker/kernels/gather.h"
#include "worker/layers/layers.h"

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

/* ---- discarding ids (the Dropout of DIN's table 4) ---- */

/* Each id is left out with probability `share`, as though the sample did not have it: a
 * single id embeds as zero, a bag is pooled over the kept ones. What is kept is not
 * rescaled. Which ones depends on (seed, step, place in the global batch, slot,
 * position within the sample) alone. */
static void discard(int *place, const batch_slot *slot, double share, int slot_number,
                    const int *rows_of, const pass *p)
{
    for (int i = 0; i < p->batch->B; i++) {
        uint64_t name  = p->batch->first + (uint64_t)i + ((uint64_t)slot_number << 48);
        rng      r     = rng_named(p->seed, RNG_DROP_ID, (uint64_t)p->step, name);
        int      begin = rows_of ? rows_of[i] : i, end = rows_of ? rows_of[i + 1] : i + 1;
        if (slot->offsets) {
            begin = slot->offsets[begin];
            end   = slot->offsets[end];
        }
        for (int k = begin; k < end; k++)
            place[k] = rng_uniform(&r) < share ? -1 : slot->distinct[k];
    }
}

static err_t discard_ids(int **places, const piece *one, const schema_slot *about, pass *p)
{
    const batch_slot *slot = &p->batch->slots[one->index];

    TRY(arena_take(p->arena, (size_t)slot->n * sizeof **places, places));
    discard(*places, slot, about->drop_ids, one->index,
            about->sequence < 0 ? NULL : pass_offsets(p, about->sequence), p);
    return OK;
}

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

static void forward_ids(tensor *y, const piece *one, pool_kind pool, const int *place,
                        const pass *p)
{
    const int  *offsets = p->batch->slots[one->index].offsets;
    const real *table   = p->rows[one->table];
    real       *to      = y->x + one->column;

    if (offsets)
        gather_bags_forward(to, y->cols, table, place, offsets, pool == POOL_MEAN, y->rows,
                            one->width);
    else
        gather_forward(to, y->cols, table, place, y->rows, one->width);
}

/* scratch: for each piece the places of its ids, which backward needs again. */
static err_t embedding_forward(node *n, pass *p)
{
    const embedding *e = n->config;
    int            **places;

    TRY(graph_output(n, p, pass_rows(p, n->output->per)));
    TRY(arena_take(p->arena, (size_t)e->n * sizeof *places, &places));
    for (int i = 0; i < e->n; i++) {
        const piece *one = &e->pieces[i];
        if (one->numbers) {
            TRY(forward_numbers(n->output, one, e->schema->floats[one->index].name, p));
            continue;
        }
        const schema_slot *about = &e->schema->slots[one->index];
        places[i]                = p->batch->slots[one->index].distinct;
        if (p->training && about->drop_ids > 0)
            TRY(discard_ids(&places[i], one, about, p));
        forward_ids(n->output, one, about->pool, places[i], p);
    }
    n->scratch = places;
    return OK;
}

static void backward_ids(const tensor *y, const piece *one, pool_kind pool, const int *place,
                         const pass *p)
{
    const int  *offsets   = p->batch->slots[one->index].offsets;
    real       *gradients = p->row_gradients[one->table];
    const real *g         = y->g + one->column;

    if (offsets)
        gather_bags_backward(gradients, g, y->cols, place, offsets, pool == POOL_MEAN, y->rows,
                             one->width);
    else
        gather_backward(gradients, g, y->cols, place, y->rows, one->width);
}

static err_t embedding_backward(node *n, pass *p)
{
    const embedding *e      = n->config;
    int            **places = n->scratch;

    for (int i = 0; i < e->n; i++)
        if (!e->pieces[i].numbers)
            backward_ids(n->output, &e->pieces[i], e->schema->slots[e->pieces[i].index].pool,
                         places[i], p);
    return OK;
}

static const layer embedding_layer = {
    .name = "embedding", .forward = embedding_forward, .backward = embedding_backward};

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

/* A node of n pieces, side by side. */
static tensor *embed(graph *g, int n, const piece *pieces, int per)
{
    int cols = 0;

    for (int i = 0; i < n; i++)
        cols += pieces[i].width;
    node *added = graph_add(g, &embedding_layer, 0, NULL, cols, per,
                            sizeof(embedding) + (size_t)n * sizeof *pieces);
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
        y = embed(g, names->n, pieces, PER_SAMPLE);
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
    tensor *y = embed(g, n, pieces, s->slots[slots[0]].sequence);
    free(pieces);
    return y;
}
