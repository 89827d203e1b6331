/* rewrite - a checkpoint from another one: in other shards, or from a chain of deltas.
 *
 * Rows, counters and dense weights are the same to the bit, and the files those that servers
 * of so many shards would have written. A bucket of each layer is in memory at a time. */
#ifndef DIPS_LAUNCH_CHECKPOINT_REWRITE_H
#define DIPS_LAUNCH_CHECKPOINT_REWRITE_H

#include "launch/checkpoint/source.h"

/* What was done, for who prints it. */
typedef struct rewritten {
    uint64_t rows;  /* of all tables */
    uint64_t bytes; /* of all files */
} rewritten;

/* Write what s holds as a full checkpoint of `shards` shards, 0: of those it has; into the
 * folder path, in whose place there may be another one if replacing. */
MUST_CHECK err_t rewrite_checkpoint(const source *s, const char *path, bool replacing,
                                    int shards, rewritten *done);

#endif
