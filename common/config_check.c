/* What no single option can say: kinds that follow from other keys, names that must name
 * something, and choices that exclude each other. */
#include "common/config_option.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/hash.h"
#include "common/zst_file.h"

#define MAX_TABLES  256 /* that a message can carry */
#define SKETCH_MOST 256 /* a cell of a sketch counts to one less */

/* ---- places ---- */

/* The node at a path of keys ended by NULL; the deepest one that is there. */
static const tree_node *node_at(const tree_node *root, const char *const *path)
{
    for (; *path; path++) {
        const tree_node *next = tree_find(root, *path);
        if (!next)
            break;
        root = next;
    }
    return root;
}

#define AT(root, ...) node_at((root), (const char *const[]){__VA_ARGS__, NULL})

/* Item i of a list that the user wrote; the list itself where it is no list. */
static const tree_node *item_at(const tree_node *list, int i)
{
    return list->kind == TREE_LIST && i < list->n ? list->at[i] : list;
}

/* " (nearest: NAME)" among n structs of size bytes that begin with their names. */
static const char *nearest_name(char text[TREE_PLACE_MAX], const char *name,
                                const void *structs, int n, size_t size)
{
    int least = INT_MAX;

    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        const char *other    = (const char *)structs + (size_t)i * size;
        int         distance = option_distance(name, other);
        if (distance < least) {
            least = distance;
            snprintf(text, TREE_PLACE_MAX, " (nearest: %s)", other);
        }
    }
    return text;
}

/* ---- tables ---- */

static void complete_rule(optimizer_config *rule)
{
    if (isnan(rule->eps))
        rule->eps = rule->kind == OPTIMIZER_ADAGRAD ? 1e-10 : 1e-8;
}

/* ftrl's own lambdas would do nothing elsewhere, though they look like a penalty. */
static err_t check_rule(const table_config *t, const tree_node *node)
{
    const optimizer_config *rule = &t->optimizer;

    if (rule->kind == OPTIMIZER_FTRL || (rule->l1 == 0 && rule->l2 == 0))
        return OK;
    const char *which = rule->l1 != 0 ? "l1" : "l2";
    return tree_error(
        AT(node, which),
        "tables.%s.%s is %g, which is for optimizer ftrl and not %s, wanted 0 (or "
        "penalty: {kind: %s})",
        t->name, which, rule->l1 != 0 ? rule->l1 : rule->l2, config_optimizer_name(rule->kind),
        which);
}

/* Decay works on weights: those of ftrl follow from its sums. A step must leave something,
 * at the highest learning rate of the run, its first one. */
static err_t check_penalty(const table_config *t, const tree_node *node)
{
    const penalty_config *p       = &t->penalty;
    const tree_node      *penalty = tree_find(node, "penalty");

    if (tree_find(penalty, "lambda") && !tree_find(penalty, "kind"))
        return tree_error(AT(penalty, "lambda"),
                          "tables.%s.penalty.lambda is %g, and penalty.kind is missing: none, "
                          "l1, l2, decay or minibatch_aware",
                          t->name, p->lambda);
    if (p->kind != PENALTY_DECAY)
        return OK;
    node = AT(node, "penalty", "kind");
    if (t->optimizer.kind == OPTIMIZER_FTRL)
        return tree_error(node,
                          "tables.%s.penalty.kind is decay and its optimizer is ftrl, whose "
                          "weights follow from its sums and cannot decay; l2 is ftrl's own",
                          t->name);
    if (t->optimizer.lr * p->lambda >= 1)
        return tree_error(node,
                          "tables.%s.penalty: decay takes lr lambda = %g x %g of a weight in a "
                          "step, wanted less than 1",
                          t->name, t->optimizer.lr, p->lambda);
    return OK;
}

/* Chance or a count decides who gets a row, and a sketch has to know its size. */
static err_t check_admission(const table_config *t, const tree_node *node)
{
    const admit_config *a = &t->admit;

    if (a->probability < 1 && a->min_count > 1)
        return tree_error(AT(node, "admit", "probability"),
                          "tables.%s.admit.probability is %g and admit.min_count %u: one of "
                          "them decides who gets a row, wanted 1 or no min_count",
                          t->name, a->probability, a->min_count);
    if (a->counter != COUNTER_DATASET && a->min_count < 2)
        return tree_error(AT(node, "admit", "counter"),
                          "tables.%s.admit.counter counts up to admit.min_count, which is %u, "
                          "wanted 2 or more",
                          t->name, a->min_count);
    if (a->counter != COUNTER_SKETCH)
        return OK;
    if (a->min_count > SKETCH_MOST)
        return tree_error(AT(node, "admit", "min_count"),
                          "tables.%s.admit.min_count is %u, wanted at most %d, which a sketch "
                          "counts to; admit.counter: exact has no limit",
                          t->name, a->min_count, SKETCH_MOST);
    if (a->expected_ids == 0)
        return tree_error(AT(node, "admit"),
                          "tables.%s.admit.expected_ids is missing: for how many different ids "
                          "the sketch is made, as 600M",
                          t->name);
    return OK;
}

static err_t check_tables(config *c, const tree_node *root)
{
    if (c->n_tables > MAX_TABLES)
        return tree_error(AT(root, "tables"), "%d tables, wanted at most %d", c->n_tables,
                          MAX_TABLES);
    for (int i = 0; i < c->n_tables; i++) {
        table_config    *t    = &c->tables[i];
        const tree_node *node = AT(root, "tables", t->name);
        if (!tree_find(node, "dim"))
            return tree_error(node, "tables.%s.dim is missing: how many numbers a row has",
                              t->name);
        complete_rule(&t->optimizer);
        TRY(check_rule(t, node));
        TRY(check_penalty(t, node));
        TRY(check_admission(t, node));
    }
    return OK;
}

/* ---- features ---- */

static const struct {
    feature_kind kind;
    unsigned     mask;
    const char  *name;
} kinds[] = {
    {FEATURE_ID, FOR_ID, "an id"},
    {FEATURE_FLOAT, FOR_FLOAT, "a float"},
    {FEATURE_SEQUENCE, FOR_SEQUENCE, "a sequence"},
    {FEATURE_TIME, FOR_TIME, "a time"},
    {FEATURE_GAP, FOR_GAP, "a gap"},
};

/* Refuse options that the user gave to a feature of a kind that does not know them. */
static err_t check_applies(const feature_config *f, const tree_node *node, const char *scope,
                           const char *shown)
{
    int k = 0;

    while (kinds[k].kind != f->kind)
        k++;
    for (int i = 0; i < option_count; i++) {
        const option *o = &option_table[i];
        if (!option_in_scope(o, scope) || o->only & kinds[k].mask)
            continue;
        const tree_node *given = tree_find(node, o->key + strlen(scope));
        if (given)
            return tree_error(given, "%s.%s is not for %s, which %s is", shown,
                              o->key + strlen(scope), kinds[k].name, shown);
    }
    return OK;
}

static err_t check_table_of(const config *c, const feature_config *f, const tree_node *node,
                            const char *shown)
{
    char nearest[TREE_PLACE_MAX];

    if (f->kind != FEATURE_ID && f->kind != FEATURE_GAP)
        return OK;
    if (!f->table[0])
        return tree_error(node, "%s.table is missing: the table that the %s is looked up in",
                          shown, f->kind == FEATURE_GAP ? "gap" : "id");
    for (int i = 0; i < c->n_tables; i++)
        if (!strcmp(c->tables[i].name, f->table))
            return OK;
    return tree_error(
        AT(node, "table"), "%s.table is '%s', and tables has none of that name%s", shown,
        f->table, nearest_name(nearest, f->table, c->tables, c->n_tables, sizeof *c->tables));
}

static err_t check_reserved(const char *name, const char *const *reserved,
                            const tree_node *node, const char *shown)
{
    for (; *reserved; reserved++)
        if (!strcmp(*reserved, name))
            return tree_error(node, "%s: the name '%s' means something else in data shards",
                              shown, name);
    return OK;
}

/* A time stands in data shards as S.time, so the column has to be called that. */
static err_t check_time_column(const feature_config *column, const tree_node *node,
                               const char *shown)
{
    bool is_time = column->kind == FEATURE_TIME, called_time = !strcmp(column->name, "time");

    if (is_time && !called_time)
        return tree_error(AT(node, "kind"), "%s is of kind time, so its name must be 'time'",
                          shown);
    if (!is_time && called_time)
        return tree_error(node, "%s: a column called 'time' must have kind: time", shown);
    return OK;
}

static err_t check_column(const config *c, const feature_config *column, const tree_node *node,
                          const char *shown)
{
    static const char *const reserved[] = {"offsets", NULL};

    TRY(check_reserved(column->name, reserved, node, shown));
    TRY(check_time_column(column, node, shown));
    TRY(check_applies(column, node, "features.*.columns.*.", shown));
    return check_table_of(c, column, node, shown);
}

/* A feature with columns is a sequence, and only it. */
static err_t complete_kind(feature_config *f, const tree_node *node, const char *shown)
{
    bool has_columns = tree_find(node, "columns"), says_kind = tree_find(node, "kind");

    if (has_columns && !says_kind)
        f->kind = FEATURE_SEQUENCE;
    if (has_columns && f->kind != FEATURE_SEQUENCE)
        return tree_error(AT(node, "kind"), "%s has columns, so its kind must be sequence",
                          shown);
    if (f->kind == FEATURE_SEQUENCE && f->n_columns == 0)
        return tree_error(node, "%s.columns is missing: what a sequence consists of", shown);
    return OK;
}

static bool has_time(const feature_config *sequence)
{
    for (int i = 0; i < sequence->n_columns; i++)
        if (sequence->columns[i].kind == FEATURE_TIME)
            return true;
    return false;
}

/* What is made of times needs them. */
static err_t check_times(const feature_config *f, const tree_node *node, const char *shown)
{
    if (f->kind != FEATURE_SEQUENCE || has_time(f))
        return OK;
    if (f->history_days > 0)
        return tree_error(AT(node, "history_days"),
                          "%s.history_days is %g, and %s has no column time of kind time",
                          shown, f->history_days, shown);
    for (int i = 0; i < f->n_columns; i++)
        if (f->columns[i].kind == FEATURE_GAP)
            return tree_error(AT(node, "columns", f->columns[i].name),
                              "%s.columns.%s is a gap, and %s has no column time of kind time",
                              shown, f->columns[i].name, shown);
    return OK;
}

static err_t check_feature(const config *c, feature_config *f, const tree_node *node)
{
    static const char *const reserved[] = {"label", "time", "group", "weight", NULL};

    char shown[OPTION_KEY_MAX];
    snprintf(shown, sizeof shown, "features.%s", f->name);
    TRY(check_reserved(f->name, reserved, node, shown));
    TRY(complete_kind(f, node, shown));
    TRY(check_applies(f, node, "features.*.", shown));
    TRY(check_table_of(c, f, node, shown));
    TRY(check_times(f, node, shown));
    for (int i = 0; i < f->n_columns; i++) {
        snprintf(shown, sizeof shown, "features.%s.columns.%s", f->name, f->columns[i].name);
        TRY(check_column(c, &f->columns[i], AT(node, "columns", f->columns[i].name), shown));
    }
    return OK;
}

/* ---- model ---- */

static const feature_config *find_feature(const config *c, const char *name)
{
    for (int i = 0; i < c->n_features; i++)
        if (!strcmp(c->features[i].name, name))
            return &c->features[i];
    return NULL;
}

static err_t no_such_feature(const config *c, const char *key, const char *name,
                             const tree_node *node)
{
    char nearest[TREE_PLACE_MAX];

    nearest_name(nearest, name, c->features, c->n_features, sizeof *c->features);
    return tree_error(node, "model.%s names '%.80s', and features has none of that name%s", key,
                      name, nearest);
}

static err_t check_list(const config *c, const config_names *list, const char *key,
                        const tree_node *root)
{
    const tree_node *node = AT(root, "model", key);

    for (int i = 0; i < list->n; i++) {
        const feature_config *f = find_feature(c, list->at[i]);
        if (!f)
            return no_such_feature(c, key, list->at[i], item_at(node, i));
        if (f->kind == FEATURE_SEQUENCE)
            return tree_error(item_at(node, i),
                              "model.%s names '%s', a sequence; it belongs in model.history",
                              key, f->name);
        for (int j = 0; j < i; j++)
            if (!strcmp(list->at[i], list->at[j]))
                return tree_error(item_at(node, i), "model.%s names '%s' twice", key, f->name);
    }
    return OK;
}

/* name: what model.KEY says, a sequence or nothing. */
static err_t check_sequence(const config *c, const char *key, const char *name,
                            const tree_node *root)
{
    const tree_node *node = AT(root, "model", key);

    if (!name[0])
        return OK;
    const feature_config *f = find_feature(c, name);
    if (!f)
        return no_such_feature(c, key, name, node);
    if (f->kind != FEATURE_SEQUENCE)
        return tree_error(node, "model.%s names '%s', which is no sequence", key, f->name);
    return OK;
}

static err_t check_sequences(const config *c, const tree_node *root)
{
    TRY(check_sequence(c, "history", c->model.history, root));
    TRY(check_sequence(c, "contextual", c->model.contextual, root));
    TRY(check_sequence(c, "clicked", c->model.clicked, root));
    TRY(check_sequence(c, "unclicked", c->model.unclicked, root));
    if (!c->model.history[0])
        return OK;
    const feature_config *f = find_feature(c, c->model.history);
    if (c->model.pool == POOL_DECAY && !has_time(f))
        return tree_error(AT(root, "model", "pool"),
                          "model.pool is 'decay', and features.%s has no column of kind time",
                          f->name);
    return OK;
}

/* ---- the run ---- */

static err_t check_mode(const config *c, const tree_node *root)
{
    const tree_node *node = AT(root, "train", "staleness");

    if (c->train.mode == MODE_SYNC && c->train.staleness != 0)
        return tree_error(node, "train.staleness is '%d', and train.mode sync wants 0",
                          c->train.staleness);
    if (c->train.mode == MODE_PIPELINED && c->train.staleness < 1)
        return tree_error(node,
                          "train.staleness is '%d', and train.mode pipelined wants 1 .. %d",
                          c->train.staleness, CONFIG_STALENESS_MAX);
    return OK;
}

static err_t check_init(const config *c, const tree_node *root)
{
    if (c->init.only.n == 0 || *c->init.from)
        return OK;
    return tree_error(AT(root, "init", "only"),
                      "init.only names '%s', and init.from no checkpoint to take it from",
                      c->init.only.at[0]);
}

static err_t check_compression(const config *c, const tree_node *root)
{
    if (c->checkpoint.compression == COMPRESSION_NONE || zst_is_there())
        return OK;
    return tree_error(AT(root, "checkpoint", "compression"),
                      "checkpoint.compression is 'zstd', and this dips was built without zstd "
                      "(libzstd-dev)");
}

static err_t check_sizes(const config *c, const tree_node *root)
{
    int     servers = c->cluster.servers > 0 ? c->cluster.servers : 1;
    int64_t shards  = (int64_t)servers * c->cluster.shards;
    int64_t mixed   = (int64_t)c->data.block * c->data.window;

    if (shards > HASH_BUCKETS)
        return tree_error(AT(root, "cluster", "shards"),
                          "%d servers of %d shards are %lld shards, wanted at most %d", servers,
                          c->cluster.shards, (long long)shards, HASH_BUCKETS);
    if (mixed > 1 << 28)
        return tree_error(AT(root, "data", "window"),
                          "data.window of data.block samples are %lld, wanted at most %d",
                          (long long)mixed, 1 << 28);
    return OK;
}

err_t config_complete(config *c, const tree_node *root)
{
    complete_rule(&c->dense);
    TRY(check_tables(c, root));
    for (int i = 0; i < c->n_features; i++)
        TRY(check_feature(c, &c->features[i], AT(root, "features", c->features[i].name)));
    TRY(check_list(c, &c->model.profile, "profile", root));
    TRY(check_list(c, &c->model.candidate, "candidate", root));
    TRY(check_list(c, &c->model.context, "context", root));
    TRY(check_sequences(c, root));
    TRY(check_mode(c, root));
    TRY(check_init(c, root));
    TRY(check_compression(c, root));
    return check_sizes(c, root);
}
