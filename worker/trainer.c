/* trainer - the loop of training: stretches of steps between drain points (README, "The clock").
 *
 * At a drain point c (the start, a planned checkpoint, an evaluation, an epoch's end) all
 * steps before c are applied everywhere and nothing is on its way. In the stretch after it
 * PULL(t) sees the state after the first max(c, t - staleness) steps; under async, that after
 * the first c and whatever was pushed since. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "worker/kernels/product_bf16.h"
#include "worker/trainer_state.h"

#define TIME_EVERY (10 * NS_PER_S) /* between `time` events */

/* ---- the plan ---- */

static int64_t next_multiple(int64_t step, int64_t of)
{
    return of > 0 ? (step / of + 1) * of : INT64_MAX;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The first drain point after step. */
static int64_t next_drain(const plan *p, int64_t step)
{
    int64_t drain = least(p->last, next_multiple(step, p->epoch_steps));

    drain = least(drain, next_multiple(step, p->checkpoint_every));
    drain = least(drain, next_multiple(step, p->delta_every));
    return least(drain, next_multiple(step, p->evaluate_every));
}

static bool falls_on(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

/* ---- where the time goes ---- */

/* Of training so far, without evaluations and cuts. */
static times times_so_far(const trainer *t)
{
    times all = t->own;

    times_add(&all, learner_time(t->learner));
    return all;
}

/* Where the time since the last `time` event went. */
static err_t log_times(trainer *t, int64_t step)
{
    const times   now                      = times_so_far(t);
    const times   passed                   = times_since(&now, &t->told);
    metrics_field fields[TIMES_FIELDS + 1] = {METRIC_INT("step", step)};

    if (!trainer_is_first(t) || passed.steps == 0)
        return OK;
    t->told  = now;
    t->timed = clock_now(t->job->clock);
    times_fields(fields + 1, &passed);
    return metrics_log_write(t->log, "time", TIMES_FIELDS + 1, fields);
}

/* ---- a stretch of steps ---- */

static err_t log_step(trainer *t, int64_t step, const learner_outcome *o, double loss,
                      double samples_per_s)
{
    double auxiliary = o->bad ? NAN : o->samples > 0 ? o->auxiliary / o->samples : 0;
    const metrics_field fields[] = {
        METRIC_INT("step", step),
        METRIC_REAL("epoch", (double)step / (double)t->plan.epoch_steps),
        METRIC_REAL("loss", loss),
        METRIC_REAL("samples", o->samples),
        METRIC_REAL("samples_per_s", samples_per_s),
        METRIC_INT("bad_steps", t->bad_steps),
        METRIC_REAL("auxiliary", auxiliary), /* last: where there is one */
    };
    int n = sizeof fields / sizeof *fields;
    return metrics_log_write(t->log, "step", learner_has_auxiliary(t->learner) ? n : n - 1,
                             fields);
}

/* "; the newest checkpoint is that of step 500" */
static void describe_saved(const trainer *t, char *text, size_t size)
{
    if (t->saved < 0)
        snprintf(text, size, "; there is no checkpoint yet");
    else
        snprintf(text, size, "; the newest checkpoint is that of step %" PRId64, t->saved);
}

/* A checkpoint that cannot be written is a warning, unless it is the last one. */
static err_t judge_save(trainer *t, err_t err, bool last)
{
    char saved[80];

    if (err == OK || last || (err != ERR_SYSTEM && err != ERR_MEMORY))
        return err;
    console_end_line(&t->console);
    describe_saved(t, saved, sizeof saved);
    log_once(LOG_WARN, "%s; training goes on%s", err_text(), saved);
    return OK;
}

/* Wait for the checkpoint under way. */
static err_t end_save(trainer *t, bool last)
{
    return judge_save(t, learner_save_wait(t->learner, &t->saved), last);
}

/* On all workers: they know the same of each step. */
static err_t too_many_bad_steps(trainer *t, int64_t step)
{
    char saved[80];

    TRY(end_save(t, false)); /* so that it is there to go on from */
    describe_saved(t, saved, sizeof saved);
    return err_set(ERR_NUMERIC,
                   "a gradient of step %" PRId64 " is infinite or not a number; "
                   "%" PRId64 " such step%s, train.max_bad_steps allows %" PRId64 "%s",
                   step, t->bad_steps, t->bad_steps == 1 ? "" : "s",
                   t->job->config->train.max_bad_steps, saved);
}

/* Account for a step that was applied or skipped: step is the clock after it. */
static err_t account(trainer *t, int64_t step, const learner_outcome *o, double seconds)
{
    double loss = o->bad ? NAN : o->samples > 0 ? o->loss / o->samples : 0;

    t->own.steps++;
    t->own.seconds += seconds;
    t->own.samples += o->samples;
    if (o->bad) {
        t->bad_steps++;
        if (t->bad_steps > t->job->config->train.max_bad_steps)
            return too_many_bad_steps(t, step);
        console_end_line(&t->console);
        log_once(LOG_WARN,
                 "a gradient of step %" PRId64 " is infinite or not a number: step skipped",
                 step);
    } else {
        t->epoch_loss += o->loss;
        t->epoch_samples += o->samples;
    }
    if (!trainer_is_first(t))
        return OK;
    double rate = seconds > 0 ? o->samples / seconds : 0;
    TRY(log_step(t, step, o, loss, rate));
    console_step(&t->console, step,
                 t->epoch_samples > 0 ? t->epoch_loss / t->epoch_samples : loss,
                 times_speed(&t->own));
    return clock_now(t->job->clock) - t->timed < TIME_EVERY ? OK : log_times(t, step);
}

/* The next batch of the pipeline. */
static err_t read_batch(trainer *t, pipeline_item **item)
{
    int64_t since = clock_now(t->job->clock);

    TRY(pipeline_next(t->pipeline, item, t->job->config->cluster.step_timeout));
    t->own.read += clock_seconds(t->job->clock, since);
    t->own.reader_read += (*item)->read_s;
    t->own.reader_distinct += (*item)->distinct_s;
    return OK;
}

/* What a pull of step names, in a stretch that began with step first. */
static int64_t version_of(const config *c, int64_t step, int64_t first)
{
    int64_t ahead = step - c->train.staleness;

    return c->train.mode == MODE_ASYNC || ahead < first ? first : ahead;
}

/* Worker 0: bring the checkpoint under way forward. */
static err_t poll_save(trainer *t)
{
    bool ended;

    return judge_save(t, learner_save_poll(t->learner, &ended, &t->saved), false);
}

/* Train the steps first .. drain-1, both drain points; ends early when t->stop is set.
 * *reached is the step it ended at. */
static err_t train_stretch(trainer *t, int64_t first, int64_t drain, int64_t *reached)
{
    const job     *j         = t->job;
    int64_t        staleness = j->config->train.staleness;
    int64_t        pulled    = first;
    pipeline_item *ring[CONFIG_STALENESS_MAX + 1]; /* pulled, not yet trained: by step modulo
                                                      staleness + 1 */

    for (int64_t step = first; step < drain; step++) {
        int64_t         began = clock_now(j->clock);
        learner_outcome outcome;

        while (pulled < drain && pulled <= step + staleness) {
            pipeline_item **slot    = &ring[pulled % (staleness + 1)];
            int64_t         version = version_of(j->config, pulled, first);
            TRY(read_batch(t, slot));
            TRY(learner_pull(t->learner, pulled, version, (*slot)->sets));
            pulled++;
        }
        pipeline_item *item = ring[step % (staleness + 1)];
        TRY(learner_step(t->learner, step, pulled, &item->batch, item->sets, &item->arena,
                         j->stop ? j->stop(j->self) : OK, &outcome));
        pipeline_done(t->pipeline, item);
        *reached = step + 1;
        TRY(account(t, step + 1, &outcome, clock_seconds(j->clock, began)));
        if (j->config->train.check_every > 0 && (step + 1) % j->config->train.check_every == 0)
            TRY(learner_compare(t->learner, step + 1));
        TRY(poll_save(t));
        if (j->progress)
            j->progress(j->self, step + 1);
        if (j->check)
            TRY(j->check(j->self));
        if ((t->stop = outcome.stop) != OK)
            return OK;
    }
    return OK;
}

/* ---- drain points ---- */

static err_t evaluate(trainer *t, int64_t step)
{
    TRY(evaluator_run(t->learner, t->job, t->test, step, &t->metrics));
    t->evaluated = step;
    if (!trainer_is_first(t))
        return OK;
    console_evaluation(&t->console, step, "test", &t->metrics);
    return evaluator_log(t->log, step, "test", &t->metrics);
}

/* Of a ps_stats, as the events `rows` and `summary` have it. */
#define STATS_FIELDS(stats)                                                                    \
    METRIC_INT("rows", (int64_t)(stats).rows),                                                 \
        METRIC_INT("row_bytes", (int64_t)(stats).bytes),                                       \
        METRIC_INT("refused_gradients", (int64_t)(stats).refused),                             \
        METRIC_INT("admitted_ids", (int64_t)(stats).admitted),                                 \
        METRIC_INT("evicted_rows", (int64_t)(stats).evicted),                                  \
        METRIC_INT("dropped_messages", (int64_t)(stats).dropped)

/* What the servers hold, and who came and left since the run began or was resumed. */
static err_t log_rows(trainer *t, int64_t step)
{
    ps_stats stats;

    if (!trainer_is_first(t))
        return OK;
    TRY(ps_client_stats(learner_client(t->learner), &stats));
    const metrics_field fields[] = {
        METRIC_INT("step", step),
        STATS_FIELDS(stats),
    };
    return metrics_log_write(t->log, "rows", sizeof fields / sizeof *fields, fields);
}

/* Begin the checkpoint of step, which is written while training goes on; the last one is waited
 * for. One that comes due while another is being written waits for that: planned cuts are all
 * made, and each delta has its parent. */
static err_t save(trainer *t, int64_t step, bool delta, bool last)
{
    learner_cut cut = {.step = step, .bad_steps = t->bad_steps, .delta = delta};

    TRY(end_save(t, false));
    if (t->dealt)
        TRY(deal_record(t->dealt, step, &cut.dealt));
    err_t err = learner_save_begin(t->learner, t->checkpoints, &cut);
    manifest_dealt_clear(&cut.dealt);
    TRY(judge_save(t, err, last));
    return last ? end_save(t, true) : OK;
}

static err_t drain_point(trainer *t, int64_t step)
{
    const plan *p       = &t->plan;
    bool        stopped = t->stop != OK;
    bool        last    = step == p->last || stopped;
    bool        epoch   = falls_on(step, p->epoch_steps);

    TRY(ps_drain(learner_client(t->learner), step));
    if (t->test && !stopped && (last || epoch || falls_on(step, p->evaluate_every)))
        TRY(evaluate(t, step));
    bool full = last || falls_on(step, p->checkpoint_every);
    if (full || falls_on(step, p->delta_every))
        TRY(save(t, step, !full, last));
    TRY(log_times(t, step));
    TRY(log_rows(t, step));
    if (epoch && !last)
        t->epoch_loss = t->epoch_samples = 0;
    return OK;
}

static err_t train_steps(trainer *t)
{
    int64_t step = t->plan.first;

    while (step < t->plan.last && t->stop == OK) {
        TRY(train_stretch(t, step, next_drain(&t->plan, step), &step));
        TRY(drain_point(t, step));
    }
    return OK;
}

/* ---- train.steps: 0 ---- */

/* Make the rows of all ids in this worker's part of d. */
static err_t birth_part(trainer *t, const dataset *d, id_maker *maker, arena *a)
{
    const job *j = t->job;
    uint64_t   first, end;

    evaluator_part(j, d, &first, &end);
    while (first < end) {
        uint64_t samples[1024];
        batch    b;
        id_set  *sets;
        int      count = 0;

        arena_reset(a);
        while (count < 1024 && first < end)
            samples[count++] = first++;
        TRY(arena_take(a, (size_t)j->schema->n_tables * sizeof *sets, &sets));
        TRY(dataset_batch(d, samples, count, 0, a, &b));
        TRY(id_maker_make(maker, &b, a, sets));
        TRY(ps_birth(learner_client(t->learner), 0, sets));
        if (j->check)
            TRY(j->check(j->self));
    }
    return OK;
}

/* Write the checkpoint of the first state: every id of the data has its row. */
static err_t write_first_state(trainer *t)
{
    id_maker *maker = NULL;
    arena     a     = {0};
    err_t     err   = id_maker_new(&maker, t->job->schema, t->job->shards->peers);

    if (err == OK)
        err = birth_part(t, t->train, maker, &a);
    if (err == OK && t->test)
        err = birth_part(t, t->test, maker, &a);
    id_maker_free(&maker);
    arena_clear(&a);
    TRY(err);
    TRY(comm_barrier(t->job->workers));
    TRY(save(t, 0, false, true));
    log_once(LOG_INFO, "the initial state is the checkpoint of step 0 in %s", t->checkpoints);
    return OK;
}

/* ---- the end ---- */

/* "; 12 gradients of ids without a row, 3 ids admitted, 0 rows evicted"; nothing where rows
 * neither come nor leave in other ways than by birth. */
static void describe_turnover(const ps_stats *s, char *text, size_t size)
{
    text[0] = '\0';
    if (s->refused || s->admitted || s->evicted)
        snprintf(text, size,
                 "; %" PRIu64 " gradients of ids without a row, %" PRIu64 " ids admitted, %" PRIu64
                 " rows evicted",
                 s->refused, s->admitted, s->evicted);
}

static err_t summarize(trainer *t)
{
    const times time = times_so_far(t);
    char        duration[32], phases[240], turnover[160];
    ps_stats    stats;

    if (!trainer_is_first(t))
        return OK;
    const ps_traffic traffic = ps_client_traffic(learner_client(t->learner));
    TRY(ps_client_stats(learner_client(t->learner), &stats));
    const metrics_field others[] = {
        METRIC_INT("step", t->plan.last),
        STATS_FIELDS(stats),
        METRIC_INT("wire_sent_bytes", (int64_t)traffic.sent),
        METRIC_INT("wire_received_bytes", (int64_t)traffic.received),
    };
    enum { OTHERS = sizeof others / sizeof *others };
    metrics_field fields[OTHERS + TIMES_FIELDS];
    memcpy(fields, others, sizeof others);
    times_fields(fields + OTHERS, &time);
    TRY(metrics_log_write(t->log, "summary", OTHERS + TIMES_FIELDS, fields));
    console_end_line(&t->console);
    console_duration(duration, time.seconds);
    times_describe(&time, phases, sizeof phases);
    describe_turnover(&stats, turnover, sizeof turnover);
    log_once(LOG_INFO,
             "trained %.0f samples in %s, %.0f samples/s (%s); %" PRIu64
             " rows in %.1f MB, %" PRIu64 " dense weights%s",
             time.samples, duration, times_speed(&time), phases, stats.rows,
             (double)stats.bytes * 1e-6, learner_dense_weights(t->learner), turnover);
    return OK;
}

static void fill_result(const trainer *t, int64_t reached, job_result *result)
{
    *result = (job_result){
        .steps     = reached,
        .samples   = t->own.samples,
        .seconds   = t->own.seconds,
        .loss      = t->epoch_samples > 0 ? t->epoch_loss / t->epoch_samples : 0,
        .test      = t->metrics,
        .evaluated = t->evaluated >= 0,
    };
}

static err_t tell_warm_start(const trainer *t)
{
    if (!t->warm || !trainer_is_first(t))
        return OK;
    warm_report_print(t->warm);
    return warm_report_log(t->warm, t->log);
}

static void tell_precision(const config *c)
{
    if (c->train.precision == PRECISION_BF16)
        log_once(LOG_INFO, "attention's products of training are in bf16, by %s",
                 bf16_path_name(bf16_best_path()));
}

static err_t run(trainer *t, job_result *result)
{
    const job *j = t->job;
    char       path[CONFIG_PATH_MAX + 32];

    TRY(trainer_open(t));
    TRY(learner_new(&t->learner, j, j->config->train.staleness + 1));
    TRY(trainer_begin(t));
    snprintf(path, sizeof path, "%s/metrics.jsonl", j->run);
    TRY(metrics_log_open(&t->log, trainer_is_first(t) ? path : NULL, t->plan.first));
    TRY(tell_warm_start(t));
    if (t->plan.last == 0 && t->saved < 0)
        return write_first_state(t);
    if (t->plan.first >= t->plan.last) {
        log_once(LOG_INFO, "nothing left to train: step %" PRId64 " of %" PRId64 " is reached",
                 t->plan.first, t->plan.last);
        fill_result(t, t->plan.first, result);
        return OK;
    }
    tell_precision(j->config);
    TRY(trainer_open_pipeline(t));
    console_init(&t->console, trainer_is_first(t) ? stderr : NULL, j->clock, j->terminal, j->columns,
                 t->plan.first, t->plan.last, t->plan.epoch_steps);
    t->timed = clock_now(j->clock);
    TRY(train_steps(t));
    TRY(summarize(t));
    fill_result(t, t->plan.last, result);
    if (t->stop != OK)
        return err_set(t->stop,
                       "stopped by a signal; checkpoint of step %" PRId64 " is written",
                       t->saved);
    return OK;
}

err_t job_train(const job *j, job_result *result)
{
    trainer t = {.job = j, .saved = -1, .evaluated = -1};

    *result = (job_result){0};
    if (j->config->checkpoint.dir[0])
        snprintf(t.checkpoints, sizeof t.checkpoints, "%s", j->config->checkpoint.dir);
    else
        snprintf(t.checkpoints, sizeof t.checkpoints, "%s/checkpoints", j->run);
    err_t err = run(&t, result);
    console_end_line(&t.console);
    pipeline_free(&t.pipeline);
    order_free(&t.order);
    deal_free(&t.deal);
    deal_free(&t.dealt);
    learner_free(&t.learner);
    dataset_close(&t.train);
    dataset_close(&t.test);
    metrics_log_close(&t.log);
    warm_report_free(&t.warm);
    return err;
}
