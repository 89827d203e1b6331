/* run_folder - where all of a run is kept, by one job at a time.
 *
 *   DIR/run.yaml         the whole configuration as used
 *   DIR/metrics.jsonl    written by worker 0
 *   DIR/checkpoints/     (or checkpoint.dir)
 *   DIR/logs/            what each process wrote that is not for the user's eyes
 *   DIR/lock             while a job lives: its process; flock tells whether it does
 *   DIR/session/         while a job lives: mpirun's
 *   DIR/key              while a job lives whose messages are closed (run_key.h)
 *
 * Evaluation and prediction get a temporary one of the same shape, which goes with them. */
#ifndef DIPS_LAUNCH_RUN_FOLDER_H
#define DIPS_LAUNCH_RUN_FOLDER_H

#include <stdbool.h>

#include "common/schema.h"

#define RUN_FOLDER_KEY "key"

typedef struct run_folder {
    char path[CONFIG_PATH_MAX];
    int  lock; /* descriptor; -1: none */
    bool temporary;
} run_folder;

/* The folder dir (NULL: a new runs/NAME-DATE, NAME from the file source) of a run of c: made
 * where it is not there, locked, run.yaml written. ERR_USAGE where another live job uses it,
 * or fresh and a run is in it; ERR_CONFIG where its newest checkpoint is of another schema.
 * run_folder_close. */
MUST_CHECK err_t run_folder_open(run_folder *f, const char *dir, const char *source, bool fresh,
                                 const config *c, const schema *s);

/* The name runs/NAME-DATE that a run of source would get now; nothing is made. */
MUST_CHECK err_t run_folder_new_name(char path[CONFIG_PATH_MAX], const char *source);

/* A folder that run_folder_close removes. */
MUST_CHECK err_t run_folder_open_temporary(run_folder *f, const config *c);

void run_folder_close(run_folder *f);

/* The step of the newest checkpoint of the run of c in the folder path; -1: there is none. */
MUST_CHECK err_t run_folder_newest(int64_t *step, const char *path, const config *c);

/* Open logs/NAME.log of the run folder path for appending. */
MUST_CHECK err_t run_folder_log(const char *path, const char *name, int *descriptor);

/* path/name into out; ERR_CONFIG where that is too long. */
MUST_CHECK err_t run_folder_path(char out[CONFIG_PATH_MAX], const char *path, const char *name);

/* Send this process's standard output and error to logs/NAME.log from now on. */
MUST_CHECK err_t run_folder_redirect(const char *path, const char *name);

/* Remove the folder at path and all that is in it, without following links. Where that
 * fails, what could not be removed stays. */
void run_folder_remove_tree(const char *path);

#endif
