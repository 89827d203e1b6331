#include "common/net.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE 10000

static const char *const endpoints[] = {"inproc://test", "ipc://@dips-test-net-%d",
                                        "tcp://127.0.0.1:*"};
#define ENDPOINTS (sizeof endpoints / sizeof *endpoints)

static const char *endpoint(size_t i)
{
    static char text[NET_ENDPOINT_MAX];

    if (strchr(endpoints[i], '%'))
        snprintf(text, sizeof text, "ipc://@dips-test-net-%d", (int)getpid());
    else
        snprintf(text, sizeof text, "%s", endpoints[i]);
    return text;
}

/* A listener with a link to it. */
typedef struct pair {
    net             *net;
    net_listener    *listener;
    net_link        *link;
    const transport *link_end;
} pair;

static pair connected(const char *where)
{
    pair p = {0};

    assert_int_equal(net_new(&p.net), OK);
    assert_int_equal(net_listen(&p.listener, p.net, where), OK);
    const char *dialled = net_listener_endpoint(p.listener);
    assert_int_equal(net_dial(&p.link, p.net, 1, &dialled), OK);
    p.link_end = net_link_transport(p.link);
    return p;
}

static void disconnect(pair *p)
{
    net_link_close(&p->link);
    net_listener_close(&p->listener);
    net_free(&p->net);
}

static net_message message_of(const char *text)
{
    net_message m = {0};

    assert_int_equal(net_message_new(&m, strlen(text)), OK);
    memcpy(m.data, text, m.size);
    return m;
}

static void assert_message(const net_message *m, const char *text)
{
    assert_non_null(m->data);
    assert_int_equal((uintptr_t)m->data % 8, 0);
    assert_int_equal(m->size, strlen(text));
    assert_memory_equal(m->data, text, m->size);
}

static void say(const transport *t, int to, const char *text)
{
    net_message m = message_of(text);
    assert_int_equal(t->send(t->self, to, &m, PATIENCE), OK);
    assert_null(m.data);
}

static uint64_t hear(net_listener *l, const char *text)
{
    net_message m    = {0};
    uint64_t    peer = 0;

    assert_int_equal(net_listener_receive(l, &peer, &m, PATIENCE), OK);
    assert_message(&m, text);
    net_message_clear(&m);
    return peer;
}

static void a_message_goes_there_and_back_at_every_kind_of_endpoint(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        pair        p = connected(endpoint(i));
        net_message m = message_of("pong");
        int         from = -1;
        say(p.link_end, 0, "ping");
        uint64_t peer = hear(p.listener, "ping");
        assert_int_equal(net_listener_send(p.listener, peer, &m, PATIENCE), OK);
        assert_null(m.data);
        assert_int_equal(p.link_end->receive(p.link_end->self, &from, &m, PATIENCE), OK);
        assert_int_equal(from, 0);
        assert_message(&m, "pong");
        net_message_clear(&m);
        disconnect(&p);
    }
}

static void a_shared_message_can_be_sent_twice_and_be_cleared_in_any_order(void **state)
{
    static const size_t sizes[] = {0, 5, 33, 34, 4096, 100003};

    (void)state;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        pair p = connected(endpoint(i));
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            net_message first, second, third, got = {0};
            uint64_t    peer;
            assert_int_equal(net_message_new(&first, sizes[k]), OK);
            memset(first.data, 'a' + (int)k, sizes[k]);
            assert_int_equal(net_message_share(&second, &first), OK);
            assert_int_equal(net_message_share(&third, &second), OK);
            net_message_clear(&first);
            for (int sent = 0; sent < 2; sent++) {
                net_message *m = sent ? &third : &second;
                assert_int_equal(p.link_end->send(p.link_end->self, 0, m, PATIENCE), OK);
                assert_int_equal(net_listener_receive(p.listener, &peer, &got, PATIENCE), OK);
                assert_int_equal(got.size, sizes[k]);
                for (size_t at = 0; at < got.size; at++)
                    assert_int_equal(got.data[at], 'a' + (int)k);
                net_message_clear(&got);
            }
        }
        disconnect(&p);
    }
}

static void empty_messages_arrive(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        pair        p = connected(endpoint(i));
        net_message m = {0};
        uint64_t    peer;
        say(p.link_end, 0, "");
        assert_int_equal(net_listener_receive(p.listener, &peer, &m, PATIENCE), OK);
        assert_non_null(m.data);
        assert_int_equal(m.size, 0);
        net_message_clear(&m);
        disconnect(&p);
    }
}

/* 64 MB there and, the received message itself, back; every size near it aligned. */
static void big_messages_keep_their_bytes_and_can_be_sent_on(void **state)
{
    static const size_t sizes[] = {33, 255, 256, 4099, 8192, 8193, 70001, (64 << 20) + 5};

    (void)state;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        pair p = connected(endpoint(i));
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            net_message m    = {0};
            uint64_t    peer = 0;
            int         from;
            assert_int_equal(net_message_new(&m, sizes[k]), OK);
            for (size_t b = 0; b < sizes[k]; b++)
                m.data[b] = (unsigned char)(b * 131 >> 3);
            assert_int_equal(p.link_end->send(p.link_end->self, 0, &m, PATIENCE), OK);
            assert_int_equal(net_listener_receive(p.listener, &peer, &m, PATIENCE), OK);
            assert_int_equal(net_listener_send(p.listener, peer, &m, PATIENCE), OK);
            assert_int_equal(p.link_end->receive(p.link_end->self, &from, &m, PATIENCE), OK);
            assert_non_null(m.data);
            assert_int_equal((uintptr_t)m.data % 8, 0);
            assert_int_equal(m.size, sizes[k]);
            size_t wrong = 0;
            for (size_t b = 0; b < sizes[k]; b++)
                wrong += m.data[b] != (unsigned char)(b * 131 >> 3);
            assert_int_equal(wrong, 0);
            net_message_clear(&m);
        }
        disconnect(&p);
    }
}

static void who_dials_before_the_listener_is_there_reaches_it_later(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        char where[NET_ENDPOINT_MAX];
        pair p = {0};
        assert_int_equal(net_new(&p.net), OK);
        snprintf(where, sizeof where, "%s", endpoint(i));
        if (strchr(where, '*')) { /* find a free port: take one and leave it */
            assert_int_equal(net_listen(&p.listener, p.net, where), OK);
            snprintf(where, sizeof where, "%s", net_listener_endpoint(p.listener));
            net_listener_close(&p.listener);
            usleep(20000); /* ZeroMQ closes it in its own thread */
        }
        const char *dialled = where;
        assert_int_equal(net_dial(&p.link, p.net, 1, &dialled), OK);
        p.link_end = net_link_transport(p.link);
        say(p.link_end, 0, "early");
        assert_int_equal(net_listen(&p.listener, p.net, where), OK);
        hear(p.listener, "early");
        disconnect(&p);
    }
}

static void a_wait_ends_at_its_deadline_when_nobody_speaks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        pair                p     = connected(endpoint(i));
        const clock_source *clock = clock_monotonic();
        net_message         m     = {0};
        uint64_t            peer;
        int                 from;
        int64_t             since = clock_now(clock);
        assert_int_equal(net_listener_receive(p.listener, &peer, &m, 60), OK);
        assert_null(m.data);
        assert_int_equal(p.link_end->receive(p.link_end->self, &from, &m, 60), OK);
        assert_null(m.data);
        assert_true(clock_seconds(clock, since) >= 0.115);
        assert_true(clock_seconds(clock, since) < 5);
        assert_int_equal(p.link_end->receive(p.link_end->self, &from, &m, 0), OK);
        assert_null(m.data);
        disconnect(&p);
    }
}

static void a_full_queue_makes_its_sender_wait_until_the_deadline(void **state)
{
    const char *nobody = "inproc://nobody";
    net        *n      = NULL;
    net_link   *l      = NULL;
    err_t       err    = OK;
    int         sent   = 0;

    (void)state;
    assert_int_equal(net_new(&n), OK);
    assert_int_equal(net_dial(&l, n, 1, &nobody), OK);
    const transport *t = net_link_transport(l);
    for (; err == OK && sent < 100000; sent++) {
        net_message m = message_of("anybody?");
        err           = t->send(t->self, 0, &m, 30);
        assert_null(m.data);
    }
    assert_int_equal(err, ERR_TIMEOUT);
    assert_string_equal(err_text(), "listener 0 reads nothing for 30 ms");
    net_link_close(&l);
    net_free(&n);
}

static void a_peer_that_does_not_read_makes_a_listener_wait_until_the_deadline(void **state)
{
    pair     p = connected("inproc://test");
    err_t    err = OK;
    uint64_t peer;
    int      sent = 0;

    (void)state;
    say(p.link_end, 0, "hello");
    peer = hear(p.listener, "hello");
    for (; err == OK && sent < 100000; sent++) {
        net_message m = message_of("listen!");
        err           = net_listener_send(p.listener, peer, &m, 30);
        assert_null(m.data);
    }
    assert_int_equal(err, ERR_TIMEOUT);
    disconnect(&p);
}

static void a_message_to_a_peer_that_is_gone_is_dropped(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDPOINTS; i++) {
        pair p = connected(endpoint(i));
        say(p.link_end, 0, "hello");
        uint64_t peer = hear(p.listener, "hello");
        net_link_close(&p.link);
        usleep(20000);
        for (int k = 0; k < 600; k++) { /* more than a queue holds */
            net_message m = message_of("are you there?");
            assert_int_equal(net_listener_send(p.listener, peer, &m, 2000), OK);
            assert_null(m.data);
        }
        disconnect(&p);
    }
}

static void a_taken_port_is_named(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t          size = sizeof at;
    int                fd   = socket(AF_INET, SOCK_STREAM, 0);
    net               *n    = NULL;
    net_listener      *l    = NULL;
    char               where[NET_ENDPOINT_MAX], sentence[ERR_TEXT_MAX];

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    snprintf(where, sizeof where, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    snprintf(sentence, sizeof sentence, "cannot listen at %s: Address already in use", where);
    assert_int_equal(net_new(&n), OK);
    assert_int_equal(net_listen(&l, n, where), ERR_SYSTEM);
    assert_string_equal(err_text(), sentence);
    assert_null(l);
    net_free(&n);
    close(fd);
}

static void an_endpoint_of_no_known_kind_is_an_error(void **state)
{
    net        *n    = NULL;
    net_link   *l    = NULL;
    const char *bad[] = {"tcp://127.0.0.1:5", "carrier://pigeon"};

    (void)state;
    assert_int_equal(net_new(&n), OK);
    assert_int_equal(net_dial(&l, n, 2, bad), ERR_SYSTEM);
    assert_string_equal(err_text(), "cannot dial carrier://pigeon: Protocol not supported");
    assert_null(l);
    net_free(&n);
}

static void each_listener_is_reached_and_named_by_its_place(void **state)
{
    enum { N = 3 };
    net          *n = NULL;
    net_listener *l[N];
    net_link     *link = NULL;
    const char   *where[N];
    net_message   m = {0};
    int           from = -1;

    (void)state;
    assert_int_equal(net_new(&n), OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(net_listen(&l[i], n, "tcp://127.0.0.1:*"), OK);
        where[i] = net_listener_endpoint(l[i]);
    }
    assert_int_equal(net_dial(&link, n, N, where), OK);
    const transport *t = net_link_transport(link);
    assert_int_equal(t->peers, N);
    for (int i = N - 1; i >= 0; i--) {
        char text[8];
        snprintf(text, sizeof text, "to %d", i);
        say(t, i, text);
        uint64_t peer = hear(l[i], text);
        m             = message_of(text);
        assert_int_equal(net_listener_send(l[i], peer, &m, PATIENCE), OK);
        assert_int_equal(t->receive(t->self, &from, &m, PATIENCE), OK);
        assert_int_equal(from, i);
        assert_message(&m, text);
        net_message_clear(&m);
    }
    net_link_close(&link);
    for (int i = 0; i < N; i++)
        net_listener_close(&l[i]);
    net_free(&n);
}

static void ignore(int signal)
{
    (void)signal;
}

static void *send_signals(void *whom)
{
    for (int i = 0; i < 10; i++) {
        usleep(10000);
        pthread_kill(*(pthread_t *)whom, SIGUSR1);
    }
    return NULL;
}

static void signals_do_not_end_a_wait(void **state)
{
    struct sigaction action = {.sa_handler = ignore}, before;
    pthread_t        self   = pthread_self(), thread;
    pair             p      = connected("tcp://127.0.0.1:*");
    net_message      m      = {0};
    uint64_t         peer;

    (void)state;
    sigaction(SIGUSR1, &action, &before);
    int64_t since = clock_now(clock_monotonic());
    assert_int_equal(pthread_create(&thread, NULL, send_signals, &self), 0);
    assert_int_equal(net_listener_receive(p.listener, &peer, &m, 200), OK);
    assert_null(m.data);
    assert_true(clock_seconds(clock_monotonic(), since) >= 0.19);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &before, NULL);
    disconnect(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_goes_there_and_back_at_every_kind_of_endpoint),
        cmocka_unit_test(a_shared_message_can_be_sent_twice_and_be_cleared_in_any_order),
        cmocka_unit_test(empty_messages_arrive),
        cmocka_unit_test(big_messages_keep_their_bytes_and_can_be_sent_on),
        cmocka_unit_test(who_dials_before_the_listener_is_there_reaches_it_later),
        cmocka_unit_test(a_wait_ends_at_its_deadline_when_nobody_speaks),
        cmocka_unit_test(a_full_queue_makes_its_sender_wait_until_the_deadline),
        cmocka_unit_test(a_peer_that_does_not_read_makes_a_listener_wait_until_the_deadline),
        cmocka_unit_test(a_message_to_a_peer_that_is_gone_is_dropped),
        cmocka_unit_test(a_taken_port_is_named),
        cmocka_unit_test(an_endpoint_of_no_known_kind_is_an_error),
        cmocka_unit_test(each_listener_is_reached_and_named_by_its_place),
        cmocka_unit_test(signals_do_not_end_a_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
