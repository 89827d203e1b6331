/* job - what a worker needs to know to do its part of a run, and what it can do.
 *
 * The launcher makes a job (alone: over inproc and comm_self; in a cluster: over tcp and
 * MPI) and calls one of the functions; all workers of the run call the same one. */
#ifndef DIPS_WORKER_JOB_H
#define DIPS_WORKER_JOB_H

#include "common/comm.h"
#include "common/metrics.h"
#include "common/net.h"
#include "common/schema.h"

typedef struct job {
    const config       *config;
    const schema       *schema;
    comm               *workers;
    const transport    *shards;
    const clock_source *clock;
    uint32_t            generation;
    const char         *run; /* run folder; NULL: eval and predict outside of one */

    /* Told after each step (any number that grows): what heartbeats carry. NULL: nobody. */
    void (*progress)(void *self, int64_t step);

    /* Asked in every wait: not OK ends the job at once (the coordinator said so). NULL: OK. */
    err_t (*check)(void *self);

    /* Asked once a step: ERR_INTERRUPT or ERR_TERMINATE after a signal; all workers then
     * finish the step, write a last checkpoint and return that. NULL: OK. */
    err_t (*stop)(void *self);
    void *self;

    bool terminal; /* progress renews one line of this width on standard error */
    int  columns;
} job;

typedef struct job_result {
    int64_t steps;       /* reached */
    double  samples;     /* trained or predicted in this call */
    double  seconds;     /* of wall clock for them, without start and evaluations */
    double  loss;        /* mean of the last epoch */
    metrics test;        /* of the last evaluation; valid where evaluated */
    bool    evaluated;
} job_result;

/* Collective. Train from the newest checkpoint of the run (or the beginning) to the end
 * of the configuration, with evaluations and checkpoints on the way. */
MUST_CHECK err_t job_train(const job *j, job_result *result);

/* Collective. Evaluate the checkpoint folder on config.data.test. */
MUST_CHECK err_t job_evaluate(const job *j, const char *folder, job_result *result);

/* Collective. Write the probabilities of config.data.test, in the order of the data, to
 * path: safetensors with `probability` F32 [n]. */
MUST_CHECK err_t job_predict(const job *j, const char *folder, const char *path,
                             job_result *result);

#endif
