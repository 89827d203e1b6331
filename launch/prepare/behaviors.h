/* behaviors - what users did, in order, and the histories that their samples have.
 *
 * A log of events (somebody bought, rated, clicked an item) is sorted by user and time in
 * bounded memory; each user's events then come back as a list, and a sample at the time of one
 * of them keeps the newest ones before it. */
#ifndef DIPS_LAUNCH_PREPARE_BEHAVIORS_H
#define DIPS_LAUNCH_PREPARE_BEHAVIORS_H

#include <math.h>

#include "launch/prepare/catalog.h"
#include "launch/prepare/output.h"
#include "launch/prepare/sorter.h"

typedef struct behavior {
    uint64_t user;
    int64_t  time;
    uint64_t number; /* its place in the file breaks ties of time */
    uint64_t item;   /* its number in a catalog */
    uint64_t what;   /* an id that says more: of a rating, of a kind of event */
} behavior;

/* By user, time and place in the file: a sorter_order. */
int behavior_order(const void *a, const void *b);

/* Call take(self, events, n) with the events of each user, in the sorter's order (lent). n_all
 * events there are is what the progress line compares with. */
MUST_CHECK err_t behaviors_each_user(sorter *sorted, uint64_t n_all,
                                     err_t (*take)(void *self, const behavior *events,
                                                   size_t n),
                                     void *self);

/* The numbers of a history's columns; -1: it has none. */
typedef struct history_columns {
    int offsets, item, cate, what, time, negative_item, negative_cate;
} history_columns;

typedef struct history_writer {
    history_columns at;
    const catalog  *items; /* lent, as it is when the first history is written */
    size_t          max_len;
    int64_t         seconds; /* older events are left out; 0: none is */
    negatives_kind  negatives;
    uint64_t        seed; /* of them */
    VEC(uint64_t) ids, negative_ids;
    VEC(int64_t) times;
} history_writer;

/* Write what a sample at time now keeps of the n events (of one user) before it. A negative
 * belongs to its event: it is the same in every sample. */
MUST_CHECK err_t history_write(history_writer *h, shard_writer *w, const behavior *events,
                               size_t n, int64_t now);
void             history_clear(history_writer *h);

#define PREPARE_FLAG_HISTORY_DAYS(at)                                                          \
    {                                                                                          \
        "history-days", FLAG_REAL, &(at), .max = 36500,                                        \
                                          .help = "leave events older than so many days out; " \
                                                  "0: none. A configuration can as well, "     \
                                                  "but counts.safetensors would count them"    \
    }

static inline int64_t seconds_of_days(double days)
{
    return llround(days * 86400);
}

#endif
