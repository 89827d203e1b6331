/* by_hand - `mpirun -n N dips train ...` typed by a person: the ranks become the workers.
 *
 * Rank 0 first forks the coordinator, which opens the run folder and starts the servers;
 * its endpoint and the folder's name go through a pipe to rank 0, and from there to all. */
#ifndef DIPS_LAUNCH_BY_HAND_H
#define DIPS_LAUNCH_BY_HAND_H

#include "launch/start.h"

/* Be one of the ranks (or, in the process that rank 0 forks, the coordinator). l->folder is
 * not known yet; cluster.workers is the number of ranks. The coordinator alone says what
 * went wrong: the ranks' own words go to the logs. */
MUST_CHECK err_t by_hand_run(launch *l, const start_options *options);

/* For what every rank finds and one may say: on ranks other than 0 standard error leads
 * nowhere from now on, and rank 0 is given the time to end first. */
void by_hand_let_rank_0_speak(void);

#endif
