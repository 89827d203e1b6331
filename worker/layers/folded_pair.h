/* folded_pair - the first layer of DIN's activation unit, without its input.
 *
 * Of the concatenation [q, k, q-k, q*k] of a candidate and an event, all that varies within
 * a sample is k. With W = [Wq Wk Wd Wp] by parts, transposed here,
 *
 *     z_t = k_t W_q + s,    W_q = (Wk - Wd) + diag(q) Wp,    s = q (Wq + Wd) + b
 *
 * W_q (Dk, U) and s (U) one for each sample: a quarter of the plain arithmetic. Backward, with
 * P = sum_t k_t^T gz_t, once for each sample, too:
 *
 *     g(Wk - Wd) += P,  gWp += diag(q) P,   gk_t = gz_t W_q^T,
 *     gs = sum_t gz_t,  g(Wq + Wd) += q^T gs,  gb += gs,
 *     gq_d = sum_u P_du Wp_du + gs . (Wq + Wd)_d
 *
 * Making W_q twice (as it is, and transposed) and taking P apart costs a sample as much as two
 * events; below about four events forming [k, q*k] would be as fast, for twice the products.
 * Where k is wider than q, Wd and Wp meet its first Dq columns.
 *
 * Layers go over the samples of a batch in pieces, whose numbers stay in the caches from one
 * product to the next; z has rows of whole vectors (kernel.h). */
#ifndef DIPS_WORKER_LAYERS_FOLDED_PAIR_H
#define DIPS_WORKER_LAYERS_FOLDED_PAIR_H

#include "worker/graph.h"
#include "worker/kernels/ahead.h"
#include "worker/kernels/pair.h"

#define PARTS 4

/* Where the parts lie in W. */
typedef struct pair_parts {
    int  first[PARTS]; /* column of W at which a part begins, or -1 */
    int  in;           /* columns of W */
    bool with_q, with_k, with_product;
} pair_parts;

/* One node and batch; all in the step's arena. Widths in capitals; what they are padded to
 * stands beside. */
typedef struct folded_pair {
    const pair_parts *parts;
    const tensor     *q, *k;
    const int        *offsets;
    ahead            *next; /* what to ask for meanwhile, or NULL: the caller's */
    int               B, Dq, Dk, U;
    int               D, D_stride;      /* columns of k that meet weights */
    int               U_stride;         /* of z, s and all that is wide U */
    real             *K, *P, *S;        /* (D, U), (Dq, U), (Dq, U): Wk - Wd, Wp, Wq + Wd */
    real             *Kt, *Pt, *St;     /* the same transposed: (U, D), (U, D), (U, Dq) */
    real             *s;                /* (B, U) */
    real             *W_q, *W_qt, *q_b; /* of one sample: (D, U), (U, D), (D) */
    real             *gK, *gP, *gS, *gb, *gs, *gq;
    real             *gW_q;           /* (PAIR_LOT, D, U) of the samples that wait: */
    int               waiting[PAIR_LOT], n_waiting;
} folded_pair;

/* Which parts, in which order. Errors are kept in g: false. */
bool pair_parts_place(graph *g, pair_parts *c, int n_parts, const part_kind *parts, int Dq,
                      int Dk);

/* Fold W (U, in), padded to U_stride, and make s from it and b (U). */
MUST_CHECK err_t folded_pair_open(folded_pair *a, const pair_parts *c, const tensor *q,
                                  const tensor *k, const param *W, const param *b, pass *p);

/* z (events of sample b, U_stride) from k (those events, Dk) */
void folded_pair_forward(folded_pair *a, real *z, const real *k, int b);

/* z (events of samples begin .. end-1, U_stride) = s of each, for what is added to it. */
void folded_pair_spread(const folded_pair *a, real *z, int begin, int end);

/* Ready for gradients. */
MUST_CHECK err_t folded_pair_open_backward(folded_pair *a, const node *n, pass *p);

/* From gz (events of sample b, U_stride): the first D columns of gk (those events, Dk), which
 * are added to where add; gk NULL: not wanted. */
void folded_pair_backward(folded_pair *a, real *gk, const real *gz, const real *k, bool add,
                          int b);

/* Of that gs alone: for samples begin .. end-1. */
void folded_pair_sum(folded_pair *a, const real *gz, int begin, int end);

/* Add up W->g, b->g and the gradient of q. */
void folded_pair_close_backward(folded_pair *a, param *W, param *b);

/* ---- pieces ---- */

#define PIECE_EVENTS 128

/* Samples b .. end-1 have at most PIECE_EVENTS events, or are a single one. */
int piece_end(const int *offsets, int b, int B);

/* Events of the longest piece. */
int piece_longest(const int *offsets, int B);

#endif
