#include "common/clock.h"

#include <time.h>

static int64_t monotonic_now(void *self)
{
    struct timespec t;

    (void)self;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

const clock_source *clock_monotonic(void)
{
    static const clock_source source = {.now = monotonic_now};
    return &source;
}
