/* Base - Embedding & MLP: the history pooled, whatever the candidate is.
 *
 *     u = sum_t w_t k_t,   w_t = 1 (sum), 1/T (mean), 2^(-age_t / half_life) (decay)
 *     z = MLP([profile, candidate, u, context]),   p = sigmoid(z)
 *
 * Zhou et al. 2018, Deep Interest Network for Click-Through Rate Prediction, section 4.2. */
#include "worker/models/model.h"
#include "worker/models/opposite.h"

static tensor *build(graph *g, const model_config *c)
{
    opposite columns;
    err_t    e = opposite_find(&columns, graph_schema(g), c);

    if (e != OK)
        return graph_fail(g, e);
    tensor *profile   = embed_features(g, &c->profile);
    tensor *candidate = embed_features(g, &c->candidate);
    tensor *context   = embed_features(g, &c->context);
    tensor *history   = embed_slots(g, columns.n, columns.slots);
    tensor *pooled    = pool_events(g, history, c->pool, c->half_life, c->decay_normalized);
    tensor *x         = CONCAT(g, profile, candidate, pooled, context);
    return linear(g, mlp(g, x, &c->mlp, "mlp"), 1, "output");
}

const model base_model = {"base", "Embedding & MLP: the history summed, averaged or decayed",
                          build};
