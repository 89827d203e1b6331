/* recall - `dips recall`: the ids of a table that are nearest to what a request asks for. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/saved_cut.h"
#include "common/vec.h"
#include "launch/apply.h"
#include "launch/commands.h"
#include "launch/flags.h"
#include "launch/request_values.h"
#include "launch/signals.h"
#include "worker/nearest.h"

#define ROWS_AT_ONCE 8192 /* of the table, read and multiplied together */

/* A request on its way to its answer. */
typedef struct question {
    json_t *line;
    id_list excluded; /* sorted */
} question;

typedef struct recalling {
    const char *checkpoint, *table, *pool, *name, *vectors;
    int64_t     k, batch;
    bool        exclude_pool;

    saved_cut           cut;
    schema             *schema;
    const table_config *config; /* of the table */
    int                 dim;
    saved_rows         *shards; /* (of the cut) */
    VEC(question) questions;
    VEC(real) queries; /* (questions, dim) */
    char   *line;
    size_t  room;
    int64_t lines;
} recalling;

/* ---- the table ---- */

static err_t open_shards(recalling *r)
{
    int n = r->cut.manifest->shards;

    r->shards = calloc((size_t)n, sizeof *r->shards);
    if (!r->shards)
        return err_memory((size_t)n * sizeof *r->shards, "a checkpoint's shards");
    for (int k = 0; k < n; k++)
        TRY(saved_rows_open(&r->shards[k], &r->cut, r->table, k, 0, HASH_BUCKETS));
    return OK;
}

static err_t open_table(recalling *r)
{
    err_t err = saved_cut_open(&r->cut, r->checkpoint);

    if (err != OK)
        return err_add(err, "--checkpoint");
    TRY(manifest_chain_verify(&r->cut.chain));
    if (!r->cut.config)
        return err_set(ERR_FORMAT, "%s: its configuration is not one of this program",
                       r->cut.folder);
    TRY(schema_new(&r->schema, r->cut.config));
    int t = schema_find_table(r->schema, r->table);
    if (t < 0)
        return err_set(ERR_USAGE, "--table %s: %s has no such table", r->table, r->cut.folder);
    r->config = r->schema->tables[t].config;
    r->dim    = r->config->dim;
    return open_shards(r);
}

/* w (dim) = the embedding of id; false: it has no row. */
static bool find_weights(const recalling *r, uint64_t id, real *w)
{
    uint64_t row;

    for (int k = 0; k < r->cut.manifest->shards; k++)
        if (saved_rows_find(&r->shards[k], id, &row)) {
            saved_rows_weights(&r->shards[k], row, 1, w);
            return true;
        }
    return false;
}

/* ---- what is asked ---- */

static err_t query_of_vector(const recalling *r, const json_t *vector, real *query)
{
    if (json_array_size(vector) != (size_t)r->dim)
        return err_set(ERR_DATA, "vector has %zu numbers, rows of %s have %d",
                       json_array_size(vector), r->table, r->dim);
    for (int d = 0; d < r->dim; d++) {
        const json_t *x = json_array_get(vector, (size_t)d);
        if (!json_is_number(x))
            return err_set(ERR_DATA, "vector[%d] is no number", d);
        query[d] = (real)json_number_value(x);
    }
    return OK;
}

static err_t query_of_id(const recalling *r, const json_t *value, question *q, real *query)
{
    uint64_t id;

    TRY(request_id(&id, value, r->config, "id"));
    if (!find_weights(r, id, query))
        return err_set(ERR_DATA, "id %" PRIu64 " has no row in table %s", id, r->table);
    return id_list_push(&q->excluded, id); /* it is nearest to itself, which nobody asks for */
}

/* The mean of the rows of the ids that the request has at --pool; those without one are left
 * out, and of none the query is zero. */
static err_t query_of_pool(const recalling *r, question *q, real *query)
{
    char        sequence[CONFIG_NAME_MAX];
    const char *dot    = strchr(r->pool, '.');
    const char *column = dot ? dot + 1 : r->pool;
    size_t      found  = 0;
    real        w[CONFIG_DIM_MAX];

    snprintf(sequence, sizeof sequence, "%.*s", dot ? (int)(dot - r->pool) : 0, r->pool);
    const json_t *from = dot ? json_object_get(q->line, sequence) : q->line;
    for (size_t i = 0; i < request_events(from, column); i++) {
        uint64_t id;
        TRY(request_id(&id, request_event(from, column, i), r->config, r->pool));
        if (r->exclude_pool)
            TRY(id_list_push(&q->excluded, id));
        if (!find_weights(r, id, w))
            continue;
        found++;
        for (int d = 0; d < r->dim; d++)
            query[d] += w[d];
    }
    for (int d = 0; d < r->dim && found > 0; d++)
        query[d] /= (real)found;
    return OK;
}

static err_t take_excluded(const recalling *r, question *q)
{
    const json_t *list = json_object_get(q->line, "exclude");
    uint64_t      id;

    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(request_id(&id, json_array_get(list, i), r->config, "exclude"));
        TRY(id_list_push(&q->excluded, id));
    }
    return OK;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static err_t understand(recalling *r, question *q)
{
    const json_t *vector = json_object_get(q->line, "vector");
    const json_t *id     = json_object_get(q->line, "id");
    real         *query;

    if (!json_is_object(q->line))
        return err_set(ERR_DATA, "no JSON object");
    if (vec_reserve(&r->queries, r->queries.n + (size_t)r->dim) != OK)
        return err_memory((size_t)r->dim * sizeof *query, "a request");
    query = r->queries.at + r->queries.n;
    memset(query, 0, (size_t)r->dim * sizeof *query);
    r->queries.n += (size_t)r->dim;
    if (vector)
        TRY(query_of_vector(r, vector, query));
    else if (id)
        TRY(query_of_id(r, id, q, query));
    else if (r->pool)
        TRY(query_of_pool(r, q, query));
    else
        return err_set(ERR_DATA, "it has no vector and no id, and --pool names nothing");
    TRY(take_excluded(r, q));
    if (q->excluded.n > 0)
        qsort(q->excluded.at, q->excluded.n, sizeof *q->excluded.at, by_id);
    return OK;
}

/* line is taken. */
static err_t ask(recalling *r, json_t *line, const char *name)
{
    question q = {.line = line};

    err_t err = understand(r, &q);
    if (err == OK && vec_push(&r->questions, q) == OK)
        return OK;
    json_decref(q.line);
    vec_clear(&q.excluded);
    return err == OK ? err_memory(sizeof q, "a request") : err_add(err, "%s", name);
}

/* ---- answers ---- */

static err_t search(recalling *r, nearest *x)
{
    size_t dim  = (size_t)r->dim;
    real  *rows = malloc(ROWS_AT_ONCE * dim * sizeof *rows);
    err_t  err  = rows ? OK : err_memory(ROWS_AT_ONCE * dim * sizeof *rows, "a table's rows");

    for (int k = 0; err == OK && k < r->cut.manifest->shards; k++) {
        const saved_rows *shard = &r->shards[k];
        uint64_t          ids[ROWS_AT_ONCE];
        for (uint64_t i = 0; err == OK && i < shard->n; i += ROWS_AT_ONCE) {
            uint64_t n = shard->n - i < ROWS_AT_ONCE ? shard->n - i : ROWS_AT_ONCE;
            saved_rows_ids(shard, i, n, ids);
            saved_rows_weights(shard, i, n, rows);
            nearest_add(x, (int)n, ids, rows);
            err = signals_stop();
        }
    }
    free(rows);
    return err;
}

static err_t print_answer(const recalling *r, const question *q, const nearest_row *rows, int n)
{
    json_t *list = json_array(), *answer = json_copy(q->line);

    for (int i = 0; i < n; i++) {
        char    text[24];
        json_t *id = json_integer((json_int_t)rows[i].id);
        if (rows[i].id > INT64_MAX) {
            json_decref(id);
            snprintf(text, sizeof text, "%" PRIu64, rows[i].id);
            id = json_string(text);
        }
        json_array_append_new(
            list, json_pack("{s:o, s:f}", r->name, id, "product", (double)rows[i].product));
    }
    json_object_set_new(answer, "candidates", list);
    int failed = json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(answer);
    return failed || putchar('\n') == EOF ? err_errno("writing to standard output") : OK;
}

static void forget_questions(recalling *r)
{
    for (size_t i = 0; i < r->questions.n; i++) {
        json_decref(r->questions.at[i].line);
        vec_clear(&r->questions.at[i].excluded);
    }
    r->questions.n = r->queries.n = 0;
}

/* Answer what was asked so far. */
static err_t answer(recalling *r)
{
    int      n = (int)r->questions.n;
    nearest *x = NULL;

    if (n == 0)
        return OK;
    err_t err = nearest_new(&x, n, r->dim, (int)r->k, r->queries.at);
    for (int q = 0; err == OK && q < n; q++)
        nearest_exclude(x, q, (int)r->questions.at[q].excluded.n,
                        r->questions.at[q].excluded.at);
    if (err == OK)
        err = search(r, x);
    for (int q = 0; err == OK && q < n; q++) {
        int                many;
        const nearest_row *best = nearest_best(x, q, &many);
        err                     = print_answer(r, &r->questions.at[q], best, many);
    }
    nearest_free(&x);
    forget_questions(r);
    if (err == OK && fflush(stdout) != 0)
        err = err_errno("writing to standard output");
    return err;
}

static err_t answer_when_full(recalling *r)
{
    return r->questions.n >= (size_t)r->batch ? answer(r) : OK;
}

/* ---- where requests come from ---- */

static err_t ask_lines(recalling *r)
{
    ssize_t n;

    while ((n = getline(&r->line, &r->room, stdin)) >= 0) {
        char         name[64];
        json_error_t wrong;
        snprintf(name, sizeof name, "request in line %" PRId64, ++r->lines);
        if (strspn(r->line, " \t\r\n") == (size_t)n)
            continue;
        json_t *line = json_loadb(r->line, (size_t)n, JSON_REJECT_DUPLICATES, &wrong);
        if (!line)
            return err_set(ERR_DATA, "%s: no JSON: %s at column %d", name, wrong.text,
                           wrong.column);
        TRY(ask(r, line, name));
        TRY(answer_when_full(r));
    }
    TRY(signals_stop());
    return ferror(stdin) ? err_errno("reading standard input") : OK;
}

/* The rows of the tensor `vector` of a file. */
static err_t ask_vectors(recalling *r)
{
    safetensors *file;

    TRY(safetensors_open(&file, r->vectors));
    const safetensors_tensor *t   = safetensors_find(file, "vector");
    err_t                     err = OK;
    if (!t || t->n_dims != 2 || t->shape[1] != (uint64_t)r->dim)
        err = err_set(ERR_DATA, "%s has no tensor vector of rows of %d numbers", r->vectors,
                      r->dim);
    for (uint64_t i = 0; err == OK && i < t->shape[0]; i++) {
        json_t *vector = json_array();
        for (uint64_t d = 0; d < t->shape[1]; d++)
            json_array_append_new(vector,
                                  json_real(safetensors_get_double(t, i * t->shape[1] + d)));
        err = ask(r, json_pack("{s:I, s:o}", "request", (json_int_t)i, "vector", vector),
                  r->vectors);
        if (err == OK)
            json_object_del(r->questions.at[r->questions.n - 1].line, "vector");
        if (err == OK)
            err = answer_when_full(r);
    }
    safetensors_close(&file);
    return err;
}

static err_t recall(recalling *r)
{
    TRY(open_table(r));
    if (!r->name)
        r->name = r->table;
    TRY(r->vectors ? ask_vectors(r) : ask_lines(r));
    return answer(r);
}

static void clear(recalling *r)
{
    forget_questions(r);
    vec_clear(&r->questions);
    vec_clear(&r->queries);
    for (int k = 0; r->shards && k < r->cut.manifest->shards; k++)
        saved_rows_close(&r->shards[k]);
    free(r->shards);
    free(r->line);
    schema_free(&r->schema);
    saved_cut_close(&r->cut);
}

err_t command_recall(int argc, char **argv)
{
    static const char usage[] = "dips recall --checkpoint DIR --table TABLE [flags] < REQUESTS";
    static const char about[] =
        "Find the ids of a table whose embeddings have the largest inner product with a\n"
        "query, exactly. A request is a line of JSON; its query is its \"vector\", or the\n"
        "embedding of its \"id\", or the mean of the embeddings that it names at --pool.\n"
        "The answer is the request with its \"candidates\", best first, equal ones by id,\n"
        "as dips rank reads it:\n"
        "  dips recall --checkpoint RUN --table goods --pool history.goods < REQUESTS |\n"
        "      dips rank RUN/run.yaml --checkpoint RUN --items 'data/train-*.safetensors'\n"
        "Ids in the request's list \"exclude\" are left out.";
    recalling  r       = {.k = 100, .batch = 64};
    const flag flags[] = {
        APPLY_FLAG_CHECKPOINT(r.checkpoint),
        {"table", FLAG_TEXT, &r.table, .meta = "TABLE", .required = true,
         .help = "the table whose ids are looked for"},
        {"k", FLAG_INT, &r.k, .min = 1, .max = 1e6, .help = "ids to find for each request"},
        {"pool", FLAG_TEXT, &r.pool, .meta = "KEY",
         .help = "history.goods, or goods: the ids of the table whose mean is the query"},
        {"exclude-pool", FLAG_BOOL, &r.exclude_pool, .help = "leave out the ids at --pool"},
        {"name", FLAG_TEXT, &r.name, .meta = "FEATURE",
         .help = "what the ids are called in the answer; without it as the table"},
        {"vectors", FLAG_TEXT, &r.vectors, .meta = "FILE",
         .help =
             "take queries from `vector` [n, dim] of a safetensors file instead of standard "
             "input"},
        {"batch", FLAG_INT, &r.batch, .min = 1, .max = 4096,
         .help = "requests that go over the table together"},
        {0}};
    bool helped;

    TRY(flags_parse_only(flags, usage, about, argc, argv, &helped));
    if (helped)
        return OK;
    signals_catch(true);
    err_t err = recall(&r);
    clear(&r);
    return err;
}
