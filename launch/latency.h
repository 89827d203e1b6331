/* latency - how long requests took, from the line that was read to the order of its candidates.
 */
#ifndef DIPS_LAUNCH_LATENCY_H
#define DIPS_LAUNCH_LATENCY_H

#include <stdint.h>

#include "common/vec.h"

/* All zero: no requests. latency_clear. */
typedef struct latency {
    VEC(int64_t) taken; /* ns, of each */
    int64_t  reading;   /* of all, for the line of JSON */
    uint64_t candidates;
} latency;

/* A request took `reading` ns to be understood and `ranking` ns more. */
MUST_CHECK err_t latency_add(latency *l, int64_t reading, int64_t ranking, int candidates);
void             latency_clear(latency *l);

/* Tell the distribution, in a line on standard error; nothing of no requests. */
void latency_print(latency *l);

#endif
