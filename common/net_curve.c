/* A closed net: who may listen, dial and come in.
 *
 * CurveZMQ (rfc.zeromq.org/spec/26) has listeners prove that they hold the secret key of a
 * public one that links know, and links the same of theirs. ZeroMQ asks a thread of the
 * process by ZAP (rfc.zeromq.org/spec/27) whether a link's public key will do: ours alone. */
#include <string.h>

#include "common/net_state.h"

#define Z85_BYTES 41 /* a key as ZeroMQ writes it */

/* ---- the keys ---- */

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
    return good ? OK : net_failure("make a public key for", "the network");
}

/* Have the socket speak CurveZMQ, as the side that listens or the one that dials. */
bool net_curve_set_keys(net_socket *end, const net *n, bool listens)
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

/* ---- the gate: a thread that lets in whom it knows ---- */

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
        err_t     err   = net_receive_parts(n->gate_socket, ask, ASK_PARTS, &parts);
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
        return net_failure("make a socket for", gate_endpoint);
    if (zmq_bind(n->gate_socket, gate_endpoint) != 0)
        err = net_failure("listen at", gate_endpoint);
    else if ((code = pthread_create(&n->gate, NULL, gate_stand, n)) != 0)
        err = err_set(ERR_SYSTEM, "starting a thread: %s", strerror(code));
    if (err == OK)
        n->closed = true;
    else
        zmq_close(n->gate_socket);
    return err;
}

err_t net_curve_open(net *n, const net_key *key)
{
    TRY(take_key(n, key));
    return gate_open(n);
}

void net_curve_close(net *n)
{
    if (n->closed)
        pthread_join(n->gate, NULL);
    net_key_forget(&n->secret);
}
