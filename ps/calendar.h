/* calendar - at which step which day of the data began.
 *
 * A row remembers the step that touched it last, not the time. Days are those of the data's
 * own `time` (seconds of UTC, 86,400 a day): the latest of all samples so far, so that a
 * sample that comes late does not turn time back. Only steps that begin a day are kept, and
 * of days that are old enough for eviction only the last. */
#ifndef DIPS_PS_CALENDAR_H
#define DIPS_PS_CALENDAR_H

#include <stdint.h>

#include "common/vec.h"

/* Before this step the data were of earlier days. */
typedef struct calendar_day {
    int64_t day;  /* since 1970-01-01 */
    int64_t step; /* the first of this day */
} calendar_day;

/* All zero: empty. calendar_clear. Days and steps ascend. */
typedef struct calendar {
    VEC(calendar_day) days;
} calendar;

void calendar_clear(calendar *c);

/* The latest sample of step is of time (WIRE_NO_TIME: it has none). idle_days: what
 * calendar_idle will be asked for. Steps come in ascending order. */
MUST_CHECK err_t calendar_note(calendar *c, int64_t step, int64_t time, int idle_days);

/* How many of the run's first steps lie before the last idle_days days of the data and the day
 * in front of those: a row that only these touched is idle. 0: none do. */
int64_t calendar_idle(const calendar *c, int idle_days);

#endif
