#include "launch/coordinator.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "launch/announce.h"
#include "launch/elastic.h"
#include "launch/lines.h"
#include "launch/recovery.h"
#include "launch/run_key.h"
#include "launch/shards.h"
#include "launch/signals.h"
#include "launch/starter.h"
#include "launch/verdict.h"

#define RECEIVE_MS  20
#define END_S       5.0 /* for servers and mpirun to end after the work is done */
#define STRANGERS_S 1.5
#define TAKEN_MOST  1000 /* messages between two looks at everything else */

/* ---- receiving ---- */

/* Who comes and has no place here is told so. */
static void refuse(coordinator *c, uint64_t peer, const wire_hello *hello, const char *why)
{
    member stranger = {.role = hello->role, .index = (int)hello->index, .peer = peer};

    announce_end(c, &stranger, err_exit_status(ERR_USAGE), why);
}

static err_t take_hello(coordinator *c, uint64_t peer, const net_message *message,
                        uint32_t generation)
{
    wire_hello hello;

    TRY(wire_decode_hello(&hello, message));
    member *m = members_find(&c->members, hello.role, hello.index);
    if (!m)
        refuse(c, peer, &hello,
               "this run has no place for it (cluster.servers, cluster.workers)");
    else if (m->here)
        refuse(c, peer, &hello, "its place in this run is taken");
    else if (generation != m->generation)
        refuse(c, peer, &hello, "the run has returned to a checkpoint since it was started");
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
        return take_hello(c, peer, message, h.generation);
    member *m = members_find_peer(&c->members, peer);
    if (!m && h.generation < c->generation)
        return OK; /* of a process that was ended since */
    if (!m)
        return err_set(ERR_MESSAGE, "%s from someone who has not said HELLO",
                       wire_kind_name(h.kind));
    silence_heard(&m->silence, clock_now(c->clock));
    if (h.step != m->progress)
        silence_heard(&m->stillness, clock_now(c->clock));
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
        if (c->members.at[i].role == WIRE_WORKER && announce_reaches(&c->members.at[i]))
            announce_end(c, &c->members.at[i], err_exit_status(wish), "");
    return OK;
}

/* One round of listening and looking. */
static err_t tend(coordinator *c)
{
    TRY(receive(c));
    verdict_look(c);
    TRY(verdict_find(c));
    TRY(heed_signals(c));
    if (!c->welcomed && verdict_all_here(c, WIRE_SERVER) && verdict_all_here(c, WIRE_WORKER)) {
        TRY(recovery_check_workers(c));
        TRY(announce_welcome(c));
    }
    announce_beats(c);
    return OK;
}

/* ---- start ---- */

static err_t listen(coordinator *c)
{
    char endpoint[NET_ENDPOINT_MAX];

    if (c->options->listen)
        snprintf(endpoint, sizeof endpoint, "tcp://%s", c->options->listen);
    else
        shards_endpoint(endpoint, c->launch->config, "coordinator");
    if (!c->launch->key && lines_leave_host(c->launch->config))
        log_once(LOG_WARN,
                 "cluster.curve is off: who reaches the network of %s reads the run's "
                 "messages and may send his own",
                 c->launch->config->cluster.interface);
    TRY(run_key_make_net(&c->net, c->launch->key));
    TRY(net_listen(&c->listener, c->net, endpoint));
    snprintf(c->leftovers.endpoint, sizeof c->leftovers.endpoint, "%s",
             net_listener_endpoint(c->listener));
    watchdog_tell_endpoint(&c->watchdog, c->leftovers.endpoint);
    if (c->options->listening)
        c->options->listening(c->options->self, c->leftovers.endpoint);
    return OK;
}

/* While others begin or end, nobody shall think that we have. */
static void reap(void *self)
{
    coordinator *c = self;

    verdict_look(c);
    announce_beats(c);
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
    c->workers = f->cluster.workers;
    TRY(elastic_look(c, reap));
    TRY(elastic_tell(c));
    c->members.workers = c->workers;
    c->started = clock_now(c->clock);
    for (int i = 0; c->options->start_servers && i < c->members.servers; i++)
        TRY(starter_server(c, i));
    if (c->options->start_workers)
        TRY(starter_workers(c));
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
        announce_end(c, &c->members.at[i], 0, "");
    for (;;) {
        bool all = true;
        TRY(receive(c));
        reap(c);
        for (int i = 0; i < members_count(&c->members); i++) {
            member *m = &c->members.at[i];
            if (m->gone && m->role == WIRE_SERVER && m->status != 0)
                return err_set(verdict_code(m->status), "%s", m->text);
            bool child = m->process.pid != 0 && m->process.pidfd < 0;
            all        = all && (m->gone || m->dead) && (!child || m->process.ended);
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
        if (announce_reaches(&c->members.at[i]))
            announce_end(c, &c->members.at[i],
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
    hosts_clear(&c->hosts);
}

static err_t run(coordinator *c)
{
    TRY(start(c));
    while (!verdict_all_gone(c, WIRE_WORKER)) {
        err_t err = tend(c);
        if (err != OK)
            TRY(recovery_return(c, err, reap));
    }
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
    recovery_explain(&c, &report);
    clear(&c);
    return err_give(&report);
}
