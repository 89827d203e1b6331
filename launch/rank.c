/* rank - `dips rank`: the candidates of requests in order, with their probabilities. */
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "launch/apply.h"
#include "launch/commands.h"
#include "launch/flags.h"
#include "launch/latency.h"
#include "launch/request_source.h"
#include "worker/ranker.h"

typedef struct ranking {
    const config *config;
    const schema *schema;
    const char   *item_files, *request_file;
    int64_t       top; /* 0: all */
    bool          plain;

    items          *items;
    request_rules   rules;
    request_source *source;
    ranker         *ranker;
    latency         times;
} ranking;

/* ---- an answer ---- */

typedef struct place {
    double probability;
    size_t candidate;
} place;

/* The most probable first, equal ones as they were asked. */
static int by_probability(const void *a, const void *b)
{
    const place *x = a, *y = b;

    if (x->probability != y->probability)
        return x->probability < y->probability ? 1 : -1;
    return x->candidate < y->candidate ? -1 : x->candidate > y->candidate;
}

static err_t sort_places(place **places, const double *probabilities, size_t n, arena *a)
{
    TRY(arena_take(a, n * sizeof **places, places));
    for (size_t i = 0; i < n; i++)
        (*places)[i] = (place){probabilities[i], i};
    qsort(*places, n, sizeof **places, by_probability);
    return OK;
}

/* What was said of the request, and the candidates in their order. */
static err_t print_answer(const request *q, const place *places, size_t n)
{
    json_t *answer = json_object(), *list = json_array(), *kept;

    for (size_t i = 0; i < n; i++) {
        json_t *one = json_copy(json_array_get(q->candidates, places[i].candidate));
        json_object_set_new(one, "probability", json_real(places[i].probability));
        json_array_append_new(list, one);
    }
    if ((kept = json_object_get(q->line, "request")))
        json_object_set(answer, "request", kept);
    json_object_set_new(answer, "candidates", list);
    int failed = json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(answer);
    if (failed || putchar('\n') == EOF || fflush(stdout) != 0)
        return err_errno("writing to standard output");
    return OK;
}

/* ---- requests ---- */

/* The request is there, and is answered. */
static err_t answer(ranking *r, request *q, arena *a)
{
    double *probabilities = NULL;
    place  *places        = NULL;
    int64_t read          = clock_now(clock_monotonic());

    TRY(ranker_rank(r->ranker, &q->batches, r->plain, &probabilities));
    size_t n = (size_t)q->batches.each.B;
    TRY(sort_places(&places, probabilities, n, a));
    TRY(latency_add(&r->times, read - q->since, clock_now(clock_monotonic()) - read, (int)n));
    return print_answer(q, places, r->top > 0 && (size_t)r->top < n ? (size_t)r->top : n);
}

static err_t answer_all(ranking *r)
{
    request q;
    bool    more = true;
    err_t   err  = OK;

    while (err == OK && more) {
        arena *a = ranker_memory(r->ranker);
        err      = request_source_next(r->source, &q, &more, a);
        if (err == OK && more)
            err = answer(r, &q, a);
        request_clear(&q);
    }
    return err;
}

static err_t serve(void *self, const job *j, const char *folder)
{
    ranking *r = self;

    if (r->item_files)
        TRY(items_open(&r->items, r->item_files,
                       r->config->model.candidate.n > 0 ? r->config->model.candidate.at[0]
                                                        : ""));
    r->rules = (request_rules){r->config, r->schema, r->items};
    TRY(request_source_open(&r->source, &r->rules, r->request_file));
    TRY(ranker_new(&r->ranker, j, folder));
    err_t err = answer_all(r);
    ranker_free(&r->ranker);
    if (err == OK)
        latency_print(&r->times);
    return err;
}

err_t command_rank(int argc, char **argv)
{
    static const char usage[] =
        "dips rank RUN.yaml --checkpoint DIR [flags] [key=value ...] [< REQUESTS]";
    static const char about[] =
        "Answer each request with a line of JSON that has its candidates in order, the most\n"
        "probable first. A request is a line of JSON with the features of the\n"
        "configuration, as\n"
        "  {\"request\": 7, \"user\": 42, \"history\": {\"goods\": [1, 2], \"cate\": [7, 8]},\n"
        "   \"candidates\": [{\"goods\": 11, \"cate\": 7}, {\"goods\": 12, \"cate\": 9}]}\n"
        "or samples of a safetensors file, of which the answer has the numbers. What is the\n"
        "user's is computed once for all candidates; at the end the times that requests\n"
        "took are told on standard error.";
    ranking    r       = {0};
    task       t       = {.kind = TASK_SERVE, .serve = serve, .self = &r};
    const flag flags[] = {
        APPLY_FLAG_CHECKPOINT(t.checkpoint),
        REQUEST_SOURCE_FLAG(r.request_file),
        {"items", FLAG_TEXT, &r.item_files, .meta = "FILES",
         .help = "safetensors files with the candidate features of items, as data shards are; "
                 "patterns parted by commas: what a candidate does not say of itself"},
        {"top", FLAG_INT, &r.top, .min = 0, .max = 1e9,
         .help = "answer with so many candidates; 0: with all"},
        {"plain", FLAG_BOOL, &r.plain,
         .help = "compute each candidate by itself, as predict does: slower, to compare"},
        {0}};
    int  n;
    bool helped;

    TRY(flags_parse_run(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    err_t err = apply_alone(&t, argv[0], n, argv + 1, &r.config, &r.schema);
    request_source_free(&r.source);
    items_free(&r.items);
    latency_clear(&r.times);
    return err;
}
