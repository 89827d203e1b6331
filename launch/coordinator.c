#include "launch/coordinator.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "launch/leftovers.h"
#include "launch/lines.h"
#include "launch/members.h"
#include "launch/mpirun_log.h"
#include "launch/run_folder.h"
#include "launch/shards.h"
#include "launch/signals.h"
#include "launch/watchdog.h"

#define BEAT_NS     (NS_PER_S / 2)
#define RECEIVE_MS  20
#define SEND_MS     500
#define GRACE_S     0.2  /* between a death and what its last message may still explain */
#define END_S       10.0 /* for servers and mpirun to end after the work is done */
#define STRANGERS_S 1.5

typedef struct coordinator {
    const launch              *launch;
    const coordinator_options *options;
    const clock_source        *clock;
    net                       *net;
    net_listener              *listener;
    leftovers                  leftovers;
    watchdog                   watchdog;
    members                    members;
    process                    mpirun;     /* of the workers; pid 0: none */
    int64_t                    mpirun_end; /* clock: seen to have ended; 0: not yet */
    int64_t                    mpirun_stop, watchdog_stop; /* clock: seen stopped; 0: it runs */
    int64_t                    started, beaten;
    bool                       welcomed, interrupted;
    member                    *dead; /* whose death ended the job; NULL: another reason */
    bool    ranks_died;              /* mpirun ended, and may have said which rank went first */
    int64_t log_begin;               /* of this job in mpirun's log */
} coordinator;

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

/* Take all messages that are there, waiting a little for the first one. */
static err_t receive(coordinator *c)
{
    for (int wait = RECEIVE_MS;; wait = 0) {
        net_message message = {0};
        uint64_t    peer;
        TRY(net_listener_receive(c->listener, &peer, &message, wait));
        if (!message.data)
            return OK;
        if (take(c, peer, &message) != OK)
            log_each(LOG_WARN, "a message is dropped: %s", err_text());
        net_message_clear(&message);
    }
}

/* ---- watching ---- */

static void note(int64_t *when, bool is_so, int64_t now)
{
    if (is_so && *when == 0)
        *when = now;
}

static void note_stop(int64_t *when, const process *p, int64_t now)
{
    if (!p->stopped)
        *when = 0;
    note(when, p->stopped, now);
}

static void look_at_processes(coordinator *c)
{
    int64_t now = clock_now(c->clock);

    for (int i = 0; i < members_count(&c->members); i++) {
        member *m = &c->members.at[i];
        note(&m->dead, process_poll(&m->process) && !m->gone, now);
    }
    note(&c->mpirun_end, process_poll(&c->mpirun), now);
    process_poll(&c->watchdog.process);
    note_stop(&c->mpirun_stop, &c->mpirun, now);
    note_stop(&c->watchdog_stop, &c->watchdog.process, now);
}

static bool every(const coordinator *c, wire_role role, bool (*is_so)(const member *))
{
    for (int i = 0; i < members_count(&c->members); i++)
        if (c->members.at[i].role == role && !is_so(&c->members.at[i]))
            return false;
    return true;
}

static bool is_here(const member *m)
{
    return m->here;
}

static bool is_gone(const member *m)
{
    return m->gone;
}

/* The code whose exit status a process ended with. */
static err_t code_of_status(int status)
{
    static const err_t codes[] = {ERR_CONFIG, ERR_DATA,      ERR_DEATH,
                                  ERR_SYSTEM, ERR_INTERRUPT, ERR_TERMINATE};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (err_exit_status(codes[i]) == status)
            return codes[i];
    return ERR_DEATH;
}

static bool by_signal(int status)
{
    return status == err_exit_status(ERR_INTERRUPT) || status == err_exit_status(ERR_TERMINATE);
}

/* Where more can be read about a process that ended by itself. */
static void add_log_hint(const coordinator *c, const process *p, const char *log, char *text,
                         size_t size)
{
    size_t used = strlen(text);

    if (p->ended && p->pidfd < 0 && !WIFSIGNALED(p->status))
        snprintf(text + used, size - used, "; see %s/logs/%s.log", c->launch->folder, log);
}

static err_t death_of(coordinator *c, member *m)
{
    char name[400], how[1024], log[64];

    member_name(m, name, sizeof name);
    process_end_text(&m->process, how, sizeof how);
    snprintf(log, sizeof log, "%s-%d", m->role == WIRE_SERVER ? "server" : "worker", m->index);
    add_log_hint(c, &m->process, log, how, sizeof how);
    return err_set(ERR_DEATH, "%s %s", name, how);
}

/* The same of a worker, after mpirun has ended and told how it went. */
static err_t death_of_rank(coordinator *c, const mpirun_death *d)
{
    member *m         = members_find(&c->members, WIRE_WORKER, (uint32_t)d->rank);
    char    name[400] = "a worker";

    if (m && !m->here)
        snprintf(m->host, sizeof m->host, "%s", d->host);
    if (m)
        member_name(m, name, sizeof name);
    if (d->signal)
        return err_set(ERR_DEATH, "%s was killed by signal %d (%s)", name, d->signal,
                       strsignal(d->signal));
    return err_set(ERR_DEATH, "%s ended with status %d; see %s/logs/worker-%d.log", name,
                   d->status, c->launch->folder, d->rank);
}

static err_t death_of_mpirun(coordinator *c)
{
    char how[1024];

    process_end_text(&c->mpirun, how, sizeof how);
    add_log_hint(c, &c->mpirun, "mpirun", how, sizeof how);
    return err_set(ERR_DEATH, "mpirun (process %ld), which runs the workers, %s",
                   (long)c->mpirun.pid, how);
}

/* mpirun or the watchdog, which send no beats, stand still. */
static err_t check_stopped(const coordinator *c, const process *p, int64_t since,
                           const char *name, int64_t now)
{
    double timeout = c->launch->config->cluster.heartbeat_timeout;

    if (since == 0 || (double)(now - since) * 1e-9 <= timeout)
        return OK;
    return err_set(ERR_DEATH, "%s (process %ld) was stopped by a signal %g s ago", name,
                   (long)p->pid, timeout);
}

/* Who is silent, stuck, or late. */
static err_t check_member(coordinator *c, member *m, int64_t now)
{
    const config *f = c->launch->config;
    char          name[400];

    member_name(m, name, sizeof name);
    if (!m->here) {
        bool ours =
            m->role == WIRE_SERVER ? c->options->start_servers : c->options->start_workers;
        if (ours && (double)(now - c->started) * 1e-9 > f->cluster.start_timeout)
            return err_set(ERR_TIMEOUT, "%s was not ready within cluster.start_timeout, %g s",
                           name, f->cluster.start_timeout);
        return OK;
    }
    if (m->gone)
        return OK;
    if (silence_seconds(&m->silence, now) > f->cluster.heartbeat_timeout)
        return err_set(ERR_TIMEOUT, "%s was silent for cluster.heartbeat_timeout, %g s", name,
                       f->cluster.heartbeat_timeout);
    if (m->role == WIRE_WORKER && c->welcomed &&
        (double)(now - m->progressed) * 1e-9 > f->cluster.step_timeout)
        return err_set(ERR_TIMEOUT, "%s made no progress for cluster.step_timeout, %g s", name,
                       f->cluster.step_timeout);
    return OK;
}

/* The first member that died without a word, a grace ago. */
static member *find_dead(coordinator *c, int64_t now)
{
    member *first = NULL;

    for (int i = 0; i < members_count(&c->members); i++) {
        member *m = &c->members.at[i];
        if (m->dead != 0 && !m->gone && (!first || m->dead < first->dead))
            first = m;
    }
    return first && (double)(now - first->dead) * 1e-9 > GRACE_S ? first : NULL;
}

/* OK, or what ended the job. */
static err_t find_failure(coordinator *c)
{
    int64_t now = clock_now(c->clock);
    int     n   = members_count(&c->members);

    for (int i = 0; i < n; i++) {
        member *m = &c->members.at[i];
        if (m->gone && m->status != 0 && !by_signal(m->status))
            return err_set(code_of_status(m->status), "%s", m->text ? m->text : "");
        if (m->gone && m->role == WIRE_SERVER)
            return death_of(c, m);
    }
    if (c->mpirun_end && WIFSIGNALED(c->mpirun.status))
        return death_of_mpirun(c);
    if ((c->dead = find_dead(c, now)))
        return death_of(c, c->dead);
    if (c->mpirun_end && (double)(now - c->mpirun_end) * 1e-9 > 2 * GRACE_S &&
        !every(c, WIRE_WORKER, is_gone)) {
        c->ranks_died = true;
        return death_of_mpirun(c);
    }
    TRY(check_stopped(c, &c->mpirun, c->mpirun_stop, "mpirun", now));
    TRY(check_stopped(c, &c->watchdog.process, c->watchdog_stop, "the watchdog", now));
    if (c->watchdog.process.ended) {
        char how[256];
        process_end_text(&c->watchdog.process, how, sizeof how);
        return err_set(ERR_DEATH, "the watchdog (process %ld) %s",
                       (long)c->watchdog.process.pid, how);
    }
    for (int i = 0; i < n; i++)
        TRY(check_member(c, &c->members.at[i], now));
    return OK;
}

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
    look_at_processes(c);
    TRY(find_failure(c));
    TRY(heed_signals(c));
    if (!c->welcomed && every(c, WIRE_SERVER, is_here) && every(c, WIRE_WORKER, is_here))
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
    return err_set(code_of_status(first->status), "%s", first->text);
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
        look_at_processes(c);
        watchdog_beat(&c->watchdog);
        for (int i = 0; i < members_count(&c->members); i++) {
            member *m = &c->members.at[i];
            if (m->gone && m->role == WIRE_SERVER && m->status != 0)
                return err_set(code_of_status(m->status), "%s", m->text);
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

    look_at_processes(c);
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
                     by_signal(status) ? err_exit_status(ERR_DEATH) : status, report->text);
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

/* By now mpirun has ended too, and said which rank went first and how. */
static void explain(coordinator *c, err_report *report)
{
    char         path[CONFIG_PATH_MAX];
    mpirun_death death;

    if (c->mpirun.pid != 0 && (c->ranks_died || (c->dead && c->dead->role == WIRE_WORKER)) &&
        run_folder_path(path, c->launch->folder, "logs/mpirun.log") == OK &&
        mpirun_log_find_death(&death, path, c->log_begin))
        err_keep(report, death_of_rank(c, &death));
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
    while (!every(c, WIRE_WORKER, is_gone))
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
    explain(&c, &report);
    clear(&c);
    return err_give(&report);
}
