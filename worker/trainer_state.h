/* trainer_state - the inside of a trainer: trainer_open.c makes it ready, trainer.c trains. */
#ifndef DIPS_WORKER_TRAINER_STATE_H
#define DIPS_WORKER_TRAINER_STATE_H

#include "worker/console.h"
#include "worker/data/pipeline.h"
#include "worker/evaluator.h"

/* The steps of a run and its planned drain points, in steps; 0: never. */
typedef struct plan {
    int64_t epoch_steps, first, last;
    int64_t checkpoint_every, delta_every, evaluate_every;
} plan;

typedef struct trainer {
    const job *job;
    learner   *learner;
    dataset   *train, *test; /* test: NULL where there is none */
    order     *order;
    deal      *deal;  /* for the pipeline; NULL: samples are not dealt */
    deal      *dealt; /* the same, for checkpoints: it stands where training does */
    pipeline  *pipeline;
    plan       plan;
    console    console;

    metrics_log *log; /* worker 0's */
    char         checkpoints[CONFIG_PATH_MAX];
    int64_t      bad_steps;
    int64_t      saved; /* the newest checkpoint; -1: none */
    err_t        stop;  /* the signal that ends the run */
    warm_report *warm;  /* what was taken over from another run; NULL: nothing */

    double  epoch_loss, epoch_samples; /* sums of this epoch */
    times   own;                       /* of the loop: steps, samples, seconds, and reading */
    times   told;                      /* what `time` events have told so far */
    int64_t timed;                     /* clock: of the last one */
    metrics metrics;                   /* of the last evaluation */
    int64_t evaluated;                 /* its step; -1: none */
} trainer;

static inline bool trainer_is_first(const trainer *t)
{
    return comm_rank(t->job->workers) == 0;
}

/* ---- trainer_open.c ---- */

/* Open the data and plan the steps. */
MUST_CHECK err_t trainer_open(trainer *t);

/* Hold the newest checkpoint, or the first state; plan.first is where training goes on. */
MUST_CHECK err_t trainer_begin(trainer *t);

/* Begin to read the samples of the steps to come. */
MUST_CHECK err_t trainer_open_pipeline(trainer *t);

#endif
