/* DIN's activation unit: a score for each event, an MLP over the pair of its candidate and it.
 *
 *     x_0 = k_t W_q + s,   x_l = a_{l-1} W_l^T + b_l,   a_l = activation(x_l),
 *     score_t = a_{n-1} . w + c
 *
 * All layers of a piece of events are computed while it is in the caches: forward is one pass
 * over the batch, backward another. Dice's statistics are those of the whole batch, so in
 * training a pass ends at each Dice: forward pass l makes a_{l-1} from the x_{l-1} in memory,
 * and x_l with its moments; backward pass l makes the gradients of x_{l+1} from what pass
 * l+1 left, and leaves those of x_l without the terms of the means, and their sums. What
 * is between a pass and the next is x_l, and below the last layer one gradient as wide: nothing
 * else is written to memory, and a_l is made again rather than read. */
#include <stdio.h>

#include "worker/kernels/column.h"
#include "worker/kernels/product.h"
#include "worker/kernels/segment.h"
#include "worker/layers/activation.h"
#include "worker/layers/folded_pair.h"
#include "worker/layers/hidden.h"
#include "worker/layers/layers.h"
#include "worker/layers/split_pair.h"

#define PARAMS_OF_A_LAYER 3 /* weight, bias, alpha */

typedef struct unit_config {
    pair_parts    parts;
    bool          bf16; /* its products, in passes that learn */
    bf16_path     path;
    int           n;
    hidden_config hidden[];
} unit_config;

/* What lies in memory of a layer: all of the batch's events, or those of a piece. */
typedef struct stored {
    real *at; /* (events, stride) */
    bool  whole;
} stored;

/* One node and batch. */
typedef struct unit {
    const unit_config *c;
    folded_pair        pair;
    const bf16_path   *bf16;   /* NULL: products in reals */
    split_pair         split;  /* in bf16, of the pair what varies within a sample */
    hidden            *hidden; /* (n) */
    stored            *x, *g;  /* (n) what is kept of forward; gradients of it */
    const real       **gx;     /* (n) of a piece: the gradient complete */
    int                n, last_stride;
    bool               in_passes; /* statistics of the batch part the layers */
    real              *w, *gw;    /* (last_stride) of the score */
    const real        *gs;        /* (events) gradient of the scores */
} unit;

/* Samples begin .. end-1 and their events. */
typedef struct piece {
    int begin, end, first, events;
} piece;

static piece next_piece(const unit *u, int begin)
{
    const int *offsets = u->pair.offsets;
    int        end     = piece_end(offsets, begin, u->pair.B);

    return (piece){begin, end, offsets[begin], offsets[end] - offsets[begin]};
}

static real *stored_rows(const stored *s, const piece *e, int stride)
{
    return s->whole ? ROW(s->at, e->first, stride) : s->at;
}

/* ---- forward ---- */

static err_t take_stored(stored *s, bool whole, int events, int longest, int stride, pass *p)
{
    size_t rows = (size_t)(whole ? events : longest);

    s->whole = whole;
    return arena_take(p->arena, rows * (size_t)stride * sizeof *s->at, &s->at);
}

static err_t open_hidden(unit *u, const node *n, int l, int longest, pass *p)
{
    param *const *params = n->params + PARAMS_OF_A_LAYER * l;
    hidden       *h      = &u->hidden[l];

    TRY(hidden_open(h, &u->c->hidden[l], params, l == 0 ? 0 : u->hidden[l - 1].U, longest,
                    u->bf16, p));
    TRY(take_stored(&u->x[l], pass_learns(p), n->inputs[1]->rows, longest, h->stride, p));
    u->in_passes |= p->training && h->c->activation == ACTIVATION_DICE;
    return u->in_passes ? OK : hidden_statistics(h, p);
}

static err_t open_split(unit *u, const node *n, int longest, pass *p)
{
    const folded_pair  *a = &u->pair;
    const split_weights w = {a->K, a->P, a->Kt, a->Pt, a->U, a->U_stride, a->D_stride};

    return split_pair_open(&u->split, *u->bf16, n->inputs[0], n->inputs[1], a->parts->with_k,
                           a->parts->with_product, &w, longest, p);
}

static err_t open_unit(unit *u, const node *n, pass *p)
{
    *u            = (unit){.c = n->config};
    u->n          = u->c->n;
    u->bf16       = u->c->bf16 && pass_learns(p) ? &u->c->path : NULL;
    u->in_passes  = p->training && u->c->hidden[0].activation == ACTIVATION_DICE;
    size_t layers = (size_t)u->n;
    TRY(folded_pair_open(&u->pair, &u->c->parts, n->inputs[0], n->inputs[1], n->params[0],
                         n->params[1], p));
    TRY(arena_take(p->arena, layers * sizeof *u->hidden, &u->hidden));
    TRY(arena_take(p->arena, layers * sizeof *u->x, &u->x));
    TRY(arena_take(p->arena, layers * sizeof *u->g, &u->g));
    int longest = piece_longest(u->pair.offsets, u->pair.B);
    if (u->bf16)
        TRY(open_split(u, n, longest, p));
    for (int l = 0; l < u->n; l++)
        TRY(open_hidden(u, n, l, longest, p));
    const param *w = n->params[PARAMS_OF_A_LAYER * u->n];
    u->last_stride = padded((int)w->count);
    TRY(arena_take_zero(p->arena, (size_t)u->last_stride * sizeof *u->w, &u->w));
    memcpy(u->w, w->w, w->count * sizeof *u->w);
    return OK;
}

static void first_layer(unit *u, const piece *e, real *x)
{
    if (u->bf16) {
        folded_pair_spread(&u->pair, x, e->begin, e->end);
        split_pair_forward(&u->split, x, ROW(u->pair.k->x, e->first, u->pair.Dk), e->begin,
                           e->end);
        return;
    }
    for (int b = e->begin; b < e->end; b++)
        folded_pair_forward(&u->pair, ROW(x, u->pair.offsets[b] - e->first, u->pair.U_stride),
                            b);
}

/* a of layer l. */
static const real *values_of(unit *u, const piece *e, int l)
{
    hidden *h = &u->hidden[l];

    return hidden_values(h, stored_rows(&u->x[l], e, h->stride), e->events);
}

static void score(unit *u, const piece *e, tensor *scores, real c)
{
    real *s = scores->x + e->first;

    for (int i = 0; i < e->events; i++)
        s[i] = c;
    segment_dot(s, values_of(u, e, u->n - 1), u->last_stride, u->w, u->last_stride,
                (int[]){0, e->events}, true, 1, u->last_stride);
}

/* Layer l of a piece; n: the scores. */
static void forward_layer(unit *u, const node *n, const piece *e, int l, const pass *p)
{
    if (l == u->n) {
        score(u, e, n->output, n->params[PARAMS_OF_A_LAYER * l + 1]->w[0]);
        return;
    }
    hidden *h = &u->hidden[l];
    real   *x = stored_rows(&u->x[l], e, h->stride);
    if (l == 0)
        first_layer(u, e, x);
    else
        hidden_product(h, x, values_of(u, e, l - 1), e->events);
    hidden_settle(h, x, e->events, p);
}

static err_t unit_forward(node *n, pass *p)
{
    unit *u;

    TRY(graph_output(n, p, n->inputs[1]->rows));
    TRY(arena_take(p->arena, sizeof *u, &u));
    TRY(open_unit(u, n, p));
    for (int l = 0, end; l <= u->n; l = end) {
        piece e;
        end = u->in_passes ? l + 1 : u->n + 1;
        for (int b = 0; b < u->pair.B; b = e.end) {
            e = next_piece(u, b);
            for (int i = l; i < end; i++)
                forward_layer(u, n, &e, i, p);
        }
        if (u->in_passes && l < u->n)
            TRY(hidden_statistics(&u->hidden[l], p));
    }
    n->scratch = u;
    return OK;
}

/* ---- backward ---- */

/* The gradient of the last layer's a: gs_t w. */
static void last_gradient(const unit *u, const piece *e, real *g)
{
    product(g, u->last_stride, NULL, 0, rows_of(u->gs + e->first, 1), u->w, u->last_stride,
            e->events, u->last_stride, 1);
}

/* Through the activation of layer l, and what its a tells of the weights above. */
static void backward_activation(unit *u, const piece *e, int l)
{
    hidden *h = &u->hidden[l];
    real   *g = stored_rows(&u->g[l], e, h->stride), *x = stored_rows(&u->x[l], e, h->stride);

    if (l == u->n - 1)
        last_gradient(u, e, g);
    const real *a = hidden_backward_rows(h, g, x, e->events);
    if (l == u->n - 1)
        product(u->gw, u->last_stride, u->gw, u->last_stride,
                rows_of(u->gs + e->first, e->events), a, u->last_stride, 1, u->last_stride,
                e->events);
    else
        hidden_weight_gradient(&u->hidden[l + 1], u->gx[l + 1], a, e->events);
}

/* The gradient of layer l's products. */
static const real *complete_gradient(unit *u, const piece *e, int l)
{
    hidden     *h = &u->hidden[l];
    real       *g = stored_rows(&u->g[l], e, h->stride);
    const real *x = stored_rows(&u->x[l], e, h->stride);

    if (!u->in_passes)
        return g;
    if (l < u->n - 1)
        return hidden_backward_means(h, g, x, e->events);
    last_gradient(u, e, g);
    hidden_backward_again(h, g, x, e->events);
    return g;
}

static void first_layer_backward(unit *u, const piece *e, const real *g)
{
    folded_pair *a = &u->pair;

    if (u->bf16) {
        folded_pair_sum(a, g, e->begin, e->end);
        split_pair_backward(&u->split, a->gk ? ROW(a->gk, e->first, a->Dk) : NULL, a->keep_gk,
                            a->gq, g, ROW(a->k->x, e->first, a->Dk), e->begin, e->end);
        return;
    }
    for (int b = e->begin; b < e->end; b++)
        folded_pair_backward(a, ROW(g, a->offsets[b] - e->first, a->U_stride), b);
}

/* Through the products of layer l. */
static void backward_product(unit *u, const piece *e, int l)
{
    hidden     *h = &u->hidden[l];
    const real *g = u->gx[l] = complete_gradient(u, e, l);

    if (l > 0) {
        hidden_bias_gradient(h, g, e->events);
        hidden_below(h, stored_rows(&u->g[l - 1], e, h->in_stride), g, e->events);
        return;
    }
    first_layer_backward(u, e, g);
}

static err_t open_backward(unit *u, node *n, pass *p)
{
    int longest = piece_longest(u->pair.offsets, u->pair.B);

    u->gs = n->output->g;
    TRY(arena_take(p->arena, (size_t)u->n * sizeof *u->gx, &u->gx));
    TRY(folded_pair_open_backward(&u->pair, n, p));
    if (u->bf16)
        TRY(split_pair_open_backward(&u->split, longest, p));
    TRY(arena_take_zero(p->arena, (size_t)u->last_stride * sizeof *u->gw, &u->gw));
    for (int l = 0; l < u->n; l++) {
        TRY(hidden_open_backward(&u->hidden[l], p));
        TRY(take_stored(&u->g[l], u->in_passes && l < u->n - 1, n->output->rows, longest,
                        u->hidden[l].stride, p));
    }
    return OK;
}

static void close_backward(unit *u, node *n)
{
    param *w = n->params[PARAMS_OF_A_LAYER * u->n],
          *c = n->params[PARAMS_OF_A_LAYER * u->n + 1];

    if (u->bf16)
        split_pair_close_backward(&u->split, u->pair.gK, u->pair.gP);
    folded_pair_close_backward(&u->pair, n->params[0], n->params[1]);
    for (int l = 0; l < u->n; l++)
        hidden_close_backward(&u->hidden[l]);
    for (size_t i = 0; i < w->count; i++)
        w->g[i] += u->gw[i];
    column_sum(c->g, u->gs, n->output->rows, 1);
}

/* Pass l ends with the activation of layer l; the last is -1. */
static err_t unit_backward(node *n, pass *p)
{
    unit *u = n->scratch;

    TRY(open_backward(u, n, p));
    for (int l = u->n - 1, end; l >= -1; l = end - 1) {
        piece e;
        end = u->in_passes ? l : -1;
        for (int b = 0; b < u->pair.B; b = e.end) {
            e = next_piece(u, b);
            for (int i = l; i >= end; i--) {
                if (i < u->n - 1)
                    backward_product(u, &e, i + 1);
                if (i >= 0)
                    backward_activation(u, &e, i);
            }
        }
        if (u->in_passes && l >= 0)
            TRY(hidden_backward_statistics(&u->hidden[l], p));
    }
    close_backward(u, n);
    return OK;
}

static const layer unit_layer = {.name       = "activation unit",
                                 .forward    = unit_forward,
                                 .backward   = unit_backward,
                                 .overwrites = true};

/* ---- building ---- */

static void build_layer(graph *g, node *n, int l, int in, const attention_config *c,
                        const char *name)
{
    char place[2 * CONFIG_NAME_MAX];
    int  i = PARAMS_OF_A_LAYER * l, U = c->units.at[l];

    hidden_config *h = &((unit_config *)n->config)->hidden[l];
    h->activation    = c->activation;
    snprintf(place, sizeof place, "%s.%d", name, l);
    node_weight(g, n, i, place, U, in);
    node_vector(g, n, i + 1, place, "bias", U, 0);
    activation_build(g, n, i + 2, &h->dice, c->activation, place, U);
}

tensor *activation_unit(graph *g, tensor *q, tensor *k, const attention_config *c,
                        const char *name)
{
    char       place[2 * CONFIG_NAME_MAX];
    pair_parts parts    = {0};
    int        n_layers = c->units.n, in;

    if (!q || !k || !pair_parts_place(g, &parts, c->n_parts, c->parts, q->cols, k->cols))
        return NULL;
    if (n_layers == 0) {
        snprintf(place, sizeof place, "%s.output", name);
        return pair_linear(g, q, k, c->n_parts, c->parts, 1, place);
    }
    node *n = graph_add(g, &unit_layer, 2, (tensor *[]){q, k}, 1, k->per,
                        sizeof(unit_config) + (size_t)n_layers * sizeof(hidden_config));
    if (!n)
        return NULL;
    unit_config *u = n->config;
    u->parts       = parts;
    u->bf16        = graph_config(g)->train.precision == PRECISION_BF16;
    u->path        = u->bf16 ? bf16_best_path() : BF16_LOOPS;
    u->n           = n_layers;
    in             = parts.in;
    for (int l = 0; l < n_layers; in = c->units.at[l++])
        build_layer(g, n, l, in, c, name);
    snprintf(place, sizeof place, "%s.output", name);
    node_weight(g, n, PARAMS_OF_A_LAYER * n_layers, place, 1, in);
    node_vector(g, n, PARAMS_OF_A_LAYER * n_layers + 1, place, "bias", 1, 0);
    return node_output(n);
}
