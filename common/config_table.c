/* The option table: the only home of an option. `dips options` prints it. */
#include <assert.h>

#include "common/config_option.h"

/* clang-format off */

/* ---- words of the enums, by enumerator ---- */

#define LIST(name, ...) static const char *const name[] = {__VA_ARGS__}

LIST(ids_words,        [IDS_INTEGER] = "integer", [IDS_STRING] = "string");
LIST(precision_words,  [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16");
LIST(curve_words,      [CURVE_AUTO] = "auto", [CURVE_ON] = "on", [CURVE_OFF] = "off");
LIST(init_words,       [INIT_NORMAL] = "normal", [INIT_UNIFORM] = "uniform",
                       [INIT_ZERO] = "zero");
LIST(rule_words,       [OPTIMIZER_SGD] = "sgd", [OPTIMIZER_MOMENTUM] = "momentum",
                       [OPTIMIZER_ADAGRAD] = "adagrad",
                       [OPTIMIZER_ROWWISE_ADAGRAD] = "rowwise_adagrad",
                       [OPTIMIZER_ADAM] = "adam", [OPTIMIZER_FTRL] = "ftrl");
LIST(dense_rule_words, [OPTIMIZER_SGD] = "sgd", [OPTIMIZER_MOMENTUM] = "momentum",
                       [OPTIMIZER_ADAGRAD] = "adagrad", [OPTIMIZER_ADAM] = "adam");
LIST(penalty_words,    [PENALTY_NONE] = "none", [PENALTY_L1] = "l1", [PENALTY_L2] = "l2",
                       [PENALTY_DECAY] = "decay",
                       [PENALTY_MINIBATCH_AWARE] = "minibatch_aware");
LIST(count_words,      [COUNT_EXACT] = "exact", [COUNT_RUNNING] = "running");
LIST(counter_words,    [COUNTER_DATASET] = "dataset", [COUNTER_EXACT] = "exact",
                       [COUNTER_SKETCH] = "sketch");
LIST(feature_words,    [FEATURE_ID] = "id", [FEATURE_FLOAT] = "float",
                       [FEATURE_SEQUENCE] = "sequence");
LIST(column_words,     [FEATURE_ID] = "id", [FEATURE_TIME] = "time", [FEATURE_GAP] = "gap");
LIST(gap_words,        [GAP_EVENT] = "event", [GAP_REQUEST] = "request");
LIST(bag_words,        [POOL_NONE] = "none", [POOL_SUM] = "sum", [POOL_MEAN] = "mean");
LIST(pool_words,       [POOL_SUM] = "sum", [POOL_MEAN] = "mean", [POOL_DECAY] = "decay");
LIST(transform_words,  [TRANSFORM_NONE] = "none", [TRANSFORM_LOG] = "log",
                       [TRANSFORM_STANDARD] = "standard");
LIST(keep_words,       [KEEP_LAST] = "last", [KEEP_FIRST] = "first");
LIST(score_words,      [SCORE_AUTO] = "auto", [SCORE_DOT] = "dot", [SCORE_BILINEAR] = "bilinear",
                       [SCORE_MLP] = "mlp");
LIST(part_words,       [PART_Q] = "q", [PART_K] = "k", [PART_DIFFERENCE] = "q-k",
                       [PART_PRODUCT] = "q*k");
LIST(normalize_words,  [NORMALIZE_AUTO] = "auto", [NORMALIZE_NONE] = "none",
                       [NORMALIZE_SOFTMAX] = "softmax");
LIST(groups_words,     [GROUPS_JOINT] = "joint", [GROUPS_SEPARATE] = "separate");
LIST(first_order_words, [FIRST_ORDER_ROW] = "row", [FIRST_ORDER_NONE] = "none");
LIST(dstn_words,       [DSTN_NONE] = "none", [DSTN_POOL] = "pool", [DSTN_SELF] = "self",
                       [DSTN_INTERACTIVE] = "interactive");
LIST(activation_words, [ACTIVATION_NONE] = "none", [ACTIVATION_RELU] = "relu",
                       [ACTIVATION_SIGMOID] = "sigmoid", [ACTIVATION_PRELU] = "prelu",
                       [ACTIVATION_DICE] = "dice");
LIST(evolution_words,  [EVOLUTION_AUGRU] = "augru", [EVOLUTION_AUGRU_CODE] = "augru_code",
                       [EVOLUTION_AGRU] = "agru", [EVOLUTION_AIGRU] = "aigru",
                       [EVOLUTION_NONE] = "none");
LIST(auxiliary_words,  [AUXILIARY_NONE] = "none", [AUXILIARY_DOT] = "dot",
                       [AUXILIARY_MLP] = "mlp");
LIST(mean_words,       [MEAN_OVER_SAMPLES] = "samples", [MEAN_OVER_EVENTS] = "events");
LIST(encoding_words,   [ENCODING_NONE] = "none", [ENCODING_BIAS] = "bias",
                       [ENCODING_SINUSOID] = "sinusoid");
LIST(end_words,        [END_OLDEST] = "oldest", [END_NEWEST] = "newest");
LIST(join_words,       [JOIN_CONCAT] = "concat", [JOIN_AVERAGE] = "average");
LIST(schedule_words,   [SCHEDULE_CONSTANT] = "constant", [SCHEDULE_EXPONENTIAL] = "exponential",
                       [SCHEDULE_STEP] = "step");
LIST(deal_words,       [DEAL_ROWS] = "rows", [DEAL_FILES] = "files",
                       [DEAL_DYNAMIC] = "dynamic");
LIST(compression_words, [COMPRESSION_NONE] = "none", [COMPRESSION_ZSTD] = "zstd");
LIST(mode_words,       [MODE_SYNC] = "sync", [MODE_PIPELINED] = "pipelined",
                       [MODE_ASYNC] = "async");

/* ---- where an option is stored ---- */

#define IN(type, member) .at = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define RUN(member)      IN(config, member)
#define TABLE(member)    IN(table_config, member)
#define FEATURE(member)  IN(feature_config, member)
#define WORDS(list)      .words = (list), .n_words = (int)(sizeof(list) / sizeof *(list))

#define NEARLY_1 0.9999999
#define ANY_STEP 1e15

const option option_table[] = {
    /* ---- tables ---- */
    {"tables.*.dim", OPTION_INT, TABLE(dim), .min = 1, .max = CONFIG_DIM_MAX,
     .help = "numbers in a row: the length of an embedding"},
    {"tables.*.ids", OPTION_ENUM, TABLE(ids), WORDS(ids_words), .init = "integer",
     .help = "what raw data holds; strings are hashed (XXH3) by dips prepare"},
    {"tables.*.precision", OPTION_ENUM, TABLE(precision), WORDS(precision_words), .init = "fp32",
     .help = "weights that the servers hold: fp32, or bf16 with stochastic rounding"},
    {"tables.*.init.kind", OPTION_ENUM, TABLE(init), WORDS(init_words), .init = "normal",
     .help = "distribution of a row's first value, which depends on (seed, table, id) alone"},
    {"tables.*.init.scale", OPTION_REAL, TABLE(init_scale), .min = 0, .max = 100,
     .init = "0.01", .help = "normal: standard deviation; uniform: half width"},
    {"tables.*.optimizer", OPTION_ENUM, TABLE(optimizer.kind), WORDS(rule_words),
     .init = "rowwise_adagrad",
     .help = "update rule of the rows; adam counts each row's own updates"},
    {"tables.*.lr", OPTION_REAL, TABLE(optimizer.lr), .min = 0, .max = 1000, .init = "0.05",
     .help = "learning rate; for ftrl the alpha of McMahan et al. 2013"},
    {"tables.*.momentum", OPTION_REAL, TABLE(optimizer.momentum), .min = 0, .max = NEARLY_1,
     .init = "0.9", .help = "momentum: m = momentum m + g, w = w - lr m"},
    {"tables.*.beta1", OPTION_REAL, TABLE(optimizer.beta1), .min = 0, .max = NEARLY_1,
     .init = "0.9", .help = "adam: decay of the mean of gradients"},
    {"tables.*.beta2", OPTION_REAL, TABLE(optimizer.beta2), .min = 0, .max = NEARLY_1,
     .init = "0.999", .help = "adam: decay of the mean of squared gradients"},
    {"tables.*.eps", OPTION_REAL, TABLE(optimizer.eps), .min = 1e-30, .max = 1, .init = "auto",
     .automatic = true, .help = "added to the root; auto: adagrad 1e-10, other rules 1e-8"},
    {"tables.*.ftrl_beta", OPTION_REAL, TABLE(optimizer.ftrl_beta), .min = 0, .max = 1e6,
     .init = "1", .help = "ftrl: the beta of McMahan et al. 2013"},
    {"tables.*.l1", OPTION_REAL, TABLE(optimizer.l1), .min = 0, .max = 1e6, .init = "0",
     .help = "ftrl: lambda1, which makes weights exactly zero"},
    {"tables.*.l2", OPTION_REAL, TABLE(optimizer.l2), .min = 0, .max = 1e6, .init = "0",
     .help = "ftrl: lambda2"},
    {"tables.*.penalty.kind", OPTION_ENUM, TABLE(penalty.kind), WORDS(penalty_words),
     .init = "none",
     .help = "of the rows of a step, minibatch_aware: DIN eq. 7, g + lambda/n_j w_j; l2: g + "
             "lambda w_j; l1: g + lambda sign(w_j); of all rows, decay: w_j (1 - lr lambda) in "
             "every step, made up for when a row is read or touched"},
    {"tables.*.penalty.lambda", OPTION_REAL, TABLE(penalty.lambda), .min = 0, .max = 1e6,
     .init = "0.01", .help = "strength of the penalty (DIN, section 6.5, uses 0.01)"},
    {"tables.*.penalty.count", OPTION_ENUM, TABLE(penalty.count), WORDS(count_words),
     .init = "exact",
     .help = "n_j of minibatch_aware: exact from data.counts, or running: samples with j seen "
             "before the step, at least 1: early steps weigh too much"},
    {"tables.*.penalty.decoupled", OPTION_BOOL, TABLE(penalty.decoupled), .init = "false",
     .help = "apply the penalty after the update rule instead of adding it to the gradient"},
    {"tables.*.admit.min_count", OPTION_UINT32, TABLE(admit.min_count), .min = 0,
     .max = UINT32_MAX, .init = "0", .unit = "samples",
     .help = "an id has no row of its own before it was in so many"},
    {"tables.*.admit.counter", OPTION_ENUM, TABLE(admit.counter), WORDS(counter_words),
     .init = "dataset",
     .help = "dataset: of data.counts, known from the start; exact: a counter for each id seen "
             "so far; sketch: bounded memory"},
    {"tables.*.admit.false_positive", OPTION_REAL, TABLE(admit.false_positive), .min = 1e-6,
     .max = 0.5, .init = "0.01",
     .help = "sketch: share of ids that may pass before min_count"},
    {"tables.*.admit.expected_ids", OPTION_LARGE, TABLE(admit.expected_ids), .min = 0,
     .max = 1e12, .init = "0", .unit = "ids",
     .help = "sketch: different ids that false_positive is to hold for, as 600M"},
    {"tables.*.admit.probability", OPTION_REAL, TABLE(admit.probability), .min = 1e-9,
     .max = 1, .init = "1",
     .help = "a step gives an id without a row one with this probability"},
    {"tables.*.evict.idle_steps", OPTION_INT64, TABLE(evict.idle_steps), .min = 0,
     .max = UINT32_MAX, .init = "0", .unit = "steps",
     .help = "a row that no step touched for so many leaves; 0: none does"},
    {"tables.*.evict.idle_days", OPTION_INT, TABLE(evict.idle_days), .min = 0, .max = 36500,
     .init = "0", .unit = "days",
     .help = "a row leaves when more than so many days have begun since a step touched it, by "
             "`time` of the data; 0: none does"},
    {"tables.*.evict.min_norm", OPTION_REAL, TABLE(evict.min_norm), .min = 0, .max = 1e12,
     .init = "0", .help = "a row whose L2 norm is below leaves; 0: none does"},
    {"tables.*.evict.max_bytes", OPTION_LARGE, TABLE(evict.max_bytes), .min = 0, .max = 1e15,
     .init = "0", .unit = "bytes",
     .help = "memory of the rows on all servers, as 12G: the longest untouched leave; 0: any"},

    /* ---- features ---- */
    {"features.*.kind", OPTION_ENUM, FEATURE(kind), WORDS(feature_words), .init = "id",
     .only = FOR_ID | FOR_FLOAT | FOR_SEQUENCE,
     .help = "id: looked up in a table; float: numbers; sequence: what has columns"},
    {"features.*.table", OPTION_NAME, FEATURE(table), .init = "''", .only = FOR_ID,
     .help = "the table that an id is looked up in"},
    {"features.*.pool", OPTION_ENUM, FEATURE(pool), WORDS(bag_words), .init = "none",
     .only = FOR_ID, .help = "none: one id per sample; sum, mean: a bag of ids"},
    {"features.*.drop_ids", OPTION_REAL, FEATURE(drop_ids), .min = 0, .max = 0.99, .init = "0",
     .only = FOR_ID, .help = "share of ids discarded in training (DIN, section 6.5, dropout)"},
    {"features.*.transform", OPTION_ENUM, FEATURE(transform), WORDS(transform_words),
     .init = "none", .only = FOR_FLOAT,
     .help = "log: sign(x) log(1 + |x|); standard: less the mean, over the standard deviation"},
    {"features.*.width", OPTION_INT, FEATURE(width), .min = 1, .max = 65536, .init = "1",
     .only = FOR_FLOAT, .help = "numbers per sample"},
    {"features.*.max_len", OPTION_INT, FEATURE(max_len), .min = 0, .max = 1e6, .init = "0",
     .unit = "events", .only = FOR_SEQUENCE, .help = "longest sequence used; 0: no limit"},
    {"features.*.keep", OPTION_ENUM, FEATURE(keep), WORDS(keep_words), .init = "last",
     .only = FOR_SEQUENCE, .help = "which events max_len keeps"},
    {"features.*.history_days", OPTION_REAL, FEATURE(history_days), .min = 0, .max = 36500,
     .init = "0", .unit = "days", .only = FOR_SEQUENCE,
     .help = "events older than so many, when the sample is taken, are left out (DIEN: 14); 0: "
             "none is"},
    {"features.*.columns.*.kind", OPTION_ENUM, FEATURE(kind), WORDS(column_words), .init = "id",
     .only = FOR_ID | FOR_TIME | FOR_GAP,
     .help = "id: looked up in a table; time: seconds of the event; gap: made of the times and "
             "looked up, 0 where nothing was before, else 1 + floor(log2(1 + seconds))"},
    {"features.*.columns.*.table", OPTION_NAME, FEATURE(table), .init = "''",
     .only = FOR_ID | FOR_GAP, .help = "the table that the column is looked up in"},
    {"features.*.columns.*.to", OPTION_ENUM, FEATURE(to), WORDS(gap_words), .init = "event",
     .only = FOR_GAP,
     .help = "gap: back to the event before, or on to the request, which is the sample's time"},
    {"features.*.columns.*.pool", OPTION_ENUM, FEATURE(pool), WORDS(bag_words), .init = "none",
     .only = FOR_ID, .help = "none: one id per event; sum, mean: a bag of ids"},
    {"features.*.columns.*.drop_ids", OPTION_REAL, FEATURE(drop_ids), .min = 0, .max = 0.99,
     .init = "0", .only = FOR_ID, .help = "share of ids discarded in training"},

    /* ---- model ---- */
    {"model.kind", OPTION_NAME, RUN(model.kind), .init = "base",
     .help = "the model; dips options lists them"},
    {"model.profile", OPTION_NAMES, RUN(model.profile), .init = "[]",
     .help = "features of the user"},
    {"model.candidate", OPTION_NAMES, RUN(model.candidate), .init = "[]",
     .help = "features of the item that may be clicked; attention's q, column by column"},
    {"model.context", OPTION_NAMES, RUN(model.context), .init = "[]",
     .help = "features of the page, the hour, the device"},
    {"model.history", OPTION_NAME, RUN(model.history), .init = "''",
     .help = "the sequence of what the user did"},
    {"model.contextual", OPTION_NAME, RUN(model.contextual), .init = "''",
     .help = "dstn: the sequence of ads above the candidate on the same page"},
    {"model.clicked", OPTION_NAME, RUN(model.clicked), .init = "''",
     .help = "dstn: the sequence of ads that the user clicked"},
    {"model.unclicked", OPTION_NAME, RUN(model.unclicked), .init = "''",
     .help = "dstn: the sequence of ads that the user saw and did not click"},
    {"model.pool", OPTION_ENUM, RUN(model.pool), WORDS(pool_words), .init = "sum",
     .help = "base: events to one vector; decay weights them by 2^(-age / half_life)"},
    {"model.half_life", OPTION_REAL, RUN(model.half_life), .min = 1e-3, .max = 1e12,
     .init = "604800", .unit = "seconds", .help = "decay: age at which an event counts half"},
    {"model.decay_normalized", OPTION_BOOL, RUN(model.decay_normalized), .init = "false",
     .help = "decay: divide by the sum of weights"},
    {"model.first_order", OPTION_ENUM, RUN(model.first_order), WORDS(first_order_words),
     .init = "row",
     .help = "lr, fm, afm: row: a row is [w_i, v_i], so a table's dim is one more than v's; "
             "none: v_i alone, no first-order weights"},
    {"model.afm.attention_factor", OPTION_INT, RUN(model.afm.attention_factor), .min = 1,
     .max = 4096, .init = "16", .help = "width of the net that weighs a pair of fields"},
    {"model.afm.attention_l2", OPTION_REAL, RUN(model.afm.attention_l2), .min = 0, .max = 1e6,
     .init = "0", .help = "lambda of lambda/2 |W|^2 over that net's weight, besides dense.l2"},
    {"model.afm.dropout", OPTION_REAL, RUN(model.afm.dropout), .min = 0, .max = 0.99,
     .init = "0", .help = "share of the attended interaction layer dropped in training"},
    {"model.dstn.mode", OPTION_ENUM, RUN(model.dstn.mode), WORDS(dstn_words),
     .init = "interactive",
     .help = "auxiliary ads summed (pool), by a softmax of each one's score (self), by e^score "
             "of it and the candidate, not normalized (interactive), or none of them"},
    {"model.dstn.hidden", OPTION_INT, RUN(model.dstn.hidden), .min = 1, .max = 16384,
     .init = "128", .help = "self, interactive: hidden units of the net that scores an ad"},
    {"model.attention.score", OPTION_ENUM, RUN(model.attention.score), WORDS(score_words),
     .init = "auto",
     .help = "dot: q.k; bilinear: q W k; mlp: DIN's activation unit; auto: bilinear for dien and "
             "dsin, else mlp"},
    {"model.attention.parts", OPTION_ENUMS, IN(config, model.attention.n_parts),
     WORDS(part_words), .init = "[q, k, q-k, q*k]", .help = "mlp: what it reads of q and k"},
    {"model.attention.units", OPTION_INTS, RUN(model.attention.units), .min = 1, .max = 16384,
     .init = "[80, 40]", .help = "mlp: widths of its hidden layers"},
    {"model.attention.activation", OPTION_ENUM, RUN(model.attention.activation),
     WORDS(activation_words), .init = "dice", .help = "mlp: behind each hidden layer"},
    {"model.attention.normalize", OPTION_ENUM, RUN(model.attention.normalize),
     WORDS(normalize_words), .init = "auto",
     .help = "none keeps the strength of interests (DIN, section 4.3); softmax: weights sum "
             "to 1; auto: softmax for dien and dsin, else none"},
    {"model.attention.scaled", OPTION_BOOL, RUN(model.attention.scaled), .init = "false",
     .help = "divide scores by the square root of k's width"},
    {"model.attention.groups", OPTION_ENUM, RUN(model.attention.groups), WORDS(groups_words),
     .init = "joint",
     .help = "joint: one weight an event; separate: one for each of its columns"},
    {"model.mlp.units", OPTION_INTS, RUN(model.mlp.units), .min = 1, .max = 16384,
     .init = "[200, 80]", .help = "widths of the hidden layers; the logit follows"},
    {"model.mlp.activation", OPTION_ENUM, RUN(model.mlp.activation), WORDS(activation_words),
     .init = "dice", .help = "behind each hidden layer; dice: DIN, section 5.3"},
    {"model.mlp.batch_norm", OPTION_BOOL, RUN(model.mlp.batch_norm), .init = "false",
     .help = "batch normalisation before each activation"},
    {"model.mlp.dropout", OPTION_REAL, RUN(model.mlp.dropout), .min = 0, .max = 0.99,
     .init = "0", .help = "share of hidden units dropped in training"},

    {"model.evolution.kind", OPTION_ENUM, RUN(model.evolution.kind), WORDS(evolution_words),
     .init = "augru",
     .help = "dien: how attention enters the second GRU (eq. 9 to 12); augru_code: gates as in "
             "the authors' program; none: states are summed by attention"},
    {"model.evolution.units", OPTION_INT, RUN(model.evolution.units), .min = 0, .max = 16384,
     .init = "0", .help = "dien: width of both GRUs; 0: that of an event"},
    {"model.auxiliary.kind", OPTION_ENUM, RUN(model.auxiliary.kind), WORDS(auxiliary_words),
     .init = "mlp",
     .help = "dien's auxiliary loss, of h_t and e_t+1: dot: h.e; mlp: a net over [h, e]"},
    {"model.auxiliary.units", OPTION_INTS, RUN(model.auxiliary.units), .min = 1, .max = 16384,
     .init = "[100, 50]", .help = "mlp: widths of its hidden layers, which are sigmoid"},
    {"model.auxiliary.weight", OPTION_REAL, RUN(model.auxiliary.weight), .min = 0, .max = 1e6,
     .init = "1", .help = "alpha of DIEN, eq. 7"},
    {"model.auxiliary.mean_over", OPTION_ENUM, RUN(model.auxiliary.mean_over),
     WORDS(mean_words), .init = "events",
     .help = "events: the mean over all events of a step, as in DIEN's program; samples: over "
             "samples, each one's events summed, as in the paper, eq. 6"},
    {"model.auxiliary.negatives", OPTION_NAMES, RUN(model.auxiliary.negatives), .init = "[]",
     .help = "columns of the history with an id that each event was not; no model reads them "
             "as events"},

    /* ---- model: sessions ---- */
    {"model.sessions.gap", OPTION_INT64, RUN(model.sessions.gap), .min = 0, .max = 1e15,
     .init = "1800", .unit = "seconds",
     .help = "dsin: a session ends where no event follows for longer"},
    {"model.sessions.keep", OPTION_INT, RUN(model.sessions.keep), .min = 1, .max = 1e6,
     .init = "5", .unit = "sessions", .help = "dsin: how many of the newest are read"},
    {"model.sessions.max_len", OPTION_INT, RUN(model.sessions.max_len), .min = 1, .max = 1e6,
     .init = "10", .unit = "events", .help = "dsin: how many of a session's newest are read"},
    {"model.sessions.min_len", OPTION_INT, RUN(model.sessions.min_len), .min = 1, .max = 1e6,
     .init = "1", .unit = "events", .help = "dsin: a shorter session is left out"},
    {"model.sessions.encoding", OPTION_ENUM, RUN(model.sessions.encoding),
     WORDS(encoding_words), .init = "bias",
     .help = "dsin: added to events. bias: trained numbers of the session, of the place in it "
             "and of the column; sinusoid: of the place in the session"},
    {"model.sessions.number_from", OPTION_ENUM, RUN(model.sessions.number_from),
     WORDS(end_words), .init = "oldest", .help = "bias: which of the sessions read is the first"},
    {"model.transformer.heads", OPTION_INT, RUN(model.transformer.heads), .min = 1,
     .max = 4096, .init = "2",
     .help = "of self-attention; the width of an event must be a multiple"},
    {"model.transformer.blinding", OPTION_BOOL, RUN(model.transformer.blinding),
     .init = "false", .help = "no event attends to itself"},
    {"model.transformer.output", OPTION_BOOL, RUN(model.transformer.output), .init = "true",
     .help = "W^O mixes what the heads found"},
    {"model.transformer.layer_norm", OPTION_BOOL, RUN(model.transformer.layer_norm),
     .init = "true", .help = "layer normalisation behind both residual sums"},
    {"model.transformer.norm_eps", OPTION_REAL, RUN(model.transformer.norm_eps), .min = 1e-12,
     .max = 1, .init = "1e-6", .help = "added to the variance"},
    {"model.transformer.hidden", OPTION_INT, RUN(model.transformer.hidden), .min = 1,
     .max = 64, .init = "4", .help = "units of the feed-forward net, in widths of an event"},
    {"model.transformer.bias", OPTION_BOOL, RUN(model.transformer.bias), .init = "true",
     .help = "biases in the feed-forward net"},
    {"model.lstm.units", OPTION_INT, RUN(model.lstm.units), .min = 0, .max = 16384,
     .init = "0", .help = "of each direction; 0: the width of what it reads"},
    {"model.lstm.layers", OPTION_INT, RUN(model.lstm.layers), .min = 1, .max = 16,
     .init = "1", .help = "in each direction, one above the other"},
    {"model.lstm.peepholes", OPTION_BOOL, RUN(model.lstm.peepholes), .init = "true",
     .help = "the gates see the cell"},
    {"model.lstm.join", OPTION_ENUM, RUN(model.lstm.join), WORDS(join_words),
     .init = "concat", .help = "the two directions side by side, or their mean"},
    {"model.lstm.bias", OPTION_REAL, RUN(model.lstm.bias), .min = -100, .max = 100,
     .init = "0", .help = "first value of the gates' biases"},
    {"model.lstm.dropout", OPTION_REAL, RUN(model.lstm.dropout), .min = 0, .max = 0.99,
     .init = "0", .help = "share of each layer's inputs dropped in training"},

    /* ---- data ---- */
    {"data.train", OPTION_PATTERNS, RUN(data.train), .init = "[]",
     .help = "data shards to train on: files or patterns, in this order"},
    {"data.test", OPTION_PATTERNS, RUN(data.test), .init = "[]",
     .help = "data shards to evaluate on"},
    {"data.counts", OPTION_TEXT, RUN(data.counts), .init = "''",
     .help = "file of n_j; '': counts.safetensors beside the first train file, where a table "
             "needs it"},
    {"data.deal", OPTION_ENUM, RUN(data.deal), WORDS(deal_words), .init = "rows",
     .help = "rows: each step is dealt over all workers; files: a worker reads its own files; "
             "dynamic: workers ask for a window of samples at a time"},
    {"data.shuffle", OPTION_BOOL, RUN(data.shuffle), .init = "true",
     .help = "a new seeded order each epoch; false: the order of the files"},
    {"data.block", OPTION_INT, RUN(data.block), .min = 1, .max = 1 << 24, .init = "128",
     .unit = "samples", .help = "shuffle: neighbours that are read together"},
    {"data.window", OPTION_INT, RUN(data.window), .min = 1, .max = 1 << 24, .init = "512",
     .unit = "blocks", .help = "shuffle: blocks whose samples are mixed"},

    /* ---- train ---- */
    {"train.batch", OPTION_INT, RUN(train.batch), .min = 1, .max = 1 << 24, .init = "1024",
     .unit = "samples", .help = "of one step, all workers together"},
    {"train.eval_batch", OPTION_INT, RUN(train.eval_batch), .min = 1, .max = 1 << 24,
     .init = "4096", .unit = "samples", .help = "of one step of an evaluation"},
    {"train.precision", OPTION_ENUM, RUN(train.precision), WORDS(precision_words),
     .init = "fp32",
     .help = "bf16: the products of attention by mlp read numbers rounded to bf16; their sums "
             "and all else stay fp32, and so do evaluations"},
    {"train.epochs", OPTION_REAL, RUN(train.epochs), .min = 0, .max = 1e6, .init = "1",
     .unit = "epochs", .help = "passes over data.train, parts of one allowed"},
    {"train.steps", OPTION_INT64, RUN(train.steps), .min = -1, .max = ANY_STEP, .init = "-1",
     .unit = "steps", .help = "end after these; -1: as epochs say; 0: write the initial state"},
    {"train.mode", OPTION_ENUM, RUN(train.mode), WORDS(mode_words), .init = "sync",
     .help = "sync: a pull sees all steps before it; pipelined: all but the last `staleness`; "
             "async: what workers happened to push: not the same bits again"},
    {"train.staleness", OPTION_INT, RUN(train.staleness), .min = 0,
     .max = CONFIG_STALENESS_MAX, .init = "0", .unit = "steps",
     .help = "pipelined, async: how far pulls run ahead of pushes"},
    {"train.seed", OPTION_SEED, RUN(train.seed), .init = "1",
     .help = "of everything random: order, first values, dropout"},
    {"train.max_bad_steps", OPTION_INT64, RUN(train.max_bad_steps), .min = 0, .max = ANY_STEP,
     .init = "0", .unit = "steps",
     .help = "steps with a gradient not finite to skip before it ends"},
    {"train.eval_every", OPTION_EVERY, RUN(train.eval_every), .init = "never",
     .help = "evaluate besides at the end of each epoch"},
    {"train.check_every", OPTION_INT64, RUN(train.check_every), .min = 0, .max = ANY_STEP,
     .init = "100", .unit = "steps",
     .help = "compare the dense weights of all workers; 0: never"},

    /* ---- warm start ---- */
    {"init.from", OPTION_TEXT, RUN(init.from), .init = "''",
     .help = "begin with what another run learned: its folder, or a checkpoint; '': nothing"},
    {"init.only", OPTION_PATTERNS, RUN(init.only), .init = "[]",
     .help = "tables and dense parameters to take from it, as [goods, 'mlp.*']; []: all that "
             "both have"},

    /* ---- dense weights ---- */
    {"dense.optimizer", OPTION_ENUM, RUN(dense.kind), WORDS(dense_rule_words), .init = "adam",
     .help = "update rule of the dense weights"},
    {"dense.lr", OPTION_REAL, RUN(dense.lr), .min = 0, .max = 1000, .init = "0.001",
     .help = "learning rate"},
    {"dense.momentum", OPTION_REAL, RUN(dense.momentum), .min = 0, .max = NEARLY_1,
     .init = "0.9", .help = "momentum: m = momentum m + g, w = w - lr m"},
    {"dense.beta1", OPTION_REAL, RUN(dense.beta1), .min = 0, .max = NEARLY_1, .init = "0.9",
     .help = "adam: decay of the mean of gradients"},
    {"dense.beta2", OPTION_REAL, RUN(dense.beta2), .min = 0, .max = NEARLY_1, .init = "0.999",
     .help = "adam: decay of the mean of squared gradients"},
    {"dense.eps", OPTION_REAL, RUN(dense.eps), .min = 1e-30, .max = 1, .init = "auto",
     .automatic = true, .help = "added to the root; auto: adagrad 1e-10, other rules 1e-8"},
    {"dense.l2", OPTION_REAL, RUN(dense_l2), .min = 0, .max = 1e6, .init = "0",
     .help = "lambda of lambda/2 |w|^2 over weights, not biases"},

    /* ---- learning-rate schedule, clipping ---- */
    {"schedule.kind", OPTION_ENUM, RUN(schedule.kind), WORDS(schedule_words),
     .init = "constant",
     .help = "lr(t) = lr f(t), rows too; exponential: rate^(t/every); step: "
             "rate^floor(t/every)"},
    {"schedule.rate", OPTION_REAL, RUN(schedule.rate), .min = 1e-12, .max = 1, .init = "0.9",
     .help = "factor of the learning rate per `every` steps"},
    {"schedule.every", OPTION_INT64, RUN(schedule.every), .min = 1, .max = ANY_STEP,
     .init = "1000", .unit = "steps", .help = "steps in which the rate applies once"},
    {"clip.dense_norm", OPTION_REAL, RUN(clip.dense_norm), .min = 0, .max = 1e12, .init = "0",
     .help = "longest gradient of all dense weights; 0: any. Not joint with rows: servers "
             "update "
             "before a joint norm could be known"},
    {"clip.row_norm", OPTION_REAL, RUN(clip.row_norm), .min = 0, .max = 1e12, .init = "0",
     .help = "longest gradient of one row, after summing and dividing; 0: any. Not joint with "
             "dense weights, see clip.dense_norm"},

    /* ---- statistics ---- */
    {"dice.sync", OPTION_BOOL, RUN(dice.sync), .init = "false",
     .help = "batch statistics over all workers' samples, by an all-reduce per layer"},
    {"dice.momentum", OPTION_REAL, RUN(dice.momentum), .min = 0, .max = 1, .init = "0.99",
     .help = "moving statistics: m = momentum m + (1 - momentum) batch"},
    {"dice.eps", OPTION_REAL, RUN(dice.eps), .min = 1e-12, .max = 1, .init = "1e-8",
     .help = "added to the variance (DIN, section 5.3: 1e-8)"},
    {"batch_norm.sync", OPTION_BOOL, RUN(batch_norm.sync), .init = "false",
     .help = "batch statistics over all workers' samples, by an all-reduce per layer"},
    {"batch_norm.momentum", OPTION_REAL, RUN(batch_norm.momentum), .min = 0, .max = 1,
     .init = "0.99", .help = "moving statistics: m = momentum m + (1 - momentum) batch"},
    {"batch_norm.eps", OPTION_REAL, RUN(batch_norm.eps), .min = 1e-12, .max = 1, .init = "1e-5",
     .help = "added to the variance"},

    /* ---- cluster ---- */
    {"cluster.servers", OPTION_INT, RUN(cluster.servers), .min = 0, .max = 4096, .init = "0",
     .unit = "processes", .help = "server processes; 0: threads inside worker 0"},
    {"cluster.workers", OPTION_INT, RUN(cluster.workers), .min = 1,
     .max = CONFIG_WORKERS_MAX, .init = "1", .unit = "processes",
     .help = "MPI ranks that compute"},
    {"cluster.shards", OPTION_INT, RUN(cluster.shards), .min = 1, .max = 4096, .init = "1",
     .unit = "threads", .help = "shards of each server, a thread each"},
    {"cluster.hostfile", OPTION_TEXT, RUN(cluster.hostfile), .init = "''",
     .help = "Open MPI's hostfile; '': this machine, or the Slurm allocation"},
    {"cluster.interface", OPTION_TEXT, RUN(cluster.interface), .init = "''",
     .help = "network interface between hosts; '': loopback on one host"},
    {"cluster.curve", OPTION_ENUM, RUN(cluster.curve), WORDS(curve_words), .init = "auto",
     .help = "close the run's messages to who lacks its key (CurveZMQ); auto: beyond one host"},
    {"cluster.values", OPTION_ENUM, RUN(cluster.values), WORDS(precision_words),
     .init = "fp32",
     .help = "rows and gradients on the wire; bf16: half the bytes, rounded to nearest"},
    {"cluster.heartbeat_timeout", OPTION_REAL, RUN(cluster.heartbeat_timeout), .min = 0.1,
     .max = 86400, .init = "5", .unit = "seconds",
     .help = "a process silent for so long is dead"},
    {"cluster.step_timeout", OPTION_REAL, RUN(cluster.step_timeout), .min = 0.1, .max = 86400,
     .init = "120", .unit = "seconds",
     .help = "a process without progress for so long is frozen"},
    {"cluster.shard_timeout", OPTION_REAL, RUN(cluster.shard_timeout), .min = 0.5, .max = 86400,
     .init = "30", .unit = "seconds",
     .help = "a server of which a thread does nothing at all for so long is frozen"},
    {"cluster.start_timeout", OPTION_REAL, RUN(cluster.start_timeout), .min = 0.1, .max = 86400,
     .init = "60", .unit = "seconds",
     .help = "time for all processes to start and find each other"},
    {"cluster.max_restarts", OPTION_INT, RUN(cluster.max_restarts), .min = 0, .max = 1e6,
     .init = "3", .unit = "returns",
     .help = "how often a run goes back to its newest checkpoint when a process dies"},
    {"cluster.elastic", OPTION_BOOL, RUN(cluster.elastic), .init = "false",
     .help = "start and restart on those hosts of the hostfile that answer, with fewer workers"},

    /* ---- checkpoints ---- */
    {"checkpoint.every", OPTION_EVERY, RUN(checkpoint.every), .init = "1 epoch",
     .help = "write a full checkpoint, besides the one at the end"},
    {"checkpoint.delta_every", OPTION_EVERY, RUN(checkpoint.delta_every), .init = "never",
     .help = "write a delta in between: the rows changed since the checkpoint before"},
    {"checkpoint.keep", OPTION_INT, RUN(checkpoint.keep), .min = 1, .max = 1e6, .init = "3",
     .unit = "checkpoints", .help = "how many of the newest stay, and what they stand upon"},
    {"checkpoint.dir", OPTION_TEXT, RUN(checkpoint.dir), .init = "''",
     .help = "where they go; '': checkpoints/ in the run folder"},
    {"checkpoint.compression", OPTION_ENUM, RUN(checkpoint.compression),
     WORDS(compression_words), .init = "none",
     .help = "of the shards' files: zstd makes them smaller, and FILE.safetensors.zst"},
    {"checkpoint.compression_level", OPTION_INT, RUN(checkpoint.compression_level), .min = 1,
     .max = 19, .init = "1", .help = "zstd's: higher ones take longer for a little less"},
    {"checkpoint.timeout", OPTION_REAL, RUN(checkpoint.timeout), .min = 0.1, .max = 86400,
     .init = "1800", .unit = "seconds",
     .help = "a shard that writes or reads its part of one for so long is frozen"},
};

/* clang-format on */

const int option_count = (int)(sizeof option_table / sizeof *option_table);

static_assert(sizeof(activation_kind) == sizeof(int), "OPTION_ENUM stores an int");
static_assert(offsetof(attention_config, parts) ==
                  offsetof(attention_config, n_parts) + sizeof(int),
              "OPTION_ENUMS stores a number and what it counts");

const char *config_optimizer_name(optimizer_kind kind)
{
    return rule_words[kind];
}
