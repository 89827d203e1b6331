/* graph_state - the inside of a graph: graph.c builds it, graph_pass.c runs it, graph_fit.c
 * fits its inputs. */
#ifndef DIPS_WORKER_GRAPH_STATE_H
#define DIPS_WORKER_GRAPH_STATE_H

#include "common/vec.h"
#include "worker/graph.h"

/* A loss besides that of the logits. */
typedef struct added_loss {
    tensor *losses; /* (B, 1) */
    double  weight;
} added_loss;

struct graph {
    const config *config;
    const schema *schema;
    dense        *dense;
    VEC(node *) nodes;
    VEC(marked_weights) marks;
    VEC(axis) axes; /* the schema's sequences, then those of layers */
    VEC(added_loss) losses;
    tensor    *logits;
    err_report error;
};

#endif
