#include "launch/prepare/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "launch/signals.h"

#define CALLS_PER_LOOK 256 /* at the clock */

void progress_begin(progress *p, const char *what)
{
    const clock_source *clock = clock_monotonic();
    int64_t             now   = clock_now(clock);

    *p = (progress){.what     = what,
                    .clock    = clock,
                    .started  = now,
                    .shown    = now,
                    .terminal = isatty(STDERR_FILENO)};
}

static void show(progress *p, uint64_t done, const char *unit, double part)
{
    double seconds = clock_seconds(p->clock, p->started);

    fprintf(stderr, "%s%s: %llu %s, %.0f/s", p->terminal ? "\r\033[K" : "", p->what,
            (unsigned long long)done, unit, seconds > 0 ? (double)done / seconds : 0.0);
    if (part > 0 && part <= 1)
        fprintf(stderr, ", %.0f %%, %.0f s left", 100 * part, seconds * (1 - part) / part);
    if (!p->terminal)
        fputc('\n', stderr);
    fflush(stderr);
    p->visible = p->terminal;
}

err_t progress_tell(progress *p, uint64_t done, const char *unit, double part)
{
    if (p->calls++ % CALLS_PER_LOOK != 0)
        return OK;
    int64_t now = clock_now(p->clock);
    if (now - p->shown >= (p->terminal ? NS_PER_S / 5 : 10 * NS_PER_S)) {
        p->shown = now;
        show(p, done, unit, part);
    }
    err_t stop = signals_stop();
    return stop == OK ? OK : err_add(stop, "nothing was kept");
}

void progress_end(progress *p)
{
    if (p->visible)
        fputs("\r\033[K", stderr);
    p->visible = false;
}
