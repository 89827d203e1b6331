/* The way back through an activation unit, pass by pass and piece by piece. */
#include "worker/kernels/column.h"
#include "worker/kernels/product.h"
#include "worker/kernels/segment.h"
#include "worker/layers/unit.h"

/* As attention: gw_t = gy_b . k_t, and back through the softmax. */
static void score_gradient(unit *u, const piece *e)
{
    real       *gs = u->gs + e->first, factor = (real)u->c->factor;
    const int  *offsets = unit_offsets(u, e);
    const real *k       = unit_events(u, e);
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
    real       *g  = unit_stored(&u->g[l], e, h->stride);
    const real *gs = u->gs + e->first, *x = unit_stored(&u->x[l], e, h->stride);

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
    const real *a = hidden_backward_rows(h, unit_stored(&u->g[l], e, h->stride),
                                         unit_stored(&u->x[l], e, h->stride), e->events);

    hidden_weight_gradient(&u->hidden[l + 1], u->gx[l + 1], a, e->events);
}

/* The gradient of layer l's products. */
static const real *complete_gradient(unit *u, const piece *e, int l)
{
    hidden     *h = &u->hidden[l];
    real       *g = unit_stored(&u->g[l], e, h->stride);
    const real *x = unit_stored(&u->x[l], e, h->stride);

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
                       unit_offsets(u, e), *add, e->end - e->begin, D);
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
    const real *k = unit_events(u, e);
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
    hidden_below(h, unit_stored(&u->g[l - 1], e, h->in_stride), g, e->events);
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
        TRY(unit_take_stored(&u->g[l], u->in_passes && l < u->n - 1, u->k->rows, longest,
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
err_t unit_backward(node *n, pass *p)
{
    unit *u = n->scratch;

    TRY(open_backward(u, n, p));
    for (int l = u->n - 1, end; l >= -1; l = end - 1) {
        piece e;
        end = u->in_passes ? l : -1;
        for (int b = 0; b < u->pair.B; b = e.end) {
            e = unit_next_piece(u, b);
            unit_backward_ahead(u, e, l, end);
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
