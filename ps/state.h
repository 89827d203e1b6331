/* state - the inside of a shard: what its handlers share (ps/shard.h is the outside).
 *
 * A worker has a ring of tickets, one per step that it may have pulled and the clock has
 * not passed: step t's stands at t mod TICKETS. A ticket goes FREE -> WAITING (its pull
 * wants a version that is still to come) -> ANSWERED, gets its push, and is FREE again
 * once the clock passes its step. */
#ifndef DIPS_PS_STATE_H
#define DIPS_PS_STATE_H

#include "common/arena.h"
#include "common/vec.h"
#include "common/wire.h"
#include "ps/cut.h"
#include "ps/eviction.h"
#include "ps/shard.h"
#include "ps/table.h"
#include "ps/update.h"

#define TICKETS    WIRE_TICKETS
#define NOTED_MOST 16 /* senders of bad messages that are told apart in the log */

typedef enum { TICKET_FREE, TICKET_WAITING, TICKET_ANSWERED } ticket_state;

typedef struct ticket {
    ticket_state state;
    wire_header  asked; /* of the pull */
    uint64_t     version;
    uint64_t     peer;         /* who asked last */
    uint64_t     pulled_until; /* as its push told */
    net_message  pull;         /* the ids; they serve until the step is applied */
    net_message  reply;        /* kept where the rows may change before the push comes */
    net_message  push;         /* data NULL: not here yet */
    VEC(uint32_t) rows;        /* what the ids mean, table by table (ps/table.h) */
} ticket;

/* A message on its way through the shard. Who keeps message leaves it empty. */
typedef struct incoming {
    uint64_t    peer;
    wire_header header;
    net_message message;
} incoming;

/* async: how far a worker is. */
typedef struct pace {
    uint64_t next;    /* its first step whose push is not applied */
    bool     heard;   /* a push of it came */
    double   samples; /* that the last one told of */
} pace;

/* A READ, BIRTH or SAVE that waits for the clock. */
typedef struct parked {
    uint64_t version;
    incoming in;
} parked;

/* A SAVE that is being carried out. */
typedef struct saving {
    cut        *cut; /* NULL: none is */
    wire_header asked;
    uint64_t    peer; /* who asked last */
    int64_t     credit; /* bytes that may be packed between two messages (saving.c) */
    bool        ended; /* well: what was answered is kept for who asks again */
    wire_saved  saved;
} saving;

struct shard {
    shard_options options;
    safetensors  *counts; /* mapped; NULL: none */
    int           n_tables;
    table        *tables;

    int64_t  generation; /* of the last BEGIN; -1: none came */
    bool     begun;      /* it was carried out */
    int      workers;
    bool     async;       /* train.mode */
    uint64_t clock;       /* steps applied; async: by all workers */
    uint64_t front;       /* async: 1 + the last step of which a push is applied */
    pace    *paces;       /* (workers) async's */
    ticket  *tickets;     /* (workers, TICKETS) */
    VEC(parked) parked;
    saving   saving;
    uint64_t noted_since; /* step: rows that left since are noted (ps/table.h) */

    uint64_t dropped;    /* messages */
    uint64_t refused, admitted, evicted; /* gradients, ids and rows since BEGIN */
    VEC(uint64_t) noted; /* peers whose first bad message is in the log */
    update_part *parts;  /* (tables, workers) of the step being applied */
    const uint16_t **halves; /* (tables, workers) their gradients, where they came as bf16 */
    arena        scratch;
};

/* The first step whose push of worker is not applied. */
static inline uint64_t shard_next(const shard *s, uint32_t worker)
{
    return s->async ? s->paces[worker].next : s->clock;
}

static inline ticket *shard_ticket(const shard *s, uint32_t worker, uint64_t step)
{
    return &s->tickets[(size_t)worker * TICKETS + step % TICKETS];
}

/* Give back what the ticket holds of a step. */
void ticket_release(ticket *t);

/* Drop all tickets and parked messages. */
void shard_forget(shard *s);

/* Count a message that repeats what was done already, which is how a worker makes sure that
 * it was: no reason for words. */
static inline err_t shard_repeated(shard *s)
{
    s->dropped++;
    return OK;
}

/* Hand an opened message, which is taken, to its handler; what makes no sense is counted and
 * dropped, and the first of a sender is logged. */
MUST_CHECK err_t shard_dispatch(shard *s, incoming *in);

/* ---- step.c ---- */

/* The clock, the tables' too, is at `clock`. */
void step_set_clock(shard *s, uint64_t clock);

/* Apply every step that is complete, and after each of them serve who waited for it. async:
 * no step is applied as a whole. */
MUST_CHECK err_t step_advance(shard *s);

/* A push of worker came: apply what can be applied now. */
MUST_CHECK err_t step_push(shard *s, uint32_t worker);

/* ---- holds.c ---- */

/* What the tickets of steps beyond the clock's, n of them, hold of a table: rows that no
 * eviction may take. In s->scratch. */
MUST_CHECK err_t holds_find(shard *s, int number, eviction_hold **holds, int *n);

/* ---- saving.c ---- */

/* Do a piece of the checkpoint under way, if there is one; answer who asked when it is done. */
MUST_CHECK err_t save_advance(shard *s, bool *more);

/* The same after a message of `bytes` bytes, if it is time for it. */
MUST_CHECK err_t save_advance_after(shard *s, size_t bytes);

/* Give it up, unanswered. */
void save_abandon(shard *s);

/* ---- handlers.c: one per kind. ERR_MESSAGE: the message is to be dropped ---- */

MUST_CHECK err_t handle_begin(shard *s, incoming *in);
MUST_CHECK err_t handle_pull(shard *s, incoming *in);
MUST_CHECK err_t handle_read(shard *s, incoming *in);
MUST_CHECK err_t handle_birth(shard *s, incoming *in);
MUST_CHECK err_t handle_push(shard *s, incoming *in);
MUST_CHECK err_t handle_save(shard *s, incoming *in);
MUST_CHECK err_t handle_stats(shard *s, incoming *in);

/* An answer bears the generation and the step of what was asked. */
wire_header answer_header(const shard *s, wire_kind kind, const wire_header *asked);

MUST_CHECK err_t answer(shard *s, uint64_t peer, net_message *m);

/* Tell the asker this thread's error, whose code is failure. */
MUST_CHECK err_t answer_failed(shard *s, uint64_t peer, const wire_header *asked,
                               err_t failure);

/* Makes the answer m to a request whose version is now; none yet where m stays empty. */
typedef err_t carry_out_function(shard *s, const incoming *in, net_message *m);

/* Carry a request out at its version: now, or when the clock is there. */
MUST_CHECK err_t answer_at(shard *s, incoming *in, uint64_t version,
                           carry_out_function *carry_out);

/* Answer a pull whose version is now. */
MUST_CHECK err_t answer_pull(shard *s, ticket *t);

#endif
