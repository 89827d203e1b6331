/* explain - `dips explain`: what a candidate's prediction was weighed by. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/apply.h"
#include "launch/bars.h"
#include "launch/commands.h"
#include "launch/flags.h"
#include "launch/known_names.h"
#include "launch/request_source.h"
#include "launch/shards.h"
#include "launch/signals.h"
#include "worker/evaluator.h"
#include "worker/graph.h"
#include "worker/layers/layers.h"
#include "worker/ranker.h"

#define LABEL_MAX 200 /* bytes of an event's or candidate's description */

typedef struct explaining {
    const config *config;
    const schema *schema;
    const char   *names_folder, *item_files, *request_file, *svg;
    int64_t       sample; /* of data.test; -1: requests */
    int64_t       top;    /* pairs of fields to show */

    items          *items;
    request_rules   rules;
    request_source *source;
    ranker         *ranker;
    known_names    *names;
    bars           *bars;
} explaining;

/* ---- words for ids ---- */

/* Adds "goods 12 (Toy Story)" to text, ", " in front where something is there. */
static void add_id(const explaining *x, char text[LABEL_MAX], const char *what, int table,
                   uint64_t id)
{
    size_t      used = strlen(text), n = 0;
    const char *name = known_names_find(x->names, table, id, &n);

    snprintf(text + used, LABEL_MAX - used, "%s%s %" PRIu64, used ? ", " : "", what, id);
    used = strlen(text);
    if (name)
        snprintf(text + used, LABEL_MAX - used, " (%.*s)", (int)(n < 60 ? n : 60), name);
}

/* The ids of a row of a slot. */
static void add_row(const explaining *x, char text[LABEL_MAX], int slot, const batch_slot *ids,
                    int row, const char *what)
{
    int k   = ids->offsets ? ids->offsets[row] : row;
    int end = ids->offsets ? ids->offsets[row + 1] : row + 1;

    for (; k < end; k++)
        add_id(x, text, what, x->schema->slots[slot].table, ids->ids[k]);
}

static void describe_candidate(const explaining *x, char text[LABEL_MAX], const requests *q,
                               int c)
{
    const schema *s = x->schema;

    *text = '\0';
    for (int k = 0; k < s->n_slots; k++)
        if (requests_slot_of_candidate(s, &x->config->model, k))
            add_row(x, text, k, &q->each.slots[k], c, s->slots[k].name);
}

/* Event t of the one request, in a sequence. */
static void describe_event(const explaining *x, char text[LABEL_MAX], const requests *q,
                           int sequence, int t)
{
    const schema *s = x->schema;

    *text = '\0';
    for (int k = 0; k < s->n_slots; k++)
        if (s->slots[k].sequence == sequence && !s->slots[k].is_gap && !s->slots[k].is_negative)
            add_row(x, text, k, &q->asked.slots[k], t,
                    s->slots[k].name + strlen(s->sequences[sequence].name) + 1);
}

/* Field number f of those that are crossed: with its ids, unless events were pooled in it. */
static void add_field(const explaining *x, char text[LABEL_MAX], const requests *q, int c,
                      const char *name)
{
    const schema *s    = x->schema;
    int           slot = schema_find_slot(s, name);
    size_t        used = strlen(text);

    if (slot < 0 || s->slots[slot].sequence >= 0)
        snprintf(text + used, LABEL_MAX - used, "%s", name);
    else if (requests_slot_of_candidate(s, &x->config->model, slot))
        add_row(x, text, slot, &q->each.slots[slot], c, name);
    else
        add_row(x, text, slot, &q->asked.slots[slot], 0, name);
}

/* ---- weights of rows: events, ads, sessions ---- */

/* Row t of those that candidate c has along per. */
static void describe_row(const explaining *x, char text[LABEL_MAX], const requests *q, int per,
                         int t)
{
    if (per < x->schema->n_sequences)
        describe_event(x, text, q, per, t);
    else
        snprintf(text, LABEL_MAX, "session %d", t + 1);
}

static err_t show_rows(const explaining *x, const requests *q, const marked_weights *m, int c)
{
    const tensor *w       = m->weights;
    const int *offsets = graph_axis(learner_graph(ranker_learner(x->ranker)), w->per)->offsets;
    int        n       = offsets[c + 1] - offsets[c];

    TRY(bars_begin(x->bars, m->name, n, n));
    for (int t = 0; t < n; t++) {
        char text[LABEL_MAX] = "";
        describe_row(x, text, q, w->per, t);
        bars_add(x->bars, (double)w->x[offsets[c] + t], text);
    }
    return bars_end(x->bars);
}

/* ---- weights of columns: pairs of fields ---- */

typedef struct pair {
    double weight;
    int    i, j; /* fields */
} pair;

/* The heaviest first, those that weigh the same as the fields stand. */
static int by_weight(const void *a, const void *b)
{
    const pair *x = a, *y = b;

    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return x->i != y->i ? x->i - y->i : x->j - y->j;
}

static err_t show_pairs(const explaining *x, const requests *q, const marked_weights *m, int c)
{
    const char *names[FIELDS_MAX];
    int         F = fields_names(names, x->schema, &x->config->model), n = 0;
    const real *w     = m->weights->x + (size_t)c * (size_t)m->weights->cols;
    pair       *pairs = calloc((size_t)m->weights->cols + 1, sizeof *pairs);

    if (!pairs)
        return err_memory((size_t)m->weights->cols * sizeof *pairs, "the pairs of fields");
    for (int i = 0; i < F; i++)
        for (int j = i + 1; j < F && n < m->weights->cols; j++, n++)
            pairs[n] = (pair){(double)w[n], i, j};
    qsort(pairs, (size_t)n, sizeof *pairs, by_weight);
    err_t err = bars_begin(x->bars, m->name, n, (int)x->top);
    for (int k = 0; k < n && err == OK; k++) {
        char text[LABEL_MAX] = "", other[LABEL_MAX] = "", both[2 * LABEL_MAX + 4];
        add_field(x, text, q, c, names[pairs[k].i]);
        add_field(x, other, q, c, names[pairs[k].j]);
        snprintf(both, sizeof both, "%s * %s", text, other);
        bars_add(x->bars, pairs[k].weight, both);
    }
    free(pairs);
    return err == OK ? bars_end(x->bars) : err;
}

/* ---- a request ---- */

static err_t nothing_to_show(const model_config *model)
{
    if (!strcmp(model->kind, "dstn"))
        return err_set(ERR_CONFIG, "model dstn weighs ads with model.dstn.mode self or "
                                   "interactive alone: there is nothing to explain");
    return err_set(ERR_CONFIG,
                   "model %s weighs nothing by attention: there is nothing to explain",
                   model->kind);
}

static err_t explain(explaining *x, requests *q, const char *name)
{
    const graph          *g = learner_graph(ranker_learner(x->ranker));
    const marked_weights *m;
    double               *probabilities;

    TRY(ranker_rank(x->ranker, q, true, &probabilities));
    if (!graph_marked(g, 0))
        return nothing_to_show(&x->config->model);
    for (int c = 0; c < q->each.B; c++) {
        char text[LABEL_MAX], title[2 * LABEL_MAX];
        describe_candidate(x, text, q, c);
        snprintf(title, sizeof title, "%s, %s: probability %.6f", name, text, probabilities[c]);
        TRY(bars_title(x->bars, title));
        for (int i = 0; (m = graph_marked(g, i)); i++)
            TRY((m->weights->per == PER_SAMPLE ? show_pairs : show_rows)(x, q, m, c));
        TRY(signals_stop());
    }
    return OK;
}

/* ---- what is explained ---- */

/* A sample of data.test as a request with one candidate. */
static err_t explain_sample(explaining *x, const job *j)
{
    dataset *d  = NULL;
    arena   *a  = ranker_memory(x->ranker);
    int      n  = x->schema->n_slots;
    requests q  = {0};
    uint64_t at = (uint64_t)x->sample;
    char     name[64];
    err_t    err = evaluator_open(&d, j, &x->config->data.test, false);

    if (err == OK && at >= dataset_samples(d))
        err = err_set(ERR_USAGE, "--sample %" PRIu64 ": data.test has %" PRIu64 " samples", at,
                      dataset_samples(d));
    if (err == OK)
        err = dataset_batch(d, &at, 1, 0, a, &q.asked);
    if (err == OK)
        err = arena_take_zero(a, (size_t)n * sizeof *q.each.slots, &q.each.slots);
    if (err == OK)
        err = arena_take_zero(a, (size_t)x->schema->n_floats * sizeof *q.each.floats,
                              &q.each.floats);
    if (err == OK)
        err = arena_take(a, 2 * sizeof *q.first, &q.first);
    if (err == OK) {
        memcpy(q.each.slots, q.asked.slots, (size_t)n * sizeof *q.each.slots);
        memcpy(q.each.floats, q.asked.floats,
               (size_t)x->schema->n_floats * sizeof *q.each.floats);
        q.first[0] = 0;
        q.first[1] = 1;
        snprintf(name, sizeof name, "sample %" PRIu64, at);
        err = explain(x, &q, name);
    }
    dataset_close(&d);
    return err;
}

static err_t explain_requests(explaining *x)
{
    request q;
    bool    more = true;
    err_t   err  = OK;

    while (err == OK && more) {
        err = request_source_next(x->source, &q, &more, ranker_memory(x->ranker));
        if (err == OK && more)
            err = explain(x, &q.batches, q.name);
        request_clear(&q);
    }
    return err;
}

/* Beside the first file of the training data, unless the user says where. */
static err_t open_names(explaining *x)
{
    char  path[CONFIG_PATH_MAX];
    char *slash;

    if (x->names_folder)
        return known_names_open(&x->names, x->schema, x->names_folder);
    TRY(shards_counts_path(path, x->config));
    slash                   = strrchr(path, '/');
    *(slash ? slash : path) = '\0';
    return known_names_open(&x->names, x->schema, *path ? path : ".");
}

static err_t serve(void *self, const job *j, const char *folder)
{
    explaining         *x         = self;
    const config_names *candidate = &x->config->model.candidate;

    TRY(open_names(x));
    if (x->item_files)
        TRY(items_open(&x->items, x->item_files, candidate->n > 0 ? candidate->at[0] : ""));
    x->rules = (request_rules){x->config, x->schema, x->items};
    if (x->sample < 0)
        TRY(request_source_open(&x->source, &x->rules, x->request_file));
    TRY(bars_new(&x->bars, stdout, x->svg));
    TRY(ranker_new(&x->ranker, j, folder));
    err_t err = x->sample >= 0 ? explain_sample(x, j) : explain_requests(x);
    ranker_free(&x->ranker);
    return err == OK ? bars_close(&x->bars) : err;
}

err_t command_explain(int argc, char **argv)
{
    static const char usage[] =
        "dips explain RUN.yaml --checkpoint DIR [flags] [key=value ...] [< REQUESTS]";
    static const char about[] =
        "Show what a model with attention weighs when it predicts a candidate: the events\n"
        "of a history (din, dien), sessions (dsin), ads (dstn), pairs of fields (afm). A\n"
        "bar for each weight, with the names that dips prepare kept. Explains a sample of\n"
        "data.test, or requests as dips rank reads them.";
    explaining x       = {.sample = -1, .top = 20};
    task       t       = {.kind = TASK_SERVE, .serve = serve, .self = &x};
    const flag flags[] = {
        APPLY_FLAG_CHECKPOINT(t.checkpoint),
        {"sample", FLAG_INT, &x.sample, .min = -1, .max = 1e15,
         .help = "the number of a sample of data.test; -1: requests on standard input"},
        REQUEST_SOURCE_FLAG(x.request_file),
        {"svg", FLAG_TEXT, &x.svg, .meta = "FILE", .help = "draw the bars into this file, too"},
        {"top", FLAG_INT, &x.top, .min = 1, .max = 1e6,
         .help = "afm: how many pairs of fields to show, the heaviest"},
        {"names", FLAG_TEXT, &x.names_folder, .meta = "DIR",
         .help = "where names-T.safetensors are; without it beside the training data"},
        {"items", FLAG_TEXT, &x.item_files, .meta = "FILES",
         .help = "files that tell what candidates do not say of themselves, as of dips rank"},
        {0}};
    int  n;
    bool helped;

    TRY(flags_parse_run(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    err_t err = apply_alone(&t, argv[0], n, argv + 1, &x.config, &x.schema);
    bars_abandon(&x.bars);
    known_names_free(&x.names);
    request_source_free(&x.source);
    items_free(&x.items);
    return err;
}
