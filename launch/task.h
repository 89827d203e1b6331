/* task - what the workers of a launch are to do: train, evaluate or predict; or what a command
 * that needs a model in its own process does with it. */
#ifndef DIPS_LAUNCH_TASK_H
#define DIPS_LAUNCH_TASK_H

#include <stdbool.h>

#include "worker/job.h"

typedef enum { TASK_TRAIN, TASK_EVALUATE, TASK_PREDICT, TASK_SERVE } task_kind;

typedef struct task {
    task_kind   kind;
    const char *checkpoint; /* evaluate, predict: the folder of one step */
    const char *out;        /* predict: the file to write */
    bool        json;       /* evaluate */

    /* serve, in a launch that is alone: do the work with the checkpoint in folder. */
    err_t (*serve)(void *self, const job *j, const char *folder);
    void *self;
} task;

/* "train", "evaluate", "predict". */
const char *task_name(task_kind kind);
#define TASK_NAMES "train|evaluate|predict"

/* The kind called name, which is one of TASK_NAMES. */
task_kind task_find(const char *name);

/* Collective. Do it; worker 0's text (size bytes) is what the user is told on standard output
 * at the end, lines ended; "" for nothing. */
MUST_CHECK err_t task_run(const task *t, const job *j, char *text, size_t size);

#endif
