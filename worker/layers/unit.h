/* unit - what forward and backward of an activation unit (activation_unit.c) share: one node's
 * batch, and the pieces of it that are worked on at once. */
#ifndef DIPS_WORKER_LAYERS_UNIT_H
#define DIPS_WORKER_LAYERS_UNIT_H

#include "worker/layers/folded_pair.h"
#include "worker/layers/hidden.h"
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

/* One node and batch; of forward, and behind it of backward. */
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

/* Samples begin .. end-1 and their events. */
typedef struct piece {
    int begin, end, first, events;
} piece;

/* From sample begin on. */
piece unit_next_piece(const unit *u, int begin);

/* Where the piece's samples begin among its events. */
const int *unit_offsets(const unit *u, const piece *e);

/* k of the piece's events (events, Dk): lent until the next piece is asked for. */
const real *unit_events(unit *u, const piece *e);

/* Room for all events, or for a piece's. */
MUST_CHECK err_t unit_take_stored(stored *s, bool whole, int events, int longest, int stride,
                                  pass *p);
real            *unit_stored(const stored *s, const piece *e, int stride);

/* List what the piece behind e needs: of layers l .. end-1; of the pass back that ends with the
 * activation of layer end, and began so high as layer l is. */
void unit_forward_ahead(unit *u, piece e, int l, int end);
void unit_backward_ahead(unit *u, piece e, int l, int end);

err_t unit_backward(node *n, pass *p);

static inline void scale_numbers(real *x, real factor, int n)
{
    for (int i = 0; i < n; i++)
        x[i] *= factor;
}

#endif
