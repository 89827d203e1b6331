/* optim - update rules: how a gradient changes weights.
 *
 * A rule acts on n weights that share one state: a row of an embedding, or a dense
 * tensor. The state is reals; its length and the names of its parts are told here, and
 * checkpoints call them NAME@part. Formulas and defaults are PyTorch's where it has the
 * rule; sources stand above each rule in optim_plain.c, which is the one to read.
 * optim_update is optim_rules.c, the same in vector code: sums in the order of common/lanes.h
 * and no fused products, so both give the same bits on every CPU. */
#ifndef DIPS_COMMON_OPTIM_H
#define DIPS_COMMON_OPTIM_H

#include <stddef.h>

#include "common/config.h"
#include "common/powers.h"
#include "common/real.h"

/* A part of a rule's state. */
typedef struct optim_part {
    const char *name; /* "sum", "m", "v", "z", "n", "step", "momentum" */
    bool        wide; /* one real per weight; else one per row */
} optim_part;

/* The parts of the state of kind, *n of them, in their order within the state. */
const optim_part *optim_parts(optimizer_kind kind, int *n);

/* Reals of state for n weights. Before the first update they are all zero (FTRL, whose w is a
 * function of z, takes its first z from w then). */
size_t optim_state_size(optimizer_kind kind, size_t n);

/* A rule made ready for use. */
typedef struct optim {
    const optimizer_config *config;       /* lent */
    powers                  beta1, beta2; /* of adam */
} optim;

void optim_init(optim *o, const optimizer_config *c);

/* One update of w[n] and state by the gradient g[n] at learning rate lr. The arrays do
 * not overlap. */
void optim_update(const optim *o, double lr, real *w, real *state, const real *g, size_t n);

/* The same, plain. */
void optim_update_plain(const optimizer_config *c, double lr, real *w, real *state,
                        const real *g, size_t n);

#endif
