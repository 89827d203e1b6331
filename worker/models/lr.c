/* LR - logistic regression over the fields: what a model has to beat.
 *
 *     z = w0 + sum_f w_f x_f,   p = sigmoid(z)
 *
 * w of an id is the first number of its row: dim 1 is enough. */
#include "worker/layers/layers.h"
#include "worker/models/model.h"

static tensor *build(graph *g, const model_config *c)
{
    fields f;

    if (c->first_order == FIRST_ORDER_NONE)
        return graph_fail(
            g, err_set(ERR_CONFIG, "model.first_order is none, and lr has nothing else"));
    if (!embed_fields(g, &f, c, 1, 0))
        return NULL;
    return first_order(g, &f, NULL, "output");
}

const model lr_model = {"lr", "logistic regression over the fields", build};
