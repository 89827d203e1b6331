/* gru_gate - what the kinds of gated recurrent units differ in. */
#ifndef DIPS_WORKER_LAYERS_GRU_GATE_H
#define DIPS_WORKER_LAYERS_GRU_GATE_H

#include "worker/layers/layers.h"

static inline bool gru_resets_input(gru_kind kind)
{
    return kind == GRU_RESET_INPUT || kind == GRU_AUGRU_CODE;
}

/* The gate that lets a new state in, by attention a: e = p + q u. */
static inline void gru_gate(gru_kind kind, real a, real *p, real *q)
{
    *p = kind == GRU_AGRU || kind == GRU_AUGRU_CODE ? a : 0;
    *q = kind == GRU_AGRU         ? 0
         : kind == GRU_AUGRU      ? a
         : kind == GRU_AUGRU_CODE ? 1 - a
                                  : 1;
}

#endif
