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

#include "worker/kernels/segment.h"
#include "worker/layers/activation.h"
#include "worker/layers/layers.h"
#include "worker/layers/shared_unit.h"
#include "worker/layers/unit.h"

/* ---- forward ---- */

static err_t open_hidden(unit *u, const node *n, int l, int longest, pass *p)
{
    param *const *params = n->params + PARAMS_OF_A_LAYER * l;
    hidden       *h      = &u->hidden[l];

    TRY(hidden_open(h, &u->c->hidden[l], params, l == 0 ? 0 : u->hidden[l - 1].U, longest,
                    u->bf16, p));
    TRY(unit_take_stored(&u->x[l], pass_learns(p), n->inputs[1]->rows, longest, h->stride, p));
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
    const real *k = unit_events(u, e);

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

    return hidden_values(h, unit_stored(&u->x[l], e, h->stride), e->events);
}

static void score(unit *u, const piece *e, real c)
{
    hidden *h = &u->hidden[u->n - 1];

    hidden_score(h, u->scores + e->first, c, u->w, unit_stored(&u->x[u->n - 1], e, h->stride),
                 e->events);
}

/* Scores become weights, and y (samples, Dk) is the sum of events by them. */
static void sum_events(unit *u, const piece *e)
{
    real       *w       = u->scores + e->first;
    const int  *offsets = unit_offsets(u, e);
    const real *k       = unit_events(u, e);
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
    real   *x = unit_stored(&u->x[l], e, h->stride);
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
            e = unit_next_piece(u, b);
            unit_forward_ahead(u, e, l, end);
            for (int i = l; i < end; i++)
                forward_layer(u, n, &e, i, p);
        }
        if (u->in_passes && l < u->n)
            TRY(hidden_statistics(&u->hidden[l], p));
    }
    n->scratch = u;
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
