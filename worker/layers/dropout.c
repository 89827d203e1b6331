#include <string.h>

#include "common/hash.h"
#include "common/rng.h"
#include "worker/layers/layers.h"

typedef struct dropout_config {
    double   share;
    uint64_t salt; /* of the layer's name */
} dropout_config;

/* mask = 0 with probability share, else 1 / (1 - share). The stream of a sample depends
 * on (seed, layer, step, place in the global batch) alone, so that a sample's mask is
 * the same whichever worker has it. */
static void draw(real *mask, const dropout_config *c, const tensor *x, const pass *p)
{
    real kept = (real)(1 / (1 - c->share));

    for (int b = 0; b < p->batch->B; b++) {
        rng    r     = rng_named(p->seed ^ c->salt, RNG_DROPOUT, (uint64_t)p->step,
                                 p->batch->first + (uint64_t)b);
        size_t begin = (size_t)pass_first_row(p, x->per, b) * (size_t)x->cols;
        size_t end   = (size_t)pass_first_row(p, x->per, b + 1) * (size_t)x->cols;
        for (size_t i = begin; i < end; i++)
            mask[i] = rng_uniform(&r) < c->share ? 0 : kept;
    }
}

static err_t dropout_forward(node *n, pass *p)
{
    const tensor *x     = n->inputs[0];
    size_t        count = (size_t)x->rows * (size_t)x->cols;
    real         *mask;

    n->scratch = NULL;
    TRY(graph_output(n, p, x->rows));
    if (!p->training) {
        memcpy(n->output->x, x->x, count * sizeof *x->x);
        return OK;
    }
    TRY(arena_take(p->arena, count * sizeof *mask, &mask));
    draw(mask, n->config, x, p);
    for (size_t i = 0; i < count; i++)
        n->output->x[i] = mask[i] * x->x[i];
    n->scratch = mask;
    return OK;
}

static err_t dropout_backward(node *n, pass *p)
{
    const real *mask = n->scratch, *g = n->output->g;
    real       *gx    = n->inputs[0]->g;
    size_t      count = (size_t)n->output->rows * (size_t)n->output->cols;

    (void)p;
    for (size_t i = 0; i < count; i++)
        gx[i] += mask ? mask[i] * g[i] : g[i];
    return OK;
}

static const layer dropout_layer = {
    .name = "dropout", .forward = dropout_forward, .backward = dropout_backward};

tensor *dropout(graph *g, tensor *x, double share, const char *name)
{
    if (!x || share <= 0)
        return x;
    node *n = graph_add(g, &dropout_layer, 1, &x, x->cols, x->per, sizeof(dropout_config));
    if (n)
        *(dropout_config *)n->config = (dropout_config){share, hash_bytes(name, strlen(name))};
    return node_output(n);
}
