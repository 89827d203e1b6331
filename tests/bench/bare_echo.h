/* bare_echo - what ZeroMQ itself does with the bytes of a benchmark.
 *
 * The asker writes as many bytes as the request has, the other side as many as the answer
 * has, and nobody looks at them. A message's first eight bytes say how many bytes its
 * answer has; 0: it has none. */
#ifndef DIPS_TESTS_BENCH_BARE_ECHO_H
#define DIPS_TESTS_BENCH_BARE_ECHO_H

#include <stdatomic.h>
#include <string.h>

#include "common/net.h"

enum { ECHO_WAIT_MS = 20000 };

static inline err_t echo_bytes(net_message *m, size_t size, uint64_t answer)
{
    TRY(net_message_new(m, size));
    memset(m->data, 1, size);
    if (size >= sizeof answer)
        memcpy(m->data, &answer, sizeof answer);
    return OK;
}

/* Answer what comes until *stop. */
static inline err_t echo_serve(net_listener *l, atomic_bool *stop)
{
    while (!atomic_load(stop)) {
        uint64_t    peer, size;
        net_message m = {0};
        TRY(net_listener_receive(l, &peer, &m, 100));
        if (!m.data)
            continue;
        memcpy(&size, m.data, sizeof size);
        net_message_clear(&m);
        if (!size)
            continue;
        TRY(echo_bytes(&m, size, 0));
        TRY(net_listener_send(l, peer, &m, ECHO_WAIT_MS));
    }
    return OK;
}

static inline err_t echo_ask(const transport *t, size_t bytes, uint64_t answer)
{
    net_message m;

    TRY(echo_bytes(&m, bytes, answer));
    return t->send(t->self, 0, &m, ECHO_WAIT_MS);
}

static inline err_t echo_hear(const transport *t, uint64_t bytes)
{
    net_message m;
    int         from;

    TRY(t->receive(t->self, &from, &m, ECHO_WAIT_MS));
    if (m.size != bytes)
        return err_set(ERR_TIMEOUT, "no echo of %llu bytes", (unsigned long long)bytes);
    net_message_clear(&m);
    return OK;
}

#endif
