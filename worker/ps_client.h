/* ps_client - a worker's side of the parameter server.
 *
 * Speaks wire.h over a transport to the shards. Requests to all shards leave at once;
 * answers are matched by (generation, step, shard), never by arrival; what is late, comes
 * twice or is bad is dropped. A wire that loses, repeats or reorders messages changes no
 * bit: a wait sends its request anew, and the pushes that may be missing before it, after
 * repeat_s, then after twice as long, and so on (the shards take each once). No wait goes on
 * for longer than timeout_s without an answer of some shard, and who was silent is named
 * (ERR_TIMEOUT). Where a shard answers FAILED, functions return its error, code and sentence;
 * after an error of any function but ps_save_begin and ps_save_end the client is good for
 * ps_client_free alone.
 *
 * With one shard rows are read, and gradients written, where they travel; several shards'
 * pieces, and bf16 ones, are brought together in memory of the client. */
#ifndef DIPS_WORKER_PS_CLIENT_H
#define DIPS_WORKER_PS_CLIENT_H

#include "common/clock.h"
#include "common/manifest.h"
#include "common/net.h"
#include "common/schema.h"
#include "common/wire.h"
#include "worker/data/id_set.h"

typedef struct ps_client ps_client;

typedef struct ps_client_options {
    const transport    *transport; /* peers are the shards; lent */
    const clock_source *clock;
    const schema       *schema;
    uint32_t            generation;
    int                 worker, workers;
    int                 in_flight; /* steps pulled and not pushed at most: staleness + 1 */
    precision_kind      values;    /* cluster.values: the type of rows and gradients sent */
    bool                async;     /* rows may be of later versions than what a pull names */
    double              timeout_s;
    double              checkpoint_timeout_s; /* the same of BEGIN and SAVE; 0: timeout_s */
    double              repeat_s;             /* of a wait, before it asks again; 0: 1 s */
    err_t (*check)(void *self); /* asked every 100 ms of a wait; not OK ends it. NULL: none */
    void *self;
} ps_client_options;

MUST_CHECK err_t ps_client_new(ps_client **out, const ps_client_options *options);
void             ps_client_free(ps_client **c);

/* Make all shards hold the cut in folder (NULL: the empty start), at clock step. Worker 0
 * alone calls it, before any other request; the others wait for it by a barrier. */
MUST_CHECK err_t ps_begin(ps_client *c, const char *folder, int64_t step);

/* Ask for the rows of sets[n_tables] for step, as of version. Does not wait for them; sets are
 * lent until its ps_push. */
MUST_CHECK err_t ps_pull(ps_client *c, int64_t step, int64_t version, const id_set *sets);

/* Wait for the rows of a pull. rows[t]: (sets[t].n, dim of t), lent until its ps_push. */
MUST_CHECK err_t ps_rows(ps_client *c, int64_t step, const id_set *sets, real **rows);

/* The version that the rows of a pull are of, the oldest where shards differ: the one that it
 * named, or under async a later one. After its ps_rows. */
int64_t ps_rows_version(ps_client *c, int64_t step);

/* Room for the gradients of a step whose rows came, all 0: gradients[t], (sets[t].n, dim
 * of t), sums over the part's samples; lent until its ps_push. One step at a time. */
MUST_CHECK err_t ps_gradients(ps_client *c, int64_t step, const id_set *sets, real **gradients);

/* A worker's part of a step, besides its gradients. */
typedef struct ps_part {
    double  samples; /* the sum of their weights */
    int64_t time;    /* the latest of them, seconds; WIRE_NO_TIME: they have none */
    bool    finite;  /* all gradients are */
} ps_part;

/* Send the gradients of the step, which lie in the room of ps_gradients. pulled_until: all
 * steps below are pulled. Does not wait. */
MUST_CHECK err_t ps_push(ps_client *c, int64_t step, int64_t pulled_until, const ps_part *part,
                         const id_set *sets);

/* Wait until all steps below version, which is the drain point's, are applied by every shard,
 * so that no push of this worker is missing to those who wait for them. */
MUST_CHECK err_t ps_drain(ps_client *c, int64_t version);

/* The rows as of version without a ticket: for evaluation. Waits. rows as in ps_rows, lent
 * until the next request that waits. */
MUST_CHECK err_t ps_read(ps_client *c, int64_t version, const id_set *sets, real **rows);

/* Make rows, at their birth values, of ids that have none. Waits. */
MUST_CHECK err_t ps_birth(ps_client *c, int64_t version, const id_set *sets);

/* Have each shard write its file of the cut at step into folder: a delta upon the checkpoint at
 * parent, or -1: a full one. Returns when all shards have begun, and later steps may go on. One
 * at a time. What failed to begin is told by ps_save_end. */
MUST_CHECK err_t ps_save_begin(ps_client *c, int64_t step, int64_t parent, const char *folder);

/* Whether all shards are done, so that ps_save_end would not wait; what they say is heard in
 * the waits of other functions. ERR_TIMEOUT as if one waited. */
MUST_CHECK err_t ps_save_is_done(ps_client *c, bool *done);

/* Wait until all shards are done, also where one of them failed. files[n_shards] are filled
 * (caller's). */
MUST_CHECK err_t ps_save_end(ps_client *c, manifest_file *files);

typedef struct ps_stats {
    uint64_t rows, bytes, dropped; /* over all shards; common/wire.h says what they are */
    uint64_t refused, admitted, evicted;
} ps_stats;
/* Ask all shards how they are. Waits. */
MUST_CHECK err_t ps_client_stats(ps_client *c, ps_stats *stats);

/* Bytes of this worker's messages so far, heads included, and how many were sent again. */
typedef struct ps_traffic {
    uint64_t sent, received;
    uint64_t repeated;
} ps_traffic;
ps_traffic ps_client_traffic(const ps_client *c);

#endif
