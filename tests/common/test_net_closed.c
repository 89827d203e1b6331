/* A net with a key: who holds it is heard, and nobody else. Peers that dips itself would
 * never be are made of bare ZeroMQ and of bare sockets here. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#include "common/net.h"

enum { PATIENCE = 10000, IN_VAIN = 400, WIRE_MOST = 1 << 16 };

static const char secret[] = "nobody else may read this sentence";

static net_key new_key(void)
{
    net_key k;

    assert_int_equal(net_key_new(&k), OK);
    return k;
}

static net *new_net(const net_key *k)
{
    net *n = NULL;

    assert_int_equal(k ? net_new_closed(&n, k) : net_new(&n), OK);
    return n;
}

static net_link *dial(net *n, const char *endpoint)
{
    net_link *l = NULL;

    assert_int_equal(net_dial(&l, n, 1, &endpoint), OK);
    return l;
}

static void say(net_link *l, const char *text)
{
    const transport *t = net_link_transport(l);
    net_message      m = {0};

    assert_int_equal(net_message_new(&m, strlen(text)), OK);
    memcpy(m.data, text, m.size);
    assert_int_equal(t->send(t->self, 0, &m, PATIENCE), OK);
}

static uint64_t hear(net_listener *l, const char *text)
{
    net_message m    = {0};
    uint64_t    peer = 0;

    assert_int_equal(net_listener_receive(l, &peer, &m, PATIENCE), OK);
    assert_non_null(m.data);
    assert_int_equal(m.size, strlen(text));
    assert_memory_equal(m.data, text, m.size);
    net_message_clear(&m);
    return peer;
}

static void hear_nothing(net_listener *l)
{
    net_message m    = {0};
    uint64_t    peer = 0;

    assert_int_equal(net_listener_receive(l, &peer, &m, IN_VAIN), OK);
    assert_null(m.data);
}

/* ---- who holds the key ---- */

static void who_holds_the_key_speaks_both_ways(void **state)
{
    static const char *const kinds[] = {"tcp", "ipc", "inproc"};
    net_key                  key     = new_key();

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char          where[64];
        net          *here = new_net(&key), *there = i < 2 ? new_net(&key) : here;
        net_listener *l = NULL;
        net_message   m = {0};
        int           from;
        if (i == 0)
            snprintf(where, sizeof where, "tcp://127.0.0.1:*");
        else
            snprintf(where, sizeof where, "%s://%sdips-closed-%d", kinds[i], i == 1 ? "@" : "",
                     (int)getpid());
        assert_int_equal(net_listen(&l, here, where), OK);
        net_link        *k = dial(there, net_listener_endpoint(l));
        const transport *t = net_link_transport(k);
        say(k, "ping");
        uint64_t peer = hear(l, "ping");
        assert_int_equal(net_message_new(&m, 5 << 20), OK); /* of many frames of the cipher */
        memset(m.data, 7, m.size);
        assert_int_equal(net_listener_send(l, peer, &m, PATIENCE), OK);
        assert_int_equal(t->receive(t->self, &from, &m, PATIENCE), OK);
        assert_int_equal(m.size, 5 << 20);
        for (size_t b = 0; b < m.size; b++)
            assert_int_equal(m.data[b], 7);
        net_message_clear(&m);
        net_link_close(&k);
        net_listener_close(&l);
        if (there != here)
            net_free(&there);
        net_free(&here);
    }
}

/* ---- who does not ---- */

typedef struct house {
    net_key       key;
    net          *net;
    net_listener *listener;
    const char   *endpoint;
} house;

static void build(house *h)
{
    *h     = (house){.key = new_key()};
    h->net = new_net(&h->key);
    assert_int_equal(net_listen(&h->listener, h->net, "tcp://127.0.0.1:*"), OK);
    h->endpoint = net_listener_endpoint(h->listener);
}

/* A friend is still let in. */
static void tear_down(house *h)
{
    net      *friends = new_net(&h->key);
    net_link *l       = dial(friends, h->endpoint);

    say(l, "it is I");
    hear(h->listener, "it is I");
    net_link_close(&l);
    net_free(&friends);
    net_listener_close(&h->listener);
    net_free(&h->net);
}

static void peers_without_the_key_are_not_heard(void **state)
{
    net_key other = new_key();
    house   h;

    (void)state;
    build(&h);
    for (int wrong = 0; wrong < 2; wrong++) {
        net      *n = new_net(wrong ? &other : NULL);
        net_link *l = dial(n, h.endpoint);
        for (int i = 0; i < 20; i++)
            say(l, "let me in");
        hear_nothing(h.listener);
        net_link_close(&l);
        net_free(&n);
    }
    tear_down(&h);
}

static void a_link_with_a_key_says_nothing_to_a_listener_without(void **state)
{
    net_key       key  = new_key();
    net          *open = new_net(NULL), *closed = new_net(&key);
    net_listener *l = NULL;

    (void)state;
    assert_int_equal(net_listen(&l, open, "tcp://127.0.0.1:*"), OK);
    net_link *k = dial(closed, net_listener_endpoint(l));
    say(k, secret);
    hear_nothing(l);
    net_link_close(&k);
    net_listener_close(&l);
    net_free(&closed);
    net_free(&open);
}

/* The public key alone opens nothing: each link must hold its secret part. */
static void who_knows_the_public_key_and_not_the_secret_one_is_not_heard(void **state)
{
    char  secret_text[41], public[41], own_secret[41], own_public[41];
    house h;

    (void)state;
    build(&h);
    assert_non_null(zmq_z85_encode(secret_text, h.key.bytes, NET_KEY_BYTES));
    assert_int_equal(zmq_curve_public(public, secret_text), 0);
    assert_int_equal(zmq_curve_keypair(own_public, own_secret), 0);
    for (int lies = 0; lies < 2; lies++) { /* says that the public key is its own */
        const int zero    = 0;
        void     *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_DEALER);
        zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
        assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, public, 40), 0);
        assert_int_equal(
            zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, lies ? public : own_public, 40), 0);
        assert_int_equal(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own_secret, 40), 0);
        assert_int_equal(zmq_connect(socket, h.endpoint), 0);
        assert_int_equal(zmq_send(socket, "let me in", 9, 0), 9);
        hear_nothing(h.listener);
        zmq_close(socket);
        zmq_ctx_term(context);
    }
    tear_down(&h);
}

/* ---- who listens to the wire ---- */

/* A wire between a port of its own and another one, which keeps what went to the latter. */
typedef struct wire {
    int           port, to;
    int           listening;
    size_t        n; /* until the thread has ended, the thread's alone */
    unsigned char bytes[WIRE_MOST];
    pthread_t     thread;
} wire;

static int port_of(const char *endpoint)
{
    return atoi(strrchr(endpoint, ':') + 1);
}

static struct sockaddr_in at_port(int port)
{
    return (struct sockaddr_in){.sin_family      = AF_INET,
                                .sin_port        = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_to(int port)
{
    struct sockaddr_in at = at_port(port);
    int                s  = socket(AF_INET, SOCK_STREAM, 0);

    return connect(s, (struct sockaddr *)&at, sizeof at) == 0 ? s : -1;
}

/* Carry bytes of one connection, both ways, until either side ends it. */
static void *carry(void *self)
{
    wire *w  = self;
    int   in = accept(w->listening, NULL, NULL), out = connect_to(w->to);
    bool  going = in >= 0 && out >= 0;

    while (going) {
        unsigned char bytes[4096];
        struct pollfd ends[2] = {{.fd = in, .events = POLLIN}, {.fd = out, .events = POLLIN}};
        going                 = poll(ends, 2, PATIENCE) > 0;
        for (int i = 0; i < 2 && going; i++) {
            if (!ends[i].revents)
                continue;
            ssize_t n = read(ends[i].fd, bytes, sizeof bytes);
            going     = n > 0 && write(ends[1 - i].fd, bytes, (size_t)n) == n;
            if (going && i == 0 && w->n + (size_t)n <= sizeof w->bytes) {
                memcpy(w->bytes + w->n, bytes, (size_t)n);
                w->n += (size_t)n;
            }
        }
    }
    close(in);
    close(out);
    return NULL;
}

static void wire_open(wire *w, int to)
{
    struct sockaddr_in at   = at_port(0);
    socklen_t          size = sizeof at;

    *w           = (wire){.to = to};
    w->listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(w->listening, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(w->listening, 1), 0);
    assert_int_equal(getsockname(w->listening, (struct sockaddr *)&at, &size), 0);
    w->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&w->thread, NULL, carry, w), 0);
}

static void wire_close(wire *w)
{
    pthread_join(w->thread, NULL);
    close(w->listening);
}

static bool contains(const wire *w, const void *what, size_t n)
{
    return memmem(w->bytes, w->n, what, n) != NULL;
}

/* Send the sentence over a wire that is listened to. */
static void overhear(wire *w, const net_key *key, net_listener *l)
{
    char      endpoint[64];
    net      *n = new_net(key);
    net_link *k;

    wire_open(w, port_of(net_listener_endpoint(l)));
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", w->port);
    k = dial(n, endpoint);
    say(k, secret);
    hear(l, secret);
    net_link_close(&k);
    net_free(&n);
    wire_close(w);
}

static void what_travels_can_be_neither_read_nor_played_again(void **state)
{
    static wire   w;
    house         h;
    net          *open = new_net(NULL);
    net_listener *l    = NULL;

    (void)state;
    assert_int_equal(net_listen(&l, open, "tcp://127.0.0.1:*"), OK);
    overhear(&w, NULL, l); /* so would it be without a key */
    assert_true(contains(&w, secret, strlen(secret)));
    net_listener_close(&l);
    net_free(&open);

    build(&h);
    overhear(&w, &h.key, h.listener);
    assert_in_range(w.n, 200, sizeof w.bytes); /* a handshake, and the sentence */
    assert_false(contains(&w, secret, 8));
    assert_false(contains(&w, h.key.bytes, 8));
    int s = connect_to(port_of(h.endpoint));
    assert_true(s >= 0);
    assert_int_equal(send(s, w.bytes, w.n, MSG_NOSIGNAL), (ssize_t)w.n);
    hear_nothing(h.listener);
    close(s);
    tear_down(&h);
}

/* ---- the file ---- */

static char file[] = "dips-test-key-XXXXXX"; /* in the working folder */

static void write_file(const char *text, size_t n, mode_t mode)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void assert_refused(const char *format)
{
    char    sentence[ERR_TEXT_MAX];
    net_key k, none = {0};

    snprintf(sentence, sizeof sentence, format, file);
    assert_int_equal(net_key_read(&k, file), ERR_CONFIG);
    assert_string_equal(err_text(), sentence);
    assert_memory_equal(&k, &none, sizeof k);
}

static void a_key_file_is_read_back_and_is_its_owners_alone(void **state)
{
    net_key     a = new_key(), b = new_key(), back;
    struct stat st;
    mode_t      before = umask(0);

    (void)state;
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_int_equal(net_key_write(&a, file), OK);
    umask(before);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 65);
    assert_int_equal(net_key_read(&back, file), OK);
    assert_memory_equal(&a, &back, sizeof a);
    assert_int_equal(net_key_write(&b, file), ERR_SYSTEM); /* a key is never written over */
    assert_int_equal(net_key_read(&back, file), OK);
    assert_memory_equal(&a, &back, sizeof a);
    net_key_forget(&back);
    assert_memory_not_equal(&a, &back, sizeof a);
    unlink(file);
}

static void a_file_that_is_no_key_or_that_others_may_use_is_refused(void **state)
{
    static const char bad[] = "the key file %s holds no key, a line of 64 digits 0-9a-f";
    char              text[67];

    (void)state;
    memset(text, 'a', sizeof text);
    text[64] = '\n';
    write_file(text, 65, 0640);
    assert_refused("the key file %s has mode 0640, so others may use it; wanted 0600");
    write_file(text, 65, 0604);
    assert_refused("the key file %s has mode 0604, so others may use it; wanted 0600");
    write_file(text, 0, 0600);
    assert_refused(bad);
    write_file(text, 64, 0600);
    assert_refused(bad);
    write_file(text, 66, 0600);
    assert_refused(bad);
    text[64] = 'a';
    write_file(text, 65, 0600);
    assert_refused(bad);
    text[64] = '\n';
    text[9]  = 'A';
    write_file(text, 65, 0600);
    assert_refused(bad);
    text[9] = '\0';
    write_file(text, 65, 0600);
    assert_refused(bad);
    unlink(file);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_refused("the key file %s is not a regular file");
    rmdir(file);
    assert_int_equal(mkfifo(file, 0600), 0);
    assert_refused("the key file %s is not a regular file");
    unlink(file);
    net_key k;
    assert_int_equal(net_key_read(&k, file), ERR_SYSTEM);
}

static int name_file(void **state)
{
    int fd = mkstemp(file);

    (void)state;
    close(fd);
    return unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_holds_the_key_speaks_both_ways),
        cmocka_unit_test(peers_without_the_key_are_not_heard),
        cmocka_unit_test(a_link_with_a_key_says_nothing_to_a_listener_without),
        cmocka_unit_test(who_knows_the_public_key_and_not_the_secret_one_is_not_heard),
        cmocka_unit_test(what_travels_can_be_neither_read_nor_played_again),
        cmocka_unit_test(a_key_file_is_read_back_and_is_its_owners_alone),
        cmocka_unit_test(a_file_that_is_no_key_or_that_others_may_use_is_refused),
    };
    return cmocka_run_group_tests(tests, name_file, NULL);
}
