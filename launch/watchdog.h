/* watchdog - a small process that ends the job when the coordinator dies or freezes.
 *
 * The coordinator sees every death but its own. Its watchdog holds the other end of a pipe:
 * the pipe closes when the coordinator dies, however that comes about, and falls silent
 * when it hangs. Then the watchdog says so, ends what is left of the job, and cleans up. */
#ifndef DIPS_LAUNCH_WATCHDOG_H
#define DIPS_LAUNCH_WATCHDOG_H

#include "launch/leftovers.h"
#include "launch/process.h"
#include "launch/run_folder.h"

typedef struct watchdog {
    process process;
    int     pipe; /* -1: none */
} watchdog;

/* Begin; to be called while this process has no threads yet. l, its endpoint not yet known,
 * and folder are what to clean up; timeout_s of silence are a death. watchdog_end. */
MUST_CHECK err_t watchdog_start(watchdog *w, const leftovers *l, const run_folder *folder,
                                double timeout_s);

/* Tell it the coordinator's endpoint. */
void watchdog_tell_endpoint(watchdog *w, const char *endpoint);

/* The coordinator lives. To be called at least twice a second. */
void watchdog_beat(watchdog *w);

/* All is cleaned up: the watchdog goes. */
void watchdog_end(watchdog *w);

#endif
