/* coordinator_state - what a coordinator knows: coordinator.c acts on it, verdict.c judges it.
 */
#ifndef DIPS_LAUNCH_COORDINATOR_STATE_H
#define DIPS_LAUNCH_COORDINATOR_STATE_H

#include "launch/coordinator.h"
#include "launch/leftovers.h"
#include "launch/members.h"
#include "launch/watchdog.h"

typedef struct coordinator {
    const launch              *launch;
    const coordinator_options *options;
    const clock_source        *clock;
    net                       *net;
    net_listener              *listener;
    leftovers                  leftovers;
    watchdog                   watchdog;
    members                    members;
    process                    mpirun;     /* of the workers; pid 0: none */
    int64_t                    mpirun_end; /* clock: seen to have ended; 0: not yet */
    int64_t                    mpirun_stop, watchdog_stop; /* clock: seen stopped; 0: it runs */
    int64_t                    started, beaten;
    bool                       welcomed, interrupted;
    uint64_t                   dropped; /* messages that made no sense */
    member                    *dead; /* whose death ended the job; NULL: another reason */
    bool    ranks_died;              /* mpirun ended, and may have said which rank went first */
    int64_t log_begin;               /* of this job in mpirun's log */
} coordinator;

#endif
