/* net - messages between processes and threads, over ZeroMQ; the only home of zmq.h.
 *
 * A listener is one end that many peers reach (a shard, the coordinator); a link is a
 * peer's way to the n listeners it knows. Endpoints are inproc://NAME within a
 * process, ipc://@NAME (abstract sockets) or tcp://HOST:* (the kernel chooses the
 * port). Big messages are sent without a copy; queues are bounded, and who finds a
 * queue full waits until its deadline. Nothing here believes a message: common/wire.h
 * checks it.
 *
 * Shards are fed by whoever owns the listener and clients see only `struct transport`,
 * so a test can put a simulated network between them. */
#ifndef DIPS_COMMON_NET_H
#define DIPS_COMMON_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/net_key.h"

#define NET_ENDPOINT_MAX 256
#define NET_MESSAGE_MAX  ((INT64_C(1) << 32) + 4096) /* bytes; who announces more is cut off */

/* Bytes on their way. data is 8-byte aligned. */
typedef struct net_message {
    unsigned char *data;
    size_t         size;
    void          *owner; /* net.c's: what data lies in */
} net_message;

/* size bytes, not cleared; net_message_clear, or give it to a send. */
MUST_CHECK err_t net_message_new(net_message *m, size_t size);
void             net_message_clear(net_message *m);

/* Another message of the same bytes, which are not copied and must not be changed from
 * now on; they live as long as one of the two. */
MUST_CHECK err_t net_message_share(net_message *to, net_message *from);

/* The sockets of one process; net_free when all its listeners and links are closed. From
 * the first net on, the process keeps the memory of messages up to 32 MB for the next
 * ones instead of giving it back to the system. */
typedef struct net net;

MUST_CHECK err_t net_new(net **out);
void             net_free(net **n);

/* The same for holders of key (which is copied): over tcp and ipc all is CurveZMQ. Listeners
 * let in who proves to hold the key, links speak to such listeners alone; who holds none gets
 * no answer, and nobody learns that he tried. inproc is within the process and as it was.
 * ERR_SYSTEM where ZeroMQ was built without CURVE. */
MUST_CHECK err_t net_new_closed(net **out, const net_key *key);

/* ---- listener ---- */

typedef struct net_listener net_listener;

/* Listen at endpoint; a tcp port of * is chosen by the kernel. ERR_SYSTEM names the
 * endpoint and the cause (a port that is taken). */
MUST_CHECK err_t net_listen(net_listener **out, net *n, const char *endpoint);
void             net_listener_close(net_listener **l);

/* Where the listener really is, as peers may dial it; lent. */
const char *net_listener_endpoint(const net_listener *l);

/* Wait up to timeout_ms for a message; *peer names its sender until that one
 * disconnects. The message is returned. No message: OK with m->data == NULL. */
MUST_CHECK err_t net_listener_receive(net_listener *l, uint64_t *peer, net_message *m,
                                      int timeout_ms);

/* Send to peer; m is taken, also on failure. A peer that is gone drops it silently; a
 * peer that does not read for timeout_ms is an ERR_TIMEOUT. */
MUST_CHECK err_t net_listener_send(net_listener *l, uint64_t peer, net_message *m,
                                   int timeout_ms);

/* ---- transport: a peer's side ---- */

typedef struct transport {
    void *self;
    int   peers; /* listeners that can be reached: 0 .. peers-1 */

    /* Send to listener to; m is taken, also on failure. */
    err_t (*send)(void *self, int to, net_message *m, int timeout_ms);

    /* Wait up to timeout_ms for a message of any listener; *from names it. No message:
     * OK with m->data == NULL. */
    err_t (*receive)(void *self, int *from, net_message *m, int timeout_ms);
} transport;

typedef struct net_link net_link;

/* Dial n endpoints (a dial never waits: who is not there yet is dialled again). */
MUST_CHECK err_t net_dial(net_link **out, net *n, int n_endpoints,
                          const char *const *endpoints);
void             net_link_close(net_link **l);

/* The link as a transport; lent until net_link_close. */
const transport *net_link_transport(net_link *l);

#endif
