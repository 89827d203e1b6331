/* slow_wire - a wire on which every byte is a while under way: a process that takes tcp
 * connections on the loopback and passes on what comes, both ways, each piece `delay` after
 * it came. It bounds no rate, and reads on while bytes are under way. */
#ifndef DIPS_TESTS_BENCH_SLOW_WIRE_H
#define DIPS_TESTS_BENCH_SLOW_WIRE_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/net.h"

enum { SLOW_LANES = 8, SLOW_PIECE = 1 << 16, SLOW_PIECES = 1024 };

/* Bytes that came together. */
typedef struct slow_piece {
    int64_t due; /* clock */
    size_t  n, gone;
    char    bytes[SLOW_PIECE];
} slow_piece;

/* One way of a connection: a ring of pieces under way. */
typedef struct slow_lane {
    int         from, to; /* -1: none */
    slow_piece *ring;     /* (SLOW_PIECES) */
    size_t      first, end;
} slow_lane;

typedef struct slow_wire {
    pid_t     pid;
    int       hold[2]; /* its end goes down */
    uint16_t  to;      /* port of the far end */
    int64_t   delay;
    int       n;
    slow_lane lanes[SLOW_LANES]; /* 2 k there, 2 k + 1 back */
    char      endpoint[NET_ENDPOINT_MAX];
} slow_wire;

static inline struct sockaddr_in slow_address(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* A connection came: two lanes, to the far end and back. */
static inline bool slow_take(slow_wire *w, int listener)
{
    struct sockaddr_in at   = slow_address(w->to);
    int                near = accept(listener, NULL, NULL), yes = 1;
    int                far = socket(AF_INET, SOCK_STREAM, 0);

    if (near < 0 || far < 0 || w->n + 2 > SLOW_LANES ||
        connect(far, (struct sockaddr *)&at, sizeof at) != 0)
        return false;
    setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    for (int back = 0; back < 2; back++) {
        slow_lane *l = &w->lanes[w->n++];
        *l           = (slow_lane){.from = back ? far : near,
                                   .to   = back ? near : far,
                                   .ring = malloc(SLOW_PIECES * sizeof *l->ring)};
        if (!l->ring)
            return false;
    }
    return true;
}

static inline slow_piece *slow_at(const slow_lane *l, size_t i)
{
    return &l->ring[i % SLOW_PIECES];
}

/* Take in what is there; an end closes the lane once all is delivered. */
static inline void slow_read(const slow_wire *w, slow_lane *l)
{
    slow_piece *p = slow_at(l, l->end);
    ssize_t     n = recv(l->from, p->bytes, SLOW_PIECE, MSG_DONTWAIT);

    if (n == 0)
        l->from = -1;
    if (n <= 0)
        return;
    p->n    = (size_t)n;
    p->gone = 0;
    p->due  = clock_now(clock_monotonic()) + w->delay;
    l->end++;
}

static inline void slow_write(slow_lane *l)
{
    while (l->first < l->end) {
        slow_piece *p = slow_at(l, l->first);
        if (p->due > clock_now(clock_monotonic()))
            return;
        ssize_t n =
            send(l->to, p->bytes + p->gone, p->n - p->gone, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return;
        p->gone += (size_t)n;
        if (p->gone < p->n)
            return;
        l->first++;
    }
    l->first = l->end = 0; /* the next pieces lie where the memory is warm */
}

/* Nanoseconds until the next piece is due, or may be tried again. */
static inline int64_t slow_pause(const slow_wire *w)
{
    int64_t now = clock_now(clock_monotonic()), pause = NS_PER_S;

    for (int i = 0; i < w->n; i++) {
        const slow_lane *l = &w->lanes[i];
        if (l->first == l->end)
            continue;
        int64_t left = slow_at(l, l->first)->due - now;
        left         = left > 50000 ? left : 50000;
        pause        = left < pause ? left : pause;
    }
    return pause;
}

/* Until the other end of hold is closed. */
static inline int slow_process(slow_wire *w, int listener)
{
    for (;;) {
        struct pollfd polls[SLOW_LANES + 2] = {{listener, POLLIN, 0}, {w->hold[0], POLLIN, 0}};
        int64_t       left                  = slow_pause(w);
        struct timespec pause = {.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
        for (int i = 0; i < w->n; i++) {
            slow_lane *l    = &w->lanes[i];
            bool       room = l->end - l->first < SLOW_PIECES;
            polls[i + 2]    = (struct pollfd){room ? l->from : -1, POLLIN, 0};
        }
        if (ppoll(polls, (nfds_t)w->n + 2, &pause, NULL) < 0 || polls[1].revents)
            return 0;
        for (int i = 0; i < w->n; i++) {
            if (polls[i + 2].revents)
                slow_read(w, &w->lanes[i]);
            slow_write(&w->lanes[i]);
        }
        if (polls[0].revents && !slow_take(w, listener))
            return 1;
    }
}

/* A wire to `to` (tcp://127.0.0.1:PORT), delay nanoseconds long; w->endpoint is its near end.
 * There must be no thread yet. slow_wire_close. */
static inline err_t slow_wire_open(slow_wire *w, const char *to, int64_t delay)
{
    struct sockaddr_in at   = slow_address(0);
    socklen_t          size = sizeof at;
    const char        *port = strrchr(to, ':');

    *w           = (slow_wire){.delay = delay, .to = (uint16_t)atoi(port ? port + 1 : "0")};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || pipe(w->hold) != 0 ||
        bind(listener, (struct sockaddr *)&at, size) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &size) != 0)
        return err_errno("a slow wire");
    fflush(stdout);
    w->pid = fork();
    if (w->pid == 0) {
        close(w->hold[1]);
        _exit(slow_process(w, listener));
    }
    close(listener);
    close(w->hold[0]);
    snprintf(w->endpoint, sizeof w->endpoint, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
    return w->pid < 0 ? err_errno("a slow wire") : OK;
}

static inline err_t slow_wire_close(slow_wire *w)
{
    int status = 0;

    close(w->hold[1]);
    return waitpid(w->pid, &status, 0) == w->pid && status == 0
               ? OK
               : err_set(ERR_DEATH, "the slow wire broke");
}

#endif
