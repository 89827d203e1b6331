/* console - what a person sees of a training run: one line that renews itself.
 *
 * On a terminal the line is written over again a few times a second; elsewhere a plain
 * line comes every ten seconds or so. Only worker 0 has one. */
#ifndef DIPS_WORKER_CONSOLE_H
#define DIPS_WORKER_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/metrics.h"

typedef struct console {
    FILE               *to;
    const clock_source *clock;
    bool                terminal;
    int                 columns;
    int64_t             first_step, last_step, epoch_steps; /* of this call's training */
    int64_t             started, printed; /* clock */
    bool                line_open;        /* a renewed line stands unended */
} console;

/* to: NULL for a console that prints nothing. */
void console_init(console *c, FILE *to, const clock_source *clock, bool terminal, int columns,
                  int64_t first_step, int64_t last_step, int64_t epoch_steps);

/* steps_done steps of the run are done: show progress if it is time. loss: mean over the last
 * steps. */
void console_step(console *c, int64_t steps_done, double loss, double samples_per_s);

/* A result on a line of its own: step and metrics. */
void console_evaluation(console *c, int64_t step, const char *split, const metrics *m);

/* End a renewed line, so that other text may follow. */
void console_end_line(console *c);

/* "1 h 02 min", "3 min 20 s", "12 s"; text has room for 32 bytes. */
void console_duration(char *text, double seconds);

#endif
