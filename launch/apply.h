/* apply - a trained model at work: `dips eval`, `predict`, `rank`, `recall`, `explain`. */
#ifndef DIPS_LAUNCH_APPLY_H
#define DIPS_LAUNCH_APPLY_H

#include "launch/flags.h"
#include "launch/task.h"

/* --checkpoint, for apply_find_checkpoint, as a flag of such a command. */
#define APPLY_FLAG_CHECKPOINT(text)                                                            \
    {"checkpoint", FLAG_TEXT, &(text), .meta = "DIR", .required = true,                        \
     .help = "a step's folder, or a run folder or its checkpoints/: the newest"}

/* Do t with the configuration source and the words key=value over it. t->checkpoint is a
 * step's folder, or a folder of checkpoints, or a run folder, of which the newest is taken
 * and said. */
MUST_CHECK err_t apply_task(const task *t, const char *source, int n, char *const *words);

/* The same of a task that serves, always in this process; the configuration and schema are
 * lent to it in *c and *s (its own variables). */
MUST_CHECK err_t apply_alone(const task *t, const char *source, int n, char *const *words,
                             const config **c, const schema **s);

/* The folder of one step that the user means by path. */
MUST_CHECK err_t apply_find_checkpoint(char folder[CONFIG_PATH_MAX], const char *path);

#endif
