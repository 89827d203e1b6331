/* FM - factorization machine: fields crossed in pairs, all alike.
 *
 *     z = w0 + sum_f w_f x_f + sum_{i<j} <v_i, v_j> x_i x_j,   p = sigmoid(z)
 *
 * A row is [w, v]. Two ids of one bag, or of one column of the pooled history, are one field
 * together: the fields of a sample are crossed, not its ids.
 *
 * Rendle 2010, Factorization Machines. */
#include "worker/layers/layers.h"
#include "worker/models/model.h"

static tensor *build(graph *g, const model_config *c)
{
    fields f;

    if (!embed_fields(g, &f, c, 2, 1))
        return NULL;
    return first_order(g, &f, cross_sum(g, &f), "output");
}

const model fm_model = {"fm", "factorization machine: fields crossed in pairs", build};
