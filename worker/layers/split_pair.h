/* split_pair - what varies within a sample of a folded pair, in bf16.
 *
 *     z_t = [k_t, q * k_t] V + s,   V = [Wk - Wd; Wp]   (in, U)
 *
 * Taking q into the weights (folded_pair.h) halves the arithmetic, for passes over the weights
 * of each sample. Where tiles make the arithmetic cheap those passes cost more than they save;
 * so here the product stays in two parts, and V is the same for all samples. Backward, from gz:
 *
 *     [gk', gp] = gz V^T,   gk = gk' + q * gp,   gq = sum_t k_t * gp_t,   gV = [k, q * k]^T gz
 *
 * k, q * k, V and gz are rounded to bf16; sums, and all that is not named in this paragraph,
 * are reals. A piece of samples is worked on at once. */
#ifndef DIPS_WORKER_LAYERS_SPLIT_PAIR_H
#define DIPS_WORKER_LAYERS_SPLIT_PAIR_H

#include "worker/graph.h"
#include "worker/kernels/product_bf16.h"

/* One node and batch; all in the step's arena. */
typedef struct split_pair {
    bf16_path     path;
    const tensor *q;
    const int    *offsets;
    int           Dk;
    int           k_width, p_width, in; /* columns of both parts, and together */
    int           U, U_stride;
    int           deep_in, wide_in, deep_U, wide_U; /* whole sizes, see product_bf16.h */
    uint32_t     *V, *Vt;         /* right: (deep_in / 2, wide_U), (deep_U / 2, wide_in) */
    uint16_t     *parts;          /* of a piece: (events, deep_in) */
    uint16_t     *gz, *gz_turned; /* (events, deep_U), (wide_U, events) */
    uint32_t     *pairs;          /* of parts: (events / 2, wide_in) */
    real         *g_parts;        /* (events, wide_in) */
    real         *gV;             /* (U, wide_in), transposed */
} split_pair;

/* The weights by parts, as a folded pair has them: K (k's columns, U_stride), P (q's columns,
 * U_stride), Kt and Pt (U, D_stride). */
typedef struct split_weights {
    const real *K, *P, *Kt, *Pt;
    int         U, U_stride, D_stride;
} split_weights;

/* longest: events of the longest piece. */
MUST_CHECK err_t split_pair_open(split_pair *a, bf16_path path, const tensor *q,
                                 const tensor *k, bool with_k, bool with_product,
                                 const split_weights *w, int longest, pass *p);

/* z += [k, q * k] V   z (events of samples begin .. end-1, U_stride);  k (those events, Dk) */
void split_pair_forward(split_pair *a, real *z, const real *k, int begin, int end);

MUST_CHECK err_t split_pair_open_backward(split_pair *a, int longest, pass *p);

/* From gz (events of samples begin .. end-1, U_stride) and their k: gk (those events, Dk), NULL
 * where it is not wanted, is added to where add; gq (B, Dq) always. Of gk only the columns that
 * meet weights are written: all, or without k's own part the first Dq. */
void split_pair_backward(split_pair *a, real *gk, bool add, real *gq, const real *gz,
                         const real *k, int begin, int end);

/* gK and gP, shaped as K and P, are added to. */
void split_pair_close_backward(const split_pair *a, real *gK, real *gP);

#endif
