/* recovery - a run goes on after a death: it returns to its newest checkpoint.
 *
 * A server that died or froze is started again alone; the others stay, and drop all they hold
 * when the workers tell them to begin anew (BEGIN). Where only servers are lost the workers
 * stay, too: WELCOME of the next generation has each leave what it waits for (comm_renew). Else
 * their mpirun is ended and started anew. Either way they find the newest checkpoint as any
 * resumed run does. What is still on its way bears the generation that was, and is dropped.
 *
 * By sync and pipelined training the run ends with the bits of one that was never disturbed:
 * between two checkpoints nothing is decided but by the seed and the step. */
#ifndef DIPS_LAUNCH_RECOVERY_H
#define DIPS_LAUNCH_RECOVERY_H

#include "launch/coordinator_state.h"

/* After the verdict err: OK once the dead have successors that start. Where the run cannot
 * return (nobody of the job died; it had not begun; its processes were started by others;
 * cluster.max_restarts are used up) err and its sentence as they were. reap(c) is called
 * while waiting for processes to end. */
MUST_CHECK err_t recovery_return(coordinator *c, err_t err, void (*reap)(void *self));

/* Before WELCOME of a later generation: that no worker ended its work while it was called. */
MUST_CHECK err_t recovery_check_workers(coordinator *c);

/* Put into the report of a failed job that it had returned as often as it may. */
void recovery_explain(const coordinator *c, err_report *report);

#endif
