/* gap - how much time passed, as an id that can be embedded.
 *
 *     0                            nothing was before: the first event of a history
 *     1 + floor(log2(1 + seconds)) else: 1 no second, 2 one or two, 3 three to six, ...
 *                                  11 about half an hour, 17 about a day
 *
 * A recurrent network sees the order of events, but not how far apart they are. */
#ifndef DIPS_WORKER_DATA_GAP_H
#define DIPS_WORKER_DATA_GAP_H

#include <stdint.h>

#define GAP_NONE    0
#define GAP_BUCKETS 65

/* Seconds between two times; 0 where `to` is not later. */
static inline uint64_t gap_seconds(int64_t from, int64_t to)
{
    return to > from ? (uint64_t)to - (uint64_t)from : 0;
}

/* The id of the gap between two times, 1 .. 64. */
static inline uint64_t gap_bucket(int64_t from, int64_t to)
{
    uint64_t seconds = gap_seconds(from, to);

    seconds += seconds < UINT64_MAX;
    return 64 - (uint64_t)__builtin_clzll(seconds);
}

#endif
