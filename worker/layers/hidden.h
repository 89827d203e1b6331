/* hidden - one hidden layer of an activation unit, on a piece of the batch's events.
 *
 *     x = a' W^T + b,   a = activation(x)
 *
 * Only x is kept from forward to backward, or a where the activation's slope is told by it
 * (relu, sigmoid); the other is made again where it is needed, in the cache. Rows are whole
 * vectors, zero behind the last unit. */
#ifndef DIPS_WORKER_LAYERS_HIDDEN_H
#define DIPS_WORKER_LAYERS_HIDDEN_H

#include "worker/kernels/ahead.h"
#include "worker/kernels/product_bf16.h"
#include "worker/layers/statistics.h"

typedef struct hidden_config {
    activation_kind   activation;
    statistics_config dice;
} hidden_config;

/* The operands of a layer's products in bf16 (product_bf16.h), whose sizes are made whole. */
typedef struct hidden_halves {
    uint32_t *Wt, *W;       /* right: (in / 2, U), (U / 2, in) */
    uint16_t *below;        /* left, of a piece: a' (events, in) */
    uint16_t *g, *g_turned; /* (events, U), (U, events) */
    uint32_t *pairs;        /* right: of a' (events / 2, in) */
    int       deep_in, wide_in, deep_U, wide_U;
} hidden_halves;

/* Of one node and batch, in the step's arena; in: units of the layer below, whose a' it reads;
 * 0 for the first, whose products are another's. */
typedef struct hidden {
    const hidden_config *c;
    param               *weight, *bias, *alpha;
    int                  in, in_stride, U, stride;
    int                  rows;       /* of the longest piece */
    real                *Wt, *W;     /* (in, stride), (U, in_stride) */
    real                *b, *slope;  /* (stride) bias and alpha */
    real                *mean, *inv; /* (stride) of dice */
    statistics           s;
    int                  seen; /* rows of which the moments are */
    double              *batch_mean, *batch_squares;
    real                *g_slope, *gb; /* (stride) gradients of alpha and bias */
    double              *sums;         /* (2, stride) of dice's gradient */
    real                *means;        /* the same over all rows */
    real                *y, *gx;       /* (a piece's rows, stride) a, where x is kept; g */
    ahead               *next;         /* what to ask for meanwhile, or NULL: the caller's */
    const bf16_path     *bf16;         /* of its products; NULL: they are in reals */
    hidden_halves        halves;
} hidden;

/* params: weight, bias, alpha. rows: of the longest piece. bf16: the path of products in bf16,
 * the caller's, or NULL. */
MUST_CHECK err_t hidden_open(hidden *h, const hidden_config *c, param *const *params, int in,
                             int rows, const bf16_path *bf16, pass *p);

/* x (N, stride) = a' W^T + b, a' (N, in_stride) */
void hidden_product(const hidden *h, real *x, const real *below, int N);

/* x is complete: it becomes what is kept, and its moments are taken note of. */
void hidden_settle(hidden *h, real *x, int N, const pass *p);

/* Collective where dice is synchronised: after all pieces of the batch are settled. */
MUST_CHECK err_t hidden_statistics(hidden *h, pass *p);

/* a of x: lent until the next piece. */
const real *hidden_values(hidden *h, const real *x, int N);

MUST_CHECK err_t hidden_open_backward(hidden *h, pass *p);

/* g (N, stride), the gradient of a, becomes that of x, but for what batch statistics take
 * away; alpha's gradient and the sums for those are added to. Returns a. */
const real *hidden_backward_rows(hidden *h, real *g, const real *x, int N);

/* Collective where dice is synchronised: after all pieces. */
MUST_CHECK err_t hidden_backward_statistics(hidden *h, pass *p);

/* After both: what batch statistics take away of g, lent until the next piece (g may lie in
 * memory, and stays as it is). */
const real *hidden_backward_means(hidden *h, const real *g, const real *x, int N);

/* Of the last layer, which has a score s = c + a . w above it: for w's gradient gw and that of
 * s, with dice of the batch's statistics, what hidden_backward_rows takes note of; after
 * hidden_backward_statistics the whole gradient g of x.   s, gs (N);  w, gw (stride) */
void hidden_score(hidden *h, real *s, real c, const real *w, const real *x, int N);
void hidden_score_sums(const hidden *h, real *gw, const real *gs, const real *w, const real *x,
                       int N);
void hidden_score_gradient(const hidden *h, real *g, const real *gs, const real *w,
                           const real *x, int N);

/* From the whole gradient g of x, below's a' and for below's gradient:
 *     gb += sum g, g' = g W;   gW += g^T a'
 * The last comes after the others of a piece: in bf16 the halves of g are there then. */
void hidden_bias_gradient(const hidden *h, const real *g, int N);
void hidden_below(const hidden *h, real *g_below, const real *g, int N);
void hidden_weight_gradient(const hidden *h, const real *g, const real *below, int N);

/* Alpha's and (but for the first layer) the bias' gradients to where they belong. */
void hidden_close_backward(hidden *h);

#endif
