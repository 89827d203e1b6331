/* coordinator - starts the processes of a job, lets them find each other, and watches them
 * until the last one has ended.
 *
 * Each process says HELLO; when all are here, WELCOME tells them where the shards are. From
 * then on BEATs go both ways. Whoever ends says BYE; who ends without it, stops beating
 * (heartbeat_timeout), or beats while one of its threads hangs (a worker's without progress
 * for step_timeout, a server's without a turn for shard_timeout) is replaced, and the run
 * returns to its newest checkpoint (recovery.h). Where it cannot, or has done so as often as it
 * may, that ends the job: all other processes are ended too, and what they leave on this host
 * is removed. */
#ifndef DIPS_LAUNCH_COORDINATOR_H
#define DIPS_LAUNCH_COORDINATOR_H

#include <stdbool.h>

#include "launch/launch.h"

typedef struct coordinator_options {
    const char *listen;                       /* HOST:PORT; NULL: where nobody else is */
    bool        start_servers, start_workers; /* else they come by themselves */

    /* Told once the coordinator listens. NULL: nobody. */
    void (*listening)(void *self, const char *endpoint);

    /* Told when the job has failed, while the others still are; err_text() is the reason.
     * NULL: nobody. */
    void (*failing)(void *self);
    void *self;
} coordinator_options;

/* Run the job to its end, print its result. The error is that of the process that ended it:
 * its own sentence, or one that names who died. To be called while this process has no
 * threads. */
MUST_CHECK err_t coordinator_run(const launch *l, const coordinator_options *options);

#endif
