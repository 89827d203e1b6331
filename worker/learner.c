#include "worker/learner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/manifest.h"
#include "worker/kernels/finite.h"
#include "worker/models/model.h"
#include "worker/saving.h"

struct learner {
    const job *job;
    dense     *dense;
    graph     *graph;
    ps_client *client;
    saving    *saving; /* worker 0's checkpoint under way; NULL: none is */
    int64_t    base;   /* the checkpoint since which the shards know what left; -1: none */
    times      times;
    int64_t    asked[CONFIG_STALENESS_MAX + 1]; /* clock: when the rows of a step were asked
                                                   for; by step modulo their number */
    bool       busy; /* worker 0: it waits for shards that write or read files */
    int64_t    told; /* clock: when it last told the other workers so */
};

/* ---- long work of worker 0 ----
 *
 * While the shards write a checkpoint, or read one, worker 0 waits for them and the others wait
 * for worker 0, for longer than any step takes. It tells them once a second that it lives. */

enum { DONE, BUSY };

/* What the client asks in its waits. */
static err_t check(void *self)
{
    learner   *l = self;
    const job *j = l->job;

    if (l->busy && clock_seconds(j->clock, l->told) >= 1) {
        l->told = clock_now(j->clock);
        TRY(comm_broadcast(j->workers, &(char){BUSY}, 1));
    }
    return j->check ? j->check(j->self) : OK;
}

static void begin_long_work(learner *l)
{
    l->busy = true;
    l->told = clock_now(l->job->clock);
}

/* Collective: worker 0 has ended its long work; the others wait until it has. */
static err_t end_long_work(learner *l)
{
    const job *j     = l->job;
    char       state = comm_rank(j->workers) == 0 ? DONE : BUSY;

    l->busy = false;
    do {
        TRY(comm_broadcast(j->workers, &state, 1));
        TRY(check(l));
    } while (state == BUSY);
    return OK;
}

/* ---- building ---- */

static err_t dial(learner *l, int in_flight)
{
    const job              *j       = l->job;
    const ps_client_options options = {
        .transport            = j->shards,
        .clock                = j->clock,
        .schema               = j->schema,
        .generation           = j->generation,
        .worker               = comm_rank(j->workers),
        .workers              = comm_size(j->workers),
        .in_flight            = in_flight,
        .values               = j->config->cluster.values,
        .async                = j->config->train.mode == MODE_ASYNC,
        .timeout_s            = j->config->cluster.step_timeout,
        .check                = check,
        .self                 = l,
        .checkpoint_timeout_s = j->config->checkpoint.timeout,
    };
    return ps_client_new(&l->client, &options);
}

/* The model of c, its dense weights filled; both are made also on failure, or NULL. */
static err_t build(dense **d, graph **g, const config *c, const schema *s)
{
    TRY(dense_new(d, c));
    TRY(graph_new(g, c, s, *d));
    TRY(model_build(*g, c));
    return dense_seal(*d, c->train.seed);
}

static err_t load_dense(dense *d, const char *folder)
{
    char path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];

    snprintf(path, sizeof path, "%s/dense.safetensors", folder);
    return dense_load(d, path);
}

err_t learner_check(const config *c, const schema *s, const char *folder)
{
    dense *d   = NULL;
    graph *g   = NULL;
    err_t  err = build(&d, &g, c, s);

    if (err == OK && folder)
        err = load_dense(d, folder);
    else if (err == OK && *c->init.from)
        err = warm_take(d, c, s, NULL);
    graph_free(&g);
    dense_free(&d);
    return err;
}

err_t learner_new(learner **out, const job *j, int in_flight)
{
    learner *l = calloc(1, sizeof *l);

    if (!l)
        return err_memory(sizeof *l, "the model");
    l->job    = j;
    err_t err = build(&l->dense, &l->graph, j->config, j->schema);
    if (err == OK)
        err = dial(l, in_flight);
    if (err != OK)
        learner_free(&l);
    *out = l;
    return err;
}

void learner_free(learner **l)
{
    if (!*l)
        return;
    saving_abandon(&(*l)->saving);
    ps_client_free(&(*l)->client);
    graph_free(&(*l)->graph);
    dense_free(&(*l)->dense);
    free(*l);
    *l = NULL;
}

ps_client *learner_client(learner *l)
{
    return l->client;
}

uint64_t learner_dense_weights(const learner *l)
{
    return dense_weights(l->dense);
}

bool learner_has_auxiliary(const learner *l)
{
    return graph_has_auxiliary(l->graph);
}

const times *learner_time(const learner *l)
{
    return &l->times;
}

/* ---- one step ---- */

/* Adds the seconds since *since to *to and starts anew. */
static void lap(const learner *l, int64_t *since, double *to)
{
    int64_t now = clock_now(l->job->clock);

    *to += (double)(now - *since) * 1e-9;
    *since = now;
}

/* A pointer for each table. */
static err_t take_pointers(const learner *l, arena *a, real ***pointers)
{
    return arena_take(a, (size_t)l->job->schema->n_tables * sizeof **pointers, pointers);
}

/* True unless a gradient of a row is infinite or NaN. */
static bool rows_finite(const learner *l, const id_set *sets, real *const *gradients)
{
    const schema *s = l->job->schema;

    for (int t = 0; t < s->n_tables; t++) {
        size_t n = (size_t)sets[t].n * (size_t)s->tables[t].config->dim;
        if (!all_finite(gradients[t], n))
            return false;
    }
    return true;
}

/* The latest time of the batch's samples. */
static int64_t latest_time(const batch *b)
{
    int64_t latest = WIRE_NO_TIME;

    for (int i = 0; b->time && i < b->B; i++)
        if (b->time[i] > latest)
            latest = b->time[i];
    return latest;
}

err_t learner_pull(learner *l, int64_t step, int64_t version, const id_set *sets)
{
    int64_t since = clock_now(l->job->clock);

    TRY(ps_pull(l->client, step, version, sets));
    lap(l, &since, &l->times.rows);
    l->asked[step % (CONFIG_STALENESS_MAX + 1)] = since;
    return OK;
}

/* Wait for the rows of step; *since: now, and then. */
static err_t wait_for_rows(learner *l, int64_t step, const id_set *sets, real **rows,
                           int64_t *since)
{
    int64_t asked  = l->asked[step % (CONFIG_STALENESS_MAX + 1)];
    double  waited = 0;

    TRY(ps_rows(l->client, step, sets, rows));
    lap(l, since, &waited);
    l->times.rows += waited;
    l->times.waited += waited;
    l->times.in_flight += (double)(*since - asked) * 1e-9;
    l->times.behind += (double)(step - ps_rows_version(l->client, step));
    return OK;
}

static pass make_pass(const learner *l, const batch *b, real *const *rows, arena *a)
{
    return (pass){
        .batch   = b,
        .rows    = rows,
        .arena   = a,
        .seed    = l->job->config->train.seed,
        .workers = l->job->workers,
    };
}

err_t learner_step(learner *l, int64_t step, int64_t pulled_until, const batch *b,
                   const id_set *sets, arena *a, err_t stop, learner_outcome *outcome)
{
    real  **rows, **gradients, *logits;
    double  loss  = 0, auxiliary;
    int64_t since = clock_now(l->job->clock);

    TRY(take_pointers(l, a, &rows));
    TRY(wait_for_rows(l, step, sets, rows, &since));

    pass p     = make_pass(l, b, rows, a);
    p.training = true;
    p.step     = step;
    dense_clear_gradients(l->dense);
    TRY(graph_forward(l->graph, &p, &logits));
    lap(l, &since, &l->times.forward);

    TRY(take_pointers(l, a, &gradients));
    TRY(ps_gradients(l->client, step, sets, gradients));
    p.row_gradients = gradients;
    TRY(graph_backward(l->graph, &p, &loss));
    auxiliary = graph_auxiliary(l->graph, &p);
    lap(l, &since, &l->times.backward);

    bool finite =
        isfinite(loss + auxiliary) && dense_finite(l->dense) && rows_finite(l, sets, gradients);
    ps_part part   = {.samples = b->weight_sum, .time = latest_time(b), .finite = finite};
    TRY(ps_push(l->client, step, pulled_until, &part, sets));
    lap(l, &since, &l->times.push);

    dense_step s = {
        .samples     = b->weight_sum,
        .loss        = finite ? loss : 0,
        .auxiliary   = finite ? auxiliary : 0,
        .bad         = !finite,
        .interrupted = stop == ERR_INTERRUPT,
        .terminated  = stop == ERR_TERMINATE,
    };
    TRY(dense_reduce(l->dense, l->job->workers, &s));
    lap(l, &since, &l->times.reduce);

    if (!s.bad && s.samples > 0)
        dense_update(l->dense, step);
    lap(l, &since, &l->times.update);
    *outcome = (learner_outcome){
        .samples   = s.samples,
        .loss      = s.loss,
        .auxiliary = s.auxiliary,
        .bad       = s.bad > 0,
        .stop      = s.terminated    ? ERR_TERMINATE
                     : s.interrupted ? ERR_INTERRUPT
                                     : OK,
    };
    return OK;
}

err_t learner_predict(learner *l, int64_t version, const batch *b, const id_set *sets, arena *a,
                      double *probabilities)
{
    real **rows, *logits;

    TRY(take_pointers(l, a, &rows));
    TRY(ps_read(l->client, version, sets, rows));
    pass p = make_pass(l, b, rows, a);
    TRY(graph_forward(l->graph, &p, &logits));
    graph_probabilities(&p, logits, probabilities);
    return OK;
}

const graph *learner_graph(const learner *l)
{
    return l->graph;
}

bool learner_reads_events(const learner *l)
{
    return graph_reads_events(l->graph);
}

err_t learner_rank(learner *l, int64_t version, const requests *r, const id_set *sets,
                   bool plain, arena *a, double *probabilities)
{
    real **rows, *logits;

    TRY(take_pointers(l, a, &rows));
    TRY(ps_read(l->client, version, sets, rows));
    pass p = make_pass(l, plain ? &r->each : &r->asked, rows, a);
    if (!plain) {
        p.candidates = &r->each;
        p.request_of = r->request_of;
    }
    TRY(graph_forward(l->graph, &p, &logits));
    graph_probabilities(&p, logits, probabilities);
    return OK;
}

err_t learner_fit_inputs(learner *l, const dataset *train, uint64_t first, uint64_t end)
{
    return graph_fit_inputs(l->graph, train, first, end, l->job->workers);
}

err_t learner_warm_start(learner *l, warm_report **report)
{
    return warm_take(l->dense, l->job->config, l->job->schema, report);
}

/* ---- cuts ---- */

/* Collective: the error of worker 0, if it has one, becomes everybody's. */
static err_t share_error(learner *l, err_t err)
{
    err_report report = {0};

    err_keep(&report, err);
    TRY(comm_broadcast(l->job->workers, &report, sizeof report));
    return err_give(&report);
}

err_t learner_begin(learner *l, const char *folder, int64_t step)
{
    err_t err = OK;

    if (comm_rank(l->job->workers) == 0) {
        begin_long_work(l);
        err     = ps_begin(l->client, folder, step);
        l->base = err == OK && folder ? step : -1;
    }
    TRY(end_long_work(l));
    TRY(share_error(l, err));
    return folder ? load_dense(l->dense, folder) : OK;
}

/* Worker 0: no checkpoint is under way any more: a good one is what a delta may stand upon. */
static err_t end_save(learner *l, int64_t *saved)
{
    err_t err = saving_end(&l->saving, saved);

    l->base = err == OK ? *saved : -1;
    return err;
}

static err_t begin_save(learner *l, const char *dir, const learner_cut *cut)
{
    int64_t base = l->base;

    l->base = -1; /* until it is on the disk */
    return saving_begin(&l->saving, l->job, l->client, l->dense, dir, cut, base);
}

err_t learner_save_begin(learner *l, const char *dir, const learner_cut *cut)
{
    err_t err = OK;

    if (comm_rank(l->job->workers) == 0) {
        begin_long_work(l);
        err = begin_save(l, dir, cut);
    }
    TRY(end_long_work(l));
    return share_error(l, err);
}

err_t learner_save_poll(learner *l, bool *ended, int64_t *saved)
{
    *ended = false;
    if (!l->saving)
        return OK;
    TRY(saving_poll(l->saving, ended));
    return *ended ? end_save(l, saved) : OK;
}

err_t learner_save_wait(learner *l, int64_t *saved)
{
    struct {
        err_report report;
        int64_t    saved;
    } all = {.saved = *saved};

    if (comm_rank(l->job->workers) == 0) {
        begin_long_work(l);
        err_t err = l->saving ? saving_wait(l->saving) : OK;
        if (l->saving && err == OK)
            err = end_save(l, &all.saved);
        err_keep(&all.report, err);
    }
    TRY(end_long_work(l));
    TRY(comm_broadcast(l->job->workers, &all, sizeof all));
    *saved = all.saved;
    return err_give(&all.report);
}

err_t learner_compare(learner *l, int64_t step)
{
    comm     *c     = l->job->workers;
    uint64_t  mine  = dense_hash(l->dense);
    uint64_t *all   = NULL;
    size_t    bytes = 0;
    err_t     err   = OK;

    TRY(comm_gather(c, &mine, sizeof mine, (void **)&all, &bytes));
    for (size_t r = 1; r < bytes / sizeof *all; r++)
        if (all[r] != all[0] && err == OK)
            err = err_set(ERR_NUMERIC,
                          "the dense weights of worker %zu differ from worker 0's after step "
                          "%" PRId64,
                          r, step);
    free(all);
    return share_error(l, err);
}
