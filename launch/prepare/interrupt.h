/* interrupt - Ctrl-C and TERM as an error that travels up like any other, so that what
 * was begun is cleaned away on the way out. */
#ifndef DIPS_LAUNCH_PREPARE_INTERRUPT_H
#define DIPS_LAUNCH_PREPARE_INTERRUPT_H

#include "common/err.h"

/* From now on SIGINT and SIGTERM are noted; a second one ends the process at once.
 * SIGXFSZ is ignored: a file that may not grow is an error of the write. */
void interrupt_watch(void);

/* ERR_INTERRUPT or ERR_TERMINATE after a signal. */
MUST_CHECK err_t interrupt_check(void);

#endif
