/* launch - one task of one configuration, on its way to the processes that do it. */
#ifndef DIPS_LAUNCH_LAUNCH_H
#define DIPS_LAUNCH_LAUNCH_H

#include "common/schema.h"
#include "launch/hosts.h"
#include "launch/run_folder.h"
#include "launch/task.h"

typedef struct launch {
    task          task;
    const config *config;
    const schema *schema;
    const char   *folder;  /* where run.yaml, logs/ and session/ are (run_folder.h) */
    const char   *key;     /* the file with its key; NULL: its messages are open */
    int           columns; /* of the user's terminal; 0: there is none */
    run_folder   *held;    /* the folder where this process holds it; NULL in others */
    uint32_t      generation; /* how often the run has returned to a checkpoint */

    /* Of an elastic run, where they are not those of config.cluster: */
    int          workers;  /* 0: config's */
    const char  *hostfile; /* NULL: config's */
    const hosts *hosts;    /* of config's hostfile, whose servers know where to go; NULL: all */
} launch;

#endif
