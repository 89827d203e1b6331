/* times - where the time of training went.
 *
 * The phases of the computing thread follow one another: together they are the seconds of
 * the steps but for what the loop itself takes. The reading thread works beside them; where
 * it is too slow, `read` tells.
 *
 * A pull is in flight from when it was sent until its rows are at hand; the part of that
 * time in which the worker did something else is hidden. `sync` hides nothing. */
#ifndef DIPS_WORKER_TIMES_H
#define DIPS_WORKER_TIMES_H

#include <stddef.h>

#include "common/metrics.h"

/* Sums over steps; of one worker, in seconds where nothing else is said. */
typedef struct times {
    double steps;
    double samples; /* of the whole steps, all workers' */
    double seconds;

    double read; /* waiting for a batch */
    double rows; /* asking for rows, and waiting for them */
    double forward;
    double backward;
    double push;   /* sending gradients of rows */
    double reduce; /* summing dense gradients over workers; waiting for slower ones */
    double update; /* of dense weights */

    double reader_read;     /* of the reading thread: samples copied into batches */
    double reader_distinct; /* of the reading thread: their ids made distinct */

    double in_flight; /* of pulls */
    double waited;    /* the part of it that was not hidden */
    double behind;    /* steps that were not yet in the rows that a step saw */
} times;

/* A number of a times, as metrics.jsonl has it. */
typedef struct times_part {
    const char *key;
    const char *phase; /* the name of a phase of the computing thread; NULL: none */
    size_t      at;    /* in a times */
} times_part;

#define TIMES_PARTS 15
extern const times_part times_parts[TIMES_PARTS];

static inline double times_get(const times *t, const times_part *part)
{
    return *(const double *)((const char *)t + part->at);
}

/* *sum += *t. */
void times_add(times *sum, const times *t);

/* What came to *now since it was *before. */
times times_since(const times *now, const times *before);

/* Samples a second; how many steps the rows were behind, in the mean; which share of the
 * time that pulls were in flight was hidden. NaN where there were none. */
double times_speed(const times *t);
double times_staleness(const times *t);
double times_overlap(const times *t);

/* All parts, and the three above, as fields of a line. */
#define TIMES_FIELDS (TIMES_PARTS + 3)
void times_fields(metrics_field fields[TIMES_FIELDS], const times *t);

/* "read 1 %, rows 5 %, ..., update 2 %" of the seconds, and what pulls were like where they
 * ran ahead: "; rows 1.9 steps behind, 97 % of their way hidden". */
void times_describe(const times *t, char *text, size_t size);

#endif
