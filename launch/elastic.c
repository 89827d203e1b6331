#include "launch/elastic.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "common/log.h"
#include "common/metrics.h"
#include "launch/lines.h"
#include "launch/run_folder.h"
#include "launch/starter.h"

#define ANSWER_S 10.0 /* for a host to start a program and tell how it went */
#define REAP_S   1.0

static bool is_elastic(const coordinator *c)
{
    return c->launch->config->cluster.elastic && lines_leave_host(c->launch->config) &&
           c->options->start_servers && c->options->start_workers;
}

/* ---- asking ---- */

static bool all_ended(process *asked, int n)
{
    bool all = true;

    for (int i = 0; i < n; i++)
        all = (asked[i].pid == 0 || process_poll(&asked[i])) && all;
    return all;
}

static void wait_for(coordinator *c, process *asked, double seconds, void (*reap)(void *self))
{
    int64_t         start = clock_now(c->clock);
    struct timespec nap   = {.tv_nsec = 10 * NS_PER_MS};

    while (!all_ended(asked, c->hosts.n) && clock_seconds(c->clock, start) < seconds) {
        nanosleep(&nap, NULL);
        reap(c);
    }
}

static err_t ask(coordinator *c, process *asked, void (*reap)(void *self))
{
    for (int i = 0; i < c->hosts.n; i++)
        TRY(starter_question(c, c->hosts.at[i].name, i, &asked[i]));
    wait_for(c, asked, ANSWER_S, reap);
    return OK;
}

/* Those who are still on their way get no more time. */
static void dismiss(coordinator *c, process *asked, void (*reap)(void *self))
{
    for (int i = 0; i < c->hosts.n; i++)
        process_signal_group(&asked[i], SIGKILL);
    wait_for(c, asked, REAP_S, reap);
}

/* Which hosts are there, and whether they are others than before. */
static err_t ask_all(coordinator *c, void (*reap)(void *self))
{
    process *asked = calloc((size_t)c->hosts.n, sizeof *asked);

    if (!asked)
        return err_memory((size_t)c->hosts.n * sizeof *asked, "questions to hosts");
    for (int i = 0; i < c->hosts.n; i++)
        asked[i].pidfd = -1;
    err_t err = ask(c, asked, reap);
    for (int i = 0; err == OK && i < c->hosts.n; i++) {
        const process *p     = &asked[i];
        bool           there = p->ended && WIFEXITED(p->status) && WEXITSTATUS(p->status) == 0;
        c->hosts_news |= there != c->hosts.at[i].there;
        c->hosts.at[i].there = there;
    }
    dismiss(c, asked, reap);
    free(asked);
    return err;
}

/* ---- telling ---- */

static err_t log_hosts(const coordinator *c, const char *missing)
{
    char         path[CONFIG_PATH_MAX];
    metrics_log *log;
    int64_t      step;

    TRY(run_folder_newest(&step, c->launch->folder, c->launch->config));
    const metrics_field fields[] = {
        METRIC_INT("step", step < 0 ? 0 : step),     METRIC_INT("generation", c->generation),
        METRIC_INT("hosts", hosts_there(&c->hosts)), METRIC_TEXT("missing", missing),
        METRIC_INT("workers", c->workers),
    };
    TRY(run_folder_path(path, c->launch->folder, "metrics.jsonl"));
    TRY(metrics_log_open(&log, path, -1));
    err_t err = metrics_log_write(log, "hosts", sizeof fields / sizeof *fields, fields);
    metrics_log_close(&log);
    return err;
}

err_t elastic_tell(coordinator *c)
{
    const config *f            = c->launch->config;
    char          missing[512] = "";
    int           there        = hosts_there(&c->hosts);

    if (!c->hosts_news)
        return OK;
    c->hosts_news = false;
    hosts_missing(&c->hosts, missing, sizeof missing);
    log_once(LOG_WARN, "%d of the %d hosts of %s %s there%s%s: %d worker%s go%s on, of %d",
             there, c->hosts.n, f->cluster.hostfile, there == 1 ? "is" : "are",
             *missing ? ", not " : "", missing, c->workers, c->workers == 1 ? "" : "s",
             c->workers == 1 ? "es" : "", f->cluster.workers);
    return log_hosts(c, missing);
}

/* ---- all of it ---- */

err_t elastic_look(coordinator *c, void (*reap)(void *self))
{
    const config *f = c->launch->config;

    if (!is_elastic(c))
        return OK;
    if (c->hosts.n == 0)
        TRY(hosts_read(&c->hosts, f->cluster.hostfile));
    TRY(ask_all(c, reap));
    if (hosts_there(&c->hosts) == 0)
        return err_set(ERR_DEATH, "no host of %s answered within %g s; see %s/logs/hosts.log",
                       f->cluster.hostfile, ANSWER_S, c->launch->folder);
    c->workers = hosts_workers(&c->hosts, f->cluster.workers);
    TRY(run_folder_path(c->hostfile, c->leftovers.session, "hosts"));
    TRY(hosts_write(&c->hosts, c->hostfile));
    return OK;
}

bool elastic_has_lost(const coordinator *c, const member *m)
{
    return c->hosts.n > 0 && !c->hosts.at[m->host_index].there;
}
