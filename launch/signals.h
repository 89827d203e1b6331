/* signals - Ctrl-C and kill as a wish that the program looks at where it suits.
 *
 * The first SIGINT, SIGTERM or SIGHUP is remembered; whoever waits or steps asks for it.
 * With the log's, the only process-wide state of dips. */
#ifndef DIPS_LAUNCH_SIGNALS_H
#define DIPS_LAUNCH_SIGNALS_H

#include <stdbool.h>

#include "common/err.h"

/* Catch them from now on, and ignore SIGPIPE and SIGXFSZ, so that what cannot be written is an
 * error. second_ends: the second signal ends the process at once, with 128 + its number. */
void signals_catch(bool second_ends);

/* OK, or ERR_INTERRUPT (SIGINT) or ERR_TERMINATE (the others) with a sentence. */
err_t signals_stop(void);

/* How many came. */
int signals_count(void);

#endif
