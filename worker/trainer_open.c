/* trainer_open - the data of a run, its steps, and where they go on. */
#include "worker/trainer_state.h"

#include <inttypes.h>
#include <string.h>

#include "common/log.h"
#include "common/manifest_chain.h"

/* How this worker takes its steps: all of an order over its own files, with its share of the
 * batch; or its part of the one order over all rows. */
typedef struct share {
    int      worker, workers; /* of the order's steps */
    int      batch;           /* of the order */
    uint64_t place;           /* of the order's steps within the global batch */
} share;

static share share_of(const job *j)
{
    int all  = j->config->train.batch;
    int rank = comm_rank(j->workers), size = comm_size(j->workers);
    int part = (all + size - 1) / size;

    if (j->config->data.deal != DEAL_FILES)
        return (share){.worker = rank, .workers = size, .batch = all};
    return (share){.workers = 1, .batch = part, .place = (uint64_t)rank * (uint64_t)part};
}

/* Days without use are days of the data. */
static err_t check_times(const trainer *t)
{
    const config *c = t->job->config;

    for (int i = 0; i < c->n_tables; i++)
        if (c->tables[i].evict.idle_days && !dataset_timed(t->train))
            return err_set(
                ERR_CONFIG,
                "tables.%s.evict.idle_days is %d, and data.train: %s%s has no tensor "
                "`time` that tells the day",
                c->tables[i].name, c->tables[i].evict.idle_days, c->data.train.at[0],
                c->data.train.n > 1 ? ", ..." : "");
    return OK;
}

/* Where samples are dealt as workers ask. */
static err_t open_deal(trainer *t)
{
    const config      *c       = t->job->config;
    const deal_options options = {
        .samples = dataset_samples(t->train),
        .block   = (uint64_t)c->data.block * (uint64_t)c->data.window,
        .batch   = c->train.batch,
        .workers = comm_size(t->job->workers),
    };

    if (c->data.deal != DEAL_DYNAMIC)
        return OK;
    TRY(deal_new(&t->deal, &options));
    return deal_new(&t->dealt, &options);
}

static err_t open_data(trainer *t)
{
    const config *c = t->job->config;

    TRY(evaluator_open(&t->train, t->job, &c->data.train, true));
    TRY(check_times(t));
    if (c->data.test.n > 0)
        TRY(evaluator_open(&t->test, t->job, &c->data.test, true));

    const order_options options = {
        .samples = dataset_samples(t->train),
        .batch   = share_of(t->job).batch,
        .shuffle = c->data.shuffle,
        .block   = c->data.block,
        .window  = c->data.window,
        .seed    = c->train.seed,
    };
    TRY(order_new(&t->order, &options));
    TRY(open_deal(t));
    uint64_t epoch_steps = (uint64_t)order_steps_per_epoch(t->order);
    TRY(comm_max_u64(t->job->workers, &epoch_steps, 1));
    if (epoch_steps == 0)
        return err_set(ERR_DATA, "data.train: there are no samples in %s%s",
                       c->data.train.at[0], c->data.train.n > 1 ? ", ..." : "");
    t->plan.epoch_steps = (int64_t)epoch_steps;
    return OK;
}

static int64_t every_steps(const config_every *e, int64_t epoch_steps)
{
    int64_t steps = e->steps + (int64_t)(e->epochs * (double)epoch_steps + 0.5);

    return steps > 0 ? steps : e->epochs > 0;
}

static void make_plan(trainer *t)
{
    const config *c = t->job->config;
    plan         *p = &t->plan;

    p->last             = c->train.steps >= 0
                              ? c->train.steps
                              : (int64_t)(c->train.epochs * (double)p->epoch_steps + 0.999999);
    p->checkpoint_every = every_steps(&c->checkpoint.every, p->epoch_steps);
    p->delta_every      = every_steps(&c->checkpoint.delta_every, p->epoch_steps);
    p->evaluate_every   = t->test ? every_steps(&c->train.eval_every, p->epoch_steps) : 0;
}

err_t trainer_open(trainer *t)
{
    TRY(open_data(t));
    make_plan(t);
    return OK;
}

/* The newest checkpoint of the run, found by worker 0 and told to all: -1: none. */
static err_t find_newest(trainer *t, int64_t *step)
{
    struct {
        err_report report;
        int64_t    step;
    } found = {.step = -1};

    if (trainer_is_first(t))
        err_keep(&found.report, manifest_newest(&found.step, t->checkpoints));
    TRY(comm_broadcast(t->job->workers, &found, sizeof found));
    *step = found.step;
    return err_give(&found.report);
}

/* A step is a place in the data: with another batch it is another place. */
static void warn_of_another_batch(const trainer *t, const manifest *m, const char *folder)
{
    config *then = NULL;
    int     now  = t->job->config->train.batch;

    if (config_parse(&then, folder, m->configuration, strlen(m->configuration), 0, NULL) != OK)
        return; /* of another version: no reason to refuse the numbers */
    if (then->train.batch != now)
        log_once(
            LOG_WARN,
            "%s was made with train.batch %d, this run has %d: it goes on at another place "
            "of the data",
            folder, then->train.batch, now);
    config_free(&then);
}

/* Go on where the checkpoint says that dealing stood. */
static err_t begin_deal(trainer *t, int64_t step, const manifest_dealt *dealt)
{
    if (!t->deal)
        return OK;
    TRY(deal_begin(t->deal, step, dealt));
    return deal_begin(t->dealt, step, dealt);
}

static err_t check_manifest(trainer *t, const char *folder)
{
    manifest m;

    TRY(manifest_read(&m, folder));
    err_t err    = manifest_agrees(&m, folder, t->job->schema);
    t->bad_steps = m.bad_steps;
    if (err == OK && trainer_is_first(t))
        err = manifest_verify_all(folder);
    if (err == OK && m.seed != t->job->config->train.seed)
        err = err_set(ERR_CONFIG,
                      "%s was made with train.seed %" PRIu64 ", this run has %" PRIu64, folder,
                      m.seed, t->job->config->train.seed);
    if (err == OK)
        warn_of_another_batch(t, &m, folder);
    if (err == OK)
        err = begin_deal(t, m.step, &m.dealt);
    manifest_clear(&m);
    return err;
}

err_t trainer_begin(trainer *t)
{
    char    folder[CONFIG_PATH_MAX];
    int64_t step;

    TRY(find_newest(t, &step));
    t->saved      = step;
    t->plan.first = step < 0 ? 0 : step;
    if (step < 0) {
        uint64_t first, end;
        evaluator_part(t->job, t->train, &first, &end);
        TRY(learner_begin(t->learner, NULL, 0));
        TRY(learner_fit_inputs(t->learner, t->train, first, end));
        return *t->job->config->init.from ? learner_warm_start(t->learner, &t->warm) : OK;
    }
    manifest_folder(folder, t->checkpoints, step);
    TRY(check_manifest(t, folder));
    log_once(LOG_INFO, "going on from checkpoint %s", folder);
    return learner_begin(t->learner, folder, step);
}

err_t trainer_open_pipeline(trainer *t)
{
    const config          *c       = t->job->config;
    share                  mine    = share_of(t->job);
    const pipeline_options options = {
        .data        = t->train,
        .schema      = t->job->schema,
        .order       = t->order,
        .worker      = mine.worker,
        .workers     = mine.workers,
        .deal        = t->deal,
        .epoch_steps = t->plan.epoch_steps,
        .place       = mine.place,
        .shards      = t->job->shards->peers,
        .first       = t->plan.first,
        .end         = t->plan.last,
        .depth       = c->train.staleness + 3,
    };
    return pipeline_new(&t->pipeline, &options);
}
