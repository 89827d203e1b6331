/* A peer's way to the listeners it knows: a DEALER for each. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/net_state.h"

struct net_link {
    transport       transport;
    int             n;    /* endpoints */
    int             next; /* the one to look at first: all get their turn */
    net_socket     *ends; /* (n) DEALER */
    zmq_pollitem_t *poll; /* (n) */
};

static err_t link_send(void *self, int to, net_message *m, int timeout_ms)
{
    net_link *l        = self;
    int64_t   deadline = net_deadline_in(timeout_ms);
    zmq_msg_t body;
    err_t     err = OK;

    assert(to >= 0 && to < l->n);
    TRY(net_message_to_zmq(&body, m));
    if (!net_send_part(&l->ends[to], &body, 0, deadline)) {
        if (zmq_errno() == EAGAIN || zmq_errno() == EINTR)
            err = err_set(ERR_TIMEOUT, "listener %d reads nothing for %d ms", to, timeout_ms);
        else
            err = err_set(ERR_SYSTEM, "cannot send to listener %d: %s", to,
                          zmq_strerror(zmq_errno()));
    }
    zmq_msg_close(&body);
    return err;
}

/* Take the next message of any listener if there is one; messages of several parts are
 * thrown away. */
static err_t link_take(net_link *l, int *from, net_message *m)
{
    for (int i = 0; i < l->n && !m->data; i++) {
        zmq_msg_t part;
        int       n   = 0;
        int       k   = (l->next + i) % l->n;
        err_t     err = net_receive_parts(l->ends[k].socket, &part, 1, &n);
        if (err == OK && n == 1)
            err = net_message_from_zmq(m, &part);
        else
            zmq_msg_close(&part);
        TRY(err);
        *from = k;
    }
    if (m->data)
        l->next = (*from + 1) % l->n;
    return OK;
}

static err_t link_receive(void *self, int *from, net_message *m, int timeout_ms)
{
    net_link *l        = self;
    int64_t   deadline = net_deadline_in(timeout_ms);
    int       ready    = 0;

    *m = (net_message){0};
    for (bool late = false;; late = net_ms_left(deadline) == 0) {
        TRY(link_take(l, from, m));
        if (m->data || late)
            return OK;
        TRY(net_wait_readable(l->poll, l->n, deadline, &ready));
        if (!ready)
            return OK;
    }
}

err_t net_dial(net_link **out, net *n, int n_endpoints, const char *const *endpoints)
{
    net_link *l   = calloc(1, sizeof *l);
    err_t     err = OK;

    *out = NULL;
    if (!l)
        return err_memory(sizeof *l, "a link");
    l->transport = (transport){
        .self = l, .peers = n_endpoints, .send = link_send, .receive = link_receive};
    l->ends = calloc((size_t)n_endpoints + 1, sizeof *l->ends);
    l->poll = calloc((size_t)n_endpoints + 1, sizeof *l->poll);
    if (!l->ends || !l->poll)
        err = err_memory((size_t)n_endpoints * sizeof *l->poll, "a link");
    for (int i = 0; err == OK && i < n_endpoints; i++, l->n++) {
        err = net_socket_open(&l->ends[i], n, ZMQ_DEALER, endpoints[i]);
        if (err == OK && zmq_connect(l->ends[i].socket, endpoints[i]) != 0) {
            err = net_failure("dial", endpoints[i]);
            net_socket_close(&l->ends[i]);
        }
        l->poll[i] = (zmq_pollitem_t){.socket = l->ends[i].socket, .events = ZMQ_POLLIN};
    }
    if (err != OK)
        net_link_close(&l);
    *out = l;
    return err;
}

void net_link_close(net_link **l)
{
    if (!*l)
        return;
    for (int i = 0; i < (*l)->n; i++)
        net_socket_close(&(*l)->ends[i]);
    free((*l)->ends);
    free((*l)->poll);
    free(*l);
    *l = NULL;
}

const transport *net_link_transport(net_link *l)
{
    return &l->transport;
}
