#include "launch/recovery.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "common/log.h"
#include "common/metrics.h"
#include "launch/announce.h"
#include "launch/elastic.h"
#include "launch/lines.h"
#include "launch/starter.h"
#include "launch/verdict.h"

#define TIDY_S 2.5 /* for a launcher to end its process on another host */
#define REAP_S 1.0 /* for a killed process to be gone */

/* ---- whether ---- */

static bool watchdog_lives(const coordinator *c)
{
    return !c->watchdog.process.ended && c->watchdog_stop == 0;
}

static bool can_return(const coordinator *c, err_t err)
{
    return (err == ERR_DEATH || err == ERR_TIMEOUT) && c->launch->task.kind == TASK_TRAIN &&
           c->options->start_servers && c->options->start_workers && c->begun &&
           !c->interrupted && watchdog_lives(c);
}

/* ---- the end of who is to be replaced ---- */

/* Wait for a process of ours to end, at most so long. */
static bool wait_for_end(coordinator *c, process *p, double seconds, void (*reap)(void *self))
{
    int64_t         start = clock_now(c->clock);
    struct timespec nap   = {.tv_nsec = 5 * NS_PER_MS};

    while (p->pid != 0 && !process_poll(p)) {
        if (clock_seconds(c->clock, start) > seconds)
            return false;
        nanosleep(&nap, NULL);
        reap(c);
    }
    return true;
}

/* On another host a process is ended by the launcher that we started. */
static void end_server(coordinator *c, member *m, void (*reap)(void *self))
{
    if (lines_leave_host(c->launch->config) && !elastic_has_lost(c, m)) {
        process_signal(&m->process, SIGCONT);
        process_signal(&m->process, SIGTERM);
        if (wait_for_end(c, &m->process, TIDY_S, reap))
            return;
    }
    process_signal(&m->process, SIGKILL);
    wait_for_end(c, &m->process, REAP_S, reap);
}

/* Those of other hosts hear that they are to end, and their mpirun sees to it. */
static void end_workers(coordinator *c, const err_report *report, void (*reap)(void *self))
{
    bool away = lines_leave_host(c->launch->config);

    for (int i = c->members.servers; i < members_count(&c->members); i++) {
        member *m = &c->members.at[i];
        if (away && announce_reaches(m))
            announce_end(c, m, err_exit_status(ERR_DEATH), report->text);
        process_signal(&m->process, SIGKILL);
    }
    leftovers_end_workers(&c->leftovers, reap, c);
    process_signal(&c->mpirun, SIGKILL);
    wait_for_end(c, &c->mpirun, REAP_S, reap);
    for (int i = c->members.servers; i < members_count(&c->members); i++)
        wait_for_end(c, &c->members.at[i].process, REAP_S, reap);
}

/* Whether a server is no more, stands still, hangs, has not come, or has lost its host. */
static bool is_lost(coordinator *c, member *m)
{
    double timeout = c->launch->config->cluster.heartbeat_timeout;

    return process_poll(&m->process) || m->gone || !m->here ||
           silence_seconds(&m->silence, clock_now(c->clock)) > timeout || verdict_hangs(c, m) ||
           elastic_has_lost(c, m);
}

/* ---- telling ---- */

/* The steps that are done again leave metrics.jsonl, and the return gets its line there. */
static err_t log_return(const coordinator *c, bool stay, int64_t step, const char *who,
                        const char *why)
{
    char                path[CONFIG_PATH_MAX];
    metrics_log        *log;
    const metrics_field fields[] = {
        METRIC_INT("step", step),
        METRIC_INT("generation", c->generation),
        METRIC_TEXT("who", who),
        METRIC_TEXT("why", why),
    };

    TRY(run_folder_path(path, c->launch->folder, "metrics.jsonl"));
    TRY(metrics_log_open(&log, path, stay ? -1 : step)); /* where worker 0 writes, it cuts */
    err_t err = metrics_log_write(log, "restart", sizeof fields / sizeof *fields, fields);
    metrics_log_close(&log);
    return err;
}

static err_t tell(const coordinator *c, bool stay, const char *who, const err_report *report)
{
    int64_t step;
    char    from[80] = "the beginning: there is no checkpoint yet";

    TRY(run_folder_newest(&step, c->launch->folder, c->launch->config));
    if (step >= 0)
        snprintf(from, sizeof from, "the checkpoint of step %" PRId64, step);
    if (c->launch->columns > 0)
        fputc('\n', stderr); /* behind the line of progress */
    log_once(LOG_WARN, "%s; training goes on from %s (return %" PRIu32 " of %d)", report->text,
             from, c->generation, c->launch->config->cluster.max_restarts);
    return log_return(c, stay, step < 0 ? 0 : step, who, report->text);
}

/* ---- the return ---- */

/* Whether the workers can stay: only servers are lost, and no worker has ended its work, or
 * stopped. */
static bool workers_stay(coordinator *c)
{
    double  timeout = c->launch->config->cluster.heartbeat_timeout;
    int64_t now     = clock_now(c->clock);

    if (!c->blamed || c->blamed->role != WIRE_SERVER || c->mpirun_end || c->mpirun_stop)
        return false;
    for (int i = c->members.servers; i < members_count(&c->members); i++) {
        member *m = &c->members.at[i];
        if (!announce_reaches(m) || m->dead || silence_seconds(&m->silence, now) > timeout / 2)
            return false;
    }
    return true;
}

static void vacate_workers(coordinator *c)
{
    for (int i = c->members.servers; i < members_count(&c->members); i++)
        member_vacate(&c->members.at[i], c->generation);
    process_clear(&c->mpirun);
    c->mpirun_end = c->mpirun_stop = 0;
}

static err_t replace_servers(coordinator *c, void (*reap)(void *self))
{
    for (int i = 0; i < c->members.servers; i++) {
        member *m = &c->members.at[i];
        if (!is_lost(c, m))
            continue;
        end_server(c, m, reap);
        member_vacate(m, c->generation);
        TRY(starter_server(c, i));
    }
    return OK;
}

static err_t replace_workers(coordinator *c)
{
    vacate_workers(c);
    c->members.workers = c->workers;
    leftovers_renew(&c->leftovers); /* without what a killed mpirun left there */
    return starter_workers(c);
}

err_t recovery_return(coordinator *c, err_t err, void (*reap)(void *self))
{
    err_report report;
    char       who[64] = "mpirun";
    bool       stay    = workers_stay(c);

    if (!can_return(c, err))
        return err;
    if (c->generation >= (uint32_t)c->launch->config->cluster.max_restarts) {
        c->exhausted = true;
        return err;
    }
    err_keep(&report, err);
    if (!stay)
        end_workers(c, &report, reap);
    verdict_explain(c, &report);
    if (c->blamed)
        member_place(c->blamed, who, sizeof who);
    c->blamed = NULL;
    c->died = c->ranks_died = false;
    c->generation++;
    c->welcomed = false;
    TRY(elastic_look(c, reap));
    if (stay && c->workers != c->members.workers) {
        end_workers(c, &report, reap);
        stay = false;
    }
    TRY(tell(c, stay, who, &report));
    TRY(elastic_tell(c));
    TRY(replace_servers(c, reap));
    if (!stay)
        TRY(replace_workers(c));
    c->started = clock_now(c->clock);
    return OK;
}

err_t recovery_check_workers(coordinator *c)
{
    for (int i = c->members.servers; i < members_count(&c->members); i++)
        if (c->members.at[i].gone)
            return err_set(ERR_DEATH, "worker %d had ended before all others could return",
                           c->members.at[i].index);
    return OK;
}

void recovery_explain(const coordinator *c, err_report *report)
{
    char text[ERR_TEXT_MAX];

    if (!c->exhausted || c->generation == 0)
        return;
    snprintf(text, sizeof text, "%s", report->text);
    err_keep(report,
             err_set(report->code,
                     "%.*s; the run had returned to a checkpoint as often as "
                     "cluster.max_restarts, %d, allows",
                     ERR_TEXT_MAX - 120, text, c->launch->config->cluster.max_restarts));
}
