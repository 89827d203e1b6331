/* announce - what a coordinator tells the others. */
#ifndef DIPS_LAUNCH_ANNOUNCE_H
#define DIPS_LAUNCH_ANNOUNCE_H

#include "launch/coordinator_state.h"

/* Whether m has come and not gone. */
bool announce_reaches(const member *m);

/* END to m. */
void announce_end(coordinator *c, member *m, int status, const char *text);

/* BEAT to all and to the watchdog, where it is time. */
void announce_beats(coordinator *c);

/* All are here: WELCOME to all, with the generation of the run and where the shards are. */
MUST_CHECK err_t announce_welcome(coordinator *c);

#endif
