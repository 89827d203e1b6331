/* id_set - the distinct ids of a batch, table by table.
 *
 * Distinct ids are sorted by bucket, and within a bucket stand in the order of their
 * first occurrence: an order that does not depend on the number of shards, in which
 * each shard's ids are one piece. Found through a table that is cleared by raising an
 * epoch number, not by writing it. */
#ifndef DIPS_WORKER_DATA_ID_SET_H
#define DIPS_WORKER_DATA_ID_SET_H

#include "common/arena.h"
#include "common/schema.h"
#include "worker/data/batch.h"

typedef struct id_set {
    int       n;           /* distinct ids */
    uint64_t *ids;         /* (n) */
    uint32_t *samples;     /* (n) in how many of the batch's samples each occurs */
    int      *shard_begin; /* (shards+1) shard k has ids shard_begin[k] .. shard_begin[k+1]-1 */
} id_set;

/* The scratch that makes sets; id_maker_free. */
typedef struct id_maker id_maker;

MUST_CHECK err_t id_maker_new(id_maker **out, const schema *s, int shards);
void             id_maker_free(id_maker **m);

/* Fill sets[n_tables] and every slot's `distinct` from b. Arrays are the arena's. */
MUST_CHECK err_t id_maker_make(id_maker *m, batch *b, arena *a, id_set *sets);

/* sets[n_tables] of bare ids, n[t] of them for table t (duplicates allowed), without a
 * batch: for births. samples is all 0. */
MUST_CHECK err_t id_maker_make_bare(id_maker *m, const uint64_t *const *ids, const size_t *n,
                                    arena *a, id_set *sets);

#endif
