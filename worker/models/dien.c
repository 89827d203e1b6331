/* DIEN - Deep Interest Evolution Network: what the user wants next, as it moves over time.
 *
 *     h_t = GRU(k_t)                                   interest extractor, eq. 2 to 5
 *     a_t = softmax_t(h_t W q)                         eq. 8
 *     h'_t = AUGRU(h_t, a_t)                           interest evolution, eq. 9 to 12
 *     z = MLP([profile, candidate, h'_T, context]),   p = sigmoid(z)
 *     L = L_target + alpha L_aux                       eq. 7, auxiliary.c
 *
 * q is the candidate's features that have a column of the same table in the history, k_t an
 * event's columns. Scores by the activation unit (model.attention.score mlp) compare h_t with
 * PReLU(q W + b), as wide as h_t.
 *
 * Zhou et al. 2019, Deep Interest Evolution Network for Click-Through Rate Prediction. */
#include <math.h>

#include "worker/models/model.h"
#include "worker/models/opposite.h"

static const gru_kind evolutions[] = {
    [EVOLUTION_AUGRU]      = GRU_AUGRU,
    [EVOLUTION_AUGRU_CODE] = GRU_AUGRU_CODE,
    [EVOLUTION_AGRU]       = GRU_AGRU,
    [EVOLUTION_AIGRU]      = GRU_AIGRU,
};

static err_t check(const opposite *columns, const model_config *c)
{
    if (columns->matched == 0)
        return err_set(ERR_CONFIG,
                       "model.kind dien needs a history with a column that shares a table with "
                       "a feature of model.candidate");
    if (c->attention.normalize == NORMALIZE_NONE)
        return err_set(ERR_CONFIG,
                       "model.attention.normalize is none, and attention opens gates in dien: "
                       "wanted softmax");
    if (c->attention.groups == GROUPS_SEPARATE)
        return err_set(
            ERR_CONFIG,
            "model.attention.groups is separate, and dien has one state an event for "
            "all of its columns: wanted joint");
    if (c->auxiliary.kind != AUXILIARY_NONE && columns->n_negatives == 0)
        return err_set(
            ERR_CONFIG,
            "model.auxiliary.negatives names no columns of history %s, which dien's "
            "auxiliary loss tells events from: name them, or set model.auxiliary.kind "
            "to none",
            c->history);
    return OK;
}

/* Softmax over each sample's events, (E, 1). */
static tensor *attention_of(graph *g, tensor *q, tensor *states, const attention_config *a)
{
    attention_config c = *a;

    if (!q || !states)
        return NULL;
    if (c.score == SCORE_AUTO)
        c.score = SCORE_BILINEAR;
    if (c.score == SCORE_DOT && q->cols != states->cols)
        return graph_fail(g,
                          err_set(ERR_CONFIG,
                                  "model.attention.score is dot, the candidate is %d wide and "
                                  "the states %d: wanted the same, or score bilinear",
                                  q->cols, states->cols));
    if (c.score == SCORE_MLP)
        q = activation(g, linear(g, q, states->cols, "attention.query"), ACTIVATION_PRELU,
                       "attention.query");
    return softmax_events(g, attention_scores(g, q, states, &c, "attention"),
                          c.scaled ? 1 / sqrt(states->cols) : 1);
}

/* The interest at the end of the history, (B, units). */
static tensor *evolved(graph *g, tensor *q, tensor *events, tensor *negatives,
                       const model_config *c)
{
    if (!events)
        return NULL;
    evolution_kind kind   = c->evolution.kind;
    gru_kind       first  = kind == EVOLUTION_AUGRU_CODE ? GRU_RESET_INPUT : GRU_PLAIN;
    int            units  = c->evolution.units > 0 ? c->evolution.units : events->cols;
    tensor        *states = gru(g, events, NULL, first, units, "extractor");
    tensor        *a      = attention_of(g, q, states, &c->attention);

    graph_mark_weights(g, a, "attention");
    if (negatives)
        graph_add_loss(g,
                       auxiliary_loss(g, states, events, negatives, &c->auxiliary, "auxiliary"),
                       c->auxiliary.weight);
    return kind == EVOLUTION_NONE
               ? weighted_sum(g, a, states)
               : gru_last(g, states, a, evolutions[kind], units, "evolution");
}

static tensor *build(graph *g, const model_config *c)
{
    opposite columns;
    err_t    e = opposite_find(&columns, graph_schema(g), c);

    if (e == OK)
        e = check(&columns, c);
    if (e != OK)
        return graph_fail(g, e);
    config_names features  = {columns.matched, columns.features};
    tensor      *profile   = embed_features(g, &c->profile);
    tensor      *candidate = embed_features(g, &c->candidate);
    tensor      *context   = embed_features(g, &c->context);
    tensor      *q         = embed_features(g, &features);
    tensor      *events    = embed_slots(g, columns.n, columns.slots);
    tensor      *negatives = c->auxiliary.kind == AUXILIARY_NONE
                                 ? NULL
                                 : embed_slots(g, columns.n, columns.negatives);
    tensor      *interest  = evolved(g, q, events, negatives, c);
    tensor      *x         = CONCAT(g, profile, candidate, interest, context);

    return linear(g, mlp(g, x, &c->mlp, "mlp"), 1, "output");
}

const model dien_model = {
    "dien", "Deep Interest Evolution Network: interests that move over time", build};
