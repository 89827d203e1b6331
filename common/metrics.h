/* metrics - how good predictions are, and the lines of metrics.jsonl.
 *
 * AUC averages ties; GAUC is DIN's eq. 10, weighted by impressions, users with one
 * class skipped. Everything is weighted by the samples' weights. */
#ifndef DIPS_COMMON_METRICS_H
#define DIPS_COMMON_METRICS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

/* One prediction; what workers gather on rank 0. */
typedef struct prediction {
    double   probability; /* in [0, 1] */
    uint64_t group;       /* the user, for GAUC */
    float    label;       /* 0 or 1 */
    float    weight;
} prediction;

typedef struct metrics {
    double   auc;         /* NaN where one class is missing */
    double   gauc;        /* NaN where no group has both classes */
    double   logloss;     /* mean, natural logarithm; p clamped to [1e-15, 1-1e-15] */
    double   calibration; /* sum of predicted / sum of actual; NaN without clicks */
    double   samples;     /* sum of weights */
    uint64_t groups;      /* that count in gauc */
} metrics;

/* Compute m over n predictions, which are put into another order. grouped: false
 * where the data has no user; gauc is NaN then. ERR_NUMERIC names a probability that
 * is not one. */
MUST_CHECK err_t metrics_compute(metrics *m, prediction *p, size_t n, bool grouped);

/* RelaImpr of DIN, eq. 11, in percent. */
double metrics_rela_impr(double auc, double base_auc);

/* ---- metrics.jsonl ---- */

typedef struct metrics_log metrics_log;

/* Open path for appending; NULL path: a log that drops all. metrics_log_close. Lines of
 * steps beyond resume_step (< 0: keep all) of an earlier stretch of the run are cut off
 * first, so that a resumed run's file reads like that of one never stopped. */
MUST_CHECK err_t metrics_log_open(metrics_log **out, const char *path, int64_t resume_step);
void             metrics_log_close(metrics_log **log);

/* A value of a line. NaN and infinities are written as null. */
typedef struct metrics_field {
    const char *key;
    enum { FIELD_REAL, FIELD_INT, FIELD_TEXT } kind;
    double      real;
    int64_t     integer;
    const char *text;
} metrics_field;

#define METRIC_REAL(k, v) ((metrics_field){.key = (k), .kind = FIELD_REAL, .real = (v)})
#define METRIC_INT(k, v)  ((metrics_field){.key = (k), .kind = FIELD_INT, .integer = (v)})
#define METRIC_TEXT(k, v) ((metrics_field){.key = (k), .kind = FIELD_TEXT, .text = (v)})

/* Append one line {"event": event, ...} and flush it. */
MUST_CHECK err_t metrics_log_write(metrics_log *log, const char *event, int n,
                                   const metrics_field *fields);

/* Write one JSON object of the fields, without an end of line. */
void metrics_print_json(FILE *to, int n, const metrics_field *fields);

#endif
