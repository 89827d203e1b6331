#include "launch/alone.h"

#include <stdio.h>
#include <stdlib.h>

#include "launch/shards.h"
#include "launch/signals.h"

typedef struct alone {
    const launch *launch;
    net          *net;
    server       *shards;
    net_link     *link;
    comm         *workers;
} alone;

static err_t check(void *self)
{
    alone *a = self;

    TRY(server_check(a->shards));
    /* Training stops at a step and writes a checkpoint; the others have nothing to keep. */
    return a->launch->task.kind == TASK_TRAIN ? OK : signals_stop();
}

static err_t stop(void *self)
{
    (void)self;
    return signals_stop();
}

static err_t dial(alone *a)
{
    int          n  = shards_total(a->launch->config);
    const char **at = malloc((size_t)n * sizeof *at);

    if (!at)
        return err_memory((size_t)n * sizeof *at, "the endpoints of the shards");
    for (int i = 0; i < n; i++)
        at[i] = server_endpoint(a->shards, i);
    err_t err = net_dial(&a->link, a->net, n, at);
    free(at);
    return err;
}

static err_t run(alone *a, char *text, size_t size)
{
    const launch *l = a->launch;

    TRY(net_new(&a->net));
    TRY(shards_start(&a->shards, a->net, l->config, l->schema, 0, "inproc://shard-%d"));
    TRY(dial(a));
    TRY(comm_self(&a->workers));
    const job j = {
        .config     = l->config,
        .schema     = l->schema,
        .workers    = a->workers,
        .shards     = net_link_transport(a->link),
        .clock      = clock_monotonic(),
        .generation = 1,
        .run        = l->task.kind == TASK_TRAIN ? l->folder : NULL,
        .check      = check,
        .stop       = stop,
        .self       = a,
        .terminal   = l->columns > 0,
        .columns    = l->columns,
    };
    return task_run(&l->task, &j, text, size);
}

err_t alone_run(const launch *l)
{
    alone      a          = {.launch = l};
    char       text[4096] = "";
    err_report report;

    signals_catch(true);
    err_keep(&report, run(&a, text, sizeof text));
    comm_close(&a.workers);
    net_link_close(&a.link);
    err_t stopped = a.shards ? server_stop(&a.shards) : OK;
    net_free(&a.net);
    if (report.code != OK)
        return err_give(&report);
    fputs(text, stdout);
    return stopped;
}
