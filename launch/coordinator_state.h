/* coordinator_state - what a coordinator knows: coordinator.c acts on it, verdict.c judges it.
 */
#ifndef DIPS_LAUNCH_COORDINATOR_STATE_H
#define DIPS_LAUNCH_COORDINATOR_STATE_H

#include "launch/coordinator.h"
#include "launch/hosts.h"
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
    hosts                      hosts; /* of a run that is elastic; else none */
    bool                       hosts_news; /* they are others than was told */
    char                       hostfile[CONFIG_PATH_MAX]; /* of those that are there; "": all */
    int                        workers;                   /* that the next start is to have */
    process                    mpirun;     /* of the workers; pid 0: none */
    int64_t                    mpirun_end; /* clock: seen to have ended; 0: not yet */
    int64_t                    mpirun_stop, watchdog_stop; /* clock: seen stopped; 0: it runs */
    int64_t                    started, beaten;
    uint32_t                   generation; /* how often the run has returned to a checkpoint */
    bool                       welcomed;   /* all are here, and know it */
    bool                       begun;      /* they were once */
    bool                       interrupted;
    bool                       exhausted; /* it has returned as often as it may */
    uint64_t                   dropped; /* messages that made no sense */
    member                    *blamed;  /* of whom the verdict speaks; NULL: of nobody's */
    bool                       died;    /* that one did so without a word */
    bool    ranks_died; /* mpirun ended, and may have said which rank went first */
    int64_t log_begin;  /* of this generation in mpirun's log */
} coordinator;

#endif
