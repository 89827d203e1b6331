/* progress - one line on standard error that says how far a long piece of work is.
 *
 * On a terminal it renews itself five times a second; elsewhere a plain line appears
 * every ten seconds. */
#ifndef DIPS_LAUNCH_PREPARE_PROGRESS_H
#define DIPS_LAUNCH_PREPARE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"

typedef struct progress {
    const char         *what; /* "reading ratings.dat"; lent until the end */
    const clock_source *clock;
    int64_t             started, shown; /* times of clock */
    uint64_t            calls;
    bool                terminal, visible;
} progress;

void progress_begin(progress *p, const char *what);

/* done units of work ("samples") so far; part is what share of the whole that is, in
 * [0, 1], or negative where nobody knows. Cheap enough to call for every line.
 * ERR_INTERRUPT or ERR_TERMINATE after a signal. */
MUST_CHECK err_t progress_tell(progress *p, uint64_t done, const char *unit, double part);

/* Take the renewed line away. */
void progress_end(progress *p);

#endif
