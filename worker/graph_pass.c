/* A pass over a batch: the rows of its axes, forward, and backward. */
#include "worker/graph_state.h"
#include "worker/kernels/loss.h"
#include "worker/serve.h"

/* ---- axes of a batch ---- */

int pass_rows(const pass *p, int per)
{
    return per == PER_SAMPLE ? p->batch->B : p->axes[per].rows;
}

int pass_parent_rows(const pass *p, int per)
{
    return pass_rows(p, p->axes[per].parent);
}

const int *pass_offsets(const pass *p, int per)
{
    return p->axes[per].offsets;
}

int pass_first_row(const pass *p, int per, int b)
{
    if (per == PER_SAMPLE)
        return b;
    return p->axes[per].offsets[pass_first_row(p, p->axes[per].parent, b)];
}

void pass_set_axis(pass *p, int per, const int *offsets)
{
    p->axes[per].offsets = offsets;
    p->axes[per].rows    = offsets[pass_parent_rows(p, per)];
}

bool pass_shares(const pass *p, const node *n, int i)
{
    return p->candidates && n->inputs[i]->per_request && !n->output->per_request;
}

const int *pass_origin(const pass *p, int per)
{
    return per == PER_SAMPLE ? p->request_of : p->axes[per].origin;
}

bool pass_learns(const pass *p)
{
    return p->training || p->row_gradients;
}

/* ---- a tensor's rows ---- */

static size_t tensor_bytes(const tensor *t)
{
    return (size_t)t->rows * (size_t)t->cols * sizeof(real);
}

err_t graph_output(node *n, pass *p, int rows)
{
    n->output->rows     = rows;
    n->output->g        = NULL;
    n->output->repeated = NULL;
    return arena_take(p->arena, tensor_bytes(n->output), &n->output->x);
}

void graph_output_by_rows(node *n, int rows)
{
    n->output->rows = rows;
    n->output->x = n->output->g = NULL;
}

const real *tensor_rows(const tensor *t, const pass *p, real *room, int first, int count)
{
    if (t->x)
        return t->x + (size_t)first * (size_t)t->cols;
    t->maker->layer->rows(t->maker, p, room, first, count);
    return room;
}

void tensor_rows_backward(const tensor *t, const pass *p, const real *g, int first, int count)
{
    t->maker->layer->rows_backward(t->maker, p, g, first, count);
}

void tensor_rows_ahead(const tensor *t, const pass *p, ahead *a, int first, int count,
                       bool backward)
{
    size_t before = (size_t)first * (size_t)t->cols,
           bytes  = (size_t)count * (size_t)t->cols * sizeof *t->x;

    if (!t->x) {
        t->maker->layer->rows_ahead(t->maker, p, a, first, count, backward);
        return;
    }
    ahead_range(a, t->x + before, bytes);
    if (backward && t->g)
        ahead_range(a, t->g + before, bytes);
}

/* ---- forward ---- */

static err_t forward_all(graph *g, pass *p)
{
    for (size_t i = 0; i < g->nodes.n; i++) {
        node *n = g->nodes.at[i];
        if (n->output->serves != SERVES_LOSSES || pass_learns(p))
            TRY(n->layer->forward(n, p));
    }
    return OK;
}

/* What is of the requests over p, the rest over their candidates. */
static err_t forward_served(graph *g, pass *p, tensor **logits)
{
    pass each;

    for (size_t i = (size_t)g->schema->n_sequences; i < g->axes.n; i++)
        g->axes.at[i].offsets = NULL;
    TRY(serve_open(&each, p, (int)g->axes.n));
    for (size_t i = 0; i < g->nodes.n; i++) {
        node *n = g->nodes.at[i];
        if (n->output->serves == SERVES_LOSSES)
            continue;
        TRY(n->output->per_request ? n->layer->forward(n, p) : serve_forward(n, &each, p));
    }
    return (*logits)->per_request ? serve_repeat(logits, &each, p) : OK;
}

err_t graph_forward(graph *g, pass *p, real **logits)
{
    tensor *answer = g->logits;

    if (!answer)
        return err_set(ERR_CONFIG, "the model has no logits");
    p->axes = g->axes.at;
    for (int i = 0; i < g->schema->n_sequences; i++)
        pass_set_axis(p, i, p->batch->sequences[i].offsets);
    TRY(p->candidates ? forward_served(g, p, &answer) : forward_all(g, p));
    *logits = answer->x;
    return OK;
}

double graph_auxiliary(const graph *g, const pass *p)
{
    const batch *b   = p->batch;
    double       all = 0;

    for (size_t i = 0; i < g->losses.n; i++) {
        const real *losses = g->losses.at[i].losses->x;
        double      sum    = 0;
        for (int k = 0; k < b->B; k++)
            sum += (double)losses[k] * (b->weight ? (double)b->weight[k] : 1);
        all += g->losses.at[i].weight * sum;
    }
    return all;
}

void graph_probabilities(const pass *p, const real *logits, double *probabilities)
{
    const batch *b = p->candidates ? p->candidates : p->batch;

    cross_entropy_probabilities(probabilities, logits, b->B);
}

/* ---- backward ---- */

/* Memory for the gradients of n's inputs that none of their other readers has touched. */
static err_t prepare_gradients(node *n, pass *p)
{
    for (int i = 0; i < n->n_inputs; i++) {
        tensor *t = n->inputs[i];
        if (!t->x)
            continue; /* its maker is given rows of its gradient */
        n->fresh[i] = n->layer->overwrites && (!t->g || !t->wants_gradient);
        if (n->layer->in_place && n->fresh[i])
            t->g = n->output->g;
        else if (!t->wants_gradient || t->g)
            continue;
        else if (n->layer->overwrites)
            TRY(arena_take(p->arena, tensor_bytes(t), &t->g));
        else
            TRY(arena_take_zero(p->arena, tensor_bytes(t), &t->g));
    }
    return OK;
}

/* The gradient of an added loss: of sample b, weight w_b. */
static err_t begin_added(const added_loss *l, pass *p)
{
    const batch *b = p->batch;
    tensor      *t = l->losses;

    TRY(arena_take(p->arena, tensor_bytes(t), &t->g));
    for (int k = 0; k < b->B; k++)
        t->g[k] = (real)l->weight * (b->weight ? b->weight[k] : 1);
    return OK;
}

err_t graph_backward(graph *g, pass *p, double *loss)
{
    const batch *b      = p->batch;
    tensor      *logits = g->logits;

    *loss = cross_entropy_forward(logits->x, b->label, b->weight, b->B);
    TRY(arena_take_zero(p->arena, tensor_bytes(logits), &logits->g));
    cross_entropy_backward(logits->g, logits->x, b->label, b->weight, b->B);
    for (size_t i = 0; i < g->losses.n; i++)
        TRY(begin_added(&g->losses.at[i], p));
    for (size_t i = g->nodes.n; i-- > 0;) {
        node *n = g->nodes.at[i];
        if (!n->output->g || !n->layer->backward)
            continue;
        TRY(prepare_gradients(n, p));
        TRY(n->layer->backward(n, p));
    }
    return OK;
}
