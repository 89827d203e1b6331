/* Attention of a candidate over its sample's events: a score for each event, normalized or
 * not, and the sum of events weighted by it. Zhou et al. 2018 (DIN), section 4.3: "the
 * constraint of sum = 1 is relaxed", so that the weights' sum tells how strong the
 * interest is; softmax is the alternative. */
#include <math.h>

#include "worker/kernels/segment.h"
#include "worker/layers/layers.h"
#include "worker/layers/shared_unit.h"

/* ---- s_t = q_b . k_t;   gq_b = sum_t gs_t k_t,   gk_t = gs_t q_b ---- */

static err_t dot_forward(node *n, pass *p)
{
    const tensor *q = n->inputs[0], *k = n->inputs[1];

    TRY(graph_output(n, p, pass_rows(p, k->per)));
    if (pass_shares(p, n, 1)) {
        shared_dot(n->output->x, q, k, p);
        return OK;
    }
    segment_dot(n->output->x, k->x, k->cols, q->x, q->cols, pass_offsets(p, k->per), false,
                q->rows, q->cols);
    return OK;
}

/* Both gradients begin cleared: k may be wider than q. */
static err_t dot_backward(node *n, pass *p)
{
    tensor     *q = n->inputs[0], *k = n->inputs[1];
    const real *gs      = n->output->g;
    const int  *offsets = pass_offsets(p, k->per);

    if (q->wants_gradient)
        segment_sum(q->g, q->cols, gs, k->x, k->cols, offsets, true, q->rows, q->cols);
    if (k->wants_gradient)
        segment_spread(k->g, k->cols, gs, q->x, q->cols, offsets, true, q->rows, q->cols);
    return OK;
}

static const layer dot_layer = {
    .name = "dot scores", .forward = dot_forward, .backward = dot_backward, .shares = 1 << 1};

tensor *dot_scores(graph *g, tensor *q, tensor *k)
{
    if (!q || !k)
        return NULL;
    if (q->cols > k->cols)
        return graph_fail(
            g,
            err_set(ERR_CONFIG, "the candidate is %d wide, the events are %d: no inner product",
                    q->cols, k->cols));
    return node_output(graph_add(g, &dot_layer, 2, (tensor *[]){q, k}, 1, k->per, 0));
}

/* ---- scores ---- */

tensor *attention_scores(graph *g, tensor *q, tensor *k, const attention_config *c,
                         const char *name)
{
    if (!q || !k)
        return NULL;
    switch (c->score) {
    case SCORE_DOT:
        return dot_scores(g, q, k);
    case SCORE_BILINEAR:
        return dot_scores(g, project(g, q, k->cols, name), k);
    case SCORE_AUTO:
    case SCORE_MLP:
        return activation_unit(g, q, k, c, name);
    }
    return NULL;
}

tensor *attention(graph *g, tensor *q, tensor *k, const attention_config *c, const char *name)
{
    double factor = c->scaled && k ? 1 / sqrt(k->cols) : 1;

    if ((c->score == SCORE_MLP || c->score == SCORE_AUTO) && c->units.n > 0)
        return activated_sum(g, q, k, c, factor, name);
    tensor *scores = attention_scores(g, q, k, c, name);
    if (c->normalize == NORMALIZE_SOFTMAX)
        scores = softmax_events(g, scores, factor);
    else if (c->scaled)
        scores = scale(g, scores, factor);
    graph_mark_weights(g, scores, name);
    return weighted_sum(g, scores, k);
}
