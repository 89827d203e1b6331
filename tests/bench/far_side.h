/* far_side - the other end of a benchmark: shards, and a bare echo, behind sockets, in a
 * process or in threads of this one; and what the machine is. */
#ifndef DIPS_TESTS_BENCH_FAR_SIDE_H
#define DIPS_TESTS_BENCH_FAR_SIDE_H

#include <sys/wait.h>

#include "bare_echo.h"
#include "ps/server.h"
#include "tests/bench/bench.h"

#define FAR_SHARDS 8 /* at most */

typedef struct far_side {
    const config *config;
    const schema *schema;
    net          *net;
    net_key       key; /* of both sides, where closed */
    bool          closed;
    server       *server;
    net_listener *echo;
    pthread_t     thread;
    atomic_bool   stop;
    err_report    report;
    pid_t         pid;     /* 0: threads */
    int           pipe[2]; /* its endpoints come up, its end goes down */
    int           hold[2];
    int           shards;
    char          echo_at[NET_ENDPOINT_MAX];
    char          endpoints[FAR_SHARDS][NET_ENDPOINT_MAX];
} far_side;

static inline void *run_echo(void *argument)
{
    far_side *f = argument;

    err_keep(&f->report, echo_serve(f->echo, &f->stop));
    return NULL;
}

/* A net of either side. */
static inline err_t far_net(net **out, const far_side *f)
{
    return f->closed ? net_new_closed(out, &f->key) : net_new(out);
}

static inline err_t far_start(far_side *f, const char *shard_at, const char *echo_at)
{
    server_options options = {.config      = f->config,
                              .schema      = f->schema,
                              .shards_here = f->shards,
                              .shards      = f->shards,
                              .endpoint    = shard_at};

    TRY(far_net(&f->net, f));
    TRY(server_start(&f->server, f->net, &options));
    TRY(net_listen(&f->echo, f->net, echo_at));
    for (int k = 0; k < f->shards; k++)
        snprintf(f->endpoints[k], NET_ENDPOINT_MAX, "%s", server_endpoint(f->server, k));
    snprintf(f->echo_at, NET_ENDPOINT_MAX, "%s", net_listener_endpoint(f->echo));
    atomic_store(&f->stop, false);
    return pthread_create(&f->thread, NULL, run_echo, f) ? err_set(ERR_SYSTEM, "no thread")
                                                         : OK;
}

static inline err_t far_stop(far_side *f)
{
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    net_listener_close(&f->echo);
    TRY(server_stop(&f->server));
    net_free(&f->net);
    return err_give(&f->report);
}

/* The far side as a process: until its pipe is closed. */
static inline int far_process(far_side *f, const char *shard_at, const char *echo_at)
{
    char none;

    close(f->pipe[0]);
    close(f->hold[1]);
    if (far_start(f, shard_at, echo_at) != OK ||
        write(f->pipe[1], f->echo_at, sizeof f->echo_at) != sizeof f->echo_at ||
        write(f->pipe[1], f->endpoints, sizeof f->endpoints) != sizeof f->endpoints ||
        read(f->hold[0], &none, 1) != 0 || far_stop(f) != OK) {
        fprintf(stderr, "the far side: %s\n", err_text());
        return 1;
    }
    return 0;
}

static inline err_t far_fork(far_side *f, const char *shard_at, const char *echo_at)
{
    if (pipe(f->pipe) != 0 || pipe(f->hold) != 0)
        return err_set(ERR_SYSTEM, "no pipe");
    fflush(stdout);
    f->pid = fork();
    if (f->pid == 0)
        _exit(far_process(f, shard_at, echo_at));
    close(f->pipe[1]);
    close(f->hold[0]);
    if (f->pid < 0 || read(f->pipe[0], f->echo_at, sizeof f->echo_at) != sizeof f->echo_at ||
        read(f->pipe[0], f->endpoints, sizeof f->endpoints) != sizeof f->endpoints)
        return err_set(ERR_SYSTEM, "no server process");
    return OK;
}

/* Open `shards` shards at endpoints of kind tcp, curve (tcp with CURVE), ipc (a process) or
 * inproc (threads). There must be no thread yet where it is a process. */
static inline err_t far_open(far_side *f, const char *kind, int shards, const config *c,
                             const schema *s)
{
    char at[2][64];
    bool inproc = !strcmp(kind, "inproc"), closed = !strcmp(kind, "curve");

    for (int i = 0; i < 2; i++)
        snprintf(at[i], sizeof at[i],
                 closed || !strcmp(kind, "tcp") ? "tcp://127.0.0.1:*"
                                                : "%s://%sdips-bench-%d-%s",
                 kind, inproc ? "" : "@", (int)getpid(), i ? "echo" : "%d");
    *f = (far_side){.config = c, .schema = s, .shards = shards, .closed = closed};
    if (closed)
        TRY(net_key_new(&f->key));
    return (inproc ? far_start : far_fork)(f, at[0], at[1]);
}

static inline err_t far_close(far_side *f)
{
    int status = 0;

    if (!f->pid)
        return far_stop(f);
    close(f->hold[1]);
    close(f->pipe[0]);
    if (waitpid(f->pid, &status, 0) != f->pid || status != 0)
        return err_set(ERR_DEATH, "the server process ended badly");
    f->pid = 0;
    return OK;
}

/* Seconds that the processors worked for the process; 0: this one. */
static inline double cpu_seconds(pid_t pid)
{
    clockid_t       clock;
    struct timespec t = {0};

    if (clock_getcpuclockid(pid, &clock) == 0)
        clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
