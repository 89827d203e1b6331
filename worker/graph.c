#include "worker/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/vec.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/loss.h"
#include "worker/serve.h"

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

err_t graph_new(graph **out, const config *c, const schema *s, dense *d)
{
    graph *g = calloc(1, sizeof *g);

    if (!g)
        return err_memory(sizeof *g, "a graph");
    g->config = c;
    g->schema = s;
    g->dense  = d;
    gemm_single_thread();
    for (int i = 0; i < s->n_sequences; i++)
        graph_add_axis(g, PER_SAMPLE);
    err_t e = graph_error(g);
    if (e != OK) {
        graph_free(&g);
        return e;
    }
    *out = g;
    return OK;
}

static void node_free(node *n)
{
    if (n->layer && n->layer->clear)
        n->layer->clear(n);
    free(n->config);
    free(n->output);
    free(n);
}

void graph_free(graph **g)
{
    if (!*g)
        return;
    for (size_t i = 0; i < (*g)->nodes.n; i++)
        node_free((*g)->nodes.at[i]);
    vec_clear(&(*g)->nodes);
    vec_clear(&(*g)->axes);
    vec_clear(&(*g)->marks);
    vec_clear(&(*g)->losses);
    free(*g);
    *g = NULL;
}

const config *graph_config(const graph *g)
{
    return g->config;
}

const schema *graph_schema(const graph *g)
{
    return g->schema;
}

dense *graph_dense(const graph *g)
{
    return g->dense;
}

err_t graph_error(const graph *g)
{
    return g->error.code == OK ? OK : err_give(&g->error);
}

tensor *graph_fail(graph *g, err_t code)
{
    if (g->error.code == OK)
        err_keep(&g->error, code);
    return NULL;
}

/* ---- building ---- */

static bool buildable(graph *g, const layer *l, int n_inputs, tensor *const *inputs)
{
    if (g->error.code != OK)
        return false;
    if (n_inputs > NODE_MAX_INPUTS) {
        graph_fail(g, err_set(ERR_CONFIG,
                              "%d inputs for a layer of kind %s, which takes at most %d",
                              n_inputs, l->name, NODE_MAX_INPUTS));
        return false;
    }
    for (int i = 0; i < n_inputs; i++)
        if (!inputs[i])
            return false;
    return true;
}

/* A node with its tensor and config, or NULL. */
static node *node_new(size_t config_bytes)
{
    node *n = calloc(1, sizeof *n);

    if (!n)
        return NULL;
    n->output = calloc(1, sizeof *n->output);
    n->config = calloc(1, config_bytes ? config_bytes : 1);
    if (n->output && n->config)
        return n;
    node_free(n);
    return NULL;
}

node *graph_add(graph *g, const layer *l, int n_inputs, tensor *const *inputs, int cols,
                int per, size_t config_bytes)
{
    if (!buildable(g, l, n_inputs, inputs))
        return NULL;
    node *n = node_new(config_bytes);
    if (!n || vec_push(&g->nodes, n) != OK) {
        graph_fail(g, err_memory(sizeof *n + config_bytes, "a layer"));
        if (n)
            node_free(n);
        return NULL;
    }
    n->layer        = l;
    n->n_inputs     = n_inputs;
    n->output->maker = n;
    n->output->cols  = cols;
    n->output->per   = per;
    n->output->per_request = n_inputs > 0;
    for (int i = 0; i < n_inputs; i++) {
        n->inputs[i] = inputs[i];
        n->output->wants_gradient |= l->backward && inputs[i]->wants_gradient;
        n->output->per_request &= inputs[i]->per_request;
    }
    return n;
}

void node_mark_request(node *n)
{
    if (n)
        n->output->per_request = true;
}

void node_mark_samples(node *n)
{
    if (n)
        n->reads_samples = true;
}

bool graph_reads_events(const graph *g)
{
    for (size_t i = 0; i < g->nodes.n; i++) {
        const node *n = g->nodes.at[i];
        if (n->n_inputs == 0 && !n->output->per_request && !n->reads_samples)
            return true;
    }
    return false;
}

int graph_add_axis(graph *g, int parent)
{
    axis a = {.parent = parent};

    if (vec_push(&g->axes, a) == OK)
        return (int)g->axes.n - 1;
    graph_fail(g, err_memory(sizeof a, "an axis"));
    return PER_SAMPLE;
}

int graph_parent(const graph *g, int per)
{
    return g->axes.at[per].parent;
}

/* "PLACE.PART" in room for a parameter's name; the error is kept where it does not fit. */
static bool join_name(graph *g, char *name, size_t room, const char *place, const char *part)
{
    if ((size_t)snprintf(name, room, "%s.%s", place, part) < room)
        return true;
    graph_fail(g, err_set(ERR_CONFIG, "the name %s.%s is longer than %zu bytes", place, part,
                          room - 1));
    return false;
}

static void node_param(graph *g, node *n, int i, const char *place, const char *part,
                       int n_dims, const int shape[2], fill_kind fill, double constant)
{
    char name[sizeof((param *)0)->name];

    if (!n || !join_name(g, name, sizeof name, place, part))
        return;
    if (i >= NODE_MAX_PARAMS) {
        graph_fail(g, err_set(ERR_CONFIG,
                              "%s is parameter %d of a layer of kind %s, which has "
                              "at most %d",
                              name, i + 1, n->layer->name, NODE_MAX_PARAMS));
        return;
    }
    err_t e =
        dense_param(g->dense, &n->params[i], name, n_dims, shape, fill, constant, n_dims == 2);
    if (e != OK)
        graph_fail(g, e);
    n->output->wants_gradient = true;
}

void node_weight(graph *g, node *n, int i, const char *place, int out, int in)
{
    node_param(g, n, i, place, "weight", 2, (const int[2]){out, in}, FILL_XAVIER, 0);
}

void node_weight_normal(graph *g, node *n, int i, const char *place, int out, int in,
                        double deviation)
{
    node_param(g, n, i, place, "weight", 2, (const int[2]){out, in}, FILL_NORMAL, deviation);
}

void node_vector(graph *g, node *n, int i, const char *place, const char *part, int count,
                 double constant)
{
    node_param(g, n, i, place, part, 1, (const int[2]){count, 1}, FILL_CONSTANT, constant);
}

tensor *node_output(const node *n)
{
    return n ? n->output : NULL;
}

/* Which tensors nobody needs whole. */
static void choose_by_rows(graph *g)
{
    for (size_t i = 0; i < g->nodes.n; i++)
        g->nodes.at[i]->output->by_rows = g->nodes.at[i]->layer->rows != NULL;
    for (size_t i = 0; i < g->nodes.n; i++) {
        const node *n = g->nodes.at[i];
        for (int k = 0; k < n->n_inputs; k++)
            n->inputs[k]->by_rows &= n->layer->by_rows >> k & 1;
    }
}

void graph_set_logits(graph *g, tensor *logits)
{
    g->logits = logits;
    if (logits)
        logits->serves |= SERVES_LOGITS;
    choose_by_rows(g);
    for (size_t i = g->nodes.n; i-- > 0;) {
        const node *n = g->nodes.at[i];
        for (int k = 0; k < n->n_inputs; k++)
            n->inputs[k]->serves |= n->output->serves;
    }
}

void graph_add_loss(graph *g, tensor *losses, double weight)
{
    if (!losses)
        return;
    losses->serves |= SERVES_LOSSES;
    if (vec_push(&g->losses, ((added_loss){losses, weight})) != OK)
        graph_fail(g, err_memory(sizeof *g->losses.at, "a loss"));
}

void graph_mark_weights(graph *g, tensor *weights, const char *name)
{
    marked_weights m = {.weights = weights};

    snprintf(m.name, sizeof m.name, "%s", name);
    if (weights && vec_push(&g->marks, m) != OK)
        graph_fail(g, err_memory(sizeof m, "the name of weights"));
}

const marked_weights *graph_marked(const graph *g, int i)
{
    return (size_t)i < g->marks.n ? &g->marks.at[i] : NULL;
}

const axis *graph_axis(const graph *g, int per)
{
    return &g->axes.at[per];
}

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

/* ---- running ---- */

bool pass_learns(const pass *p)
{
    return p->training || p->row_gradients;
}

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

bool graph_has_auxiliary(const graph *g)
{
    return g->losses.n > 0;
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

void graph_probabilities(const pass *p, const real *logits, double *probabilities)
{
    const batch *b = p->candidates ? p->candidates : p->batch;

    cross_entropy_probabilities(probabilities, logits, b->B);
}

/* ---- inputs ---- */

/* Moments of one feature's columns; (width) each. */
typedef struct fitted {
    double *mean, *squares; /* this worker's; then all's: squares = sum (x - mean)^2 */
    double *sums;           /* (1 + width) on their way over the workers */
    size_t  width;
} fitted;

/* The moments of all workers' n samples from those of each worker (Chan et al. 1983):
 *     N = sum n,   M = sum n mean / N,   S = sum (squares + n (mean - M)^2) */
static err_t join_workers(fitted *f, double n, double *N, comm *workers)
{
    f->sums[0] = n;
    for (size_t d = 0; d < f->width; d++)
        f->sums[1 + d] = n * f->mean[d];
    TRY(comm_sum_double(workers, f->sums, 1 + f->width));
    *N         = f->sums[0];
    double all = *N > 0 ? *N : 1;
    for (size_t d = 0; d < f->width; d++) {
        double mean = f->sums[1 + d] / all, far = f->mean[d] - mean;
        f->squares[d] += n * far * far;
        f->mean[d] = mean;
    }
    return comm_sum_double(workers, f->squares, f->width);
}

/* The deviation is 1 where the numbers do not vary by more than rounding. */
static err_t fit_feature(param *mean, param *deviation, int i, const dataset *train,
                         uint64_t first, uint64_t end, comm *workers, fitted *f)
{
    double N;

    TRY(dataset_float_moments(train, i, first, end, f->mean, f->squares));
    TRY(join_workers(f, (double)(end - first), &N, workers));
    for (size_t d = 0; d < f->width && N > 0; d++) {
        double spread   = sqrt(f->squares[d] / N);
        mean->w[d]      = (real)f->mean[d];
        deviation->w[d] = spread > 1e-12 * fabs(f->mean[d]) ? (real)spread : 1;
    }
    return OK;
}

err_t graph_fit_inputs(graph *g, const dataset *train, uint64_t first, uint64_t end,
                       comm *workers)
{
    char name[sizeof((param *)0)->name];

    for (int i = 0; i < g->schema->n_floats; i++) {
        const schema_float *feature = &g->schema->floats[i];
        snprintf(name, sizeof name, "%s.mean", feature->name);
        param *mean = dense_find(g->dense, name);
        snprintf(name, sizeof name, "%s.deviation", feature->name);
        param *deviation = dense_find(g->dense, name);
        if (feature->transform != TRANSFORM_STANDARD || !mean || !deviation)
            continue; /* the model does not read it */
        size_t  n       = 1 + 3 * mean->count;
        double *numbers = calloc(n, sizeof *numbers);
        if (!numbers)
            return err_memory(n * sizeof *numbers, "moments of a feature");
        fitted f = {.mean    = numbers,
                    .squares = numbers + mean->count,
                    .sums    = numbers + 2 * mean->count,
                    .width   = mean->count};
        err_t  e = fit_feature(mean, deviation, i, train, first, end, workers, &f);
        free(numbers);
        if (e != OK)
            return err_add(e, "fitting feature %s", feature->name);
    }
    return OK;
}
