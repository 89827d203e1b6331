#include "common/net.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

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

#define Z85_BYTES 41 /* a key as ZeroMQ writes it */

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
typedef struct socket_end {
    void *socket;
    int   send_timeout;
} socket_end;

struct net_listener {
    socket_end end; /* ROUTER */
    char       endpoint[NET_ENDPOINT_MAX];
};

struct net_link {
    transport       transport;
    int             n;    /* endpoints */
    int             next; /* the one to look at first: all get their turn */
    socket_end     *ends; /* (n) DEALER */
    zmq_pollitem_t *poll; /* (n) */
};

/* ThreadSanitizer does not see into ZeroMQ, so it is told here where a message passes
 * from one thread to another, and to leave the rest of ZeroMQ alone. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>

#define HAND_OVER(bytes) __tsan_release(bytes)
#define TAKE_OVER(bytes) __tsan_acquire(bytes)

const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so\nrace:libzmq.so\n";
}
#else
#define HAND_OVER(bytes) ((void)(bytes))
#define TAKE_OVER(bytes) ((void)(bytes))
#endif

static err_t zmq_failure(const char *doing, const char *endpoint)
{
    return err_set(ERR_SYSTEM, "cannot %s %s: %s", doing, endpoint, zmq_strerror(zmq_errno()));
}

/* ---- messages ----
 *
 * A message lies either in memory of malloc (owner == data), which a send hands over to
 * ZeroMQ as it is, or in a zmq_msg_t that was received (owner). */

err_t net_message_new(net_message *m, size_t size)
{
    void *data = malloc(size ? size : 1); /* aligned for any type */

    if (!data)
        return err_memory(size, "a message");
    *m = (net_message){.data = data, .size = size, .owner = data};
    return OK;
}

void net_message_clear(net_message *m)
{
    if (m->owner && m->owner != m->data) {
        HAND_OVER(m->data);
        zmq_msg_close(m->owner);
    }
    free(m->owner);
    *m = (net_message){0};
}

static void free_sent(void *data, void *hint)
{
    (void)hint;
    TAKE_OVER(data);
    free(data);
}

/* Move m into the zmq_msg_t that will be sent; m is empty then, also on failure. */
static err_t into_zmq(zmq_msg_t *to, net_message *m)
{
    HAND_OVER(m->data);
    if (m->owner != m->data) {
        zmq_msg_init(to);
        zmq_msg_move(to, m->owner);
        net_message_clear(m);
        return OK;
    }
    if (zmq_msg_init_data(to, m->data, m->size, free_sent, NULL) != 0) {
        size_t size = m->size;
        net_message_clear(m);
        return err_memory(size, "a message to send");
    }
    *m = (net_message){0};
    return OK;
}

/* m, whose bytes are malloc's, with bytes that are a zmq_msg_t's, which counts its users. */
static err_t into_counted(net_message *m)
{
    zmq_msg_t *owner = malloc(sizeof *owner);

    if (!owner)
        return err_memory(sizeof *owner, "a message");
    if (zmq_msg_init_data(owner, m->data, m->size, free_sent, NULL) != 0) {
        free(owner);
        return err_memory(m->size, "a message");
    }
    HAND_OVER(m->data);
    m->owner = owner;
    return OK;
}

err_t net_message_share(net_message *to, net_message *from)
{
    if (from->owner == from->data)
        TRY(into_counted(from));
    zmq_msg_t *owner = malloc(sizeof *owner);
    if (!owner)
        return err_memory(sizeof *owner, "a message");
    zmq_msg_init(owner);
    zmq_msg_copy(owner, from->owner); /* small ones copy their bytes */
    *to = (net_message){zmq_msg_data(owner), zmq_msg_size(owner), owner};
    return OK;
}

/* Move a received zmq_msg_t into m; from is closed. Small messages may lie at any
 * address (in ZeroMQ's receive buffer): those are copied. */
static err_t from_zmq(net_message *m, zmq_msg_t *from)
{
    zmq_msg_t *owner = NULL;
    err_t      err   = OK;

    TAKE_OVER(zmq_msg_data(from));
    if ((uintptr_t)zmq_msg_data(from) % 8 != 0) {
        err = net_message_new(m, zmq_msg_size(from));
        if (err == OK)
            memcpy(m->data, zmq_msg_data(from), m->size);
    } else if (!(owner = malloc(sizeof *owner))) {
        err = err_memory(sizeof *owner, "a message received");
    } else {
        zmq_msg_init(owner);
        zmq_msg_move(owner, from); /* small ones move their bytes: ask for data again */
        *m = (net_message){zmq_msg_data(owner), zmq_msg_size(owner), owner};
    }
    zmq_msg_close(from);
    return err;
}

/* ---- sockets ---- */

static void socket_close(socket_end *end)
{
    if (end->socket)
        zmq_close(end->socket);
    end->socket = NULL;
}

/* Have the socket speak CurveZMQ, as the side that listens or the one that dials. */
static bool set_keys(socket_end *end, const net *n, bool listens)
{
    const struct {
        int         name;
        const void *value;
        size_t      size;
    } options[] = {
        {ZMQ_CURVE_SERVER, &(int){1}, sizeof(int)},
        {ZMQ_CURVE_SERVERKEY, n->public_key, sizeof n->public_key},
        {ZMQ_CURVE_PUBLICKEY, n->public_key, sizeof n->public_key},
        {ZMQ_CURVE_SECRETKEY, n->secret.bytes, sizeof n->secret.bytes},
    };
    const int not_this_side = listens ? ZMQ_CURVE_SERVERKEY : ZMQ_CURVE_SERVER;

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i].name != not_this_side &&
            zmq_setsockopt(end->socket, options[i].name, options[i].value, options[i].size))
            return false;
    return true;
}

/* A socket of the kind with everything bounded. Peers are unknown machines until
 * wire.h has checked what they say: NET_MESSAGE_MAX is all that one may announce. The
 * kernel's buffers are left to the kernel, which grows them as needed: fixed ones of 4 MB
 * were not faster over loopback. */
static err_t socket_open(socket_end *end, net *n, int kind, const char *endpoint)
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

    *end = (socket_end){zmq_socket(n->context, kind), NEVER_SET};
    if (!end->socket)
        return zmq_failure("make a socket for", endpoint);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (zmq_setsockopt(end->socket, options[i].name, &options[i].value, sizeof(int)) != 0)
            goto fail;
    if (zmq_setsockopt(end->socket, ZMQ_MAXMSGSIZE, &biggest, sizeof biggest) != 0)
        goto fail;
    if (n->closed && !set_keys(end, n, kind == ZMQ_ROUTER))
        goto fail;
    return OK;
fail:
    zmq_failure("set up a socket for", endpoint);
    socket_close(end);
    return ERR_SYSTEM;
}

/* ---- waiting: deadlines outlast signals ---- */

static int64_t deadline_in(int timeout_ms)
{
    return clock_now(clock_monotonic()) + timeout_ms * NS_PER_MS;
}

/* Milliseconds to deadline, rounded up, at least 0. */
static int ms_left(int64_t deadline)
{
    int64_t left = deadline - clock_now(clock_monotonic());

    return left > 0 ? (int)((left + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

/* Wait until one of n sockets can be read. *ready: how many. */
static err_t wait_readable(zmq_pollitem_t *items, int n, int64_t deadline, int *ready)
{
    while ((*ready = zmq_poll(items, n, ms_left(deadline))) < 0)
        if (zmq_errno() != EINTR)
            return err_set(ERR_SYSTEM, "cannot wait for messages: %s",
                           zmq_strerror(zmq_errno()));
    return OK;
}

/* Send one part, waiting until deadline for room in its queue; zmq_errno() tells why not. */
static bool send_part(socket_end *end, zmq_msg_t *part, int flags, int64_t deadline)
{
    int wait = ZMQ_DONTWAIT; /* first without a time-out to set */

    while (zmq_msg_send(part, end->socket, flags | wait) < 0) {
        int cause = zmq_errno(), left = ms_left(deadline);
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
static err_t receive_parts(void *socket, zmq_msg_t *parts, int n, int *found)
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

/* ---- key ---- */

/* The pair of keys that is the net's: key, and the public one that belongs to it. */
static err_t take_key(net *n, const net_key *key)
{
    char secret[Z85_BYTES], public[Z85_BYTES];

    if (!zmq_has("curve"))
        return err_set(ERR_SYSTEM, "ZeroMQ was built without CURVE (libsodium)");
    n->secret = *key;
    bool good = zmq_z85_encode(secret, key->bytes, sizeof key->bytes) &&
                zmq_curve_public(public, secret) == 0 && zmq_z85_decode(n->public_key, public);
    explicit_bzero(secret, sizeof secret);
    return good ? OK : zmq_failure("make a public key for", "the network");
}

/* ---- gate: who may come in ----
 *
 * CurveZMQ (rfc.zeromq.org/spec/26) has listeners prove that they hold the secret key of a
 * public one that links know, and links the same of theirs. ZeroMQ asks a thread of the
 * process by ZAP (rfc.zeromq.org/spec/27) whether a link's public key will do: ours alone. */

static const char gate_endpoint[] = "inproc://zeromq.zap.01";

/* A question has 7 parts: version, number, domain, address, name, mechanism, key. */
enum { ASK_VERSION = 0, ASK_NUMBER = 1, ASK_MECHANISM = 5, ASK_KEY = 6, ASK_PARTS = 7 };

static bool part_is(zmq_msg_t *part, const void *bytes, size_t n)
{
    return zmq_msg_size(part) == n && memcmp(zmq_msg_data(part), bytes, n) == 0;
}

static bool is_ours(const net *n, zmq_msg_t *ask, int parts)
{
    return parts == ASK_PARTS && part_is(&ask[ASK_VERSION], "1.0", 3) &&
           part_is(&ask[ASK_MECHANISM], "CURVE", 5) &&
           part_is(&ask[ASK_KEY], n->public_key, sizeof n->public_key);
}

/* Version, number of the question, 200 (yes) or 400 (no), and no more to say. */
static void gate_answer(void *socket, zmq_msg_t *number, bool yes)
{
    zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_msg_send(number, socket, ZMQ_SNDMORE);
    zmq_send(socket, yes ? "200" : "400", 3, ZMQ_SNDMORE);
    zmq_send(socket, "", 0, ZMQ_SNDMORE);
    zmq_send(socket, "", 0, ZMQ_SNDMORE);
    zmq_send(socket, "", 0, 0);
}

/* Stand there until the context ends. */
static void *gate_stand(void *self)
{
    net           *n    = self;
    zmq_pollitem_t item = {.socket = n->gate_socket, .events = ZMQ_POLLIN};

    while (zmq_poll(&item, 1, -1) >= 0 || zmq_errno() == EINTR) {
        zmq_msg_t ask[ASK_PARTS];
        int       parts = 0;
        err_t     err   = receive_parts(n->gate_socket, ask, ASK_PARTS, &parts);
        if (err == OK && parts > ASK_NUMBER)
            gate_answer(n->gate_socket, &ask[ASK_NUMBER], is_ours(n, ask, parts));
        for (int i = 0; i < ASK_PARTS; i++)
            zmq_msg_close(&ask[i]);
    }
    zmq_close(n->gate_socket);
    return NULL;
}

static err_t gate_open(net *n)
{
    int   code;
    err_t err = OK;

    n->gate_socket = zmq_socket(n->context, ZMQ_REP);
    if (!n->gate_socket)
        return zmq_failure("make a socket for", gate_endpoint);
    if (zmq_bind(n->gate_socket, gate_endpoint) != 0)
        err = zmq_failure("listen at", gate_endpoint);
    else if ((code = pthread_create(&n->gate, NULL, gate_stand, n)) != 0)
        err = err_set(ERR_SYSTEM, "starting a thread: %s", strerror(code));
    if (err == OK)
        n->closed = true;
    else
        zmq_close(n->gate_socket);
    return err;
}

/* ---- net ---- */

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
    err_t err = take_key(*out, key);
    if (err == OK)
        err = gate_open(*out);
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
    if ((*n)->closed)
        pthread_join((*n)->gate, NULL);
    net_key_forget(&(*n)->secret);
    free(*n);
    *n = NULL;
}

/* ---- listener ---- */

err_t net_listen(net_listener **out, net *n, const char *endpoint)
{
    const int     on = 1;
    size_t        size;
    net_listener *l = calloc(1, sizeof *l);

    if (!l)
        return err_memory(sizeof *l, "a listener");
    err_t err = socket_open(&l->end, n, ZMQ_ROUTER, endpoint);
    if (err != OK)
        goto out;
    size = sizeof l->endpoint;
    if (zmq_setsockopt(l->end.socket, ZMQ_ROUTER_MANDATORY, &on, sizeof on) != 0 ||
        zmq_bind(l->end.socket, endpoint) != 0 ||
        zmq_getsockopt(l->end.socket, ZMQ_LAST_ENDPOINT, l->endpoint, &size) != 0)
        err = zmq_failure("listen at", endpoint);
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
    socket_close(&(*l)->end);
    free(*l);
    *l = NULL;
}

const char *net_listener_endpoint(const net_listener *l)
{
    return l->endpoint;
}

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

/* Take the next message if there is one; what is not of the form (name, bytes) is
 * thrown away. */
static err_t listener_take(net_listener *l, uint64_t *peer, net_message *m)
{
    zmq_msg_t parts[2];
    int       n   = 0;
    err_t     err = receive_parts(l->end.socket, parts, 2, &n);

    if (err == OK && n == 2 && unpack_peer(peer, &parts[0]))
        err = from_zmq(m, &parts[1]);
    else
        zmq_msg_close(&parts[1]);
    zmq_msg_close(&parts[0]);
    return err;
}

err_t net_listener_receive(net_listener *l, uint64_t *peer, net_message *m, int timeout_ms)
{
    zmq_pollitem_t item     = {.socket = l->end.socket, .events = ZMQ_POLLIN};
    int64_t        deadline = deadline_in(timeout_ms);
    int            ready    = 0;

    *m = (net_message){0};
    for (bool late = false;; late = ms_left(deadline) == 0) {
        TRY(listener_take(l, peer, m));
        if (m->data || late)
            return OK;
        TRY(wait_readable(&item, 1, deadline, &ready));
        if (!ready)
            return OK;
    }
}

err_t net_listener_send(net_listener *l, uint64_t peer, net_message *m, int timeout_ms)
{
    int64_t   deadline = deadline_in(timeout_ms);
    zmq_msg_t name, body;
    err_t     err = OK;

    TRY(into_zmq(&body, m));
    err = pack_peer(&name, peer);
    if (err != OK)
        goto out;
    if (!send_part(&l->end, &name, ZMQ_SNDMORE, deadline) ||
        !send_part(&l->end, &body, 0, deadline)) {
        if (zmq_errno() == EAGAIN || zmq_errno() == EINTR)
            err = err_set(ERR_TIMEOUT, "a peer of %s reads nothing for %d ms", l->endpoint,
                          timeout_ms);
        else if (zmq_errno() != EHOSTUNREACH)
            err = zmq_failure("send from", l->endpoint);
    }
    zmq_msg_close(&name);
out:
    zmq_msg_close(&body);
    return err;
}

/* ---- link ---- */

static err_t link_send(void *self, int to, net_message *m, int timeout_ms)
{
    net_link *l        = self;
    int64_t   deadline = deadline_in(timeout_ms);
    zmq_msg_t body;
    err_t     err = OK;

    assert(to >= 0 && to < l->n);
    TRY(into_zmq(&body, m));
    if (!send_part(&l->ends[to], &body, 0, deadline)) {
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
        err_t     err = receive_parts(l->ends[k].socket, &part, 1, &n);
        if (err == OK && n == 1)
            err = from_zmq(m, &part);
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
    int64_t   deadline = deadline_in(timeout_ms);
    int       ready    = 0;

    *m = (net_message){0};
    for (bool late = false;; late = ms_left(deadline) == 0) {
        TRY(link_take(l, from, m));
        if (m->data || late)
            return OK;
        TRY(wait_readable(l->poll, l->n, deadline, &ready));
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
        err = socket_open(&l->ends[i], n, ZMQ_DEALER, endpoints[i]);
        if (err == OK && zmq_connect(l->ends[i].socket, endpoints[i]) != 0) {
            err = zmq_failure("dial", endpoints[i]);
            socket_close(&l->ends[i]);
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
        socket_close(&(*l)->ends[i]);
    free((*l)->ends);
    free((*l)->poll);
    free(*l);
    *l = NULL;
}

const transport *net_link_transport(net_link *l)
{
    return &l->transport;
}
