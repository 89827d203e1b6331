/* config - the configuration of a run.
 *
 * A YAML file and key=value words of the command line fill one struct config. The
 * option table in config_table.c is the only home of an option: key, type, range, default,
 * unit, help. From it come the parser, `dips options`, and the configuration printed
 * into the run folder. A '*' in a key stands for a name that the user gives
 * (tables.*.dim). A wrong file is answered with one sentence: file, line, column,
 * key, value, what was wanted, and for an unknown key the nearest known one. */
#ifndef DIPS_COMMON_CONFIG_H
#define DIPS_COMMON_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

#define CONFIG_NAME_MAX 64 /* bytes of a table's or feature's name with its end */
#define CONFIG_PATH_MAX 1024
#define CONFIG_DIM_MAX  4096 /* of a table */

typedef enum { IDS_INTEGER, IDS_STRING } ids_kind;
typedef enum { PRECISION_FP32, PRECISION_BF16 } precision_kind;
typedef enum { CURVE_AUTO, CURVE_ON, CURVE_OFF } curve_kind;
typedef enum { COMPRESSION_NONE, COMPRESSION_ZSTD } compression_kind;
typedef enum { INIT_NORMAL, INIT_UNIFORM, INIT_ZERO } init_kind;
typedef enum {
    OPTIMIZER_SGD,
    OPTIMIZER_MOMENTUM, /* SGD with momentum, PyTorch's form */
    OPTIMIZER_ADAGRAD,
    OPTIMIZER_ROWWISE_ADAGRAD, /* rows only */
    OPTIMIZER_ADAM,            /* rows: lazy, by the row's own update count */
    OPTIMIZER_FTRL,            /* rows only */
} optimizer_kind;
typedef enum {
    PENALTY_NONE,
    PENALTY_L1,
    PENALTY_L2,
    PENALTY_DECAY,
    PENALTY_MINIBATCH_AWARE
} penalty_kind;
typedef enum { COUNT_EXACT, COUNT_RUNNING } count_kind;
typedef enum { COUNTER_DATASET, COUNTER_EXACT, COUNTER_SKETCH } counter_kind;
typedef enum {
    FEATURE_ID,
    FEATURE_FLOAT,
    FEATURE_TIME,
    FEATURE_SEQUENCE,
    FEATURE_GAP, /* of events: buckets of the time that passed, looked up in a table */
} feature_kind;
typedef enum { GAP_EVENT, GAP_REQUEST } gap_kind; /* since the event before; until the sample */
typedef enum { POOL_NONE, POOL_SUM, POOL_MEAN, POOL_DECAY } pool_kind;
typedef enum { TRANSFORM_NONE, TRANSFORM_LOG, TRANSFORM_STANDARD } transform_kind;
typedef enum { KEEP_LAST, KEEP_FIRST } keep_kind;
typedef enum { SCORE_AUTO, SCORE_DOT, SCORE_BILINEAR, SCORE_MLP } score_kind;
typedef enum { PART_Q, PART_K, PART_DIFFERENCE, PART_PRODUCT } part_kind; /* q k q-k q*k */
typedef enum { NORMALIZE_AUTO, NORMALIZE_NONE, NORMALIZE_SOFTMAX } normalize_kind;
typedef enum { GROUPS_JOINT, GROUPS_SEPARATE } groups_kind;
typedef enum { FIRST_ORDER_ROW, FIRST_ORDER_NONE } first_order_kind;
typedef enum { DSTN_NONE, DSTN_POOL, DSTN_SELF, DSTN_INTERACTIVE } dstn_mode;
typedef enum {
    ACTIVATION_NONE,
    ACTIVATION_RELU,
    ACTIVATION_SIGMOID,
    ACTIVATION_PRELU,
    ACTIVATION_DICE
} activation_kind;
typedef enum {
    EVOLUTION_AUGRU,
    EVOLUTION_AUGRU_CODE, /* as the authors' program has it */
    EVOLUTION_AGRU,
    EVOLUTION_AIGRU,
    EVOLUTION_NONE
} evolution_kind;
typedef enum { AUXILIARY_NONE, AUXILIARY_DOT, AUXILIARY_MLP } auxiliary_kind;
typedef enum { MEAN_OVER_SAMPLES, MEAN_OVER_EVENTS } mean_kind;
typedef enum { ENCODING_NONE, ENCODING_BIAS, ENCODING_SINUSOID } encoding_kind;
typedef enum { END_OLDEST, END_NEWEST } end_kind;
typedef enum { JOIN_CONCAT, JOIN_AVERAGE } join_kind;
typedef enum { SCHEDULE_CONSTANT, SCHEDULE_EXPONENTIAL, SCHEDULE_STEP } schedule_kind;
typedef enum { DEAL_ROWS, DEAL_FILES, DEAL_DYNAMIC } deal_kind;
typedef enum { MODE_SYNC, MODE_PIPELINED, MODE_ASYNC } mode_kind;

/* A list of numbers or of names; owned by the config. */
typedef struct config_ints {
    int  n;
    int *at;
} config_ints;

typedef struct config_names {
    int    n;
    char **at;
} config_names;

#define CONFIG_STALENESS_MAX 64   /* of train.staleness */
#define CONFIG_WORKERS_MAX   4096 /* of cluster.workers: a shard has tickets for each */

/* "500 steps", "2 epochs", or 0: never. */
typedef struct config_every {
    int64_t steps;
    double  epochs;
} config_every;

/* An update rule and its constants; PyTorch's defaults where it has the rule.
 * A constant that the user leaves out takes the rule's own default. */
typedef struct optimizer_config {
    optimizer_kind kind;
    double         lr;
    double         momentum;     /* momentum: 0.9 */
    double         beta1, beta2; /* adam: 0.9, 0.999 */
    double         eps;          /* adagrad 1e-10, rowwise_adagrad and adam 1e-8 */
    double         ftrl_beta;    /* ftrl: beta of McMahan et al. 2013, its alpha is lr */
    double         l1, l2;       /* ftrl's own lambda1, lambda2 */
} optimizer_config;

typedef struct penalty_config {
    penalty_kind kind;
    double       lambda;
    count_kind   count;     /* n_j of the mini-batch aware penalty */
    bool         decoupled; /* after the rule, not inside the gradient */
} penalty_config;

/* Which ids get a row of their own. */
typedef struct admit_config {
    uint32_t     min_count;      /* samples with the id; 0 or 1: every id */
    counter_kind counter;        /* what counts them */
    double       false_positive; /* sketch: share of rarer ids that pass nevertheless */
    int64_t      expected_ids;   /* sketch: different ids that will ever be counted */
    double       probability;    /* of each step with the id; 1: no matter of chance */
} admit_config;

/* Which rows leave; 0: none for this reason. */
typedef struct evict_config {
    int64_t idle_steps;
    int     idle_days; /* of the data's time */
    double  min_norm;
    int64_t max_bytes; /* of all rows of the table, on all servers */
} evict_config;

typedef struct table_config {
    char             name[CONFIG_NAME_MAX];
    int              dim;
    ids_kind         ids;
    precision_kind   precision; /* of the weights held; a rule's state is always reals */
    init_kind        init;
    double           init_scale; /* normal: standard deviation; uniform: half width */
    optimizer_config optimizer;
    penalty_config   penalty;
    admit_config     admit;
    evict_config     evict;
} table_config;

/* A feature of a sample, or a column of a sequence's events. */
typedef struct feature_config {
    char                   name[CONFIG_NAME_MAX];
    feature_kind           kind;
    char                   table[CONFIG_NAME_MAX]; /* of an id */
    pool_kind              pool;                   /* a bag of ids: sum or mean; else none */
    double                 drop_ids;               /* share of ids discarded while training */
    transform_kind         transform;              /* of floats */
    int                    width;                  /* of floats: numbers per sample; 1 */
    int                    max_len;                /* of a sequence; 0: no limit */
    keep_kind              keep;
    double                 history_days; /* of a sequence; 0: no limit */
    gap_kind               to;           /* of a gap */
    int                    n_columns;
    struct feature_config *columns; /* of a sequence */
} feature_config;

typedef struct mlp_config {
    config_ints     units;
    activation_kind activation;
    bool            batch_norm;
    double          dropout;
} mlp_config;

typedef struct attention_config {
    score_kind      score; /* auto: the model's own; mlp where it has none */
    int             n_parts;
    part_kind       parts[4];
    config_ints     units;
    activation_kind activation;
    normalize_kind  normalize; /* auto: likewise; none */
    bool            scaled; /* scores divided by sqrt(width of k) */
    groups_kind     groups;
} attention_config;

/* DIEN's second recurrent layer. */
typedef struct evolution_config {
    evolution_kind kind;
    int            units; /* of both recurrent layers; 0: the width of an event */
} evolution_config;

/* DIEN's auxiliary loss: the state after an event tells the next one from a negative. */
typedef struct auxiliary_config {
    auxiliary_kind kind;
    config_ints    units;     /* mlp: hidden layers */
    double         weight;    /* alpha of DIEN's eq. 7 */
    mean_kind      mean_over; /* what the sum over all events is divided by */
    config_names   negatives; /* columns of the history that hold, for each event, another */
} auxiliary_config;

/* How a history becomes sessions. */
typedef struct sessions_config {
    int64_t       gap;              /* seconds: a longer one parts sessions */
    int           keep;             /* the newest sessions of a sample */
    int           max_len, min_len; /* events: the newest of a session; of one that counts */
    encoding_kind encoding;
    end_kind      number_from; /* which session is number 0 to the encoding */
} sessions_config;

/* Self-attention and what follows it. */
typedef struct transformer_config {
    int    heads;
    bool   blinding;   /* no event attends to itself */
    bool   output;     /* W^O behind the heads */
    bool   layer_norm; /* behind both residual sums */
    double norm_eps;
    int    hidden; /* units of the feed-forward net, in widths of an event */
    bool   bias;   /* of the feed-forward net */
} transformer_config;

typedef struct lstm_config {
    int       units; /* 0: as wide as its input */
    int       layers;
    bool      peepholes;
    join_kind join;    /* of both directions */
    double    bias;    /* first value */
    double    dropout; /* of each layer's input */
} lstm_config;

typedef struct afm_config {
    int    attention_factor; /* t of Xiao et al. 2017 */
    double attention_l2;     /* lambda of lambda/2 |W|^2 */
    double dropout;
} afm_config;

typedef struct dstn_config {
    dstn_mode mode;
    int       hidden; /* of the net that scores an auxiliary ad */
} dstn_config;

typedef struct model_config {
    char             kind[CONFIG_NAME_MAX]; /* a name of worker/models */
    config_names     profile, candidate, context;
    char             history[CONFIG_NAME_MAX]; /* a sequence, or "" */
    char             contextual[CONFIG_NAME_MAX]; /* dstn: sequences of ads, or "" */
    char             clicked[CONFIG_NAME_MAX], unclicked[CONFIG_NAME_MAX];
    pool_kind        pool;                     /* base: sum, mean or decay */
    double           half_life;                /* decay: seconds */
    bool             decay_normalized;
    first_order_kind first_order; /* lr, fm, afm: where w_i stands */
    afm_config       afm;
    dstn_config      dstn;
    attention_config attention;
    mlp_config       mlp;
    evolution_config evolution;
    auxiliary_config auxiliary;

    sessions_config    sessions; /* dsin, with the next two */
    transformer_config transformer;
    lstm_config        lstm;
} model_config;

typedef struct config {
    int             n_tables, n_features;
    table_config   *tables;
    feature_config *features;
    model_config    model;
    struct {
        config_names train, test; /* files or patterns */
        char         counts[CONFIG_PATH_MAX]; /* "": counts.safetensors beside train's first */
        deal_kind    deal;
        bool         shuffle;
        int          block, window; /* samples of a shuffled block; blocks of a window */
    } data;
    struct {
        int            batch, eval_batch;
        precision_kind precision; /* of the attention's products, in steps of training */
        double         epochs;
        int64_t        steps; /* -1: as epochs say; 0: write the initial state and end */
        mode_kind      mode;
        int            staleness;
        uint64_t       seed;
        int64_t        max_bad_steps;
        config_every   eval_every;  /* besides the end of each epoch */
        int64_t        check_every; /* steps between comparisons of ranks' dense weights */
    } train;
    struct {
        char         from[CONFIG_PATH_MAX]; /* a checkpoint to begin with; "": none */
        config_names only;                  /* patterns of what is taken from it; none: all */
    } init;
    optimizer_config dense; /* of the dense weights */
    double           dense_l2; /* lambda of lambda/2 |w|^2 over dense weights (no biases) */
    struct {
        schedule_kind kind;
        double        rate;
        int64_t       every; /* steps */
    } schedule; /* lr(t) = lr * factor(t), for rows and dense weights alike */
    struct {
        double dense_norm, row_norm; /* 0: no clipping */
    } clip;
    struct {
        bool   sync; /* batch statistics over all workers' samples */
        double momentum, eps;
    } dice, batch_norm;
    struct {
        int    servers, workers, shards; /* shards: threads of each server process */
        char   hostfile[CONFIG_PATH_MAX];
        char   interface[CONFIG_NAME_MAX];
        double heartbeat_timeout, step_timeout, shard_timeout, start_timeout; /* seconds */
        int    max_restarts; /* returns to a checkpoint after a death */
        bool   elastic;      /* go on with the hosts that are there */
        precision_kind values; /* of rows and gradients between workers and servers */
        curve_kind     curve;
    } cluster;
    struct {
        config_every every;
        config_every delta_every; /* in between: deltas */
        int          keep;
        char         dir[CONFIG_PATH_MAX]; /* "": checkpoints/ in the run folder */
        double       timeout;              /* seconds of a shard's part */
        compression_kind compression;      /* of the shards' files */
        int              compression_level;
    } checkpoint;
} config;

/* Read path (NULL: no file), then the n words "key=value" over it, check the whole
 * (ranges, and that names name something), and return the config; config_free. */
MUST_CHECK err_t config_load(config **out, const char *path, int n, char *const *words);

/* The same from YAML text in memory; name stands for the file in errors. */
MUST_CHECK err_t config_parse(config **out, const char *name, const char *text, size_t size,
                              int n, char *const *words);
void config_free(config **c);

/* Write the whole configuration as YAML that config_load reads back to the same. */
MUST_CHECK err_t config_print(const config *c, FILE *to);

/* The same as text; returned, free it. *size: its bytes. */
MUST_CHECK err_t config_text(char **text, size_t *size, const config *c);

/* The same as words of the command line, a line each: model.mlp.units=[200, 80]. */
MUST_CHECK err_t config_print_words(const config *c, FILE *to);

/* Write every option: key, type and range, default, help (`dips options`). A word
 * narrows the list to the keys that contain it; NULL: all. */
MUST_CHECK err_t config_print_options(FILE *to, const char *containing);

/* Whether checkpoints of the run may be deltas. */
bool config_has_deltas(const config *c);

/* factor(t) of the learning-rate schedule at step t. */
double config_lr_factor(const config *c, int64_t step);

/* Whether the servers need the counts of data.counts for the table. */
bool config_needs_counts(const table_config *t);

/* The text of an enumerator, as the YAML file spells it ("rowwise_adagrad"). */
const char *config_optimizer_name(optimizer_kind kind);

/* Expand files and patterns (glob) in order; a pattern that matches nothing is an
 * error that names it. The list and its strings are returned; config_names_clear. */
MUST_CHECK err_t config_expand_files(config_names *files, const config_names *patterns);
void             config_names_clear(config_names *names);

#endif
