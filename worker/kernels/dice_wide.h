/* dice_wide - the functions of dice.h by vectors of 512 bits, for x86-64 and floats.
 *
 * A vector of columns is gone down for some rows, then the next: constants and sums stay in
 * registers, and memory is read nearly in order. The sigmoid is 1 / (1 + 2^t) with
 * t = -log2(e) xh from the start; a polynomial, and the reciprocal that the machine guesses
 * to 14 bits with one step of Newton's. It is right to 2 units in the last place of 1. */
#ifndef DIPS_WORKER_KERNELS_DICE_WIDE_H
#define DIPS_WORKER_KERNELS_DICE_WIDE_H

#include "worker/kernels/dice.h"
#include "worker/kernels/wide.h"

#ifdef WIDE_KERNELS
#define DICE_WIDE
extern const dice_kernels dice_wide;
#endif

#endif
