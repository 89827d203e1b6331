/* DSIN - Deep Session Interest Network: interests drawn from sessions, their evolution, and
 * what the candidate activates of both.
 *
 *     Q = sessions of the history + what says where an event stands
 *     I_k = mean_t FFN(MultiHead(Q_k))                       interest of session k
 *     H = BiLSTM(I_1 .. I_K)                                 interests in their context
 *     U^I = sum_k a(I_k, q) I_k,   U^H = sum_k a(H_k, q) H_k
 *     z = MLP([profile, candidate, U^I, U^H, context]),   p = sigmoid(z)
 *
 * q is the candidate's features that have a column of the same table in the history; a is
 * bilinear and a softmax over sessions unless model.attention says otherwise.
 *
 * Feng et al. 2019, Deep Session Interest Network for Click-Through Rate Prediction. */
#include "worker/models/model.h"
#include "worker/models/opposite.h"

static tensor *session_interests(graph *g, tensor *history, const model_config *c)
{
    tensor *events = sessions(g, history, &c->sessions, "encoding");
    tensor *mixed  = self_attention(g, events, &c->transformer, "transformer.attention");
    tensor *made   = feed_forward(g, mixed, &c->transformer, "transformer.feed_forward");

    return pool_events(g, made, POOL_MEAN, 0, false);
}

static err_t check(const model_config *c, const opposite *columns)
{
    if (columns->matched == 0)
        return err_set(ERR_CONFIG,
                       "model.kind dsin needs a history with a column that shares a "
                       "table with a feature of model.candidate");
    if (c->attention.groups != GROUPS_JOINT)
        return err_set(ERR_CONFIG, "model.attention.groups is separate, but model.kind dsin "
                                   "gives a session one weight: use joint");
    return OK;
}

/* The paper's activation (eq. 10 and 11) where nothing else is asked for. */
static attention_config activation_of(const model_config *c)
{
    attention_config a = c->attention;

    if (a.score == SCORE_AUTO)
        a.score = SCORE_BILINEAR;
    if (a.normalize == NORMALIZE_AUTO)
        a.normalize = NORMALIZE_SOFTMAX;
    return a;
}

static tensor *build(graph *g, const model_config *c)
{
    opposite columns;
    err_t    e = opposite_find(&columns, graph_schema(g), c);

    if (e == OK)
        e = check(c, &columns);
    if (e != OK)
        return graph_fail(g, e);
    config_names     opposites = {columns.matched, columns.features};
    attention_config a         = activation_of(c);
    tensor          *profile   = embed_features(g, &c->profile);
    tensor          *candidate = embed_features(g, &c->candidate);
    tensor          *context   = embed_features(g, &c->context);
    tensor          *q         = embed_features(g, &opposites);
    tensor          *history   = embed_slots(g, columns.n, columns.slots);
    tensor          *interests = session_interests(g, history, c);
    tensor          *evolved   = bidirectional_lstm(g, interests, &c->lstm, "lstm");
    tensor          *wanted    = attention(g, q, interests, &a, "attention.interest");
    tensor          *evolving  = attention(g, q, evolved, &a, "attention.evolved");
    tensor          *x         = CONCAT(g, profile, candidate, wanted, evolving, context);

    return linear(g, mlp(g, x, &c->mlp, "mlp"), 1, "output");
}

const model dsin_model = {
    "dsin", "Deep Session Interest Network: sessions, and how interests evolve over them",
    build};
