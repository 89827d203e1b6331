#include "worker/evaluator.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/manifest_chain.h"

err_t evaluator_open(dataset **out, const job *j, const config_names *files, bool need_label)
{
    config_names all;
    bool         own     = j->config->data.deal == DEAL_FILES;
    int64_t      worker  = own ? comm_rank(j->workers) : 0;
    int64_t      workers = own ? comm_size(j->workers) : 1;

    TRY(config_expand_files(&all, files));
    int first = (int)((all.n * worker + workers - 1) / workers); /* worker 0 is never without */
    int end   = (int)((all.n * (worker + 1) + workers - 1) / workers);

    const config_names mine = {.at = all.at + first, .n = end - first};
    err_t              err  = dataset_open(out, j->schema, &mine, need_label);
    config_names_clear(&all);
    return err;
}

void evaluator_part(const job *j, const dataset *d, uint64_t *first, uint64_t *end)
{
    bool     own     = j->config->data.deal == DEAL_FILES;
    uint64_t worker  = own ? 0 : (uint64_t)comm_rank(j->workers);
    uint64_t workers = own ? 1 : (uint64_t)comm_size(j->workers);

    *first = dataset_samples(d) * worker / workers;
    *end   = dataset_samples(d) * (worker + 1) / workers;
}

typedef struct scratch {
    id_maker *maker;
    arena     arena;
    id_set   *sets;
    uint64_t *samples;
    double   *probabilities;
} scratch;

static void scratch_clear(scratch *s)
{
    id_maker_free(&s->maker);
    arena_clear(&s->arena);
    free(s->sets);
    free(s->samples);
    free(s->probabilities);
}

static err_t scratch_init(scratch *s, const job *j, size_t n)
{
    *s               = (scratch){0};
    s->sets          = calloc((size_t)j->schema->n_tables, sizeof *s->sets);
    s->samples       = calloc(n, sizeof *s->samples);
    s->probabilities = calloc(n, sizeof *s->probabilities);
    if (!s->sets || !s->samples || !s->probabilities)
        return err_memory(n * 16, "a batch of an evaluation");
    return id_maker_new(&s->maker, j->schema, j->shards->peers);
}

/* Predict samples first .. first+n-1 of d into p[n]. */
static err_t predict_batch(learner *l, const job *j, const dataset *d, int64_t version,
                           uint64_t first, int n, scratch *s, prediction *p)
{
    batch b;

    arena_reset(&s->arena);
    for (int i = 0; i < n; i++)
        s->samples[i] = first + (uint64_t)i;
    TRY(dataset_batch(d, s->samples, n, first, &s->arena, &b));
    TRY(id_maker_make(s->maker, &b, &s->arena, s->sets));
    TRY(learner_predict(l, version, &b, s->sets, &s->arena, s->probabilities));
    for (int i = 0; i < n; i++)
        p[i] = (prediction){
            .probability = s->probabilities[i],
            .group       = b.group ? b.group[i] : 0,
            .label       = (float)b.label[i],
            .weight      = b.weight ? (float)b.weight[i] : 1,
        };
    if (j->progress)
        j->progress(j->self, (int64_t)first);
    return j->check ? j->check(j->self) : OK;
}

static err_t predict_part(learner *l, const job *j, const dataset *d, int64_t version,
                          uint64_t first, uint64_t end, prediction *p)
{
    scratch  s;
    uint64_t most = (uint64_t)j->config->train.eval_batch;
    err_t    err  = scratch_init(&s, j, most);

    for (uint64_t i = first; err == OK && i < end; i += most) {
        int n = (int)(end - i < most ? end - i : most);
        err   = predict_batch(l, j, d, version, i, n, &s, p + (i - first));
    }
    scratch_clear(&s);
    return err;
}

err_t evaluator_predict(learner *l, const job *j, const dataset *d, int64_t version,
                        prediction **all, size_t *n)
{
    uint64_t first, end;

    evaluator_part(j, d, &first, &end);
    size_t bytes = (size_t)(end - first) * sizeof(prediction);

    prediction *part = malloc(bytes ? bytes : 1);
    if (!part)
        return err_memory(bytes, "the predictions of an evaluation");
    err_t err = predict_part(l, j, d, version, first, end, part);
    if (err == OK)
        err = comm_gather(j->workers, part, bytes, (void **)all, n);
    free(part);
    *n /= sizeof(prediction);
    return err;
}

err_t evaluator_run(learner *l, const job *j, const dataset *d, int64_t version, metrics *m)
{
    prediction *all = NULL;
    size_t      n   = 0;
    struct {
        err_report report;
        metrics    metrics;
    } shared = {0};

    TRY(evaluator_predict(l, j, d, version, &all, &n));
    if (comm_rank(j->workers) == 0)
        err_keep(&shared.report, metrics_compute(&shared.metrics, all, n, dataset_grouped(d)));
    free(all);
    TRY(comm_broadcast(j->workers, &shared, sizeof shared));
    *m = shared.metrics;
    return err_give(&shared.report);
}

err_t evaluator_log(metrics_log *log, int64_t step, const char *split, const metrics *m)
{
    const metrics_field fields[] = {
        METRIC_TEXT("split", split),           METRIC_INT("step", step),
        METRIC_REAL("auc", m->auc),            METRIC_REAL("gauc", m->gauc),
        METRIC_REAL("logloss", m->logloss),    METRIC_REAL("calibration", m->calibration),
        METRIC_REAL("samples", m->samples),    METRIC_INT("groups", (int64_t)m->groups),
    };
    return metrics_log_write(log, "eval", sizeof fields / sizeof *fields, fields);
}

/* ---- the jobs ---- */

err_t evaluator_hold(const job *j, const char *folder, learner **l, int64_t *step)
{
    manifest m;

    TRY(manifest_read(&m, folder));
    err_t err = manifest_agrees(&m, folder, j->schema);
    *step     = m.step;
    if (err == OK && comm_rank(j->workers) == 0)
        err = manifest_verify_all(folder);
    manifest_clear(&m);
    TRY(err);
    TRY(learner_new(l, j, 1));
    return learner_begin(*l, folder, *step);
}

/* A learner that holds the checkpoint in folder, and config.data.test; *step is its cut. */
static err_t open_checkpoint(const job *j, const char *folder, bool need_label, learner **l,
                             dataset **d, int64_t *step)
{
    TRY(evaluator_open(d, j, &j->config->data.test, need_label));
    return evaluator_hold(j, folder, l, step);
}

err_t job_evaluate(const job *j, const char *folder, job_result *result)
{
    learner *l     = NULL;
    dataset *d     = NULL;
    int64_t  since = 0;

    *result   = (job_result){0};
    err_t err = open_checkpoint(j, folder, true, &l, &d, &result->steps);
    if (err == OK) {
        since = clock_now(j->clock);
        err   = evaluator_run(l, j, d, result->steps, &result->test);
    }
    if (err == OK) {
        result->evaluated = true;
        result->samples   = result->test.samples;
        result->seconds   = clock_seconds(j->clock, since);
    }
    learner_free(&l);
    dataset_close(&d);
    return err;
}

static err_t write_predictions(const char *path, const prediction *p, size_t n)
{
    safetensors_writer *w;
    int                 tensor;
    const uint64_t      shape[] = {n};

    TRY(safetensors_create(&w, path));
    err_t err = safetensors_declare(w, "probability", DTYPE_F32, 1, shape, &tensor);
    for (size_t i = 0; i < n && err == OK; i++) {
        float probability = (float)p[i].probability;
        err               = safetensors_append(w, tensor, &probability, sizeof probability);
    }
    if (err == OK)
        return safetensors_finish(&w, NULL);
    safetensors_abandon(&w);
    return err;
}

err_t job_predict(const job *j, const char *folder, const char *path, job_result *result)
{
    learner    *l     = NULL;
    dataset    *d     = NULL;
    prediction *all   = NULL;
    size_t      n     = 0;
    int64_t     since = 0;

    *result   = (job_result){0};
    err_t err = open_checkpoint(j, folder, false, &l, &d, &result->steps);
    if (err == OK) {
        since = clock_now(j->clock);
        err   = evaluator_predict(l, j, d, result->steps, &all, &n);
    }
    if (err == OK && comm_rank(j->workers) == 0)
        err = write_predictions(path, all, n);
    if (err == OK) {
        result->samples = (double)n;
        result->seconds = clock_seconds(j->clock, since);
    }
    free(all);
    learner_free(&l);
    dataset_close(&d);
    return err;
}
