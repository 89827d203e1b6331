/* A long short-term memory along the rows of each group, in one direction.
 *
 *     z_t = W x_t + U h_{t-1} + b,   then the gates of kernels/lstm.h;   h_0 = c_0 = 0
 *
 * Groups go side by side by time (packing.h): W x of the whole batch is one product, U h one
 * for each step, over the groups that are that long. */
#include <stdio.h>

#include "worker/kernels/column.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/lstm.h"
#include "worker/kernels/product.h"
#include "worker/layers/layers.h"
#include "worker/layers/packing.h"

/* Parameters of a node; peepholes may be missing. */
enum { INPUT, RECURRENT, BIAS, PEEPHOLES };

typedef struct memory_config {
    bool backwards;
} memory_config;

/* One node and batch; rows in packed order. */
typedef struct memory {
    packing k;
    int     D, H;
    real   *x;       /* (rows, D) */
    real   *z;       /* (rows, 4 H) the gates; then their gradient */
    real   *c, *h;   /* (rows, H) */
    real   *U;       /* (H, 4 H) transposed */
    real   *gh, *gc; /* (rows, H); (widest step, H) */
} memory;

static err_t take(pass *p, real **at, int rows, int stride)
{
    return arena_take(p->arena, (size_t)rows * (size_t)stride * sizeof **at, at);
}

static err_t open_memory(memory *m, const node *n, pass *p)
{
    const tensor *x = n->inputs[0];
    const param  *U = n->params[RECURRENT];
    int           H = n->output->cols;

    *m = (memory){.D = x->cols, .H = H};
    TRY(packing_take(&m->k, x->per, ((const memory_config *)n->config)->backwards, p));
    TRY(take(p, &m->x, x->rows, m->D));
    TRY(take(p, &m->z, x->rows, 4 * H));
    TRY(take(p, &m->c, x->rows, H));
    TRY(take(p, &m->h, x->rows, H));
    TRY(take(p, &m->U, H, 4 * H));
    for (int u = 0; u < 4 * H; u++)
        for (int d = 0; d < H; d++)
            ROW(m->U, d, 4 * H)[u] = ROW(U->w, u, H)[d];
    packing_gather(m->x, &m->k, x->x, m->D);
    return OK;
}

/* Row of step t within an array of packed rows; NULL before the first step. */
static real *step_rows(real *x, const memory *m, int t, int stride)
{
    return t < 0 ? NULL : ROW(x, m->k.starts[t], stride);
}

static const real *peepholes(const node *n)
{
    return n->params[PEEPHOLES] ? n->params[PEEPHOLES]->w : NULL;
}

static err_t memory_forward(node *n, pass *p)
{
    const param *W = n->params[INPUT];
    memory      *m;

    TRY(graph_output(n, p, n->inputs[0]->rows));
    TRY(arena_take(p->arena, sizeof *m, &m));
    TRY(open_memory(m, n, p));
    int H = m->H;
    gemm(m->z, 4 * H, plain(m->x, m->D), transposed(W->w, m->D), m->k.rows, 4 * H, m->D, false);
    column_add(m->z, n->params[BIAS]->w, m->k.rows, 4 * H);
    for (int t = 0; t < m->k.steps; t++) {
        int   width = packing_width(&m->k, t);
        real *z     = step_rows(m->z, m, t, 4 * H);
        if (t > 0)
            product(z, 4 * H, z, 4 * H, rows_of(step_rows(m->h, m, t - 1, H), H), m->U, 4 * H,
                    width, 4 * H, H);
        lstm_forward(step_rows(m->h, m, t, H), step_rows(m->c, m, t, H), z,
                     step_rows(m->c, m, t - 1, H), peepholes(n), width, H);
    }
    packing_scatter(n->output->x, &m->k, m->h, false, H);
    n->scratch = m;
    return OK;
}

/* ---- backward: gh_{t-1} += gz_t U,   gU += sum_t gz_t^T h_{t-1} ---- */

static void backward_step(memory *m, const node *n, int t)
{
    int    H = m->H, width = packing_width(&m->k, t);
    real  *z = step_rows(m->z, m, t, 4 * H), *before = step_rows(m->h, m, t - 1, H);
    real  *gh = step_rows(m->gh, m, t, H), *gh_before = step_rows(m->gh, m, t - 1, H);
    param *U = n->params[RECURRENT], *peep = n->params[PEEPHOLES];

    lstm_backward(z, m->gc, peep ? peep->g : NULL, gh, step_rows(m->c, m, t, H),
                  step_rows(m->c, m, t - 1, H), peepholes(n), width, H);
    if (t == 0)
        return;
    product(gh_before, H, gh_before, H, rows_of(z, 4 * H), U->w, H, width, H, 4 * H);
    gemm(U->g, H, transposed(z, 4 * H), plain(before, H), 4 * H, H, width, true);
}

static err_t backward_input(memory *m, node *n, pass *p)
{
    tensor      *x = n->inputs[0];
    const param *W = n->params[INPUT];
    int          H = m->H;

    column_sum(n->params[BIAS]->g, m->z, m->k.rows, 4 * H);
    gemm(W->g, m->D, transposed(m->z, 4 * H), plain(m->x, m->D), 4 * H, m->D, m->k.rows, true);
    if (!x->wants_gradient)
        return OK;
    real *gx;
    TRY(take(p, &gx, m->k.rows, m->D));
    gemm(gx, m->D, plain(m->z, 4 * H), plain(W->w, m->D), m->k.rows, m->D, 4 * H, false);
    packing_scatter(x->g, &m->k, gx, !n->fresh[0], m->D);
    return OK;
}

static err_t memory_backward(node *n, pass *p)
{
    memory *m      = n->scratch;
    int     widest = m->k.steps > 0 ? packing_width(&m->k, 0) : 0;

    TRY(take(p, &m->gh, m->k.rows, m->H));
    TRY(arena_take_zero(p->arena, (size_t)widest * (size_t)m->H * sizeof *m->gc, &m->gc));
    packing_gather(m->gh, &m->k, n->output->g, m->H);
    for (int t = m->k.steps - 1; t >= 0; t--)
        backward_step(m, n, t);
    return backward_input(m, n, p);
}

static const layer memory_layer = {
    .name = "lstm", .forward = memory_forward, .backward = memory_backward, .overwrites = true};

/* ---- building ---- */

static tensor *one_direction(graph *g, tensor *x, const lstm_config *c, int units,
                             bool backwards, const char *name)
{
    char place[3 * CONFIG_NAME_MAX];

    if (!x)
        return NULL;
    node *n = graph_add(g, &memory_layer, 1, &x, units, x->per, sizeof(memory_config));
    if (n)
        ((memory_config *)n->config)->backwards = backwards;
    snprintf(place, sizeof place, "%s.input", name);
    node_weight(g, n, INPUT, place, 4 * units, x->cols);
    snprintf(place, sizeof place, "%s.recurrent", name);
    node_weight(g, n, RECURRENT, place, 4 * units, units);
    node_vector(g, n, BIAS, name, "bias", 4 * units, c->bias);
    if (c->peepholes)
        node_vector(g, n, PEEPHOLES, name, "peepholes", 3 * units, 0);
    return node_output(n);
}

static tensor *layers_of(graph *g, tensor *x, const lstm_config *c, int units, bool backwards,
                         const char *name)
{
    char place[2 * CONFIG_NAME_MAX];

    for (int l = 0; l < c->layers; l++) {
        snprintf(place, sizeof place, "%s.%s.%d", name, backwards ? "backward" : "forward", l);
        x = one_direction(g, dropout(g, x, c->dropout, place), c, units, backwards, place);
    }
    return x;
}

tensor *bidirectional_lstm(graph *g, tensor *x, const lstm_config *c, const char *name)
{
    if (!x)
        return NULL;
    int     units    = c->units > 0 ? c->units : x->cols;
    tensor *forward  = layers_of(g, x, c, units, false, name);
    tensor *backward = layers_of(g, x, c, units, true, name);
    return c->join == JOIN_CONCAT ? CONCAT(g, forward, backward)
                                  : average(g, 2, (tensor *[]){forward, backward});
}
