/* bench - what programs that measure share: time, memory, the machine that they ran on. */
#ifndef DIPS_TESTS_BENCH_BENCH_H
#define DIPS_TESTS_BENCH_BENCH_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/err.h"

/* What fails ends the program, in words. */
static inline void must(err_t err)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, err_text());
    exit(err_exit_status(err));
}

/* ---- time ---- */

static inline int64_t now(void)
{
    return clock_now(clock_monotonic());
}

static inline double seconds_since(int64_t began)
{
    return clock_seconds(clock_monotonic(), began);
}

/* From one of these to another. */
static inline double wall_seconds(void)
{
    return (double)now() * 1e-9;
}

/* Seconds of a processor by a clock of clock_gettime. */
static inline double worked_seconds(clockid_t clock)
{
    struct timespec t = {0};

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Of this thread: what other programs take from it does not count. */
static inline double thread_seconds(void)
{
    return worked_seconds(CLOCK_THREAD_CPUTIME_ID);
}

/* Of all threads of this process. */
static inline double process_seconds(void)
{
    return worked_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* Doubles, for qsort. */
static inline int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- the machine ---- */

/* What a file of /proc says behind key, in bytes of the kB that it counts; 0: nothing. */
static inline double proc_bytes(const char *path, const char *key)
{
    char   line[256];
    double kb = 0;
    FILE  *f  = fopen(path, "r");

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)))
            kb = strtod(line + strlen(key) + 1, NULL);
    if (f)
        fclose(f);
    return kb * 1024;
}

/* A number of /proc/self/status: VmRSS, what is resident; VmHWM, the most that was. */
static inline double status_bytes(const char *key)
{
    return proc_bytes("/proc/self/status", key);
}

static inline double memory_available(void)
{
    return proc_bytes("/proc/meminfo", "MemAvailable");
}

static inline void print_machine(void)
{
    char           line[256], model[256] = "unknown processor\n";
    double         load[1] = {0};
    struct utsname system;
    FILE          *f = fopen("/proc/cpuinfo", "r");

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10))
            snprintf(model, sizeof model, "%s", strchr(line, ':') + 2);
    if (f)
        fclose(f);
    uname(&system);
    (void)getloadavg(load, 1);
    printf("machine: %.*s, %ld cores, %.1f GiB free, Linux %s, load %.2f\n",
           (int)strcspn(model, "\n"), model, sysconf(_SC_NPROCESSORS_ONLN),
           memory_available() / (1 << 30), system.release, load[0]);
}

/* ---- pauses ---- */

/* A thread that only looks at the clock, on another core, and the longest that it could not: so
 * much of a pause is the machine's. */
typedef struct spinner {
    pthread_t       thread;
    atomic_bool     ends;
    _Atomic int64_t longest; /* ns; may be set back to 0 */
} spinner;

static inline void *spinner_run(void *self)
{
    spinner *s = self;

    for (int64_t last = now(), t; !atomic_load_explicit(&s->ends, memory_order_relaxed);
         last         = t) {
        t = now();
        if (t - last > atomic_load_explicit(&s->longest, memory_order_relaxed))
            atomic_store_explicit(&s->longest, t - last, memory_order_relaxed);
    }
    return NULL;
}

static inline void spinner_start(spinner *s)
{
    *s = (spinner){.longest = 0};
    if (pthread_create(&s->thread, NULL, spinner_run, s))
        must(err_set(ERR_SYSTEM, "no thread that looks at the clock"));
}

static inline void spinner_stop(spinner *s)
{
    atomic_store(&s->ends, true);
    pthread_join(s->thread, NULL);
}

#endif
