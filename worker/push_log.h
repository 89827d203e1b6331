/* push_log - the pushes that a shard may not have applied yet, kept to be sent once more.
 *
 * Nothing answers a PUSH. That one was applied is known when the shard answers with rows of
 * a later version; until then its bytes are kept (shared with the wire, not copied), and go
 * out again where an awaited answer does not come. A shard takes each push once, whatever
 * number of times it arrives. */
#ifndef DIPS_WORKER_PUSH_LOG_H
#define DIPS_WORKER_PUSH_LOG_H

#include "common/net.h"

typedef struct push_kept {
    uint64_t    step;
    net_message message; /* data NULL: this place is free */
} push_kept;

typedef struct push_log {
    int        shards, places; /* steps kept at most, of each shard */
    push_kept *kept;           /* (shards, places) step t at t mod places */
} push_log;

MUST_CHECK err_t push_log_init(push_log *l, int shards, int places);
void             push_log_clear(push_log *l);

/* Keep the bytes of m, which is shard's push of step and sent afterwards. ERR_MESSAGE if the
 * push of `places` steps ago is still kept. */
MUST_CHECK err_t push_log_keep(push_log *l, int shard, uint64_t step, net_message *m);

/* The shard has applied all steps below version. */
void push_log_applied(push_log *l, int shard, uint64_t version);

/* Whether nothing is kept. */
bool push_log_empty(const push_log *l);

/* The next push of shard that is kept, from place *at (0 at first) on: m is returned, *step
 * is its step. None: m->data is NULL. */
MUST_CHECK err_t push_log_next(push_log *l, int shard, int *at, uint64_t *step, net_message *m);

#endif
