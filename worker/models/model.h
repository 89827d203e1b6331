/* model - a model is a file: its equations, one build function, one line in model.c. */
#ifndef DIPS_WORKER_MODELS_MODEL_H
#define DIPS_WORKER_MODELS_MODEL_H

#include "worker/graph.h"

typedef struct model {
    const char *name;  /* model.kind */
    const char *about; /* one line for `dips options` */

    /* Build the graph with layers.h; returns the logits (B, 1). Errors stay in g. */
    tensor *(*build)(graph *g, const model_config *c);
} model;

/* All models, ended by NULL. */
extern const model *const models[];

/* The model called name, or NULL. */
const model *model_find(const char *name);

/* Build c->model into g (its dense is not yet sealed). ERR_CONFIG names what the model
 * cannot do with this configuration. */
MUST_CHECK err_t model_build(graph *g, const config *c);

#endif
