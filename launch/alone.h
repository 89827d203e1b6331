/* alone - a launch in this process alone: shards in threads, reached over inproc://. */
#ifndef DIPS_LAUNCH_ALONE_H
#define DIPS_LAUNCH_ALONE_H

#include "launch/launch.h"

/* Do the task and print its result. No MPI, no ports, no other process. */
MUST_CHECK err_t alone_run(const launch *l);

#endif
