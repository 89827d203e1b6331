/* Attention over the pairs of a sample's fields. Xiao et al. 2017, Attentional Factorization
 * Machines, section 3.2:
 *
 *     q_ij = v_i * v_j,  s_ij = h . relu(W q_ij + b),  a = softmax over pairs of s
 *
 * The products of a batch are B P k numbers, far more than its fields have: they are never
 * written to memory, but made in chunks that stay in the cache, once in forward and once in
 * backward. A chunk's scores are one small product, whatever samples its pairs are of. What
 * is kept from forward to backward is a (B, P). Backward:
 *
 *     gs = a (ga - sum a ga),  gz = gs h (z > 0),  gq = gz W,
 *     gv_i += gq * v_j,  gv_j += gq * v_i,  gW += gz^T q,  gb += sum gz,  gh += sum gs relu(z)
 *
 * A pair with a field that the sample lacks is none of its pairs: the sums of the paper are
 * over the features that are not zero. */
#include <stdio.h>

#include "worker/kernels/activation.h"
#include "worker/kernels/column.h"
#include "worker/kernels/cross.h"
#include "worker/kernels/product.h"
#include "worker/kernels/segment.h"
#include "worker/layers/layers.h"

enum { WEIGHT, BIAS, OUTPUT };

typedef struct cross_config {
    field_layout fields;
    int          P, t;
    moments     *weights; /* of a, for people to read */
    int          pairs[][2];
} cross_config;

/* One node and batch, in the step's arena. Rows are whole vectors. */
typedef struct cross_work {
    const cross_config *c;
    size_t              n;       /* pairs of all samples */
    int                 chunk;   /* pairs at a time */
    int                 k, t;    /* padded */
    real               *W, *Wt;  /* (t, k), (k, t) */
    real               *b, *h;   /* (t) */
    real               *q, *z;   /* (chunk, k), (chunk, t): the latter rectified */
    real               *gz, *gq; /* the same */
    real               *gW, *gb, *gh;
} cross_work;

/* Numbers of a chunk: q, z and their gradients lie in the nearest cache, W beside them. */
#define CHUNK_NUMBERS 4096
#define CHUNK_LEAST   32

#define CROSS_MOMENTUM 0.99 /* of the mean weights that people read */

/* *at (rows, stride), cleared. */
static err_t take(pass *p, real **at, int rows, int stride)
{
    return arena_take_zero(p->arena, (size_t)rows * (size_t)stride * sizeof **at, at);
}

static err_t copy_weights(cross_work *w, const node *n, pass *p)
{
    const real *W = n->params[WEIGHT]->w;
    int         T = w->c->t, K = w->c->fields.k;

    TRY(take(p, &w->W, T, w->k));
    TRY(take(p, &w->Wt, K, w->t));
    TRY(take(p, &w->b, 1, w->t));
    TRY(take(p, &w->h, 1, w->t));
    for (int t = 0; t < T; t++)
        for (int d = 0; d < K; d++) {
            ROW(w->W, t, w->k)[d]  = ROW(W, t, K)[d];
            ROW(w->Wt, d, w->t)[t] = ROW(W, t, K)[d];
        }
    memcpy(w->b, n->params[BIAS]->w, (size_t)T * sizeof *w->b);
    memcpy(w->h, n->params[OUTPUT]->w, (size_t)T * sizeof *w->h);
    return OK;
}

static err_t open_work(cross_work *w, const node *n, int B, pass *p)
{
    const cross_config *c = n->config;

    *w       = (cross_work){.c = c, .n = (size_t)B * (size_t)c->P};
    w->k     = padded(c->fields.k);
    w->t     = padded(c->t);
    w->chunk = CHUNK_NUMBERS / (w->k + w->t);
    if (w->chunk < CHUNK_LEAST)
        w->chunk = CHUNK_LEAST;
    TRY(take(p, &w->q, w->chunk, w->k));
    TRY(take(p, &w->z, w->chunk, w->t));
    return copy_weights(w, n, p);
}

static int chunk_at(const cross_work *w, size_t begin)
{
    return w->n - begin < (size_t)w->chunk ? (int)(w->n - begin) : w->chunk;
}

/* q and relu(z) of N pairs from begin on. */
static void compute_chunk(const cross_work *w, const real *x, size_t begin, int N)
{
    cross_products(w->q, w->k, x, &w->c->fields, w->c->pairs, begin, N);
    product(w->z, w->t, w->b, 0, rows_of(w->q, w->k), w->Wt, w->t, N, w->t, w->c->fields.k);
    relu_forward(w->z, w->z, (size_t)N * (size_t)w->t);
}

/* ---- forward ---- */

/* Moments of a, which dense_reduce merges over the workers. */
static err_t take_note(const cross_work *w, const real *a, int B, pass *p)
{
    moments *m = w->c->weights;
    double  *mean, *squares;

    m->rows = B;
    TRY(arena_take(p->arena, (size_t)w->c->P * sizeof *mean, &mean));
    TRY(arena_take(p->arena, (size_t)w->c->P * sizeof *squares, &squares));
    column_moments(mean, squares, a, B, w->c->P);
    for (int i = 0; i < w->c->P && B > 0; i++) {
        m->batch_mean[i] = (real)mean[i];
        m->batch_var[i]  = (real)(squares[i] / B);
    }
    return OK;
}

static err_t cross_weights_forward(node *n, pass *p)
{
    const tensor *x = n->inputs[0], *present = n->n_inputs > 1 ? n->inputs[1] : NULL;
    cross_work   *w;
    real         *scores, *a;

    TRY(graph_output(n, p, x->rows));
    TRY(arena_take(p->arena, sizeof *w, &w));
    TRY(open_work(w, n, x->rows, p));
    TRY(arena_take(p->arena, w->n * sizeof *scores, &scores));
    for (size_t begin = 0; begin < w->n; begin += (size_t)w->chunk) {
        int N = chunk_at(w, begin);
        compute_chunk(w, x->x, begin, N);
        segment_dot(scores + begin, w->z, w->t, w->h, w->t, (int[]){0, N}, false, 1, w->t);
    }
    a = n->output->x;
    cross_softmax(a, scores, present ? present->x : NULL, w->c->fields.F, x->rows);
    if (p->training)
        TRY(take_note(w, a, x->rows, p));
    n->scratch = w;
    return OK;
}

/* ---- backward ---- */

static err_t open_backward(cross_work *w, pass *p)
{
    TRY(take(p, &w->gq, w->chunk, w->k));
    TRY(take(p, &w->gz, w->chunk, w->t));
    TRY(take(p, &w->gW, w->c->t, w->k));
    TRY(take(p, &w->gb, 1, w->t));
    return take(p, &w->gh, 1, w->t);
}

static void backward_chunk(const cross_work *w, const node *n, const real *gs, size_t begin,
                           int N)
{
    tensor *x = n->inputs[0];
    int     k = w->k, t = w->t;

    compute_chunk(w, x->x, begin, N);
    product(w->gh, t, w->gh, t, rows_of(gs + begin, N), w->z, t, 1, t, N);
    rectified_score_backward(w->gz, gs + begin, w->h, w->z, N, t);
    column_sum(w->gb, w->gz, N, t);
    product(w->gW, k, w->gW, k, columns_of(w->gz, t), w->q, k, w->c->t, k, N);
    if (!x->wants_gradient)
        return;
    product(w->gq, k, NULL, 0, rows_of(w->gz, t), w->W, k, N, k, w->c->t);
    cross_products_backward(x->g, w->gq, k, x->x, &w->c->fields, w->c->pairs, begin, N);
}

static void close_backward(const cross_work *w, const node *n)
{
    int K = w->c->fields.k;

    for (int t = 0; t < w->c->t; t++) {
        for (int d = 0; d < K; d++)
            ROW(n->params[WEIGHT]->g, t, K)[d] += ROW(w->gW, t, w->k)[d];
        n->params[BIAS]->g[t] += w->gb[t];
        n->params[OUTPUT]->g[t] += w->gh[t];
    }
}

static err_t cross_weights_backward(node *n, pass *p)
{
    cross_work   *w = n->scratch;
    const tensor *a = n->output;
    real         *gs;

    TRY(open_backward(w, p));
    TRY(arena_take(p->arena, w->n * sizeof *gs, &gs));
    cross_softmax_backward(gs, a->g, a->x, w->c->fields.F, a->rows);
    for (size_t begin = 0; begin < w->n; begin += (size_t)w->chunk)
        backward_chunk(w, n, gs, begin, chunk_at(w, begin));
    close_backward(w, n);
    return OK;
}

static const layer cross_weights_layer = {.name     = "weights of pairs",
                                          .forward  = cross_weights_forward,
                                          .backward = cross_weights_backward};

/* ---- building ---- */

static void build_parameters(graph *g, node *n, int factor, double l2, const char *name)
{
    cross_config *c = n->config;
    char          place[CONFIG_NAME_MAX + 16];

    snprintf(place, sizeof place, "%s.0", name);
    node_weight(g, n, WEIGHT, place, factor, c->fields.k);
    node_vector(g, n, BIAS, place, "bias", factor, 0);
    snprintf(place, sizeof place, "%s.output", name);
    node_weight(g, n, OUTPUT, place, 1, factor);
    if (n->params[WEIGHT])
        n->params[WEIGHT]->l2 = l2;
    err_t e = dense_moments(graph_dense(g), &c->weights, name, c->P, CROSS_MOMENTUM);
    if (e != OK)
        graph_fail(g, e);
}

tensor *cross_weights(graph *g, const fields *f, int factor, double l2, const char *name)
{
    tensor *inputs[] = {f->x, f->present};
    int     P = cross_count(f->n), p = 0;
    node   *n = graph_add(g, &cross_weights_layer, f->present ? 2 : 1, inputs, P, PER_SAMPLE,
                          sizeof(cross_config) + (size_t)P * sizeof(int[2]));

    if (!n)
        return NULL;
    cross_config *c = n->config;
    c->fields       = (field_layout){f->n, f->width, f->first, f->width - f->first};
    c->P            = P;
    c->t            = factor;
    for (int i = 0; i < f->n; i++)
        for (int j = i + 1; j < f->n; j++, p++) {
            c->pairs[p][0] = i;
            c->pairs[p][1] = j;
        }
    build_parameters(g, n, factor, l2, name);
    return n->output;
}
