/* DIN - Deep Interest Network: the history weighted by what the candidate activates in it.
 *
 *     v_U(A) = sum_t a(k_t, q) k_t,   a the activation unit, an MLP over [q, k, q-k, q*k]
 *     z = MLP([profile, candidate, v_U, context]),   p = sigmoid(z)
 *
 * q is the candidate's features that have a column of the same table in the history, k_t
 * an event's columns in the same order (further ones behind). groups separate: a unit of
 * its own for each of these features and its column alone; v_U their sums side by side.
 *
 * Zhou et al. 2018, Deep Interest Network for Click-Through Rate Prediction, section 4.3. */
#include <stdio.h>

#include "worker/models/model.h"
#include "worker/models/opposite.h"

/* One weight per event, from all of its columns. */
static tensor *joint_interest(graph *g, const model_config *c, opposite *columns)
{
    config_names features = {columns->matched, columns->features};
    tensor      *q        = embed_features(g, &features);
    tensor      *k        = embed_slots(g, columns->n, columns->slots);

    return attention(g, q, k, &c->attention, "attention");
}

/* A weight per event and column, each from the candidate's feature opposite to it. */
static tensor *separate_interest(graph *g, const model_config *c, opposite *columns)
{
    tensor *parts[OPPOSITE_MOST] = {0};

    if (columns->matched < columns->n)
        return graph_fail(
            g, err_set(ERR_CONFIG,
                       "model.attention.groups is separate, but %s has no candidate feature of "
                       "its table opposite to it: leave the column out, or use groups joint",
                       graph_schema(g)->slots[columns->slots[columns->matched]].name));
    for (int i = 0; i < columns->n; i++) {
        char         name[CONFIG_NAME_MAX + 16];
        config_names feature = {1, &columns->features[i]};
        snprintf(name, sizeof name, "attention.%s", columns->features[i]);
        parts[i] = attention(g, embed_features(g, &feature),
                             embed_slots(g, 1, &columns->slots[i]), &c->attention, name);
    }
    return concat(g, columns->n, parts);
}

static tensor *interest(graph *g, const model_config *c)
{
    opposite columns;
    err_t    e = opposite_find(&columns, graph_schema(g), c);

    if (e == OK && columns.matched == 0)
        e = err_set(ERR_CONFIG,
                    "model.kind din needs a history with a column that shares a table with a "
                    "feature of model.candidate");
    if (e != OK)
        return graph_fail(g, e);
    return c->attention.groups == GROUPS_JOINT ? joint_interest(g, c, &columns)
                                               : separate_interest(g, c, &columns);
}

static tensor *build(graph *g, const model_config *c)
{
    tensor *profile   = embed_features(g, &c->profile);
    tensor *candidate = embed_features(g, &c->candidate);
    tensor *context   = embed_features(g, &c->context);
    tensor *wanted    = interest(g, c);
    tensor *x         = CONCAT(g, profile, candidate, wanted, context);

    return linear(g, mlp(g, x, &c->mlp, "mlp"), 1, "output");
}

const model din_model = {"din", "Deep Interest Network: the history weighted by the candidate",
                         build};
