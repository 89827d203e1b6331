/* control - a process's tie to its coordinator, held by a thread of its own.
 *
 * The thread says HELLO, sends a BEAT with the progress of the computing thread every half
 * second, and listens. A coordinator that is silent for heartbeat_timeout, or that says END
 * because the job failed, ends the process at once, wherever its other threads are: files
 * are written so that a process may end at any moment. END after a signal is a wish
 * (control_stop), END with status 0 is the orderly end (control_wait_end). */
#ifndef DIPS_LAUNCH_CONTROL_H
#define DIPS_LAUNCH_CONTROL_H

#include <stdint.h>

#include "common/net.h"
#include "common/wire.h"

typedef struct control control;

typedef struct control_options {
    const char        *coordinator; /* its endpoint */
    wire_role          role;
    uint32_t           index;
    uint32_t           generation;  /* of the run; HELLO and what follows bears it */
    int                n_endpoints; /* of a server: its shards */
    const char *const *endpoints;
    double             heartbeat_timeout; /* seconds */
    const char        *key;               /* the file that n's key is from; NULL: it has none */
} control_options;

/* Dial and begin; options are lent for the call. control_close. */
MUST_CHECK err_t control_open(control **out, net *n, const control_options *options);

/* A WELCOME: the generation that begins with it, and where its shards are, in order. */
typedef struct control_welcome {
    uint32_t     generation;
    int          n;
    const char **endpoints; /* (n) in one piece with their texts; free */
} control_welcome;

/* Wait for WELCOME of that generation or a later one; the newest is returned. */
MUST_CHECK err_t control_wait_welcome(control *c, uint32_t generation, control_welcome *w,
                                      double timeout_s);

/* The generation of the newest WELCOME; 0 before the first. */
uint32_t control_generation(const control *c);

/* Tell how far the computing thread is: any number that changes while it lives. */
void control_progress(control *c, int64_t progress);

/* OK, or ERR_INTERRUPT or ERR_TERMINATE once the coordinator has passed a signal on. */
err_t control_stop(control *c);

/* Wait up to timeout_s for END with status 0; *ended tells whether it came. */
void control_wait_end(control *c, double timeout_s, bool *ended);

/* Say BYE with a status and a text, and let go. */
void control_close(control **c, int status, const char *text);

#endif
