#include "launch/verdict.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "launch/mpirun_log.h"

#define GRACE_S 0.2 /* between a death and what its last message may still explain */

/* ---- looking ---- */

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

void verdict_look(coordinator *c)
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

bool verdict_all_here(const coordinator *c, wire_role role)
{
    for (int i = 0; i < members_count(&c->members); i++)
        if (c->members.at[i].role == role && !c->members.at[i].here)
            return false;
    return true;
}

bool verdict_all_gone(const coordinator *c, wire_role role)
{
    for (int i = 0; i < members_count(&c->members); i++)
        if (c->members.at[i].role == role && !c->members.at[i].gone)
            return false;
    return true;
}

/* ---- statuses ---- */

err_t verdict_code(int status)
{
    static const err_t codes[] = {ERR_CONFIG, ERR_DATA,      ERR_DEATH,
                                  ERR_SYSTEM, ERR_INTERRUPT, ERR_TERMINATE};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (err_exit_status(codes[i]) == status)
            return codes[i];
    return ERR_DEATH;
}

bool verdict_by_signal(int status)
{
    return status == err_exit_status(ERR_INTERRUPT) || status == err_exit_status(ERR_TERMINATE);
}

/* ---- sentences ---- */

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

/* ---- judging ---- */

/* Until its first progress a worker opens and checks its data, however large. A server's
 * threads live from the beginning on. */
bool verdict_hangs(const coordinator *c, member *m)
{
    const config *f     = c->launch->config;
    double        still = silence_seconds(&m->stillness, clock_now(c->clock));

    if (!m->here || m->gone)
        return false;
    return m->role == WIRE_SERVER ? still > f->cluster.shard_timeout
                                  : m->progress > 0 && still > f->cluster.step_timeout;
}

static err_t tell_hanging(const coordinator *c, const member *m, const char *name)
{
    const config *f = c->launch->config;

    if (m->role == WIRE_SERVER)
        return err_set(ERR_TIMEOUT,
                       "%s beats, but a thread of its has done nothing for "
                       "cluster.shard_timeout, %g s",
                       name, f->cluster.shard_timeout);
    return err_set(ERR_TIMEOUT, "%s made no progress for cluster.step_timeout, %g s", name,
                   f->cluster.step_timeout);
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
    return verdict_hangs(c, m) ? tell_hanging(c, m, name) : OK;
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

/* Whether m has said BYE with a failure of its own. That others died or are silent (status 4)
 * may be the echo of a death that is about to be seen. */
static bool failed(const member *m, int64_t now)
{
    if (!m->gone || m->status == 0 || verdict_by_signal(m->status))
        return false;
    return m->status != err_exit_status(ERR_DEATH) ||
           (double)(now - m->silence.heard) * 1e-9 > 2 * GRACE_S;
}

err_t verdict_find(coordinator *c)
{
    int64_t now = clock_now(c->clock);
    int     n   = members_count(&c->members);

    c->died = c->ranks_died = false;
    for (int i = 0; i < n; i++) {
        member *m = c->blamed = &c->members.at[i];
        if (failed(m, now))
            return err_set(verdict_code(m->status), "%s", m->text ? m->text : "");
        if (m->gone && m->status == 0 && m->role == WIRE_SERVER)
            return death_of(c, m);
    }
    c->blamed = NULL;
    if (c->mpirun_end && WIFSIGNALED(c->mpirun.status))
        return death_of_mpirun(c);
    c->blamed = find_dead(c, now);
    if ((c->died = c->blamed != NULL))
        return death_of(c, c->blamed);
    if (c->mpirun_end && (double)(now - c->mpirun_end) * 1e-9 > 2 * GRACE_S &&
        !verdict_all_gone(c, WIRE_WORKER)) {
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
    for (int i = 0; i < n; i++) {
        c->blamed = &c->members.at[i];
        TRY(check_member(c, c->blamed, now));
    }
    return OK;
}

void verdict_explain(coordinator *c, err_report *report)
{
    char         path[CONFIG_PATH_MAX];
    mpirun_death death;

    if (c->mpirun.pid != 0 && (c->ranks_died || (c->died && c->blamed->role == WIRE_WORKER)) &&
        run_folder_path(path, c->launch->folder, "logs/mpirun.log") == OK &&
        mpirun_log_find_death(&death, path, c->log_begin)) {
        err_keep(report, death_of_rank(c, &death));
        c->blamed = members_find(&c->members, WIRE_WORKER, (uint32_t)death.rank);
    }
}
