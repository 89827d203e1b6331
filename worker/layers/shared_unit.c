#include "worker/layers/shared_unit.h"

#include <string.h>

#include "worker/kernels/activation.h"
#include "worker/kernels/dice.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/pair.h"
#include "worker/kernels/product.h"
#include "worker/kernels/segment.h"
#include "worker/serve.h"

#define PIECE 64 /* candidates whose layers are computed together */

/* One hidden layer, in whole vectors: zero behind the last unit. */
typedef struct stage {
    activation_kind activation;
    int             in, stride;
    real           *W;          /* (in, stride), from the second layer on */
    real           *b, *alpha;  /* (stride) */
    real           *mean, *inv; /* (stride) of dice */
    real           *x;          /* (PIECE, stride) */
} stage;

typedef struct sharing {
    const tensor *q, *k;
    int           n, Dq, D, U; /* D: columns of k that meet weights; U: padded */
    real         *K, *P, *S;   /* (D, U), (Dq, U), (Dq, U): Wk - Wd, Wp, Wq + Wd */
    real         *s;           /* (events of the requests, U) */
    real         *W_t;         /* (Dq, U) of one event */
    bool          with_product;
    stage        *stages;
    real         *w, c;   /* of the score */
    real         *scores; /* (PIECE) */
} sharing;

static err_t take(pass *p, real **at, int rows, int stride)
{
    return arena_take_zero(p->arena, (size_t)rows * (size_t)stride * sizeof **at, at);
}

/* ---- the weights ---- */

/* to (cols, stride) += factor W[:, first : first + cols]^T. */
static void add_part(real *to, int stride, const param *W, int first, real factor, int cols)
{
    for (int u = 0; first >= 0 && u < W->shape[0]; u++)
        for (int d = 0; d < cols; d++)
            ROW(to, d, stride)[u] += factor * ROW(W->w, u, W->shape[1])[first + d];
}

static err_t fold(sharing *a, const shared_unit *u, pass *p)
{
    const int   *first = u->parts->first;
    const param *W     = u->params[0];

    TRY(take(p, &a->K, a->D, a->U));
    TRY(take(p, &a->P, a->Dq, a->U));
    TRY(take(p, &a->S, a->Dq, a->U));
    TRY(take(p, &a->W_t, a->Dq, a->U));
    add_part(a->K, a->U, W, first[PART_K], 1, a->k->cols);
    add_part(a->K, a->U, W, first[PART_DIFFERENCE], -1, a->Dq);
    add_part(a->P, a->U, W, first[PART_PRODUCT], 1, a->Dq);
    add_part(a->S, a->U, W, first[PART_Q], 1, a->Dq);
    add_part(a->S, a->U, W, first[PART_DIFFERENCE], 1, a->Dq);
    return OK;
}

static err_t copy_padded(real **to, const real *from, int n, int stride, pass *p)
{
    TRY(take(p, to, 1, stride));
    memcpy(*to, from, (size_t)n * sizeof **to);
    return OK;
}

static err_t open_dice(stage *x, const statistics_config *c, int units, pass *p)
{
    statistics s;

    TRY(statistics_take_moments(&s, c, NULL, NULL, 0, units, p));
    TRY(copy_padded(&x->mean, s.mean, units, x->stride, p));
    return copy_padded(&x->inv, s.inv, units, x->stride, p);
}

static err_t open_stage(stage *x, const shared_unit *u, int l, pass *p)
{
    param *const *params = u->params + 3 * l;
    const param  *W      = params[0];
    int           units  = W->shape[0];

    *x = (stage){.activation = u->hidden[l].activation,
                 .in         = l > 0 ? W->shape[1] : 0,
                 .stride     = padded(units)};
    TRY(copy_padded(&x->b, params[1]->w, units, x->stride, p));
    TRY(take(p, &x->x, PIECE, x->stride));
    if (l > 0) {
        TRY(take(p, &x->W, x->in, x->stride));
        add_part(x->W, x->stride, W, 0, 1, x->in);
    }
    if (x->activation == ACTIVATION_DICE)
        TRY(open_dice(x, &u->hidden[l].dice, units, p));
    return x->activation == ACTIVATION_DICE || x->activation == ACTIVATION_PRELU
               ? copy_padded(&x->alpha, params[2]->w, units, x->stride, p)
               : OK;
}

static err_t open_sharing(sharing *a, const shared_unit *u, const tensor *q, const tensor *k,
                          pass *p)
{
    const param *w = u->params[3 * u->n];

    *a = (sharing){.q            = q,
                   .k            = k,
                   .n            = u->n,
                   .Dq           = q->cols,
                   .D            = u->parts->with_k ? k->cols : q->cols,
                   .U            = padded(u->params[0]->shape[0]),
                   .with_product = u->parts->with_product,
                   .c            = u->params[3 * u->n + 1]->w[0]};
    TRY(fold(a, u, p));
    TRY(arena_take(p->arena, (size_t)u->n * sizeof *a->stages, &a->stages));
    for (int l = 0; l < u->n; l++)
        TRY(open_stage(&a->stages[l], u, l, p));
    TRY(copy_padded(&a->w, w->w, (int)w->count, a->stages[u->n - 1].stride, p));
    TRY(take(p, &a->s, k->rows, a->U));
    product(a->s, a->U, a->stages[0].b, 0, rows_of(k->x, k->cols), a->K, a->U, k->rows, a->U,
            a->D);
    return take(p, &a->scores, 1, PIECE);
}

/* ---- an event and some candidates ---- */

/* In place. */
static void activate(const stage *x, int N)
{
    size_t numbers = (size_t)N * (size_t)x->stride;

    switch (x->activation) {
    case ACTIVATION_DICE:
        dice_forward(x->x, x->x, x->mean, x->inv, x->alpha, N, x->stride, NULL);
        break;
    case ACTIVATION_PRELU:
        prelu_forward(x->x, x->x, x->alpha, N, x->stride);
        break;
    case ACTIVATION_RELU:
        relu_forward(x->x, x->x, numbers);
        break;
    case ACTIVATION_SIGMOID:
        sigmoid_forward(x->x, x->x, numbers);
        break;
    case ACTIVATION_NONE:
        break;
    }
}

/* The scores of candidates first .. first+N-1 for the event whose weights are W. */
static void score(const sharing *a, const real *W, const real *s_t, int first, int N)
{
    const stage *last = &a->stages[a->n - 1];

    product(a->stages->x, a->U, s_t, 0, rows_of(ROW(a->q->x, first, a->Dq), a->Dq), W, a->U, N,
            a->U, a->Dq);
    activate(a->stages, N);
    for (const stage *x = a->stages + 1; x <= last; x++) {
        product(x->x, x->stride, x->b, 0, rows_of(x[-1].x, x[-1].stride), x->W, x->stride, N,
                x->stride, x->in);
        activate(x, N);
    }
    for (int i = 0; i < N; i++)
        a->scores[i] = a->c;
    segment_dot(a->scores, last->x, last->stride, a->w, last->stride, (int[]){0, N}, true, 1,
                last->stride);
}

static const real *weights_of(const sharing *a, int event)
{
    if (!a->with_product)
        return a->S;
    pair_weights(a->W_t, a->S, a->P, ROW(a->k->x, event, a->k->cols), a->Dq, a->Dq, a->U);
    return a->W_t;
}

/* Candidates first .. end-1 of the request whose events begin .. begin+T-1 are. */
static void score_request(const sharing *a, real *scores, const int *offsets, int first,
                          int end, int begin, int T)
{
    int pieces = (end - first + PIECE - 1) / PIECE;

    for (int t = 0; t < T; t++) {
        const real *W = weights_of(a, begin + t);
        for (int c = first, left = pieces, N; c < end; c += N, left--) {
            N = (end - c + left - 1) / left;
            score(a, W, ROW(a->s, begin + t, a->U), c, N);
            for (int i = 0; i < N; i++)
                scores[offsets[c + i] + t] = a->scores[i];
        }
    }
}

err_t shared_unit_forward(const shared_unit *u, real *scores, const tensor *q, const tensor *k,
                          pass *p)
{
    const int *offsets = pass_offsets(p, k->per);
    sharing    a;

    TRY(open_sharing(&a, u, q, k, p));
    for (int first = 0; first < q->rows;) {
        served_group g = serve_group(p, k->per, first, q->rows);
        score_request(&a, scores, offsets, g.first, g.end, g.begin, g.rows);
        first = g.end;
    }
    return OK;
}

void shared_dot(real *scores, const tensor *q, const tensor *k, const pass *p)
{
    const int *offsets = pass_offsets(p, k->per);

    for (int first = 0; first < q->rows;) {
        served_group g = serve_group(p, k->per, first, q->rows);
        gemm(scores + offsets[first], g.rows, plain(ROW(q->x, first, q->cols), q->cols),
             transposed(ROW(k->x, g.begin, k->cols), k->cols), g.end - first, g.rows, q->cols,
             false);
        first = g.end;
    }
}

void shared_sum(tensor *y, const real *w, const tensor *k, const pass *p)
{
    const int *offsets = pass_offsets(p, k->per);

    for (int first = 0; first < y->rows;) {
        served_group g = serve_group(p, k->per, first, y->rows);
        product(ROW(y->x, first, y->cols), y->cols, NULL, 0,
                rows_of(w + offsets[first], g.rows), ROW(k->x, g.begin, k->cols), k->cols,
                g.end - first, k->cols, g.rows);
        first = g.end;
    }
}
