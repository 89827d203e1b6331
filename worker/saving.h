/* saving - worker 0's part of a checkpoint that is written while training goes on.
 *
 * At the drain point the folder is made, the shards are told to begin, and the dense weights
 * are copied; a thread writes these. When every shard's file is on the disk, the thread writes
 * the manifest, with which the checkpoint exists, and removes the ones that are not to be kept.
 * So no step waits for a disk. The thread and who calls these functions take turns: nothing is
 * shared but whether it is done. */
#ifndef DIPS_WORKER_SAVING_H
#define DIPS_WORKER_SAVING_H

#include "worker/learner.h"

typedef struct saving saving;

/* Begin the checkpoint of the cut in dir; saving_end or saving_abandon. base: a delta may stand
 * upon the checkpoint at that step in dir; -1: none will do, and it is a full one. */
MUST_CHECK err_t saving_begin(saving **out, const job *j, ps_client *client, const dense *d,
                              const char *dir, const learner_cut *cut, int64_t base);

/* Go on, without waiting. *ended: nothing is left to do but saving_end. */
MUST_CHECK err_t saving_poll(saving *s, bool *ended);

/* Wait until that is so. */
MUST_CHECK err_t saving_wait(saving *s);

/* After it has ended: what it came to; *step = that of the checkpoint, if it is there.
 * Frees. */
MUST_CHECK err_t saving_end(saving **s, int64_t *step);

/* Leave it as it is: nothing of it counts as a checkpoint. Frees. */
void saving_abandon(saving **s);

#endif
