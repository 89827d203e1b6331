/* net_state - the sockets of a net; for common/net*.c alone, which alone include zmq.h.
 *
 * net.c has the context and its sockets, net_message.c the bytes on their way, net_curve.c the
 * keys, net_listener.c and net_link.c the two ends. */
#ifndef DIPS_COMMON_NET_STATE_H
#define DIPS_COMMON_NET_STATE_H

#include <pthread.h>
#include <zmq.h>

#include "common/net.h"

/* A closed net has one pair of keys, its listeners' and its links' alike. */
struct net {
    void         *context;
    bool          closed;
    unsigned char public_key[NET_KEY_BYTES];
    net_key       secret;
    void         *gate_socket; /* REP; the gate's alone */
    pthread_t     gate;
};

/* A socket and the send time-out that it has now. */
typedef struct net_socket {
    void *socket;
    int   send_timeout;
} net_socket;

/* ERR_SYSTEM: cannot do so at endpoint, for the reason that ZeroMQ tells. */
err_t net_failure(const char *doing, const char *endpoint);

/* ---- messages ---- */

/* Move m into the zmq_msg_t that will be sent; m is empty then, also on failure. */
MUST_CHECK err_t net_message_to_zmq(zmq_msg_t *to, net_message *m);

/* Move a received zmq_msg_t into m; from is closed, also on failure. */
MUST_CHECK err_t net_message_from_zmq(net_message *m, zmq_msg_t *from);

/* ---- sockets ---- */

/* A socket of the kind (ZMQ_ROUTER: one that listens) with everything bounded, neither bound
 * nor connected. */
MUST_CHECK err_t net_socket_open(net_socket *s, net *n, int kind, const char *endpoint);
void             net_socket_close(net_socket *s);

/* ---- waiting: deadlines outlast signals ---- */

int64_t net_deadline_in(int timeout_ms);

/* Milliseconds to deadline, rounded up, at least 0. */
int net_ms_left(int64_t deadline);

/* Wait until one of n sockets can be read. *ready: how many. */
MUST_CHECK err_t net_wait_readable(zmq_pollitem_t *items, int n, int64_t deadline, int *ready);

/* Send one part, waiting until deadline for room in its queue; zmq_errno() tells why not. */
bool net_send_part(net_socket *s, zmq_msg_t *part, int flags, int64_t deadline);

/* Receive the parts of the message that is next, without waiting: n parts at most into
 * parts (all initialised; the caller closes them). *found: how many parts it has; 0:
 * there is no message. */
MUST_CHECK err_t net_receive_parts(void *socket, zmq_msg_t *parts, int n, int *found);

/* ---- keys ---- */

/* Make n a closed net of the holders of key; net_curve_close when its context has ended, also
 * where this failed. */
MUST_CHECK err_t net_curve_open(net *n, const net_key *key);
void             net_curve_close(net *n);

/* Have the socket speak CurveZMQ, as the side that listens or the one that dials. */
bool net_curve_set_keys(net_socket *s, const net *n, bool listens);

#endif
