/* starter - starts the servers and workers of a job, the first time and again. */
#ifndef DIPS_LAUNCH_STARTER_H
#define DIPS_LAUNCH_STARTER_H

#include "launch/coordinator_state.h"

/* Start server index, or all workers, as processes of the run's generation. Their places
 * among the members are free. */
MUST_CHECK err_t starter_server(coordinator *c, int index);
MUST_CHECK err_t starter_workers(coordinator *c);

/* Start `true` on a host, the i-th one that is asked, by the launcher that would start others
 * there. */
MUST_CHECK err_t starter_question(coordinator *c, const char *host, int i, process *p);

#endif
