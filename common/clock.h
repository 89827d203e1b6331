/* clock - time as an argument, so that a test can replay it.
 *
 * Whoever waits takes a clock. clock_monotonic() is the machine's; a test brings
 * its own now(). What must not depend on others at work takes the thread's. Times are
 * nanoseconds from an arbitrary start. */
#ifndef DIPS_COMMON_CLOCK_H
#define DIPS_COMMON_CLOCK_H

#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

typedef struct clock_source {
    int64_t (*now)(void *self);
    void *self;
} clock_source;

/* CLOCK_MONOTONIC; lent for ever. */
const clock_source *clock_monotonic(void);

/* CPU time of the thread that asks; lent for ever. */
const clock_source *clock_of_thread(void);

static inline int64_t clock_now(const clock_source *clock)
{
    return clock->now(clock->self);
}

/* Seconds from since (a clock_now) to now. */
static inline double clock_seconds(const clock_source *clock, int64_t since)
{
    return (double)(clock_now(clock) - since) * 1e-9;
}

#endif
