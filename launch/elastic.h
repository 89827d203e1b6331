/* elastic - a run whose hosts come and go (cluster.elastic).
 *
 * Before processes are started, the first time and after a return, every host of the hostfile
 * is asked by the launcher that would start them (`true`, all side by side, each with a
 * deadline). Servers of hosts that do not answer are started elsewhere, and as many workers as
 * there is room for: a step is train.batch samples all the same, dealt to those who are there.
 */
#ifndef DIPS_LAUNCH_ELASTIC_H
#define DIPS_LAUNCH_ELASTIC_H

#include "launch/coordinator_state.h"

/* Find out which hosts are there, into c->hosts, and for how many workers, into c->workers.
 * Nothing where the run is not elastic. reap(c) is called meanwhile. ERR_DEATH where no host
 * answers. */
MUST_CHECK err_t elastic_look(coordinator *c, void (*reap)(void *self));

/* Tell what is new about it: a line for the user, and one in metrics.jsonl. */
MUST_CHECK err_t elastic_tell(coordinator *c);

/* Whether m, a server, was started on a host that is not there any more. */
bool elastic_has_lost(const coordinator *c, const member *m);

#endif
