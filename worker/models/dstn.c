/* DSTN - Deep Spatio-Temporal Network: the other ads around a candidate.
 *
 *     x~ of each kind of auxiliary ads x_1 ... x_n, contextual, clicked, unclicked:
 *         pool         sum_i x_i
 *         self         sum_i a_i x_i,  a = softmax over i of f(x_i)
 *         interactive  sum_i e^s_i x_i,  s_i = f([x_t, x_i]) within -20 .. 20, not normalized:
 *                      an ad that says nothing about the candidate counts little, and none
 *                      needs to count
 *
 *     z = MLP([x_t, x~_contextual, x~_clicked, x~_unclicked]),   p = sigmoid(z)
 *
 * x_t: profile, candidate and context. f: one hidden layer of relu, of its own for each kind.
 * A sample without ads of a kind has zero there.
 *
 * Ouyang et al. 2019, Deep Spatio-Temporal Neural Networks for Click-Through Rate Prediction.
 */
#include "worker/layers/layers.h"
#include "worker/models/model.h"

/* The weight of each ad: f by itself, or beside the target. */
static tensor *weights(graph *g, tensor *target, tensor *ads, const dstn_config *c,
                       const char *name)
{
    bool             self   = c->mode == DSTN_SELF;
    int              hidden = c->hidden;
    attention_config f      = {.n_parts    = self ? 1 : 2,
                               .parts      = {self ? PART_K : PART_Q, PART_K},
                               .units      = {1, &hidden},
                               .activation = ACTIVATION_RELU};
    tensor          *scores = activation_unit(g, target, ads, &f, name);

    return self ? softmax_events(g, scores, 1) : exponential(g, scores);
}

/* x~ of the ads of one kind, or NULL where there is no such sequence. */
static tensor *auxiliary(graph *g, tensor *target, const char *sequence, const dstn_config *c,
                         const char *name)
{
    if (c->mode == DSTN_NONE)
        return NULL;
    tensor *ads = embed_sequence(g, sequence);
    if (c->mode == DSTN_POOL)
        return pool_events(g, ads, POOL_SUM, 0, false);
    tensor *a = weights(g, target, ads, c, name);
    graph_mark_weights(g, a, name);
    return weighted_sum(g, a, ads);
}

static tensor *build(graph *g, const model_config *c)
{
    const dstn_config *d = &c->dstn;
    tensor *target = CONCAT(g, embed_features(g, &c->profile), embed_features(g, &c->candidate),
                            embed_features(g, &c->context));

    if (d->mode != DSTN_NONE && !c->contextual[0] && !c->clicked[0] && !c->unclicked[0])
        return graph_fail(g, err_set(ERR_CONFIG,
                                     "model.kind dstn has no auxiliary ads: name a sequence in "
                                     "model.contextual, model.clicked or model.unclicked, or "
                                     "set model.dstn.mode to none"));
    tensor *x = CONCAT(g, target, auxiliary(g, target, c->contextual, d, "contextual"),
                       auxiliary(g, target, c->clicked, d, "clicked"),
                       auxiliary(g, target, c->unclicked, d, "unclicked"));
    return linear(g, mlp(g, x, &c->mlp, "mlp"), 1, "output");
}

const model dstn_model = {
    "dstn", "Deep Spatio-Temporal Network: ads beside and before the candidate", build};
