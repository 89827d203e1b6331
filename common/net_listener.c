/* One end that many peers reach: a ROUTER. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/net_state.h"

struct net_listener {
    net_socket end; /* ROUTER */
    char       endpoint[NET_ENDPOINT_MAX];
};

err_t net_listen(net_listener **out, net *n, const char *endpoint)
{
    const int     on = 1;
    size_t        size;
    net_listener *l = calloc(1, sizeof *l);

    if (!l)
        return err_memory(sizeof *l, "a listener");
    err_t err = net_socket_open(&l->end, n, ZMQ_ROUTER, endpoint);
    if (err != OK)
        goto out;
    size = sizeof l->endpoint;
    if (zmq_setsockopt(l->end.socket, ZMQ_ROUTER_MANDATORY, &on, sizeof on) != 0 ||
        zmq_bind(l->end.socket, endpoint) != 0 ||
        zmq_getsockopt(l->end.socket, ZMQ_LAST_ENDPOINT, l->endpoint, &size) != 0)
        err = net_failure("listen at", endpoint);
out:
    if (err != OK)
        net_listener_close(&l);
    *out = l;
    return err;
}

void net_listener_close(net_listener **l)
{
    if (!*l)
        return;
    net_socket_close(&(*l)->end);
    free(*l);
    *l = NULL;
}

const char *net_listener_endpoint(const net_listener *l)
{
    return l->endpoint;
}

/* ---- peers ---- */

/* A ROUTER names its peers by 5 bytes: a zero and a number. A peer that chose a name of
 * its own is none of ours. */
#define NAME_BYTES 5

static bool unpack_peer(uint64_t *peer, const zmq_msg_t *name)
{
    const unsigned char *bytes = zmq_msg_data((zmq_msg_t *)(uintptr_t)name);
    uint32_t             number;

    if (zmq_msg_size(name) != NAME_BYTES || bytes[0] != 0)
        return false;
    memcpy(&number, bytes + 1, sizeof number);
    *peer = number;
    return true;
}

static err_t pack_peer(zmq_msg_t *name, uint64_t peer)
{
    uint32_t number = (uint32_t)peer;

    if (zmq_msg_init_size(name, NAME_BYTES) != 0)
        return err_memory(NAME_BYTES, "a peer's name");
    unsigned char *bytes = zmq_msg_data(name);
    bytes[0]             = 0;
    memcpy(bytes + 1, &number, sizeof number);
    return OK;
}

/* ---- messages ---- */

/* Take the next message if there is one; what is not of the form (name, bytes) is
 * thrown away. */
static err_t listener_take(net_listener *l, uint64_t *peer, net_message *m)
{
    zmq_msg_t parts[2];
    int       n   = 0;
    err_t     err = net_receive_parts(l->end.socket, parts, 2, &n);

    if (err == OK && n == 2 && unpack_peer(peer, &parts[0]))
        err = net_message_from_zmq(m, &parts[1]);
    else
        zmq_msg_close(&parts[1]);
    zmq_msg_close(&parts[0]);
    return err;
}

err_t net_listener_receive(net_listener *l, uint64_t *peer, net_message *m, int timeout_ms)
{
    zmq_pollitem_t item     = {.socket = l->end.socket, .events = ZMQ_POLLIN};
    int64_t        deadline = net_deadline_in(timeout_ms);
    int            ready    = 0;

    *m = (net_message){0};
    for (bool late = false;; late = net_ms_left(deadline) == 0) {
        TRY(listener_take(l, peer, m));
        if (m->data || late)
            return OK;
        TRY(net_wait_readable(&item, 1, deadline, &ready));
        if (!ready)
            return OK;
    }
}

err_t net_listener_send(net_listener *l, uint64_t peer, net_message *m, int timeout_ms)
{
    int64_t   deadline = net_deadline_in(timeout_ms);
    zmq_msg_t name, body;
    err_t     err = OK;

    TRY(net_message_to_zmq(&body, m));
    err = pack_peer(&name, peer);
    if (err != OK)
        goto out;
    if (!net_send_part(&l->end, &name, ZMQ_SNDMORE, deadline) ||
        !net_send_part(&l->end, &body, 0, deadline)) {
        if (zmq_errno() == EAGAIN || zmq_errno() == EINTR)
            err = err_set(ERR_TIMEOUT, "a peer of %s reads nothing for %d ms", l->endpoint,
                          timeout_ms);
        else if (zmq_errno() != EHOSTUNREACH)
            err = net_failure("send from", l->endpoint);
    }
    zmq_msg_close(&name);
out:
    zmq_msg_close(&body);
    return err;
}
