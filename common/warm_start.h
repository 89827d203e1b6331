/* warm_start - what a run begins with that another run has learned.
 *
 * init.from names a checkpoint, init.only the tables and dense parameters that are taken from
 * it (names or patterns; without it all that both have). Rows come with the state of their
 * update rule where both tables have the same rule, and with a new state elsewhere; dense
 * parameters likewise. Models, shards, schedules and further options may differ; widths may
 * not. Servers and workers each read their part; what both need to decide is here. */
#ifndef DIPS_COMMON_WARM_START_H
#define DIPS_COMMON_WARM_START_H

#include "common/saved_cut.h"

/* Whether init.only lets name be taken. */
bool warm_start_wants(const config *c, const char *name);

typedef struct warm_table {
    bool                  there, wanted;
    bool                  state;  /* of the update rule */
    const manifest_table *theirs; /* lent by the cut; NULL: not there */
} warm_table;

static inline bool warm_table_taken(const warm_table *t)
{
    return t->there && t->wanted;
}

/* What of table is taken from the cut. ERR_CONFIG where its rows have another width. */
MUST_CHECK err_t warm_start_table(warm_table *out, const saved_cut *from, const config *c,
                                  const table_config *table);

/* Whether the state of dense parameters means the same here as there. */
bool warm_start_dense_state(const saved_cut *from, const config *c);

/* ERR_CONFIG where a pattern of init.only meets none of the n names: those that both runs
 * have. */
MUST_CHECK err_t warm_start_check_patterns(const config *c, const saved_cut *from, int n,
                                           const char *const *names);

/* init.from becomes the path of the very checkpoint that it means now, so that all processes
 * of the run, and those to come, take the same. */
MUST_CHECK err_t warm_start_settle(config *c);

#endif
