/* A history cut into sessions, and where in them an event stands.
 *
 * The events that are read are copied behind one another, along an axis of their own whose
 * parent are the sessions; what says where an event stands is added on the way:
 *
 *     bias      y_ktc = x_ktc + w^K_k + w^T_t + w^C_c      (DSIN, eq. 2; w^K, w^T, w^C trained)
 *     sinusoid  y_ktc = x_ktc + sin(t / 10000^(c/D)), c even; cos(t / 10000^((c-1)/D)), c odd
 *
 * for number c of event t of session k. Feng et al. 2019, Deep Session Interest Network for
 * Click-Through Rate Prediction, sections 3.2.2 and 3.2.3; Vaswani et al. 2017, section 3.5. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/kernels/session.h"
#include "worker/layers/layers.h"

/* Parameters of a node with bias encoding. */
enum { OF_SESSION, OF_PLACE, OF_COLUMN };

typedef struct cut_config {
    session_rule  rule;
    encoding_kind encoding;
    end_kind      number_from;
    int           sequence;   /* of the schema */
    int           sessions;   /* the axis between samples and events */
    real          sinusoid[]; /* (max_len, D) */
} cut_config;

/* The sessions of a batch. */
typedef struct cut {
    int      n;
    session *at;     /* (n) places of their events along the sequence */
    int     *first;  /* (n + 1) and along the output's axis */
    int     *number; /* (n) k */
} cut;

/* ---- cutting ---- */

static err_t take_cut(cut *k, int **of_samples, const cut_config *c, pass *p)
{
    const batch_sequence *s = &p->batch->sequences[c->sequence];
    size_t                B = (size_t)p->batch->B, most = B * (size_t)c->rule.keep;

    if (most > (size_t)s->events)
        most = (size_t)s->events;
    *k = (cut){0};
    if (s->events > 0 && !s->time)
        return err_set(ERR_DATA, "sessions are cut by the time of events, and the data have no "
                                 "tensor for it");
    TRY(arena_take(p->arena, (B + 1) * sizeof **of_samples, of_samples));
    TRY(arena_take(p->arena, most * sizeof *k->at, &k->at));
    TRY(arena_take(p->arena, most * sizeof *k->number, &k->number));
    return arena_take(p->arena, (most + 1) * sizeof *k->first, &k->first);
}

/* The sessions of the n events from `first` on, of one sample. */
static void cut_sample(cut *k, const cut_config *c, const int64_t *time, int first, int n)
{
    int count = session_cut(k->at + k->n, &c->rule, time + first, n);

    for (int i = 0; i < count; i++) {
        session *s      = &k->at[k->n + i];
        int      number = c->number_from == END_OLDEST ? i : count - 1 - i;
        s->first += first;
        k->number[k->n + i]    = number;
        k->first[k->n + i + 1] = k->first[k->n + i] + s->n;
    }
    k->n += count;
}

static err_t cut_batch(cut *k, const node *n, pass *p)
{
    const cut_config     *c = n->config;
    const batch_sequence *s = &p->batch->sequences[c->sequence];
    int                  *of_samples;

    TRY(take_cut(k, &of_samples, c, p));
    k->first[0] = of_samples[0] = 0;
    for (int b = 0; b < p->batch->B; b++) {
        cut_sample(k, c, s->time, s->offsets[b], s->offsets[b + 1] - s->offsets[b]);
        of_samples[b + 1] = k->n;
    }
    pass_set_axis(p, c->sessions, of_samples);
    pass_set_axis(p, n->output->per, k->first);
    return OK;
}

/* ---- the layer ---- */

/* The events of one session, with their places. */
static void encode(real *y, const real *x, const node *n, int number, int length)
{
    const cut_config *c     = n->config;
    int               D     = n->output->cols;
    size_t            count = (size_t)length * (size_t)D;

    switch (c->encoding) {
    case ENCODING_BIAS:
        bias_encoding_forward(y, x, n->params[OF_SESSION]->w[number], n->params[OF_PLACE]->w,
                              n->params[OF_COLUMN]->w, length, D);
        break;
    case ENCODING_SINUSOID:
        add_forward(y, x, c->sinusoid, count);
        break;
    case ENCODING_NONE:
        memcpy(y, x, count * sizeof *y);
        break;
    }
}

static err_t sessions_forward(node *n, pass *p)
{
    const tensor *x = n->inputs[0];
    int           D = x->cols;
    cut          *k;

    TRY(arena_take(p->arena, sizeof *k, &k));
    TRY(cut_batch(k, n, p));
    TRY(graph_output(n, p, pass_rows(p, n->output->per)));
    for (int i = 0; i < k->n; i++)
        encode(ROW(n->output->x, k->first[i], D), ROW(x->x, k->at[i].first, D), n, k->number[i],
               k->at[i].n);
    n->scratch = k;
    return OK;
}

/* gx = g of the events that are read, 0 of the others; or += */
static void backward_events(tensor *x, const cut *k, const real *g, bool fresh)
{
    int D = x->cols, done = 0;

    for (int i = 0; i < k->n; i++) {
        const real *g_i   = ROW(g, k->first[i], D);
        real       *gx    = ROW(x->g, k->at[i].first, D);
        size_t      count = (size_t)k->at[i].n * (size_t)D;
        if (fresh) {
            memset(ROW(x->g, done, D), 0,
                   (size_t)(k->at[i].first - done) * (size_t)D * sizeof *gx);
            memcpy(gx, g_i, count * sizeof *gx);
        } else {
            add_forward(gx, gx, g_i, count);
        }
        done = k->at[i].first + k->at[i].n;
    }
    if (fresh)
        memset(ROW(x->g, done, D), 0, (size_t)(x->rows - done) * (size_t)D * sizeof *x->g);
}

static err_t sessions_backward(node *n, pass *p)
{
    tensor    *x    = n->inputs[0];
    const cut *k    = n->scratch;
    bool       bias = ((const cut_config *)n->config)->encoding == ENCODING_BIAS;

    (void)p;
    for (int i = 0; bias && i < k->n; i++)
        bias_encoding_backward(&n->params[OF_SESSION]->g[k->number[i]], n->params[OF_PLACE]->g,
                               n->params[OF_COLUMN]->g, ROW(n->output->g, k->first[i], x->cols),
                               k->at[i].n, x->cols);
    if (x->wants_gradient)
        backward_events(x, k, n->output->g, n->fresh[0]);
    return OK;
}

static const layer sessions_layer = {.name       = "sessions",
                                     .forward    = sessions_forward,
                                     .backward   = sessions_backward,
                                     .overwrites = true};

/* ---- building ---- */

static void fill_sinusoid(real *table, int T, int D)
{
    for (int t = 0; t < T; t++)
        for (int d = 0; d < D; d++) {
            double angle        = t / pow(10000, (double)(d - d % 2) / D);
            ROW(table, t, D)[d] = (real)(d % 2 ? cos(angle) : sin(angle));
        }
}

static bool has_time(graph *g, int per)
{
    const schema *s = graph_schema(g);

    return per >= 0 && per < s->n_sequences && s->sequences[per].timed;
}

tensor *sessions(graph *g, tensor *events, const sessions_config *c, const char *name)
{
    if (!events)
        return NULL;
    if (!has_time(g, events->per))
        return graph_fail(g, err_set(ERR_CONFIG,
                                     "sessions are cut by time, and the history has no column "
                                     "of kind time"));
    bool   waves = c->encoding == ENCODING_SINUSOID;
    size_t table = waves ? (size_t)c->max_len * (size_t)events->cols * sizeof(real) : 0;
    int    of    = graph_add_axis(g, PER_SAMPLE);
    node  *n = graph_add(g, &sessions_layer, 1, &events, events->cols, graph_add_axis(g, of),
                         sizeof(cut_config) + table);
    if (!n)
        return NULL;
    cut_config *k  = n->config;
    k->rule        = (session_rule){c->gap, c->keep, c->max_len, c->min_len};
    k->encoding    = c->encoding;
    k->number_from = c->number_from;
    k->sequence    = events->per;
    k->sessions    = of;
    if (waves)
        fill_sinusoid(k->sinusoid, c->max_len, events->cols);
    if (c->encoding == ENCODING_BIAS) {
        node_vector(g, n, OF_SESSION, name, "session", c->keep, 0);
        node_vector(g, n, OF_PLACE, name, "place", c->max_len, 0);
        node_vector(g, n, OF_COLUMN, name, "column", events->cols, 0);
    }
    return node_output(n);
}
