/* The context of a process, its sockets, and waiting for them. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "common/net_state.h"

#define LINGER_MS     2000 /* last messages get this long to leave a closed socket */
#define QUEUE         256  /* messages in a peer's queue before its sender waits */
#define UNREAD        16   /* messages of a peer that a listener holds unread */
#define BACKLOG       1024 /* connections that the kernel holds for a listener */
#define RECONNECT_MS  50
#define RECONNECT_MAX 1000
#define SOCKETS_MAX   4096
#define KEEPALIVE_S   60
#define HANDSHAKE_MS  10000 /* a connection gets this long to become a peer */
#define NEVER_SET     (-2) /* no time-out of ours */

err_t net_failure(const char *doing, const char *endpoint)
{
    return err_set(ERR_SYSTEM, "cannot %s %s: %s", doing, endpoint, zmq_strerror(zmq_errno()));
}

/* ---- sockets ---- */

void net_socket_close(net_socket *end)
{
    if (end->socket)
        zmq_close(end->socket);
    end->socket = NULL;
}

/* A socket of the kind with everything bounded. Peers are unknown machines until
 * wire.h has checked what they say: NET_MESSAGE_MAX is all that one may announce. The
 * kernel's buffers are left to the kernel, which grows them as needed: fixed ones of 4 MB
 * were not faster over loopback. */
err_t net_socket_open(net_socket *end, net *n, int kind, const char *endpoint)
{
    const struct {
        int name, value;
    } options[] = {
        {ZMQ_LINGER, LINGER_MS},
        {ZMQ_SNDHWM, QUEUE},
        {ZMQ_RCVHWM, kind == ZMQ_ROUTER ? UNREAD : QUEUE},
        {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_RECONNECT_IVL, RECONNECT_MS},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_S},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
    };
    const int64_t biggest = NET_MESSAGE_MAX;

    *end = (net_socket){zmq_socket(n->context, kind), NEVER_SET};
    if (!end->socket)
        return net_failure("make a socket for", endpoint);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (zmq_setsockopt(end->socket, options[i].name, &options[i].value, sizeof(int)) != 0)
            goto fail;
    if (zmq_setsockopt(end->socket, ZMQ_MAXMSGSIZE, &biggest, sizeof biggest) != 0)
        goto fail;
    if (n->closed && !net_curve_set_keys(end, n, kind == ZMQ_ROUTER))
        goto fail;
    return OK;
fail:
    net_failure("set up a socket for", endpoint);
    net_socket_close(end);
    return ERR_SYSTEM;
}

/* ---- waiting ---- */

int64_t net_deadline_in(int timeout_ms)
{
    return clock_now(clock_monotonic()) + timeout_ms * NS_PER_MS;
}

/* Milliseconds to deadline, rounded up, at least 0. */
int net_ms_left(int64_t deadline)
{
    int64_t left = deadline - clock_now(clock_monotonic());

    return left > 0 ? (int)((left + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

/* Wait until one of n sockets can be read. *ready: how many. */
err_t net_wait_readable(zmq_pollitem_t *items, int n, int64_t deadline, int *ready)
{
    while ((*ready = zmq_poll(items, n, net_ms_left(deadline))) < 0)
        if (zmq_errno() != EINTR)
            return err_set(ERR_SYSTEM, "cannot wait for messages: %s",
                           zmq_strerror(zmq_errno()));
    return OK;
}

/* Send one part, waiting until deadline for room in its queue; zmq_errno() tells why not. */
bool net_send_part(net_socket *end, zmq_msg_t *part, int flags, int64_t deadline)
{
    int wait = ZMQ_DONTWAIT; /* first without a time-out to set */

    while (zmq_msg_send(part, end->socket, flags | wait) < 0) {
        int cause = zmq_errno(), left = net_ms_left(deadline);
        if ((cause != EAGAIN && cause != EINTR) || left == 0) {
            errno = cause;
            return false;
        }
        if (left != end->send_timeout &&
            zmq_setsockopt(end->socket, ZMQ_SNDTIMEO, &left, sizeof left) != 0)
            return false;
        end->send_timeout = left;
        wait              = 0;
    }
    return true;
}

/* Receive the parts of the message that is next, without waiting: n parts at most into
 * parts (all initialised; the caller closes them). *found: how many parts it has; 0:
 * there is no message. */
err_t net_receive_parts(void *socket, zmq_msg_t *parts, int n, int *found)
{
    bool more = true;

    for (int i = 0; i < n; i++)
        zmq_msg_init(&parts[i]);
    for (*found = 0; more; ++*found) {
        zmq_msg_t *part = &parts[*found < n ? *found : n - 1];
        while (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
            if (zmq_errno() == EAGAIN && *found == 0)
                return OK;
            if (zmq_errno() != EINTR)
                return err_set(ERR_SYSTEM, "cannot receive: %s", zmq_strerror(zmq_errno()));
        }
        more = zmq_msg_more(part);
    }
    return OK;
}

/* ---- the context ---- */

/* What glibc maps anew for a message, or gives back behind it, comes page by page, zeroed
 * by the kernel: that took as long as carrying the message. Both limits are glibc's
 * largest or beyond any message. */
static void keep_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

err_t net_new(net **out)
{
    net *n = calloc(1, sizeof *n);

    *out = NULL;
    if (!n)
        return err_memory(sizeof *n, "the network");
    keep_memory();
    n->context = zmq_ctx_new();
    if (!n->context) {
        free(n);
        return err_set(ERR_SYSTEM, "cannot start ZeroMQ: %s", zmq_strerror(zmq_errno()));
    }
    zmq_ctx_set(n->context, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
    *out = n;
    return OK;
}

err_t net_new_closed(net **out, const net_key *key)
{
    TRY(net_new(out));
    err_t err = net_curve_open(*out, key);
    if (err != OK)
        net_free(out);
    return err;
}

void net_free(net **n)
{
    if (!*n)
        return;
    while (zmq_ctx_term((*n)->context) != 0 && zmq_errno() == EINTR)
        ;
    net_curve_close(*n);
    free(*n);
    *n = NULL;
}
