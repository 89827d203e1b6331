/* eviction - which rows leave a table after a step.
 *
 * When step t is applied, and only then, in this order:
 *
 *   sweep   of bucket t mod 4096 leave the rows that idle_steps or more steps did not touch,
 *           those that no step of the last idle_days days and the day before touched, and
 *           those whose L2 norm is below min_norm
 *   shed    of every bucket with more rows than max_bytes allows leave those that were
 *           touched longest ago (of equal ones the smallest ids), until it is 1/64 below
 *           that limit, so that it does not happen at every step
 *
 * The limit is the same for all buckets: the most rows with which the row store, by its own
 * account, takes no more than max_bytes on all servers together, where each bucket has that
 * many, and a 64th more in the mean for a moment: a step bears its rows before others leave.
 * Rows that an answered pull names whose step is still to come are held: they stay until
 * another time. So after every step a table has at most max_bytes of rows, and beyond them
 * only rows that are held; more shards begin more huge pages. An id that comes back is born
 * again.
 *
 * What is evicted depends on the bucket, its rows, and the steps of the run alone. */
#ifndef DIPS_PS_EVICTION_H
#define DIPS_PS_EVICTION_H

#include "common/arena.h"
#include "ps/table.h"

/* Ids and rows of a ticket whose step is still to come. */
typedef struct eviction_hold {
    size_t          n;
    const uint64_t *ids;
    const uint32_t *rows; /* ROW_NONE, ROW_REFUSED: no row */
} eviction_hold;

/* Whether rows ever leave by this configuration. */
bool eviction_wanted(const evict_config *c);

/* The most rows that a bucket may have by max_bytes (above 0), where a row has so many reals
 * of weights and state, and always fewer than the row store holds; 0: none has room. */
uint32_t eviction_most_rows(int64_t max_bytes, int reals);

/* Work out t->most_rows. ERR_CONFIG where max_bytes has no room for a row in each bucket. */
MUST_CHECK err_t eviction_init(table *t);

/* Let rows leave after the step before the table's clock; *evicted is increased by their
 * number. scratch is the caller's to reset. */
MUST_CHECK err_t eviction_apply(table *t, const eviction_hold *holds, int n_holds,
                                arena *scratch, uint64_t *evicted);

#endif
