/* Dice, PReLU, ReLU, sigmoid. */
#include "worker/kernels/activation.h"
#include "worker/kernels/dice.h"
#include "worker/layers/activation.h"
#include "worker/layers/layers.h"

static size_t numbers(const tensor *t)
{
    return (size_t)t->rows * (size_t)t->cols;
}

/* ---- relu, sigmoid ---- */

static err_t relu_layer_forward(node *n, pass *p)
{
    TRY(graph_output(n, p, n->inputs[0]->rows));
    relu_forward(n->output->x, n->inputs[0]->x, numbers(n->output));
    return OK;
}

static err_t relu_layer_backward(node *n, pass *p)
{
    (void)p;
    relu_backward(n->inputs[0]->g, n->output->g, n->output->x, !n->fresh[0],
                  numbers(n->output));
    return OK;
}

static err_t sigmoid_layer_forward(node *n, pass *p)
{
    TRY(graph_output(n, p, n->inputs[0]->rows));
    sigmoid_forward(n->output->x, n->inputs[0]->x, numbers(n->output));
    return OK;
}

static err_t sigmoid_layer_backward(node *n, pass *p)
{
    (void)p;
    sigmoid_backward(n->inputs[0]->g, n->output->g, n->output->x, !n->fresh[0],
                     numbers(n->output));
    return OK;
}

/* ---- prelu ---- */

static err_t prelu_layer_forward(node *n, pass *p)
{
    const tensor *x = n->inputs[0];

    TRY(graph_output(n, p, x->rows));
    prelu_forward(n->output->x, x->x, n->params[0]->w, x->rows, x->cols);
    return OK;
}

static err_t prelu_layer_backward(node *n, pass *p)
{
    tensor *x = n->inputs[0];

    (void)p;
    prelu_backward(x->g, n->params[0]->g, n->output->g, x->x, n->params[0]->w, !n->fresh[0],
                   x->rows, x->cols);
    return OK;
}

/* ---- dice ---- */

static err_t dice_layer_forward(node *n, pass *p)
{
    const tensor *x = n->inputs[0];
    statistics   *s;

    TRY(graph_output(n, p, x->rows));
    TRY(arena_take(p->arena, sizeof *s, &s));
    TRY(statistics_take(s, n->config, x, p));
    dice_forward(n->output->x, x->x, s->mean, s->inv, n->params[0]->w, x->rows, x->cols, NULL);
    n->scratch = s;
    return OK;
}

static err_t dice_layer_backward(node *n, pass *p)
{
    tensor           *x     = n->inputs[0];
    const statistics *s     = n->scratch;
    const param      *alpha = n->params[0];
    int               D     = x->cols;
    double           *sums; /* of gh, then of gh xh */
    real             *means;

    TRY(arena_take(p->arena, 2 * (size_t)D * sizeof *sums, &sums));
    TRY(arena_take(p->arena, 2 * (size_t)D * sizeof *means, &means));
    dice_backward_sums(alpha->g, sums, sums + D, n->output->g, x->x, s->mean, s->inv, alpha->w,
                       x->rows, D);
    TRY(statistics_means(s, n->config, sums, means, 2 * D, p));
    dice_backward(x->g, n->output->g, x->x, s->mean, s->inv, alpha->w, means, means + D,
                  !n->fresh[0], x->rows, D, NULL);
    return OK;
}

/* ---- by name ---- */

static const layer activation_layers[] = {
    [ACTIVATION_RELU]    = {.name       = "relu",
                            .forward    = relu_layer_forward,
                            .backward   = relu_layer_backward,
                            .overwrites = true,
                            .in_place   = true},
    [ACTIVATION_SIGMOID] = {.name       = "sigmoid",
                            .forward    = sigmoid_layer_forward,
                            .backward   = sigmoid_layer_backward,
                            .overwrites = true,
                            .in_place   = true},
    [ACTIVATION_PRELU]   = {.name       = "prelu",
                            .forward    = prelu_layer_forward,
                            .backward   = prelu_layer_backward,
                            .overwrites = true,
                            .in_place   = true},
    [ACTIVATION_DICE]    = {.name       = "dice",
                            .forward    = dice_layer_forward,
                            .backward   = dice_layer_backward,
                            .overwrites = true,
                            .in_place   = true},
};

#define PRELU_ALPHA 0.25

void activation_build(graph *g, node *n, int i, statistics_config *dice, activation_kind kind,
                      const char *name, int cols)
{
    const config *c = graph_config(g);

    if (kind == ACTIVATION_PRELU || kind == ACTIVATION_DICE)
        node_vector(g, n, i, name, "alpha", cols, kind == ACTIVATION_PRELU ? PRELU_ALPHA : 0);
    if (n && kind == ACTIVATION_DICE)
        statistics_build(g, dice, name, cols, c->dice.momentum, c->dice.eps, c->dice.sync);
}

tensor *activation(graph *g, tensor *x, activation_kind kind, const char *name)
{
    if (!x || kind == ACTIVATION_NONE)
        return x;
    node *n = graph_add(g, &activation_layers[kind], 1, &x, x->cols, x->per,
                        sizeof(statistics_config));
    if (n)
        activation_build(g, n, 0, n->config, kind, name, x->cols);
    return node_output(n);
}
