/* A long short-term memory along the rows of each sequence, in one direction.
 *
 *     z_t = W x_t + U h_{t-1} + b,   then the gates of kernels/lstm.h;   h_0 = c_0 = 0
 *
 * Sequences go side by side by time, in groups whose rows lie in the caches (time_major.h): W x
 * of a group is one product, U h one for each step, over the sequences that are that long. */
#include <stdio.h>
#include <string.h>

#include "worker/kernels/column.h"
#include "worker/kernels/lstm.h"
#include "worker/kernels/product.h"
#include "worker/layers/layers.h"
#include "worker/layers/time_major.h"

/* Parameters of a node; peepholes may be missing. */
enum { INPUT, RECURRENT, BIAS, PEEPHOLES };

typedef struct memory_config {
    bool backwards;
} memory_config;

/* One node and batch. Rows are packed: those of a group's first step, of its second, ...; then
 * those of the next group. */
typedef struct memory {
    time_major order;
    int        D, H;
    int       *row;     /* (rows) the packed row's place along the axis */
    real      *x;       /* (rows, D) */
    real      *z;       /* (rows, 4 H) the gates; then their gradient */
    real      *c, *h;   /* (rows, H) */
    real      *W, *U;   /* (D, 4 H), (H, 4 H) transposed */
    real      *gh, *gx; /* (a group's rows, H), (.., D) */
    real      *gc;      /* (GROUP_SEQUENCES, H) */
} memory;

/* Step t of a group: `width` packed rows from `at` on; those of the step before from `before`.
 */
typedef struct step {
    int t, at, before, width;
} step;

static err_t take(pass *p, real **at, int rows, int stride)
{
    return arena_take(p->arena, (size_t)rows * (size_t)stride * sizeof **at, at);
}

/* *to (in, out) = W^T of W (out, in). */
static err_t take_turned(pass *p, real **to, const param *W)
{
    int out = W->shape[0], in = W->shape[1];

    TRY(take(p, to, in, out));
    for (int o = 0; o < out; o++)
        for (int i = 0; i < in; i++)
            ROW(*to, i, out)[o] = ROW(W->w, o, in)[i];
    return OK;
}

static err_t open_memory(memory *m, const node *n, pass *p)
{
    const tensor *x = n->inputs[0];
    int           H = n->output->cols;

    *m = (memory){.D = x->cols, .H = H};
    TRY(time_major_sort(&m->order, pass_offsets(p, x->per), pass_parent_rows(p, x->per),
                        p->arena));
    TRY(arena_take(p->arena, (size_t)x->rows * sizeof *m->row, &m->row));
    TRY(take(p, &m->x, x->rows, m->D));
    TRY(take(p, &m->z, x->rows, 4 * H));
    TRY(take(p, &m->c, x->rows, H));
    TRY(take(p, &m->h, x->rows, H));
    TRY(take_turned(p, &m->W, n->params[INPUT]));
    return take_turned(p, &m->U, n->params[RECURRENT]);
}

/* ---- packed rows ---- */

/* row of a group whose packed rows begin at `at`; backwards, step t takes row t from the end.
 */
static void pack(memory *m, const time_group *g, int at, bool backwards)
{
    for (int t = 0; t < g->steps; t++) {
        int width = time_group_at(g, t);
        for (int i = 0; i < width; i++)
            m->row[at++] = g->first[i] + (backwards ? g->length[i] - 1 - t : t);
    }
}

/* to (N, D) = the rows of from that lie at row (N). */
static void gather(real *to, const real *from, const int *row, int N, int D)
{
    for (int i = 0; i < N; i++)
        memcpy(ROW(to, i, D), ROW(from, row[i], D), (size_t)D * sizeof *to);
}

/* The reverse; or += where add. */
static void scatter(real *to, const real *from, const int *row, bool add, int N, int D)
{
    for (int i = 0; i < N; i++) {
        real       *to_i   = ROW(to, row[i], D);
        const real *from_i = ROW(from, i, D);
        for (int d = 0; d < D; d++)
            to_i[d] = (add ? to_i[d] : 0) + from_i[d];
    }
}

static step first_step(const time_group *g, int at)
{
    return (step){.at = at, .width = time_group_at(g, 0)};
}

static step next_step(const step *s, const time_group *g)
{
    return (step){.t      = s->t + 1,
                  .at     = s->at + s->width,
                  .before = s->at,
                  .width  = time_group_at(g, s->t + 1)};
}

static step step_before(const step *s, const time_group *g)
{
    int before = s->t > 1 ? time_group_at(g, s->t - 2) : 0;

    return (step){.t      = s->t - 1,
                  .at     = s->before,
                  .before = s->before - before,
                  .width  = s->at - s->before};
}

/* ---- forward ---- */

static const real *peepholes(const node *n)
{
    return n->params[PEEPHOLES] ? n->params[PEEPHOLES]->w : NULL;
}

static void forward_step(memory *m, const node *n, const step *s)
{
    int         H = m->H;
    real       *z = ROW(m->z, s->at, 4 * H);
    const real *c = s->t > 0 ? ROW(m->c, s->before, H) : NULL;

    if (s->t > 0)
        product(z, 4 * H, z, 4 * H, rows_of(ROW(m->h, s->before, H), H), m->U, 4 * H, s->width,
                4 * H, H);
    lstm_forward(ROW(m->h, s->at, H), ROW(m->c, s->at, H), z, c, peepholes(n), s->width, H);
}

static void forward_group(memory *m, const node *n, const time_group *g, int at)
{
    int   D = m->D, H = m->H;
    real *x = ROW(m->x, at, D);

    pack(m, g, at, ((const memory_config *)n->config)->backwards);
    gather(x, n->inputs[0]->x, m->row + at, g->events, D);
    product(ROW(m->z, at, 4 * H), 4 * H, n->params[BIAS]->w, 0, rows_of(x, D), m->W, 4 * H,
            g->events, 4 * H, D);
    for (step s = first_step(g, at); s.width > 0; s = next_step(&s, g))
        forward_step(m, n, &s);
    scatter(n->output->x, ROW(m->h, at, H), m->row + at, false, g->events, H);
}

static err_t memory_forward(node *n, pass *p)
{
    memory *m;

    TRY(graph_output(n, p, n->inputs[0]->rows));
    TRY(arena_take(p->arena, sizeof *m, &m));
    TRY(open_memory(m, n, p));
    for (int i = 0, at = 0; i < m->order.n;) {
        time_group g = time_major_group(&m->order, i);
        forward_group(m, n, &g, at);
        i += g.n;
        at += g.events;
    }
    n->scratch = m;
    return OK;
}

/* ---- backward: gh_{t-1} += gz_t U,  gU += sum_t gz_t^T h_{t-1},  gW += gz^T x ---- */

/* gh: of the step; gh_before: of the one before. */
static void backward_step(memory *m, const node *n, const step *s, const real *gh,
                          real *gh_before)
{
    int         H = m->H;
    real       *z = ROW(m->z, s->at, 4 * H);
    const real *c = s->t > 0 ? ROW(m->c, s->before, H) : NULL;
    param      *U = n->params[RECURRENT], *peep = n->params[PEEPHOLES];

    lstm_backward(z, m->gc, peep ? peep->g : NULL, gh, ROW(m->c, s->at, H), c, peepholes(n),
                  s->width, H);
    if (s->t == 0)
        return;
    product(gh_before, H, gh_before, H, rows_of(z, 4 * H), U->w, H, s->width, H, 4 * H);
    product(U->g, H, U->g, H, columns_of(z, 4 * H), ROW(m->h, s->before, H), H, 4 * H, H,
            s->width);
}

static void backward_input(memory *m, const node *n, const time_group *g, int at)
{
    tensor     *x = n->inputs[0];
    param      *W = n->params[INPUT];
    int         D = m->D, H = m->H;
    const real *z = ROW(m->z, at, 4 * H);

    column_sum(n->params[BIAS]->g, z, g->events, 4 * H);
    product(W->g, D, W->g, D, columns_of(z, 4 * H), ROW(m->x, at, D), D, 4 * H, D, g->events);
    if (!x->wants_gradient)
        return;
    product(m->gx, D, NULL, 0, rows_of(z, 4 * H), W->w, D, g->events, D, 4 * H);
    scatter(x->g, m->gx, m->row + at, !n->fresh[0], g->events, D);
}

static void backward_group(memory *m, const node *n, const time_group *g, int at)
{
    int  H = m->H;
    step s = first_step(g, at);

    gather(m->gh, n->output->g, m->row + at, g->events, H);
    memset(m->gc, 0, (size_t)s.width * (size_t)H * sizeof *m->gc);
    while (s.t + 1 < g->steps)
        s = next_step(&s, g);
    for (; s.t >= 0; s = step_before(&s, g))
        backward_step(m, n, &s, ROW(m->gh, s.at - at, H),
                      s.t > 0 ? ROW(m->gh, s.before - at, H) : NULL);
    backward_input(m, n, g, at);
}

static err_t memory_backward(node *n, pass *p)
{
    memory *m    = n->scratch;
    int     rows = m->order.n > 0 ? time_major_group(&m->order, 0).events : 0;

    TRY(take(p, &m->gh, rows, m->H)); /* the first group has the longest sequences */
    TRY(take(p, &m->gx, rows, m->D));
    TRY(take(p, &m->gc, GROUP_SEQUENCES, m->H));
    for (int i = 0, at = 0; i < m->order.n;) {
        time_group g = time_major_group(&m->order, i);
        backward_group(m, n, &g, at);
        i += g.n;
        at += g.events;
    }
    return OK;
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
