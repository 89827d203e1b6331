/* evaluator - predictions over a whole data set, and how good they are.
 *
 * Each worker predicts its contiguous part of the samples (or its own files), at one
 * version of the rows; worker 0 gathers all predictions, so that AUC and GAUC are exact
 * for any number of workers. Nothing is changed on the servers. */
#ifndef DIPS_WORKER_EVALUATOR_H
#define DIPS_WORKER_EVALUATOR_H

#include "worker/learner.h"

/* Open this worker's share of the files: all of them, or under `data.deal: files` the r-th of
 * W parts, contiguous so that what is gathered by rank is in the order of the data. */
MUST_CHECK err_t evaluator_open(dataset **out, const job *j, const config_names *files,
                                bool need_label);

/* Collective. A learner that holds the checkpoint in folder, which is checked whole first;
 * *step is its cut. learner_free, after a failure too. */
MUST_CHECK err_t evaluator_hold(const job *j, const char *folder, learner **l, int64_t *step);

/* This worker's part of the samples of d, *first .. *end-1: all of its own files' where files
 * are dealt, a contiguous share of the rows otherwise. */
void evaluator_part(const job *j, const dataset *d, uint64_t *first, uint64_t *end);

/* Collective. Predict d as of version. On worker 0 *all holds *n predictions, in the order
 * of the data where rows are dealt; free it. Elsewhere NULL and 0. */
MUST_CHECK err_t evaluator_predict(learner *l, const job *j, const dataset *d, int64_t version,
                                   prediction **all, size_t *n);

/* Collective. The metrics of d as of version, on every worker. */
MUST_CHECK err_t evaluator_run(learner *l, const job *j, const dataset *d, int64_t version,
                               metrics *m);

/* Append the `eval` line of metrics.jsonl to log. */
MUST_CHECK err_t evaluator_log(metrics_log *log, int64_t step, const char *split,
                               const metrics *m);

#endif
