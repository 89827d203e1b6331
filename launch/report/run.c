#include "launch/report/run.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- curves ---- */

double curve_max(const curve *c)
{
    double best = NAN;

    for (size_t i = 0; i < c->n; i++)
        best = fmax(best, c->at[i].value); /* fmax passes NaN over */
    return best;
}

double curve_min(const curve *c)
{
    double best = NAN;

    for (size_t i = 0; i < c->n; i++)
        best = fmin(best, c->at[i].value);
    return best;
}

double curve_last(const curve *c)
{
    return c->n > 0 ? c->at[c->n - 1].value : (double)NAN;
}

static int by_value(const void *a, const void *b)
{
    double x = ((const point *)a)->value, y = ((const point *)b)->value;

    return (x > y) - (x < y);
}

static err_t find_median(const curve *c, double *median)
{
    curve sorted = {0};

    *median = (double)NAN;
    if (c->n == 0)
        return OK;
    TRY(vec_reserve(&sorted, c->n));
    memcpy(sorted.at, c->at, c->n * sizeof *c->at);
    qsort(sorted.at, c->n, sizeof *sorted.at, by_value);
    *median = (sorted.at[(c->n - 1) / 2].value + sorted.at[c->n / 2].value) / 2;
    vec_clear(&sorted);
    return OK;
}

err_t curve_thin(const curve *c, size_t n, curve *out)
{
    for (size_t k = 0, end, begin = 0; k < n && begin < c->n; k++, begin = end) {
        point mean = {0};
        end        = c->n <= n ? k + 1 : (k + 1) * c->n / n;
        for (size_t i = begin; i < end; i++) {
            mean.step += c->at[i].step / (double)(end - begin);
            mean.value += c->at[i].value / (double)(end - begin);
        }
        TRY(vec_push(out, mean));
    }
    return OK;
}

err_t curve_smooth(const curve *c, double half_life, curve *out)
{
    double keep = pow(0.5, 1 / half_life), sum = 0, weights = 0;
    size_t first = out->n;

    for (size_t i = 0; i < c->n; i++) { /* what went before, and the point itself */
        sum     = keep * sum + c->at[i].value;
        weights = keep * weights + 1;
        TRY(vec_push(out, ((point){weights, sum})));
    }
    sum = weights = 0;
    for (size_t i = c->n; i-- > 0;) { /* what follows */
        point *p = &out->at[first + i];
        *p       = (point){c->at[i].step, (p->value + sum) / (p->step + weights)};
        sum      = keep * (sum + c->at[i].value);
        weights  = keep * (weights + 1);
    }
    return OK;
}

/* ---- metrics.jsonl ---- */

/* Append; a run that was resumed says again what came after its checkpoint. */
static err_t add_point(curve *c, double step, const json_t *value)
{
    if (!json_is_number(value))
        return OK;
    while (c->n > 0 && c->at[c->n - 1].step >= step)
        c->n--;
    return vec_push(c, ((point){step, json_number_value(value)}));
}

static void add_times(run *r, const json_t *line)
{
    for (int i = 0; i < TIMES_PARTS; i++) {
        double *sum = (double *)((char *)&r->times + times_parts[i].at);
        *sum += json_number_value(json_object_get(line, times_parts[i].key));
    }
}

static err_t add_return(run *r, double step, const json_t *why)
{
    const char *text = json_is_string(why) ? json_string_value(why) : "";
    char       *copy = strdup(text);

    if (!copy)
        return err_memory(strlen(text), "a run's metrics");
    return vec_push(&r->returns, ((run_return){step, copy}));
}

static err_t add_event(run *r, const json_t *line)
{
    const char   *event = json_string_value(json_object_get(line, "event"));
    const char   *split = json_string_value(json_object_get(line, "split"));
    const json_t *step  = json_object_get(line, "step");
    double        t     = json_number_value(step);

    if (!event || !json_is_number(step))
        return OK;
    if (!strcmp(event, "step")) {
        TRY(add_point(&r->loss, t, json_object_get(line, "loss")));
        TRY(add_point(&r->speed, t, json_object_get(line, "samples_per_s")));
    } else if (!strcmp(event, "eval") && split && !strcmp(split, "test")) {
        TRY(add_point(&r->auc, t, json_object_get(line, "auc")));
        TRY(add_point(&r->gauc, t, json_object_get(line, "gauc")));
        TRY(add_point(&r->logloss, t, json_object_get(line, "logloss")));
        TRY(add_point(&r->calibration, t, json_object_get(line, "calibration")));
    } else if (!strcmp(event, "time")) {
        add_times(r, line);
    } else if (!strcmp(event, "restart")) {
        return add_return(r, t, json_object_get(line, "why"));
    } else {
        return OK;
    }
    r->steps = t;
    return OK;
}

/* Line `number` of the file; *torn: it is no JSON, which the last line may be. */
static err_t read_line(run *r, const char *path, long number, const char *text, size_t n,
                       bool *torn)
{
    json_error_t why;

    if (*torn)
        return err_set(ERR_DATA, "%s:%ld: not a line of JSON", path, number - 1);
    json_t *line = json_loadb(text, n, 0, &why);
    *torn        = !json_is_object(line);
    err_t err    = *torn ? OK : add_event(r, line);
    json_decref(line);
    return err;
}

static err_t read_metrics(run *r)
{
    char    path[CONFIG_PATH_MAX + 16];
    char   *line     = NULL;
    size_t  capacity = 0;
    bool    torn     = false;
    err_t   err      = OK;
    ssize_t n;

    snprintf(path, sizeof path, "%s/metrics.jsonl", r->path);
    FILE *f = fopen(path, "r");
    if (!f)
        return err_set(ERR_DATA, "%s: %s", path, strerror(errno));
    for (long number = 1; err == OK && (n = getline(&line, &capacity, f)) >= 0; number++)
        err = read_line(r, path, number, line, (size_t)n, &torn);
    if (err == OK && ferror(f))
        err = err_errno("reading %s", path);
    free(line);
    fclose(f);
    return err;
}

/* ---- run.yaml ---- */

static err_t print_to_memory(const config *c, err_t (*print)(const config *, FILE *),
                             char        **text)
{
    size_t size;
    FILE  *f = open_memstream(text, &size);

    if (!f)
        return err_memory(0, "a configuration as text");
    err_t err = print(c, f);
    fclose(f);
    return err;
}

static err_t read_config(run *r)
{
    char path[CONFIG_PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/run.yaml", r->path);
    TRY(config_load(&r->config, path, 0, NULL));
    TRY(print_to_memory(r->config, config_print_words, &r->words));
    return print_to_memory(r->config, config_print, &r->yaml);
}

/* The folder's own name: the last part of path that is one. */
static void name_of(char name[CONFIG_NAME_MAX], const char *path)
{
    size_t end = strlen(path);

    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    snprintf(name, CONFIG_NAME_MAX, "%.*s", (int)(end - begin), path + begin);
}

err_t run_read(run *r, const char *path)
{
    *r = (run){0};
    if (strlen(path) >= sizeof r->path)
        return err_set(ERR_USAGE, "the folder's name is longer than %zu bytes: %.100s...",
                       sizeof r->path - 1, path);
    snprintf(r->path, sizeof r->path, "%s", path);
    name_of(r->name, path);
    TRY(read_config(r));
    TRY(read_metrics(r));
    return find_median(&r->speed, &r->median_speed);
}

void run_clear(run *r)
{
    config_free(&r->config);
    free(r->words);
    free(r->yaml);
    vec_clear(&r->loss);
    vec_clear(&r->speed);
    vec_clear(&r->auc);
    vec_clear(&r->gauc);
    vec_clear(&r->logloss);
    vec_clear(&r->calibration);
    for (size_t i = 0; i < r->returns.n; i++)
        free(r->returns.at[i].why);
    vec_clear(&r->returns);
    *r = (run){0};
}
