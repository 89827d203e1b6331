#include "launch/ranks.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "launch/control.h"
#include "launch/run_folder.h"
#include "launch/run_key.h"
#include "launch/shards.h"
#include "launch/signals.h"

#define CALL_S 0.5 /* for a call to reach all workers */

typedef struct worker {
    const launch *launch;
    int           rank;
    net          *net;
    control      *control;
    comm         *workers;
    server       *shards; /* of rank 0 where there are no servers */
    net_link     *link;
    uint32_t      generation;
    int64_t       alive; /* counts what the computing thread does */
} worker;

/* ---- place ---- */

static int number_of(const char *const *names, int otherwise)
{
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value)
            return atoi(value);
    }
    return otherwise;
}

void ranks_place(int *rank, int *size)
{
    static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", NULL};
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", NULL};

    *rank = number_of(ranks, 0);
    *size = number_of(sizes, 1);
}

err_t ranks_join(comm **workers, const config *c)
{
    double timeout_s = c->cluster.step_timeout + c->cluster.heartbeat_timeout;
    int    rank, size;

    ranks_place(&rank, &size);
    return size > 1 ? comm_open(workers, clock_monotonic(), timeout_s) : comm_self(workers);
}

/* ---- what the job asks ---- */

static void progress(void *self, int64_t step)
{
    worker *w = self;

    (void)step;
    control_progress(w->control, ++w->alive);
}

/* Whether the coordinator has called all workers back to the newest checkpoint. */
static err_t check_generation(void *self)
{
    worker *w = self;

    if (control_generation(w->control) > w->generation)
        return err_set(ERR_DEATH, "the run returns to its newest checkpoint");
    return OK;
}

/* The same of a worker that waits for others: it lives. */
static err_t check_waiting(void *self)
{
    worker *w = self;

    control_progress(w->control, ++w->alive);
    return check_generation(w);
}

static err_t check(void *self)
{
    worker *w = self;

    TRY(check_waiting(w));
    return w->shards ? server_check(w->shards) : OK;
}

static err_t stop(void *self)
{
    worker *w = self;

    TRY(signals_stop());
    return control_stop(w->control);
}

/* ---- ties ---- */

static err_t dial_coordinator(worker *w, const char *coordinator)
{
    const control_options options = {
        .coordinator       = coordinator,
        .role              = WIRE_WORKER,
        .index             = (uint32_t)w->rank,
        .generation        = w->launch->generation,
        .key               = w->launch->key,
        .heartbeat_timeout = w->launch->config->cluster.heartbeat_timeout,
    };

    TRY(run_key_net(&w->net, w->launch->key));
    return control_open(&w->control, w->net, &options);
}

/* Rank 0 runs the shards and tells the others where. */
static err_t share_shards(worker *w)
{
    const config *c                     = w->launch->config;
    size_t        n                     = (size_t)shards_total(c);
    char          own[NET_ENDPOINT_MAX] = "";
    err_t         err                   = OK;

    char(*at)[NET_ENDPOINT_MAX] = calloc(n, sizeof *at);
    const char **list           = calloc(n, sizeof *list);
    if (!at || !list)
        err = err_memory(n * sizeof *at, "the endpoints of the shards");
    if (err == OK && w->rank == 0) {
        shards_endpoint(own, c, "shard-%d");
        err = shards_start(&w->shards, w->net, c, w->launch->schema, 0, own);
        for (size_t i = 0; err == OK && i < n; i++)
            snprintf(at[i], sizeof at[i], "%s", server_endpoint(w->shards, (int)i));
    }
    if (err == OK)
        err = comm_broadcast(w->workers, at, n * sizeof *at);
    for (size_t i = 0; err == OK && i < n; i++)
        list[i] = at[i];
    if (err == OK)
        err = net_dial(&w->link, w->net, (int)n, list);
    free(list);
    free(at);
    return err;
}

/* Those of the generation, or of a later one: then all workers are about to be called back. */
static err_t dial_shards(worker *w, uint32_t generation)
{
    const config   *c = w->launch->config;
    control_welcome welcome;

    TRY(control_wait_welcome(w->control, generation, &welcome, c->cluster.start_timeout));
    err_t err = c->cluster.servers == 0
                    ? share_shards(w)
                    : net_dial(&w->link, w->net, welcome.n, welcome.endpoints);
    free(welcome.endpoints);
    return err;
}

/* ---- work ---- */

static err_t run_task(worker *w, char *text, size_t size)
{
    const launch *l = w->launch;
    const job     j = {
            .config     = l->config,
            .schema     = l->schema,
            .workers    = w->workers,
            .shards     = net_link_transport(w->link),
            .clock      = clock_monotonic(),
            .generation = w->generation,
            .run        = l->task.kind == TASK_TRAIN ? l->folder : NULL,
            .progress   = progress,
            .check      = check,
            .stop       = stop,
            .self       = w,
            .terminal   = l->columns > 0,
            .columns    = l->columns,
    };
    return task_run(&l->task, &j, text, size);
}

/* Whether a task that ended with err did so because, somewhere, a worker was called back: then
 * this one is, or soon will be. */
static bool called_back(worker *w, err_t err)
{
    control_welcome welcome = {0};

    if (err != ERR_DEATH && err != ERR_TIMEOUT)
        return false;
    bool called = control_wait_welcome(w->control, w->generation + 1, &welcome, CALL_S) == OK;
    free(welcome.endpoints);
    return called;
}

/* Together with all other workers, go over to the newest generation that one of them has heard
 * of: with new ways to the shards, and nothing of what was under way. */
static err_t go_back(worker *w)
{
    uint64_t newest = control_generation(w->control);

    net_link_close(&w->link);
    TRY(comm_renew(w->workers, &newest));
    w->generation = (uint32_t)newest;
    return dial_shards(w, w->generation);
}

static err_t work(worker *w, const char *coordinator, char *text, size_t size)
{
    const config *c = w->launch->config;
    err_report    report;

    TRY(dial_coordinator(w, coordinator));
    if (!w->workers)
        TRY(ranks_join(&w->workers, c));
    if (comm_size(w->workers) != c->cluster.workers)
        return err_set(ERR_USAGE, "%d workers were started, cluster.workers is %d",
                       comm_size(w->workers), c->cluster.workers);
    w->generation = w->launch->generation;
    TRY(dial_shards(w, w->generation));
    comm_set_check(w->workers, check_waiting, w);
    for (;;) {
        err_keep(&report, run_task(w, text, size));
        if (report.code == OK || !called_back(w, report.code))
            return err_give(&report);
        TRY(go_back(w));
    }
}

/* A signal ends all ranks at the same step; any other failure may be this one's alone. */
static bool is_shared(err_t err)
{
    return err == OK || err == ERR_INTERRUPT || err == ERR_TERMINATE;
}

/* Let go of everything but the other ranks, after BYE has left: whoever finishes first may
 * have mpirun end the others. */
static void leave(worker *w, err_t err, const char *text)
{
    net_link_close(&w->link);
    control_close(&w->control, err_exit_status(err), text);
    if (w->shards && server_stop(&w->shards) != OK)
        log_each(LOG_WARN, "stopping the shards: %s", err_text());
    net_free(&w->net);
}

err_t ranks_work(const launch *l, const char *coordinator, comm **workers)
{
    worker     w          = {.launch = l, .workers = *workers};
    char       text[4096] = "", name[32];
    int        size;
    err_report report;

    *workers = NULL;
    ranks_place(&w.rank, &size);
    snprintf(name, sizeof name, "worker-%d", w.rank);
    signals_catch(false);
    if (w.rank != 0)
        TRY(run_folder_redirect(l->folder, name));
    log_name(name);
    log_speaks_for_job(w.rank == 0);
    err_keep(&report, work(&w, coordinator, text, sizeof text));
    if (report.code != OK && w.rank == 0 && run_folder_redirect(l->folder, name) != OK)
        log_each(LOG_WARN, "%s", err_text());
    leave(&w, report.code, report.code == OK ? text : report.text);
    if (!is_shared(report.code)) {
        log_each(LOG_ERROR, "%s", report.text);
        comm_abort(w.workers, err_exit_status(report.code));
    }
    comm_close(&w.workers);
    return err_give(&report);
}

void ranks_refuse(const char *coordinator, const char *key, int role, int index,
                  uint32_t generation, err_t err)
{
    net                  *n = NULL;
    control              *c = NULL;
    err_report            report;
    const control_options options = {
        .coordinator       = coordinator,
        .role              = (wire_role)role,
        .index             = (uint32_t)index,
        .generation        = generation,
        .heartbeat_timeout = 5,
    };

    err_keep(&report, err);
    if (run_key_net(&n, key) == OK && control_open(&c, n, &options) == OK)
        control_close(&c, err_exit_status(report.code), report.text);
    net_free(&n);
    err_give(&report);
}
