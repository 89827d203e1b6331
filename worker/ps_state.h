/* ps_state - the inside of a client: what its files share (ps_client.h is the outside). */
#ifndef DIPS_WORKER_PS_STATE_H
#define DIPS_WORKER_PS_STATE_H

#include "common/wire.h"
#include "worker/ps_client.h"
#include "worker/push_log.h"

/* Encode the message for shard; what is the request's own. */
typedef err_t encoder(net_message *m, const wire_header *h, const ps_client *c, int shard,
                      const void *what);

/* What PULL, READ and BIRTH tell. */
typedef struct ids_wanted {
    int64_t       version;
    const id_set *sets;
} ids_wanted;

/* What a PUSH tells. */
typedef struct gradients_made {
    int64_t        pulled_until;
    const ps_part *part;
    const id_set  *sets;
} gradients_made;

/* A request to all shards and what they answered. */
typedef struct exchange {
    wire_kind     request; /* WIRE_NONE: this place is free */
    uint64_t      step;    /* of the header of the request and of its answers */
    encoder      *encode;  /* makes the request, once more if need be, of what */
    const void   *what;
    ids_wanted    wanted; /* a PULL's what */
    uint64_t      version;
    uint64_t      oldest;  /* version of the rows that came */
    int           missing; /* shards that have not answered yet */
    double        timeout_s;
    net_message  *answers; /* (shards) data is NULL until there is one, and once it is used */
    const id_set *sets;    /* whose rows are asked for; NULL: none are */
    real         *room;    /* (room_size) for rows that are not read where they came */
    size_t        room_size;
} exchange;

struct ps_client {
    ps_client_options options;
    int               shards;
    exchange         *pulls; /* (in_flight) a pull is kept until its push */
    exchange          call;  /* the request of a function that waits */
    exchange          save;  /* a checkpoint under way; call waits for its begin */
    wire_text         save_text;
    char              save_folder[CONFIG_PATH_MAX];
    int64_t           save_news; /* clock: of its last answer */
    uint64_t          asked; /* numbers the calls that are of no step */
    push_log          pushed; /* what the shards may not have applied yet */
    net_message       push;  /* where gradients are written that travel as they are */
    real             *room;  /* (room_size) for other gradients */
    size_t            room_size;
    bool             *complained; /* (shards) a bad message was logged */
    ps_traffic        traffic;
};

/* Whether rows and gradients lie in the messages as the worker uses them. */
static inline bool ps_in_place(const ps_client *c)
{
    return c->shards == 1 && c->options.values == PRECISION_FP32;
}

/* ---- ps_room.c: rows and gradients of several shards lie in rooms ---- */

/* The tables' pieces, (n, dim) each, of a room that is big enough. */
void ps_place_pieces(real **pieces, const schema *s, const id_set *sets, real *at);

/* See that the room, of *size reals, is big enough; what is in it may be lost. */
MUST_CHECK err_t ps_reserve_room(real **room, size_t *size, const schema *s,
                                 const id_set *sets);

/* ---- ps_messages.c: what is sent ---- */

wire_header ps_header(const ps_client *c, wire_kind kind, uint64_t step);

encoder ps_encode_begin;   /* a wire_begin */
encoder ps_encode_save;    /* a wire_text */
encoder ps_encode_stats;   /* nothing */
encoder ps_encode_ids;     /* an ids_wanted: of each set the shard's piece */
encoder ps_encode_nothing; /* an ids_wanted, of which the version counts alone: no ids */
encoder ps_encode_push;    /* a gradients_made: the shard's piece of those in c->room */

/* What is pushed to shard, tables without values. */
wire_push ps_push_to(const ps_client *c, int shard, const id_set *sets);
void      ps_tell_part(wire_push *p, int64_t pulled_until, const ps_part *part);

/* The message for shard, which is returned. */
MUST_CHECK err_t ps_make(const ps_client *c, wire_kind kind, uint64_t step, int shard,
                         encoder *encode, const void *what, net_message *m);

/* m is taken. */
MUST_CHECK err_t ps_send(ps_client *c, wire_kind kind, uint64_t step, int shard,
                         net_message *m);

/* ---- exchange.c: asking all shards, and waiting for what they answer ---- */

/* sets: whose rows the answers bring, or NULL. */
MUST_CHECK err_t exchange_open(const ps_client *c, exchange *x, wire_kind request,
                               uint64_t step, uint64_t version, const id_set *sets);
void             exchange_close(const ps_client *c, exchange *x);

/* Let go of the answers. */
void exchange_clear(const ps_client *c, exchange *x);

/* The open exchange of a request, or NULL. */
exchange *exchange_find(ps_client *c, wire_kind request, uint64_t step);

/* Send the request of x, whose encoder and what are set here, to all shards. */
MUST_CHECK err_t exchange_ask(ps_client *c, exchange *x, encoder *encode, const void *what);

/* Wait until all shards have answered x; each answer that comes is news. */
MUST_CHECK err_t exchange_await(ps_client *c, exchange *x);

/* Ask all shards and wait for their answers in c->call, which stays open. */
MUST_CHECK err_t exchange_call(ps_client *c, wire_kind request, uint64_t step,
                               uint64_t version, const id_set *sets, encoder *encode,
                               const void *what);

/* The error that names who has not answered x. */
err_t exchange_tell_silence(const ps_client *c, const exchange *x);

/* The error that a shard tells, as this thread's. */
err_t ps_failure(int from, const wire_text *t);

#endif
