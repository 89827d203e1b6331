/* apply - `dips eval` and `dips predict`: a trained model over data.test. */
#ifndef DIPS_LAUNCH_APPLY_H
#define DIPS_LAUNCH_APPLY_H

#include "launch/task.h"

/* Do t with the configuration source and the words key=value over it. t->checkpoint is a
 * step's folder, or a folder of checkpoints, or a run folder, of which the newest is taken
 * and said. */
MUST_CHECK err_t apply_task(const task *t, const char *source, int n, char *const *words);

/* The folder of one step that the user means by path. */
MUST_CHECK err_t apply_find_checkpoint(char folder[CONFIG_PATH_MAX], const char *path);

#endif
