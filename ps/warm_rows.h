/* warm_rows - the rows that a shard begins with because init.from says so.
 *
 * A row is born as if a step had its id, then takes over its weights, and the state of the
 * update rule where that is the same. It counts as touched by no step. Where the penalty
 * counts as it goes (penalty.count: running), counts go on; exact ones are those of the data
 * at hand. An id that this run would refuse (admit.min_count, counter: dataset) gets no row.
 * Counters of ids without a row begin anew. */
#ifndef DIPS_PS_WARM_ROWS_H
#define DIPS_PS_WARM_ROWS_H

#include "ps/pulse.h"
#include "ps/table.h"

/* Fill the tables of a shard, which are empty and at clock 0, from c->init.from; p beats now
 * and then. */
MUST_CHECK err_t warm_rows_read(const config *c, table *tables, int n_tables, const pulse *p);

#endif
