/* silence - how long someone has not been heard.
 *
 * Time in which the listener itself was held up (stopped, or without a core) does not
 * count: nobody could have been heard then. */
#ifndef DIPS_LAUNCH_SILENCE_H
#define DIPS_LAUNCH_SILENCE_H

#include "common/clock.h"

typedef struct silence {
    int64_t heard, looked; /* clock */
} silence;

static inline void silence_heard(silence *s, int64_t now)
{
    s->heard = s->looked = now;
}

/* Seconds of silence until now. To be asked many times a second. */
static inline double silence_seconds(silence *s, int64_t now)
{
    if (now - s->looked > NS_PER_S)
        s->heard += now - s->looked;
    s->looked = now;
    return (double)(now - s->heard) * 1e-9;
}

#endif
