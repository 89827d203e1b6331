/* list - the checkpoints of a folder, a line for each. */
#ifndef DIPS_LAUNCH_CHECKPOINT_LIST_H
#define DIPS_LAUNCH_CHECKPOINT_LIST_H

#include <stdbool.h>

#include "common/err.h"

/* Print the checkpoints of dir (one, a folder of them, or a run), also those that are not
 * whole, with what is wrong: as a table, or as a JSON array. ERR_DATA where there are none. */
MUST_CHECK err_t list_checkpoints(const char *dir, bool json);

#endif
