/* layers - the vocabulary of models: a function a word.
 *
 * Each adds one or more nodes to the graph and returns its output. B is the batch, E the
 * events of a sequence in all samples of the batch; D, H widths. What is said of events and
 * samples holds for any axis and its parent. Names give parameters their place:
 * attention.0.weight. A NULL input gives NULL (graph_error tells why). */
#ifndef DIPS_WORKER_LAYERS_H
#define DIPS_WORKER_LAYERS_H

#include "worker/graph.h"

/* ---- embedding (embedding.c) ---- */

/* The features called names side by side, (B, sum of widths): rows of one id, pooled
 * bags (an empty bag is zero), transformed numbers. NULL for an empty list. */
tensor *embed_features(graph *g, const config_names *names);

/* Columns of sequence side by side, (E, sum of dims). columns: slot numbers of the schema. */
tensor *embed_slots(graph *g, int n, const int *slots);

/* All id columns of the sequence called name, in their order; NULL for "". */
tensor *embed_sequence(graph *g, const char *name);

/* ---- fields (fields.c, first_order.c, cross_pooling.c, cross_weights.c) ----
 *
 * A model crosses its n fields in P = n(n-1)/2 pairs i < j, in the order (0,1), (0,2), ...,
 * (1,2), ... */

#define FIELDS_MAX 512

/* What can be crossed: each feature of profile, candidate and context, numbers last, then each
 * column of the pooled history; all of one width. */
typedef struct fields {
    int     n, width; /* the tables' dim */
    int     first;    /* where v begins: 1 behind the first-order weight w, or 0 */
    tensor *x;        /* (B, n width) */
    tensor *present;  /* (B, n): above 0 where the sample has it; NULL: all have all */
} fields;

/* All fields of c. A feature of numbers x (B, m) has a learned row for each: its field is x W
 * with fields.NAME.weight (m, width). least: as many fields, and numbers in v, the model needs
 * at least. False: the error is kept. */
bool embed_fields(graph *g, fields *f, const model_config *c, int least_fields, int least_v);

/* The names of the fields of c, in their order; lent by c and s. At most FIELDS_MAX. */
int fields_names(const char *names[FIELDS_MAX], const schema *s, const model_config *c);

/* w0 + sum of the fields' w, where they have one, + higher (B, 1), which may be NULL: (B, 1).
 * NAME.bias is w0. */
tensor *first_order(graph *g, const fields *f, tensor *higher, const char *name);

/* Factorization machine: sum over pairs of <v_i, v_j>, (B, 1). */
tensor *cross_sum(graph *g, const fields *f);

/* Attentional factorization machine: with q_ij = v_i * v_j and W (factor, k), the weight of
 * each pair, (B, P): softmax over the sample's pairs of h . relu(W q_ij + b). NAME.0.weight (W,
 * with l2 of its own), NAME.0.bias, NAME.output.weight (h). NAME.mean and NAME.var are the
 * moving mean and variance of each pair's weight in training. */
tensor *cross_weights(graph *g, const fields *f, int factor, double l2, const char *name);

/* Sum over pairs of a_ij q_ij: weights (B, P) -> (B, k). */
tensor *weighted_crosses(graph *g, tensor *weights, const fields *f);

/* ---- shape (shape.c) ---- */

/* The n tensors that are not NULL side by side, all along one axis: (B, sum of cols). */
tensor *concat(graph *g, int n, tensor *const *parts);
#define CONCAT(g, ...)                                                                         \
    concat((g), (int)(sizeof((tensor *[]){__VA_ARGS__}) / sizeof(tensor *)),                   \
           (tensor *const[]){__VA_ARGS__})

/* The mean of n tensors of one shape. */
tensor *average(graph *g, int n, tensor *const *parts);

/* ---- pooling (pooling.c) ---- */

/* Events to samples (E, D) -> (B, D): sum, mean, or time decay with w = 2^(-(T_request -
 * t_event)/half_life), divided by sum w where normalized. Empty history: zero. */
tensor *pool_events(graph *g, tensor *events, pool_kind kind, double half_life,
                    bool normalized);

/* (E, 1) weights and (E, D) events -> (B, D): sum over a sample's events of w_t k_t. */
tensor *weighted_sum(graph *g, tensor *weights, tensor *events);

/* ---- dense layers (linear.c, activation.c, batch_norm.c, dropout.c, mlp.c) ---- */

/* x (N, in) -> x W^T + b (N, out). NAME.weight (out, in), NAME.bias (out). */
tensor *linear(graph *g, tensor *x, int out, const char *name);

/* x (N, in) -> x W (N, out). NAME.weight (in, out), no bias. */
tensor *project(graph *g, tensor *x, int out, const char *name);

/* dice (NAME.alpha, NAME.mean, NAME.var), prelu (NAME.alpha), relu, sigmoid, none. */
tensor *activation(graph *g, tensor *x, activation_kind kind, const char *name);

/* x * factor. */
tensor *scale(graph *g, tensor *x, double factor);

/* NAME.gamma, NAME.beta, NAME.mean, NAME.var. */
tensor *batch_norm(graph *g, tensor *x, const char *name);

/* Inverted dropout; masks come from (seed, step, place in the global batch, NAME, unit). */
tensor *dropout(graph *g, tensor *x, double share, const char *name);

/* linear, batch norm (NAME.0.norm), activation, dropout for each of c->units: NAME.0,
 * NAME.1, ... */
tensor *mlp(graph *g, tensor *x, const mlp_config *c, const char *name);

/* ---- attention (attention.c, activation_unit.c, pair_linear.c) ---- */

/* DIN's activation unit and its relatives: q (B, Dq), events k (E, Dk) -> (B, Dk), the sum
 * of a(q, k_t) k_t. The first Dq columns of k are those that stand opposite to q; where
 * k is wider, the rest enters the k part of the score alone. */
tensor *attention(graph *g, tensor *q, tensor *k, const attention_config *c, const char *name);

/* linear over the configured parts [q, k, q-k, q*k] of every event and its sample's
 * candidate, (E, out), without ever forming them: NAME.weight (out, sum of the parts'
 * widths), NAME.bias. */
tensor *pair_linear(graph *g, tensor *q, tensor *k, int n_parts, const part_kind *parts,
                    int out, const char *name);

/* DIN's activation unit: layers of c->units over the pairs, then one number, (E, 1): NAME.0,
 * NAME.1, ..., NAME.output, each as linear and activation have it. */
tensor *activation_unit(graph *g, tensor *q, tensor *k, const attention_config *c,
                        const char *name);

/* The sum of events by its scores times factor, normalized as c says, in one layer: q (B, Dq),
 * k (E, Dk) -> (B, Dk). c->units is not empty. */
tensor *activated_sum(graph *g, tensor *q, tensor *k, const attention_config *c, double factor,
                      const char *name);

/* q_b . k_t over the first Dq columns of k, (E, 1). */
tensor *dot_scores(graph *g, tensor *q, tensor *k);

/* The scores alone, (E, 1), before normalization. */
tensor *attention_scores(graph *g, tensor *q, tensor *k, const attention_config *c,
                         const char *name);

/* Softmax over each sample's events, (E, 1) -> (E, 1), scores times scale. */
tensor *softmax_events(graph *g, tensor *scores, double scale);

/* e^s of each score, taken for 20 beyond 20 and for -20 below: weights that do not compete. */
tensor *exponential(graph *g, tensor *scores);

/* ---- recurrent layers (recurrent.c) ---- */

/* With attention a_t the gate that lets a new state in is e_t = */
typedef enum {
    GRU_PLAIN,       /* u_t */
    GRU_RESET_INPUT, /* u_t; resets before the product with U, as Cho et al. 2014 have it */
    GRU_AIGRU,       /* u_t, of inputs a_t x_t (DIEN, eq. 9) */
    GRU_AGRU,        /* a_t (eq. 10) */
    GRU_AUGRU,       /* a_t u_t (eq. 11 and 12) */
    GRU_AUGRU_CODE,  /* 1 - (1 - a_t)(1 - u_t), and resets as GRU_RESET_INPUT: the authors'
                        program */
} gru_kind;

/* Each sample's events (E, D) in their order, from a state of zero -> states (E, units):
 *     u = sigmoid(W_u x + U_u h + b_u),   r = sigmoid(W_r x + U_r h + b_r)
 *     n = tanh(W_n x + b_n + r * (U_n h)),   h' = (1 - e) h + e n
 * a (E, 1): attention, NULL for the first two kinds. NAME.input.weight (3 units, D) holds W_u,
 * W_r and W_n one below the other, NAME.recurrent.weight (3 units, units) and NAME.bias
 * (3 units) likewise. */
tensor *gru(graph *g, tensor *x, tensor *a, gru_kind kind, int units, const char *name);

/* The same, but only each sample's last state, (B, units): zero of an empty history. */
tensor *gru_last(graph *g, tensor *x, tensor *a, gru_kind kind, int units, const char *name);

/* Events (E, D) -> (B, D): each sample's last one; zero of an empty history. */
tensor *last_event(graph *g, tensor *events);

/* ---- losses besides that of the clicks (auxiliary.c) ---- */

/* DIEN's auxiliary loss (eq. 6), for graph_add_loss: (B, 1), of each sample
 *     sum_t softplus(-z(h_t, e_t+1)) + softplus(z(h_t, n_t+1))
 * over its events but the last; z is the inner product or NAME.0, NAME.1, ..., NAME.output, a
 * net over [h, e]. Over events, it is times (samples / such events of the whole step).
 * states h (E, H), events e and negatives n (E, D); collective where it is over events. */
tensor *auxiliary_loss(graph *g, tensor *states, tensor *events, tensor *negatives,
                       const auxiliary_config *c, const char *name);

/* ---- sessions (sessions.c, self_attention.c, feed_forward.c, lstm.c) ---- */

/* The events that sessions are read from, (E, D) -> (kept events, D), along an axis whose
 * parent are the sessions, whose parent are the samples; with the encoding of their places:
 * NAME.session (sessions), NAME.place (events of one), NAME.column (D). */
tensor *sessions(graph *g, tensor *events, const sessions_config *c, const char *name);

/* Multi-head self-attention of the rows with the same parent, residual and norm: (N, D) ->
 * (N, D). NAME.query.weight, key, value and output (D, D); NAME.norm.gamma and beta. */
tensor *self_attention(graph *g, tensor *x, const transformer_config *c, const char *name);

/* norm(x + relu(x F_1^T + b_1) F_2^T + b_2), (N, D) -> (N, D). NAME.0 and NAME.1, as linear
 * has them; NAME.norm.gamma and beta. */
tensor *feed_forward(graph *g, tensor *x, const transformer_config *c, const char *name);

/* Memories that read the rows with the same parent from the first and from the last one, (N,
 * D) -> (N, H), or 2 H where side by side. Of layer L forward, NAME.forward.L.input.weight
 * (4 H, in), recurrent.weight (4 H, H), bias (4 H), peepholes (3 H); likewise backward. */
tensor *bidirectional_lstm(graph *g, tensor *x, const lstm_config *c, const char *name);

#endif
