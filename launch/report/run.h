/* run - what a run folder tells: its configuration and its curves.
 *
 * RUN/run.yaml is the configuration as used, RUN/metrics.jsonl the events: lines of JSON of
 * which `step`, `eval` (split test), `time` and `restart` are read. Other events, further keys,
 * and values that are null are passed over, and so is a last line that was cut off. */
#ifndef DIPS_LAUNCH_REPORT_RUN_H
#define DIPS_LAUNCH_REPORT_RUN_H

#include <stdint.h>

#include "common/config.h"
#include "common/vec.h"
#include "worker/times.h"

typedef struct point {
    double step, value;
} point;

typedef VEC(point) curve;

/* A death, after which the run went back to the checkpoint of a step. */
typedef struct run_return {
    double step;
    char  *why; /* owned */
} run_return;

typedef struct run {
    char    name[CONFIG_NAME_MAX]; /* the folder's own name */
    char    path[CONFIG_PATH_MAX];
    config *config;
    char   *words;        /* config_print_words of it */
    char   *yaml;         /* config_print of it */
    double  steps;        /* the last one reported; 0: none yet */
    double  median_speed; /* what the run did when nothing disturbed it; NaN: unknown */
    curve   loss, speed;  /* of steps; speed in samples/s */
    curve   auc, gauc, logloss, calibration;
    times   times; /* of all steps that `time` events tell of */
    VEC(run_return) returns;
} run;

/* Read the run in folder path; run_clear also after an error. ERR_CONFIG, ERR_DATA name
 * the file, and the line that is wrong. */
MUST_CHECK err_t run_read(run *r, const char *path);
void             run_clear(run *r);

/* The largest, the least and the last value; NaN of an empty curve. */
double curve_max(const curve *c);
double curve_min(const curve *c);
double curve_last(const curve *c);

/* A curve of at most n points, each the mean of as many neighbours; appended to out. */
MUST_CHECK err_t curve_thin(const curve *c, size_t n, curve *out);

/* Each value becomes the mean of all, weighted by 2^(-d / half_life) with d the number of
 * points between: as much of what follows as of what went before, so that the smooth
 * curve does not lag behind. Appended to out. */
MUST_CHECK err_t curve_smooth(const curve *c, double half_life, curve *out);

#endif
