#include "launch/task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [TASK_TRAIN] = "train", [TASK_EVALUATE] = "evaluate", [TASK_PREDICT] = "predict",
    [TASK_SERVE] = "serve"};

const char *task_name(task_kind kind)
{
    return names[kind];
}

task_kind task_find(const char *name)
{
    return !strcmp(name, names[TASK_TRAIN])      ? TASK_TRAIN
           : !strcmp(name, names[TASK_EVALUATE]) ? TASK_EVALUATE
                                                 : TASK_PREDICT;
}

/* As an `eval` line of metrics.jsonl (evaluator_log). */
static void print_json(FILE *to, const job_result *r)
{
    const metrics_field fields[] = {
        METRIC_TEXT("event", "eval"),
        METRIC_TEXT("split", "test"),
        METRIC_INT("step", r->steps),
        METRIC_REAL("auc", r->test.auc),
        METRIC_REAL("gauc", r->test.gauc),
        METRIC_REAL("logloss", r->test.logloss),
        METRIC_REAL("calibration", r->test.calibration),
        METRIC_REAL("samples", r->test.samples),
        METRIC_INT("groups", (int64_t)r->test.groups),
    };
    metrics_print_json(to, sizeof fields / sizeof *fields, fields);
    fputc('\n', to);
}

static void print_table(FILE *to, const job_result *r)
{
    const struct {
        const char *name;
        double      value;
    } lines[] = {{"AUC", r->test.auc},
                 {"GAUC", r->test.gauc},
                 {"log loss", r->test.logloss},
                 {"calibration", r->test.calibration}};

    fprintf(to, "checkpoint of step %lld, %.15g samples of data.test\n", (long long)r->steps,
            r->test.samples);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (isnan(lines[i].value))
            fprintf(to, "  %-12s undefined here\n", lines[i].name);
        else
            fprintf(to, "  %-12s %.6f\n", lines[i].name, lines[i].value);
    }
}

static err_t tell(const task *t, const job_result *r, char *text, size_t size)
{
    FILE *to = fmemopen(text, size, "w");

    if (!to)
        return err_memory(size, "the text of a result");
    if (t->kind == TASK_EVALUATE && t->json)
        print_json(to, r);
    else if (t->kind == TASK_EVALUATE)
        print_table(to, r);
    else if (t->kind == TASK_PREDICT)
        fprintf(to, "%.15g probabilities written to %s\n", r->samples, t->out);
    return fclose(to) == 0 ? OK : err_errno("writing the text of a result");
}

err_t task_run(const task *t, const job *j, char *text, size_t size)
{
    job_result result = {0};

    *text = '\0';
    switch (t->kind) {
    case TASK_TRAIN:
        return job_train(j, &result);
    case TASK_EVALUATE:
        TRY(job_evaluate(j, t->checkpoint, &result));
        break;
    case TASK_PREDICT:
        TRY(job_predict(j, t->checkpoint, t->out, &result));
        break;
    case TASK_SERVE:
        return t->serve(t->self, j, t->checkpoint);
    }
    return tell(t, &result, text, size);
}
