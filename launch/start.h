/* start - which way a launch goes: alone, with a coordinator, or by the ranks of an mpirun
 * that a person typed. */
#ifndef DIPS_LAUNCH_START_H
#define DIPS_LAUNCH_START_H

#include <stdbool.h>

#include "launch/launch.h"
#include "launch/run_folder.h"

typedef struct start_options {
    err_t (*open_folder)(void *self, run_folder *f); /* the folder of this launch */
    void       *self;
    bool        attach; /* servers and workers come by themselves */
    const char *listen; /* HOST:PORT for the coordinator; NULL: where it suits */
    const char *key;    /* the file with the run's key; NULL: none is named */
} start_options;

/* The configuration and schema of a command: the file source with the words key=value over
 * it; under a typed mpirun the number of its ranks is cluster.workers. ERR_CONFIG where it
 * names no data for a task of this kind. */
MUST_CHECK err_t start_load(config **c, schema **s, task_kind kind, const char *source, int n,
                            char *const *words);

/* Do it; l->folder is filled in. Run folders are closed in the end. */
MUST_CHECK err_t start_run(launch *l, const start_options *options);

/* Whether the launch is one process. */
bool start_is_alone(const config *c);

#endif
