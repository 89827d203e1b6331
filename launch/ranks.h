/* ranks - a worker process: its place among the workers, its ties, its part of the task. */
#ifndef DIPS_LAUNCH_RANKS_H
#define DIPS_LAUNCH_RANKS_H

#include "launch/launch.h"

/* This process's rank and the number of ranks in the mpirun that started it; 0 of 1 where
 * none did. */
void ranks_place(int *rank, int *size);

/* Join the other ranks, or nobody where mpirun did not start this process; comm_close. Waits
 * among them last longer than step_timeout, so that the coordinator first tells which of them
 * hangs. */
MUST_CHECK err_t ranks_join(comm **workers, const config *c);

/* Be a worker of the run whose coordinator listens at the endpoint. workers is taken: where
 * it is NULL, the ranks are joined once the coordinator knows this process. A failure is
 * told to the coordinator, who tells the user; it is returned too. After a failure that
 * other ranks do not share, MPI ends this process. */
MUST_CHECK err_t ranks_work(const launch *l, const char *coordinator, comm **workers);

/* Tell the coordinator that a process could not begin: err and its sentence. key: the file
 * with the run's; NULL: none. */
void ranks_refuse(const char *coordinator, const char *key, int role, int index,
                  uint32_t generation, err_t err);

#endif
