/* AFM - attentional factorization machine: some crosses count more than others.
 *
 *     q_ij = (v_i * v_j) x_i x_j,   a = softmax over pairs of h . relu(W q_ij + b)
 *     z = w0 + sum_f w_f x_f + p . sum_{i<j} a_ij q_ij,   p = sigmoid(z)
 *
 * Rows and fields are those of FM (fm.c), whose embeddings it may begin with. Dropout is on the
 * attended sum, as in the authors' program, never within the attention; the paper has an L2
 * penalty on W instead.
 *
 * Xiao et al. 2017, Attentional Factorization Machines. */
#include "worker/layers/layers.h"
#include "worker/models/model.h"

static tensor *build(graph *g, const model_config *c)
{
    fields f;

    if (!embed_fields(g, &f, c, 2, 1))
        return NULL;
    tensor *weights =
        cross_weights(g, &f, c->afm.attention_factor, c->afm.attention_l2, "attention");
    graph_mark_weights(g, weights, "attention");
    tensor *crosses = dropout(g, weighted_crosses(g, weights, &f), c->afm.dropout, "attention");
    return first_order(g, &f, project(g, crosses, 1, "output"), "output");
}

const model afm_model = {
    "afm", "attentional factorization machine: pairs weighed by what they are", build};
