/* graph - a model as a list of layers, run forward and backward by a tape.
 *
 * A model's build function calls the layers of layers.h once; each adds a node with its
 * inputs, its output tensor and its parameters. graph_forward runs the nodes in order
 * over one batch, graph_backward in reverse order.
 *
 * A tensor has its rows along an axis: one per sample of the batch, one per event of a
 * sequence, or along an axis that a layer made, as the sessions into which it cut the
 * events. The rows of an axis are ragged groups, one for each row of its parent: samples
 * have events, or samples have sessions and sessions have events. How many, each batch says.
 * What works between an axis and its parent (sums, softmax, attention) works between any two.
 *
 * A pass may serve requests, of a user each, that have many candidates. What no candidate has
 * a part in (tensor.per_request) is then computed once for a request: these nodes run over
 * the batch of requests, all others over that of candidates, for which the rows of their
 * inputs are repeated. A layer that `shares` an input repeats it itself, or better does not.
 *
 * The first error while building is kept (graph_error), so that a model reads as a
 * sentence without checks; layers given a NULL input return NULL. */
#ifndef DIPS_WORKER_GRAPH_H
#define DIPS_WORKER_GRAPH_H

#include "common/arena.h"
#include "common/schema.h"
#include "worker/data/dataset.h"
#include "worker/dense.h"
#include "worker/kernels/ahead.h"

/* The axis that all others end in; the schema's sequences are the axes 0, 1, ... by their
 * number, with parent PER_SAMPLE; then come those of graph_add_axis. */
#define PER_SAMPLE (-1)

typedef struct axis {
    int        parent;
    int        rows;    /* of this batch */
    const int *offsets; /* (rows of parent + 1): row i of parent has the rows offsets[i] ..
                           offsets[i+1]-1; lent by the batch or the step's arena */
    const int *origin;  /* (rows) of candidates, in a pass that serves: the request's row that
                           each repeats */
} axis;

enum { SERVES_LOGITS = 1, SERVES_LOSSES = 2 };

typedef struct node node;

typedef struct tensor {
    node *maker;
    int   cols;
    int   per; /* its axis */
    bool  wants_gradient;
    bool  per_request; /* no candidate has a part in it */
    int   serves; /* SERVES_LOGITS, SERVES_LOSSES: what follows from it, once both are named */
    bool  by_rows; /* nobody asks for more of it than tensor_rows gives */
    int   rows;    /* of this batch */
    real *x;       /* (rows, cols) value; lent by the step's arena. NULL: see tensor_rows */
    real *g;       /* (rows, cols) gradient; NULL where none is wanted */
    struct tensor *repeated; /* in a pass that serves, where it was needed: its rows once for
                                each candidate of the request */
} tensor;

/* One pass over one batch: everything that a layer may ask for. */
typedef struct pass {
    const batch *batch;
    const batch *candidates; /* of the requests in batch, as many samples as there are
                                candidates; NULL: this pass serves no requests */
    const int   *request_of; /* (candidates' B) the request of each */
    real *const *rows;          /* per table: (distinct ids, dim) */
    real *const *row_gradients; /* per table: the same shape, zeroed before backward; NULL
                                   in a pass without backward. In training they may
                                   come after forward */
    arena   *arena;
    bool     training; /* batch statistics, dropout */
    uint64_t seed;
    int64_t  step;
    comm    *workers; /* for layers whose statistics are synchronised; NULL: alone */
    axis        *axes;    /* by number; the graph's, from graph_forward on */
} pass;

/* A kind of layer. forward allocates out->x (rows, cols) by graph_output and fills it;
 * backward adds to the gradients of its inputs and parameters. Both run with zero rows
 * too, and collectives inside them run on every worker.
 *
 * Clearing a large gradient costs as much as writing it, so a layer may promise more:
 * one that `overwrites` is told by n->fresh[i] that the gradient of input i was not
 * touched yet and holds garbage, and writes all of it. One that works `in_place` has one
 * input of the output's shape, overwrites, and finds a fresh gradient in the memory of the
 * output's gradient, which nobody reads afterwards: even where none is wanted.
 *
 * A large tensor that is easily made need not lie in memory: a layer with `rows` and
 * `rows_backward` can do its work for a few rows when they are needed. Where all readers of
 * its output ask for nothing else (by_rows has bit i for input i), passes that learn
 * leave it so: forward is told by output->by_rows, and calls graph_output_by_rows. */
typedef struct layer {
    const char *name;
    err_t (*forward)(node *n, pass *p);
    err_t (*backward)(node *n, pass *p); /* NULL: nothing to learn below */
    void (*clear)(node *n);              /* frees what config points to; NULL: nothing */
    bool overwrites, in_place;
    unsigned shares; /* bit i: in a pass that serves, forward is given input i as it is where it
                        is per request, and pass_origin tells whose row is whose */
    unsigned by_rows;
    void (*rows)(const node *n, const pass *p, real *x, int first, int count);
    void (*rows_backward)(const node *n, const pass *p, const real *g, int first, int count);
    void (*rows_ahead)(const node *n, const pass *p, ahead *a, int first, int count,
                       bool backward); /* lists what these two will touch */
} layer;

#define NODE_MAX_INPUTS 16
#define NODE_MAX_PARAMS 64

struct node {
    const layer *layer;
    int          n_inputs;
    tensor      *inputs[NODE_MAX_INPUTS];
    tensor      *output;
    bool         fresh[NODE_MAX_INPUTS]; /* in backward, see layer */
    param       *params[NODE_MAX_PARAMS];
    bool         reads_samples; /* and nothing of events: node_mark_samples */
    void        *config;  /* the layer's own constants; owned by the graph */
    void        *scratch; /* what forward keeps for backward; the step's arena */
};

typedef struct graph graph;

/* An empty graph over s whose parameters go into d; both must outlive it. graph_free. */
MUST_CHECK err_t graph_new(graph **out, const config *c, const schema *s, dense *d);
void             graph_free(graph **g);

const config *graph_config(const graph *g);
const schema *graph_schema(const graph *g);
dense        *graph_dense(const graph *g);

/* OK, or the first error of a layer or of graph_fail. */
MUST_CHECK err_t graph_error(const graph *g);

/* Keep an error (err_set's sentence is kept with it) and return NULL. */
tensor *graph_fail(graph *g, err_t code);

/* For layers: a new axis under parent. Its layer says in each forward, by pass_set_axis and
 * before any tensor has rows along it, how many there are. Errors are kept. */
int graph_add_axis(graph *g, int parent);

/* The axis to whose rows those of per belong; per is not PER_SAMPLE. */
int graph_parent(const graph *g, int per);

/* For layers: add a node with an output of cols columns. config_bytes of zeroed memory
 * become node->config. Returns NULL (and keeps the error) on failure. */
node *graph_add(graph *g, const layer *l, int n_inputs, tensor *const *inputs, int cols,
                int per, size_t config_bytes);

/* For layers without inputs: nothing that a candidate brings is in n's output. */
void node_mark_request(node *n);

/* For layers without inputs: of the batch, n reads nothing that has a row an event. */
void node_mark_samples(node *n);

/* For layers: make the node's parameter i, PLACE.weight (out, in), drawn (as Xavier, or from
 * N(0, deviation^2)), or a vector PLACE.PART (count) that begins as constant. The output then
 * wants a gradient. Errors are kept; n may be NULL. */
void node_weight(graph *g, node *n, int i, const char *place, int out, int in);
void node_weight_normal(graph *g, node *n, int i, const char *place, int out, int in,
                        double deviation);
void node_vector(graph *g, node *n, int i, const char *place, const char *part, int count,
                 double constant);

/* n's output, or NULL where n is NULL. */
tensor *node_output(const node *n);

/* For layers' forward: allocate n->output->x of rows rows. */
MUST_CHECK err_t graph_output(node *n, pass *p, int rows);

/* The same, where n->output->by_rows in a pass that learns: nothing is allocated. */
void graph_output_by_rows(node *n, int rows);

/* Rows first .. first+count-1 of t: where they lie, or made in room (count, cols). */
const real *tensor_rows(const tensor *t, const pass *p, real *room, int first, int count);

/* The gradient g (count, cols) of such rows, where t->x is NULL; once for each row. */
void tensor_rows_backward(const tensor *t, const pass *p, const real *g, int first, int count);

/* List what tensor_rows will read; backward: what is read and written of their gradients, too.
 */
void tensor_rows_ahead(const tensor *t, const pass *p, ahead *a, int first, int count,
                       bool backward);

/* ---- axes of a batch ---- */

/* Rows along per, and how they belong to the rows of its parent (per is not PER_SAMPLE). */
int        pass_rows(const pass *p, int per);
int        pass_parent_rows(const pass *p, int per);
const int *pass_offsets(const pass *p, int per);

/* The first row along per that belongs to sample b or, where it has none, to one behind. */
int pass_first_row(const pass *p, int per, int b);

/* For the layer that added axis per; offsets (rows of parent + 1) in the step's arena. */
void pass_set_axis(pass *p, int per, const int *offsets);

/* For layers that share: whether input i has a request's rows here and the output a
 * candidate's, and the request's row of each of the candidates' rows along per. */
bool       pass_shares(const pass *p, const node *n, int i);
const int *pass_origin(const pass *p, int per);

/* Whether backward follows: what it needs of forward must be kept. */
bool pass_learns(const pass *p);

/* Whether a pass that serves reads the ids of candidates' events, rather than the requests'. */
bool graph_reads_events(const graph *g);

/* What the model weighs its sample's events by (or ads, or sessions): a number for each row of
 * weights; or, with a row a sample, for each pair of its fields, (0, 1), (0, 2), ..., (1, 2),
 * ... Named so that people can be shown it. */
void graph_mark_weights(graph *g, tensor *weights, const char *name);

typedef struct marked_weights {
    char    name[2 * CONFIG_NAME_MAX];
    tensor *weights;
} marked_weights;

/* Mark i, or NULL behind the last. After graph_forward the tensor has its values. */
const marked_weights *graph_marked(const graph *g, int i);

/* An axis, of the last batch; per is not PER_SAMPLE. */
const axis *graph_axis(const graph *g, int per);

/* Name the model's answer: logits (B, 1), after graph_add_loss. */
void graph_set_logits(graph *g, tensor *logits);

/* Minimize the losses (B, 1) of samples, too: weight times their sum, weighted by sample. What
 * they alone are made from is computed in passes that learn. */
void graph_add_loss(graph *g, tensor *losses, double weight);

/* Run forward: *logits (B), lent until the arena is reset. */
MUST_CHECK err_t graph_forward(graph *g, pass *p, real **logits);

/* Binary cross entropy of the logits against the batch's labels, weighted: *loss is the
 * sum over samples; then backward, from it and from the losses added: parameters' g and
 * p->row_gradients are filled (added to). Call after graph_forward on the same pass. */
MUST_CHECK err_t graph_backward(graph *g, pass *p, double *loss);

/* Whether losses were added; and, after graph_forward in a pass that learns, what they add to
 * *loss, each times its weight. */
bool   graph_has_auxiliary(const graph *g);
double graph_auxiliary(const graph *g, const pass *p);

/* Collective. Fit mean and deviation of the features with `transform: standard` to samples
 * first .. end-1 of train on each worker; they are kept as NAME.mean and NAME.deviation. */
MUST_CHECK err_t graph_fit_inputs(graph *g, const dataset *train, uint64_t first, uint64_t end,
                                  comm *workers);

/* p[i] = sigmoid(logits[i]) for the samples of the pass, or its candidates. */
void graph_probabilities(const pass *p, const real *logits, double *probabilities);

#endif
