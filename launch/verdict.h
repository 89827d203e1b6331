/* verdict - whether a job still lives, and if not, who is to blame. */
#ifndef DIPS_LAUNCH_VERDICT_H
#define DIPS_LAUNCH_VERDICT_H

#include "launch/coordinator_state.h"

/* See which processes have ended or stand still. */
void verdict_look(coordinator *c);

/* OK, or what ended the job: the sentence of a process that failed, or one that names who
 * died, froze or never came. To be asked after all messages have been taken. */
MUST_CHECK err_t verdict_find(coordinator *c);

/* Whether m beats, but a thread of its that should work does not live. */
bool verdict_hangs(const coordinator *c, member *m);

/* Once mpirun has ended, better the report of a worker's death: mpirun alone knows which rank
 * went first, and how. */
void verdict_explain(coordinator *c, err_report *report);

/* The code whose exit status a process ended with. */
err_t verdict_code(int status);

/* Whether that status is of a wish to end (a signal) that all workers shared. */
bool verdict_by_signal(int status);

/* Whether all members of role have said HELLO; BYE. */
bool verdict_all_here(const coordinator *c, wire_role role);
bool verdict_all_gone(const coordinator *c, wire_role role);

#endif
