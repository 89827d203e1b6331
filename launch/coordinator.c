#include "launch/coordinator.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "launch/lines.h"
#include "launch/run_folder.h"
#include "launch/shards.h"
#include "launch/signals.h"
#include "launch/verdict.h"

#define BEAT_NS     (NS_PER_S / 2)
#define RECEIVE_MS  20
#define SEND_MS     500
#define END_S       10.0 /* for servers and mpirun to end after the work is done */
#define STRANGERS_S 1.5
#define TAKEN_MOST  1000 /* messages between two looks at everything else */

/* ---- sending ---- */

static void send_to(coordinator *c, member *m, err_t encoded, net_message *message)
{
    if (encoded != OK || net_listener_send(c->listener, m->peer, message, SEND_MS) != OK)
        log_each(LOG_DEBUG, "to %s %d: %s", m->role == WIRE_SERVER ? "server" : "worker",
                 m->index, err_text());
}

static bool reachable(const member *m)
{
    return m->here && !m->gone;
}

static void send_end(coordinator *c, member *m, int status, const char *text)
{
    wire_header h = {.kind = WIRE_END};
    wire_text   t = {.status = (uint32_t)status, .text = text, .bytes = (uint32_t)strlen(text)};
    net_message message;

    send_to(c, m, wire_encode_text(&message, &h, &t), &message);
}

static void send_beats(coordinator *c)
{
    wire_header h = {.kind = WIRE_BEAT};
    net_message message;

    watchdog_beat(&c->watchdog);
    for (int i = 0; i < members_count(&c->members); i++)
        if (reachable(&c->members.at[i]))
            send_to(c, &c->members.at[i], wire_encode_empty(&message, &h), &message);
}

/* All are here: tell everyone where the shards are. */
static err_t send_welcome(coordinator *c)
{
    int n = 0, shards = c->members.servers > 0 ? shards_total(c->launch->config) : 0;
    char(*endpoints)[NET_ENDPOINT_MAX] = calloc((size_t)shards + 1, sizeof *endpoints);

    if (!endpoints)
        return err_memory((size_t)shards * sizeof *endpoints, "the endpoints of the shards");
    for (int i = 0; i < c->members.servers; i++)
        for (int k = 0; k < c->members.at[i].n_endpoints && n < shards; k++)
            memcpy(endpoints[n++], c->members.at[i].endpoints[k], sizeof *endpoints);
    wire_header  h = {.kind = WIRE_WELCOME};
    wire_welcome w = {.n_endpoints = (uint32_t)n,
                      .endpoints   = (const char(*)[NET_ENDPOINT_MAX])endpoints};
    net_message  message;
    for (int i = 0; i < members_count(&c->members); i++)
        if (reachable(&c->members.at[i]))
            send_to(c, &c->members.at[i], wire_encode_welcome(&message, &h, &w), &message);
    free(endpoints);
    c->welcomed = true;
    return OK;
}

/* ---- receiving ---- */

/* Who comes and has no place here is told so. */
static void refuse(coordinator *c, uint64_t peer, const wire_hello *hello, const char *why)
{
    member stranger = {.role = hello->role, .index = (int)hello->index, .peer = peer};

    send_end(c, &stranger, err_exit_status(ERR_USAGE), why);
}

static err_t take_hello(coordinator *c, uint64_t peer, const net_message *message)
{
    wire_hello hello;

    TRY(wire_decode_hello(&hello, message));
    member *m = members_find(&c->members, hello.role, hello.index);
    if (!m)
        refuse(c, peer, &hello,
               "this run has no place for it (cluster.servers, cluster.workers)");
    else if (m->here)
        refuse(c, peer, &hello, "its place in this run is taken");
    else
        return member_here(m, peer, &hello, clock_now(c->clock));
    return OK;
}

static err_t take(coordinator *c, uint64_t peer, const net_message *message)
{
    wire_header h;
    wire_text   bye;

    TRY(wire_open(&h, message));
    if (h.kind == WIRE_HELLO)
        return take_hello(c, peer, message);
    member *m = members_find_peer(&c->members, peer);
    if (!m)
        return err_set(ERR_MESSAGE, "%s from someone who has not said HELLO",
                       wire_kind_name(h.kind));
    silence_heard(&m->silence, clock_now(c->clock));
    if (h.step != m->progress)
        m->progressed = clock_now(c->clock);
    m->progress = h.step;
    if (h.kind == WIRE_BYE) {
        TRY(wire_decode_text(&bye, message));
        return member_gone(m, &bye);
    }
    return OK;
}

/* A message was dropped because of this thread's error: the first is told, the second, the
 * fourth, and so on. */
static void note_dropped(coordinator *c)
{
    c->dropped++;
    if ((c->dropped & (c->dropped - 1)) == 0)
        log_each(LOG_WARN, "a message is dropped, number %" PRIu64 ": %s", c->dropped,
                 err_text());
}

/* Take the messages that are there, waiting a little for the first one. */
static err_t receive(coordinator *c)
{
    for (int taken = 0; taken < TAKEN_MOST; taken++) {
        net_message message = {0};
        uint64_t    peer;
        TRY(net_listener_receive(c->listener, &peer, &message, taken ? 0 : RECEIVE_MS));
        if (!message.data)
            return OK;
        if (take(c, peer, &message) != OK)
            note_dropped(c);
        net_message_clear(&message);
    }
    return OK;
}

/* ---- tending ---- */

/* Pass a first signal on to the workers, who then write a last checkpoint; where there is
 * none to write, or after a second signal, it ends the job. */
static err_t heed_signals(coordinator *c)
{
    err_t wish = signals_stop();

    if (wish == OK)
        return OK;
    if (signals_count() > 1 || !c->welcomed || c->launch->task.kind != TASK_TRAIN)
        return wish;
    if (c->interrupted)
        return OK;
    c->interrupted = true;
    for (int i = 0; i < members_count(&c->members); i++)
        if (c->members.at[i].role == WIRE_WORKER && reachable(&c->members.at[i]))
            send_end(c, &c->members.at[i], err_exit_status(wish), "");
    return OK;
}

/* One round of listening and looking. */
static err_t tend(coordinator *c)
{
    int64_t now;

    TRY(receive(c));
    verdict_look(c);
    TRY(verdict_find(c));
    TRY(heed_signals(c));
    if (!c->welcomed && verdict_all_here(c, WIRE_SERVER) && verdict_all_here(c, WIRE_WORKER))
        TRY(send_welcome(c));
    if ((now = clock_now(c->clock)) - c->beaten >= BEAT_NS) {
        c->beaten = now;
        send_beats(c);
    }
    return OK;
}

/* ---- start ---- */

static err_t start_line(coordinator *c, process *p, words *w, err_t built, const char *log,
                        int out)
{
    int   descriptor;
    err_t err = built;

    if (err == OK)
        err = run_folder_log(c->launch->folder, log, &descriptor);
    if (err == OK) {
        const process_options o = {.argv         = w->at,
                                   .out          = out >= 0 ? out : descriptor,
                                   .err          = descriptor,
                                   .death_signal = SIGTERM};
        err                     = process_start(p, &o);
        close(descriptor);
    }
    words_clear(w);
    return err;
}

static err_t start_servers(coordinator *c)
{
    for (int i = 0; i < c->members.servers; i++) {
        words w;
        char  log[32];
        snprintf(log, sizeof log, "server-%d", i);
        err_t built = lines_server(&w, c->launch, c->leftovers.endpoint, i);
        TRY(start_line(c, &c->members.at[i].process, &w, built, log, -1));
    }
    return OK;
}

/* What mpirun passes on is worker 0's, for the user's eyes; its own words go to a log. */
static err_t start_workers(coordinator *c)
{
    const leftovers *l = &c->leftovers;
    words            w;

    if (lines_need_mpirun(c->launch->config)) {
        if (!process_program_exists("mpirun"))
            return err_set(ERR_SYSTEM,
                           "%d workers need mpirun, which is not installed (Debian: "
                           "apt-get install openmpi-bin)",
                           c->members.workers);
        struct stat st;
        char        log[CONFIG_PATH_MAX];
        TRY(run_folder_path(log, c->launch->folder, "logs/mpirun.log"));
        c->log_begin = stat(log, &st) == 0 ? st.st_size : 0;
        bool  away   = lines_leave_host(c->launch->config);
        err_t built  = lines_workers(&w, c->launch, l->endpoint, l->session,
                                    away || !*l->shared_memory ? NULL : l->shared_memory);
        return start_line(c, &c->mpirun, &w, built, "mpirun", STDERR_FILENO);
    }
    member *m     = members_find(&c->members, WIRE_WORKER, 0);
    err_t   built = lines_workers(&w, c->launch, l->endpoint, NULL, NULL);
    return start_line(c, &m->process, &w, built, "worker-0", STDERR_FILENO);
}

static err_t listen(coordinator *c)
{
    char endpoint[NET_ENDPOINT_MAX];

    if (c->options->listen)
        snprintf(endpoint, sizeof endpoint, "tcp://%s", c->options->listen);
    else
        shards_endpoint(endpoint, c->launch->config, "coordinator");
    TRY(net_new(&c->net));
    TRY(net_listen(&c->listener, c->net, endpoint));
    snprintf(c->leftovers.endpoint, sizeof c->leftovers.endpoint, "%s",
             net_listener_endpoint(c->listener));
    watchdog_tell_endpoint(&c->watchdog, c->leftovers.endpoint);
    if (c->options->listening)
        c->options->listening(c->options->self, c->leftovers.endpoint);
    return OK;
}

static err_t start(coordinator *c)
{
    const config *f = c->launch->config;

    if (lines_leave_host(f) && !*f->cluster.interface)
        return err_set(ERR_CONFIG, "cluster.hostfile asks for cluster.interface, the network "
                                   "interface by which the hosts reach each other");
    TRY(members_init(&c->members, f->cluster.servers, f->cluster.workers));
    TRY(leftovers_name(&c->leftovers, c->launch->folder));
    TRY(watchdog_start(&c->watchdog, &c->leftovers, c->launch->held,
                       f->cluster.heartbeat_timeout));
    TRY(leftovers_make(&c->leftovers));
    TRY(listen(c));
    c->started = clock_now(c->clock);
    if (c->options->start_servers)
        TRY(start_servers(c));
    if (c->options->start_workers)
        TRY(start_workers(c));
    return OK;
}

/* ---- end ---- */

/* Status 0 of all, or all of them stopped by a signal: then worker 0's sentence. */
static err_t workers_outcome(coordinator *c)
{
    const member *first = members_find(&c->members, WIRE_WORKER, 0);

    if (first->status == 0) {
        fputs(first->text, stdout);
        return OK;
    }
    return err_set(verdict_code(first->status), "%s", first->text);
}

/* The work is done: let the servers go, and wait for what we started. */
static err_t end_servers(coordinator *c)
{
    int64_t start = clock_now(c->clock);

    for (int i = 0; i < c->members.servers; i++)
        send_end(c, &c->members.at[i], 0, "");
    for (;;) {
        bool all = true;
        TRY(receive(c));
        verdict_look(c);
        watchdog_beat(&c->watchdog);
        for (int i = 0; i < members_count(&c->members); i++) {
            member *m = &c->members.at[i];
            if (m->gone && m->role == WIRE_SERVER && m->status != 0)
                return err_set(verdict_code(m->status), "%s", m->text);
            bool child = m->process.pid != 0 && m->process.pidfd < 0;
            all        = all && m->gone && (!child || m->process.ended);
        }
        if (all && (c->mpirun.pid == 0 || c->mpirun.ended) &&
            leftovers_processes(&c->leftovers) == 0)
            return OK;
        if (clock_seconds(c->clock, start) > END_S) {
            log_once(LOG_WARN, "a process did not end within %g s after its work and is killed",
                     END_S);
            return OK;
        }
    }
}

/* While others end, the watchdog shall not think that we have. */
static void reap(void *self)
{
    coordinator *c = self;

    verdict_look(c);
    watchdog_beat(&c->watchdog);
}

/* Ranks and processes that others started end by themselves when they hear END: then their
 * own mpirun learns the status. */
static void wait_for_strangers(coordinator *c)
{
    int64_t         start = clock_now(c->clock);
    struct timespec nap   = {.tv_nsec = 10 * NS_PER_MS};

    for (bool all = false; !all && clock_seconds(c->clock, start) < STRANGERS_S;) {
        reap(c);
        all = true;
        for (int i = 0; i < members_count(&c->members); i++)
            all = all && (c->members.at[i].process.pidfd < 0 || c->members.at[i].process.ended);
        nanosleep(&nap, NULL);
    }
}

/* End everybody, for the reason that report gives. */
static void end_all(coordinator *c, const err_report *report)
{
    int status = err_exit_status(report->code);

    for (int i = 0; i < members_count(&c->members); i++)
        if (reachable(&c->members.at[i]))
            send_end(c, &c->members.at[i],
                     verdict_by_signal(status) ? err_exit_status(ERR_DEATH) : status,
                     report->text);
    if (!c->options->start_workers && report->code != OK)
        wait_for_strangers(c);
    for (int i = 0; i < members_count(&c->members); i++) {
        member *m = &c->members.at[i];
        if (!m->gone || m->process.pidfd < 0) /* a rank that said BYE ends with the others */
            process_signal(&m->process, SIGKILL);
    }
    leftovers_end_processes(&c->leftovers, reap, c);
    process_signal(&c->mpirun, SIGKILL);
}

static void clear(coordinator *c)
{
    leftovers_clean(&c->leftovers);
    watchdog_end(&c->watchdog); /* before the net, which waits for last messages to leave */
    net_listener_close(&c->listener);
    net_free(&c->net);
    members_clear(&c->members);
}

static err_t run(coordinator *c)
{
    TRY(start(c));
    while (!verdict_all_gone(c, WIRE_WORKER))
        TRY(tend(c));
    TRY(end_servers(c));
    return workers_outcome(c);
}

err_t coordinator_run(const launch *l, const coordinator_options *options)
{
    coordinator c = {.launch   = l,
                     .options  = options,
                     .clock    = clock_monotonic(),
                     .watchdog = {.process = {.pidfd = -1}, .pipe = -1},
                     .mpirun   = {.pidfd = -1}};
    err_report  report;

    signals_catch(false);
    signal(SIGTSTP, SIG_IGN); /* a coordinator that stands still is a dead one */
    err_keep(&report, run(&c));
    if (report.code != OK && l->columns > 0)
        fputc('\n', stderr); /* behind the line of progress */
    if (report.code != OK && options->failing)
        options->failing(options->self);
    end_all(&c, &report);
    verdict_explain(&c, &report);
    clear(&c);
    return err_give(&report);
}
