/* shard - the rows that one thread owns, and the clock they obey.
 *
 * A shard is a state machine: a message goes in, answers come out through a function
 * that its owner gives. It never waits, never reads a clock and never opens a socket,
 * so that a test (or a simulation) can run many of them in one thread.
 *
 * SAVE writes the state at its step while later steps are applied: it is answered with DONE
 * when it begins, and with SAVED when the file is on the disk. One is carried out at a time;
 * BEGIN gives it up. Such a file is a delta where SAVE names the step of its parent, which must
 * be that of the last SAVE or BEGIN: since then the shard knows which rows left.
 *
 * The clock is the number of steps applied. PULL(t) names the version it must see and
 * is parked until the clock is there; its answer is kept until its push is applied, so
 * a repeated request gets the same bytes. Step t is applied when all workers' PUSH(t)
 * are here and every pull below each worker's pulled_until that must see version t is
 * answered. READ, BIRTH and SAVE name the clock they want and are parked.
 *
 * train.mode: async. A push is applied when it comes (a worker's in their order), as a step
 * of its own: its gradients are divided by the samples of a whole step, which are its own and
 * those that the other workers' latest pushes told of (before their first one: as many as its
 * own); the penalty and the rule come once per row and push. So with full steps and plain SGD
 * the sum of a step's updates is that of sync. Tables are then at the front: one more than
 * the last step of which a push is applied. That is the step that touches rows, sets
 * learning rates and ages, and eviction takes its turn when it moves on. The clock is the
 * number of steps that all workers' pushes are applied of. PULL names the least clock that it
 * is answered at, and ROWS tells the clock that it was; a push whose gradients are not finite
 * is left out alone, since the others' may be applied already.
 *
 * Who waits for an answer gets one: a request whose version is past, or which cannot be
 * carried out, is answered with FAILED. What wire.h lets through but makes no sense
 * (unknown worker, wrong generation, a push whose counts are not its ticket's) is counted,
 * logged once per sender, and dropped. */
#ifndef DIPS_PS_SHARD_H
#define DIPS_PS_SHARD_H

#include <stdbool.h>

#include "common/net.h"
#include "common/schema.h"
#include "ps/pulse.h"

typedef struct shard shard;

/* How a SAVE is carried out: within shard_handle; or piece by piece in shard_idle, and in the
 * shard_handle of every so many bytes that follow, by the shard's thread alone or with one more
 * that writes (ps/cut.h). The file is the same. */
typedef enum { SAVE_AT_ONCE, SAVE_BY_PIECES, SAVE_IN_BACKGROUND } save_manner;

typedef struct shard_options {
    const config *config; /* lent, must outlive the shard */
    const schema *schema; /* lent */
    int           index, shards; /* this one, of how many in the run */
    const char   *counts; /* path of counts.safetensors; NULL: none; copied */
    save_manner   save;
    int           save_buckets; /* of a checkpoint in a piece at most; 0: as ps/cut.h says */

    /* Answers: send m (taken) to peer. */
    err_t (*send)(void *self, uint64_t peer, net_message *m);
    void *self;

    pulse pulse; /* beats while a message is handled for long: a checkpoint is read */
} shard_options;

MUST_CHECK err_t shard_new(shard **out, const shard_options *options);
void             shard_free(shard **s);

/* Take a message (m is taken). A bad message is dropped and is no error; a failure of
 * a request (a checkpoint that cannot be read) is answered with FAILED and is no error.
 * An error returned is the end of the shard: no memory for a step, or send failed. */
MUST_CHECK err_t shard_handle(shard *s, uint64_t peer, net_message *m);

/* A small piece of the work that may be done while nobody asks for anything: of a checkpoint,
 * or memory for coming rows. *more: whether there is more of it. */
MUST_CHECK err_t shard_idle(shard *s, bool *more);

/* Whether a checkpoint is being written: then shard_idle is to be called soon, even where it
 * had nothing to do. */
bool shard_is_saving(const shard *s);

/* Steps applied so far. */
int64_t shard_clock(const shard *s);

#endif
