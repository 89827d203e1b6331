/* Building: a graph's nodes, axes, parameters, losses and marks. */
#include <stdio.h>
#include <stdlib.h>

#include "worker/graph_state.h"
#include "worker/kernels/gemm.h"

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

/* ---- nodes ---- */

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

tensor *node_output(const node *n)
{
    return n ? n->output : NULL;
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

/* ---- axes ---- */

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

const axis *graph_axis(const graph *g, int per)
{
    return &g->axes.at[per];
}

/* ---- parameters ---- */

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

/* ---- answers ---- */

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

bool graph_has_auxiliary(const graph *g)
{
    return g->losses.n > 0;
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
