#include "common/clock.h"

#include <time.h>

static int64_t now_of(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t monotonic_now(void *self)
{
    (void)self;
    return now_of(CLOCK_MONOTONIC);
}

static int64_t thread_now(void *self)
{
    (void)self;
    return now_of(CLOCK_THREAD_CPUTIME_ID);
}

const clock_source *clock_monotonic(void)
{
    static const clock_source source = {.now = monotonic_now};
    return &source;
}

const clock_source *clock_of_thread(void)
{
    static const clock_source source = {.now = thread_now};
    return &source;
}
