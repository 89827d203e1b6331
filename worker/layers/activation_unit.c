/* DIN's activation unit: a score for each event, an MLP over the pair of its candidate and it.
 *
 *     x_0 = k_t W_q + s,   x_l = a_{l-1} W_l^T + b_l,   a_l = activation(x_l),
 *     score_t = a_{n-1} . w + c
 *
 * and, as attention, the sum of events by these scores, normalized where asked for:
 *
 *     w = score or softmax(score),   y_b = sum_t w_t k_t
 *
 * All layers of a piece of events are computed while it is in the caches: forward is one pass
 * over the batch, backward another. Dice's statistics are those of the whole batch, so in
 * training a pass ends at each Dice: forward pass l makes a_{l-1} from the x_{l-1} in memory,
 * and x_l with its moments; backward pass l makes the gradients of x_{l+1} from what pass
 * l+1 left, and leaves those of x_l without the terms of the means, and their sums. What
 * is between a pass and the next is x_l, and below the last layer one gradient as wide: nothing
 * else is written to memory, and a_l is made again rather than read. So are the events k where
 * they are gathered rows (tensor_rows), and their gradients are scattered by pieces. */
#include <stdio.h>

#include "worker/kernels/column.h"
#include "worker/kernels/product.h"
#include "worker/kernels/segment.h"
#include "worker/layers/activation.h"
#include "worker/layers/folded_pair.h"
#include "worker/layers/hidden.h"
#include "worker/layers/layers.h"
#include "worker/layers/shared_unit.h"
#include "worker/layers/split_pair.h"

#define PARAMS_OF_A_LAYER 3 /* weight, bias, alpha */

typedef struct unit_config {
    pair_parts    parts;
    bool          bf16; /* its products, in passes that learn */
    bf16_path     path;
    bool          sums, softmax; /* attention, normalized */
    double        factor;        /* of scores */
    tensor        weights;       /* as attention: what it summed by, for who asks afterwards */
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
    real              *scores;    /* (events); as attention: normalized */
    real              *gs;        /* (events) their gradient, before they were normalized */
    const pass        *p;
    const node        *node;
    const tensor      *k;
    int                held;        /* first sample of the piece whose k is here */
    const real        *k_here;      /* (a piece's events, Dk) */
    real              *k_room, *gk; /* where k does not lie in memory */
    int               *offsets;     /* of a piece's samples, from its first event */
    ahead              next;        /* what the next piece needs */
} unit;

static void scale_numbers(real *x, real factor, int n)
{
    for (int i = 0; i < n; i++)
        x[i] *= factor;
}

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

/* Where the piece's samples begin among its events. */
static const int *offsets_of(const unit *u, const piece *e)
{
    for (int b = e->begin; b <= e->end; b++)
        u->offsets[b - e->begin] = u->pair.offsets[b] - e->first;
    return u->offsets;
}

static const real *events_of(unit *u, const piece *e)
{
    if (u->held != e->begin)
        u->k_here = tensor_rows(u->k, u->p, u->k_room, e->first, e->events);
    u->held = e->begin;
    return u->k_here;
}

static real *stored_rows(const stored *s, const piece *e, int stride)
{
    return s->whole ? ROW(s->at, e->first, stride) : s->at;
}

/* ---- what the next piece needs ---- */

static void ask_for_stored(unit *u, const stored *s, const piece *e, int l)
{
    int stride = u->hidden[l].stride;

    if (s->whole)
        ahead_range(&u->next, ROW(s->at, e->first, stride),
                    (size_t)e->events * (size_t)stride * sizeof *s->at);
}

static void ask_for_events(unit *u, const piece *e, bool backward)
{
    tensor_rows_ahead(u->k, u->p, &u->next, e->first, e->events, backward);
}

/* The list begins anew; *e becomes the piece behind it. false: there is none, or products are
 * in bf16, and too soon over to ask for anything meanwhile. */
static bool begin_ahead(unit *u, piece *e)
{
    u->next.n = u->next.next = 0;
    u->next.rate             = 1;
    if (u->bf16 || e->end == u->pair.B)
        return false;
    *e = next_piece(u, e->end);
    return true;
}

/* Where a pass multiplies nothing, its other kernels must ask for all. */
static void set_rate(unit *u, const piece *e, int l)
{
    int vectors = e->events * u->hidden[l].stride / VECTOR;

    if (vectors > 0)
        u->next.rate = 1 + u->next.n / vectors;
}

/* Of the piece behind e and layers l .. end-1. */
static void forward_ahead(unit *u, piece e, int l, int end)
{
    if (!begin_ahead(u, &e))
        return;
    if (l > 0)
        ask_for_stored(u, &u->x[l - 1], &e, l - 1);
    if (l == 0 || (end > u->n && u->c->sums))
        ask_for_events(u, &e, false);
    for (int i = l; i < end && i < u->n; i++)
        ask_for_stored(u, &u->x[i], &e, i);
    if (l == u->n)
        set_rate(u, &e, u->n - 1);
}

/* Of the pass that ends with the activation of layer end, and began so high as layer l is. */
static void backward_ahead(unit *u, piece e, int l, int end)
{
    if (!begin_ahead(u, &e))
        return;
    for (int i = least(l + 1, u->n - 1); i >= 0 && i >= end; i--) {
        ask_for_stored(u, &u->x[i], &e, i);
        ask_for_stored(u, &u->g[i], &e, i);
    }
    if (end < 0 || (l == u->n - 1 && u->c->sums))
        ask_for_events(u, &e, end < 0 && u->k->wants_gradient);
    if (end == u->n - 1)
        set_rate(u, &e, u->n - 1);
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

/* What a piece's events need of their own; k_room and gk only where k lies nowhere. */
static err_t take_events(unit *u, int longest, pass *p)
{
    size_t bytes = (size_t)longest * (size_t)u->k->cols * sizeof(real);

    TRY(arena_take(p->arena, ((size_t)u->pair.B + 1) * sizeof *u->offsets, &u->offsets));
    if (u->k->x)
        return OK;
    TRY(arena_take(p->arena, bytes, &u->k_room));
    return arena_take(p->arena, bytes, &u->gk);
}

static err_t open_unit(unit *u, const node *n, pass *p)
{
    *u            = (unit){.c = n->config, .p = p, .node = n, .k = n->inputs[1], .held = -1};
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
    TRY(arena_take(p->arena, AHEAD_LINES * sizeof *u->next.lines, &u->next.lines));
    u->pair.next = &u->next;
    if (u->bf16)
        TRY(open_split(u, n, longest, p));
    for (int l = 0; l < u->n; l++) {
        TRY(open_hidden(u, n, l, longest, p));
        u->hidden[l].next = u->bf16 ? NULL : &u->next;
    }
    TRY(take_events(u, longest, p));
    if (u->c->sums)
        TRY(arena_take(p->arena, (size_t)u->k->rows * sizeof *u->scores, &u->scores));
    else
        u->scores = n->output->x;
    const param *w = n->params[PARAMS_OF_A_LAYER * u->n];
    u->last_stride = padded((int)w->count);
    TRY(arena_take_zero(p->arena, (size_t)u->last_stride * sizeof *u->w, &u->w));
    memcpy(u->w, w->w, w->count * sizeof *u->w);
    return OK;
}

static void first_layer(unit *u, const piece *e, real *x)
{
    const real *k = events_of(u, e);

    if (u->bf16) {
        folded_pair_spread(&u->pair, x, e->begin, e->end);
        split_pair_forward(&u->split, x, k, e->begin, e->end);
        return;
    }
    for (int b = e->begin; b < e->end; b++) {
        int t = u->pair.offsets[b] - e->first;
        folded_pair_forward(&u->pair, ROW(x, t, u->pair.U_stride), ROW(k, t, u->k->cols), b);
    }
}

/* a of layer l. */
static const real *values_of(unit *u, const piece *e, int l)
{
    hidden *h = &u->hidden[l];

    return hidden_values(h, stored_rows(&u->x[l], e, h->stride), e->events);
}

static void score(unit *u, const piece *e, real c)
{
    hidden *h = &u->hidden[u->n - 1];

    hidden_score(h, u->scores + e->first, c, u->w, stored_rows(&u->x[u->n - 1], e, h->stride),
                 e->events);
}

/* Scores become weights, and y (samples, Dk) is the sum of events by them. */
static void sum_events(unit *u, const piece *e)
{
    real       *w       = u->scores + e->first;
    const int  *offsets = offsets_of(u, e);
    const real *k       = events_of(u, e);
    int         B = e->end - e->begin, D = u->k->cols;

    if (u->c->softmax)
        softmax_forward(w, w, (real)u->c->factor, offsets, B);
    else
        scale_numbers(w, (real)u->c->factor, e->events);
    segment_sum(ROW(u->node->output->x, e->begin, D), D, w, k, D, offsets, false, B, D);
}

/* Layer l of a piece; n: the scores. */
static void forward_layer(unit *u, const node *n, const piece *e, int l, const pass *p)
{
    if (l == u->n) {
        score(u, e, n->params[PARAMS_OF_A_LAYER * l + 1]->w[0]);
        if (u->c->sums)
            sum_events(u, e);
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

/* Of candidates, whose requests' events are shared. */
static err_t unit_forward_shared(node *n, pass *p)
{
    const unit_config *c      = n->config;
    const shared_unit  shared = {&c->parts, c->n, c->hidden, n->params};

    const tensor      *k      = n->inputs[1];
    real              *w      = n->output->x;

    if (c->sums)
        TRY(arena_take(p->arena, (size_t)pass_rows(p, k->per) * sizeof *w, &w));
    TRY(shared_unit_forward(&shared, w, n->inputs[0], k, p));
    if (c->softmax)
        softmax_forward(w, w, (real)c->factor, pass_offsets(p, k->per), n->output->rows);
    else if (c->sums)
        scale_numbers(w, (real)c->factor, pass_rows(p, k->per));
    if (c->sums)
        shared_sum(n->output, w, k, p);
    return OK;
}

static err_t unit_forward(node *n, pass *p)
{
    unit        *u;
    unit_config *c = n->config;

    TRY(graph_output(n, p, pass_rows(p, n->output->per)));
    if (pass_shares(p, n, 1))
        return unit_forward_shared(n, p);
    TRY(arena_take(p->arena, sizeof *u, &u));
    TRY(open_unit(u, n, p));
    c->weights.x    = u->scores;
    c->weights.rows = u->k->rows;
    for (int l = 0, end; l <= u->n; l = end) {
        piece e;
        end = u->in_passes ? l + 1 : u->n + 1;
        for (int b = 0; b < u->pair.B; b = e.end) {
            e = next_piece(u, b);
            forward_ahead(u, e, l, end);
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

/* As attention: gw_t = gy_b . k_t, and back through the softmax. */
static void score_gradient(unit *u, const piece *e)
{
    real       *gs = u->gs + e->first, factor = (real)u->c->factor;
    const int  *offsets = offsets_of(u, e);
    const real *k       = events_of(u, e);
    int         B = e->end - e->begin, D = u->k->cols;

    segment_dot(gs, k, D, ROW(u->node->output->g, e->begin, D), D, offsets, false, B, D);
    if (u->c->softmax)
        softmax_backward(gs, gs, u->scores + e->first, factor, offsets, false, B);
    else
        scale_numbers(gs, factor, e->events);
}

/* Through the activation of the last layer, and what its a tells of the score's weights. */
static void backward_last(unit *u, const piece *e)
{
    int         l  = u->n - 1;
    hidden     *h  = &u->hidden[l];
    real       *g  = stored_rows(&u->g[l], e, h->stride);
    const real *gs = u->gs + e->first, *x = stored_rows(&u->x[l], e, h->stride);

    if (u->c->sums)
        score_gradient(u, e);
    if (u->in_passes) {
        hidden_score_sums(h, u->gw, gs, u->w, x, e->events);
        return;
    }
    product(g, u->last_stride, NULL, 0, rows_of(gs, 1), u->w, u->last_stride, e->events,
            u->last_stride, 1);
    product(u->gw, u->last_stride, u->gw, u->last_stride, rows_of(gs, e->events),
            hidden_backward_rows(h, g, x, e->events), u->last_stride, 1, u->last_stride,
            e->events);
}

/* Through the activation of layer l below it, and what its a tells of the weights above. */
static void backward_activation(unit *u, const piece *e, int l)
{
    hidden     *h = &u->hidden[l];
    const real *a = hidden_backward_rows(h, stored_rows(&u->g[l], e, h->stride),
                                         stored_rows(&u->x[l], e, h->stride), e->events);

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
    hidden_score_gradient(h, g, u->gs + e->first, u->w, x, e->events);
    return g;
}

/* Where the gradients of a piece's events go: NULL, where none are wanted. *add: there are some
 * already; as attention those of the sum, gk_t = w_t gy_b. */
static real *events_gradient(unit *u, const piece *e, bool *add)
{
    int    D  = u->k->cols;
    real  *gk = u->k->x ? ROW(u->k->g, e->first, D) : u->gk;
    size_t n  = (size_t)e->events * (size_t)D;

    *add = u->k->x && !u->node->fresh[1];
    if (!u->k->wants_gradient)
        return NULL;
    if (u->c->sums)
        segment_spread(gk, D, u->scores + e->first, ROW(u->node->output->g, e->begin, D), D,
                       offsets_of(u, e), *add, e->end - e->begin, D);
    else if (!*add && u->pair.D < D)
        memset(gk, 0, n * sizeof *gk);
    else
        return gk;
    *add = true;
    return gk;
}

/* Through the first layer. */
static void backward_first(unit *u, const piece *e, const real *g)
{
    const real *k = events_of(u, e);
    int         D = u->k->cols;
    bool        add;
    real       *gk = events_gradient(u, e, &add);

    if (u->bf16) {
        folded_pair_sum(&u->pair, g, e->begin, e->end);
        split_pair_backward(&u->split, gk, add, u->pair.gq, g, k, e->begin, e->end);
    }
    for (int b = e->begin; !u->bf16 && b < e->end; b++) {
        int t = u->pair.offsets[b] - e->first;
        folded_pair_backward(&u->pair, gk ? ROW(gk, t, D) : NULL, ROW(g, t, u->pair.U_stride),
                             ROW(k, t, D), add, b);
    }
    if (gk && !u->k->x)
        tensor_rows_backward(u->k, u->p, gk, e->first, e->events);
}

/* Through the products of layer l. */
static void backward_product(unit *u, const piece *e, int l)
{
    hidden     *h = &u->hidden[l];
    const real *g = u->gx[l] = complete_gradient(u, e, l);

    if (l == 0) {
        backward_first(u, e, g);
        return;
    }
    hidden_bias_gradient(h, g, e->events);
    hidden_below(h, stored_rows(&u->g[l - 1], e, h->in_stride), g, e->events);
}

static err_t open_backward(unit *u, node *n, pass *p)
{
    int longest = piece_longest(u->pair.offsets, u->pair.B);

    u->p = p;
    if (u->c->sums)
        TRY(arena_take(p->arena, (size_t)u->k->rows * sizeof *u->gs, &u->gs));
    else
        u->gs = n->output->g;
    TRY(arena_take(p->arena, (size_t)u->n * sizeof *u->gx, &u->gx));
    TRY(folded_pair_open_backward(&u->pair, n, p));
    if (u->bf16)
        TRY(split_pair_open_backward(&u->split, longest, p));
    TRY(arena_take_zero(p->arena, (size_t)u->last_stride * sizeof *u->gw, &u->gw));
    for (int l = 0; l < u->n; l++) {
        TRY(hidden_open_backward(&u->hidden[l], p));
        TRY(take_stored(&u->g[l], u->in_passes && l < u->n - 1, u->k->rows, longest,
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
    column_sum(c->g, u->gs, u->k->rows, 1);
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
            backward_ahead(u, e, l, end);
            for (int i = l; i >= end; i--) {
                if (i < u->n - 1)
                    backward_product(u, &e, i + 1);
                if (i == u->n - 1)
                    backward_last(u, &e);
                else if (i >= 0)
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
                                 .overwrites = true,
                                 .by_rows    = 1u << 1,
                                 .shares     = 1u << 1};

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

/* All but what becomes of the scores; rows: of the output. */
static node *build_unit(graph *g, tensor *q, tensor *k, const attention_config *c,
                        const char *name, int cols, int per)
{
    char       place[2 * CONFIG_NAME_MAX];
    pair_parts parts    = {0};
    int        n_layers = c->units.n, in;

    if (!pair_parts_place(g, &parts, c->n_parts, c->parts, q->cols, k->cols))
        return NULL;
    node *n = graph_add(g, &unit_layer, 2, (tensor *[]){q, k}, cols, per,
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
    return n;
}

tensor *activation_unit(graph *g, tensor *q, tensor *k, const attention_config *c,
                        const char *name)
{
    char place[2 * CONFIG_NAME_MAX];

    if (!q || !k)
        return NULL;
    if (c->units.n > 0)
        return node_output(build_unit(g, q, k, c, name, 1, k->per));
    snprintf(place, sizeof place, "%s.output", name);
    return pair_linear(g, q, k, c->n_parts, c->parts, 1, place);
}

tensor *activated_sum(graph *g, tensor *q, tensor *k, const attention_config *c, double factor,
                      const char *name)
{
    if (!q || !k)
        return NULL;
    node *n = build_unit(g, q, k, c, name, k->cols, graph_parent(g, k->per));
    if (!n)
        return NULL;
    unit_config *u = n->config;
    u->sums        = true;
    u->softmax     = c->normalize == NORMALIZE_SOFTMAX;
    u->factor      = factor;
    u->weights     = (tensor){.cols = 1, .per = k->per};
    graph_mark_weights(g, &u->weights, name);
    return node_output(n);
}
