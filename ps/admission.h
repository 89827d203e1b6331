/* admission - which ids without a row earn one.
 *
 * An id without a row that is in samples of a step is an applicant of that step. One of
 * three decides, when the step is applied and for each applicant on its own:
 *
 *   exact     a counter for each id that waits (ps/tally.h): admitted in the step that
 *             brings it to min_count samples; memory grows with the ids that wait
 *   sketch    a counting sketch (ps/sketch.h): the same in bounded memory, but of
 *             rarer ids the share false_positive may be admitted early
 *   chance    the stream (seed, RNG_ADMIT, salt of the table + step, id) draws below
 *             probability
 *
 * All applicants of a step are compared with the counters before the step, and only then
 * are they counted, so the order of ids does not matter, nor do other buckets. Who is
 * admitted is counted no more; an exact counter is forgotten, so that an evicted id begins
 * at 0, while a sketch forgets nothing. (What admit.counter: dataset refuses is no
 * applicant: ps/table.h.) */
#ifndef DIPS_PS_ADMISSION_H
#define DIPS_PS_ADMISSION_H

#include <stdbool.h>

#include "common/config.h"
#include "ps/sketch.h"
#include "ps/tally.h"

/* How the ids of a table without a row are counted; one is used, or none. */
typedef struct admission {
    const admit_config *config; /* lent */
    uint64_t            salt, seed;
    tally              *waiting; /* NULL: not exact */
    sketch              sketch;  /* at NULL: none */
} admission;

/* An applicant of a step. */
typedef struct applicant {
    uint64_t id;
    uint32_t samples; /* of the step, with the id */
} applicant;

/* Whether c has applicants: a row is earned by a running count or by chance. */
bool admission_by_step(const admit_config *c);

/* For the buckets first .. end-1, all counters zero; admission_clear. */
MUST_CHECK err_t admission_init(admission *a, const admit_config *c, uint64_t salt,
                                uint64_t seed, uint32_t first, uint32_t end);
void             admission_clear(admission *a);

/* All counters zero. */
MUST_CHECK err_t admission_reset(admission *a);

/* Decide on the applicants all[n] of a step, each id once. Those who are admitted are moved
 * to the front, *admitted of them, with all samples counted so far. */
MUST_CHECK err_t admission_step(admission *a, uint64_t step, applicant *all, size_t n,
                                size_t *admitted);

/* Bytes of memory of the counters. */
uint64_t admission_bytes(const admission *a);

#endif
