/* server - `dips server`: a process with some of a run's shards. */
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "launch/commands.h"
#include "launch/control.h"
#include "launch/flags.h"
#include "launch/ranks.h"
#include "launch/run_folder.h"
#include "launch/run_key.h"
#include "launch/shards.h"

typedef struct serving {
    const char *coordinator, *folder, *key; /* what the command line says */
    int64_t     index, generation;

    config  *config;
    schema  *schema;
    net     *net;
    server  *shards;
    control *control;
} serving;

static err_t start(serving *s)
{
    char file[CONFIG_PATH_MAX], endpoint[NET_ENDPOINT_MAX], name[64];

    TRY(run_folder_path(file, s->folder, "run.yaml"));
    TRY(config_load(&s->config, file, 0, NULL));
    TRY(schema_new(&s->schema, s->config));
    if (s->index >= s->config->cluster.servers)
        return err_set(ERR_USAGE, "--index %lld: the run has %d servers, the first is 0",
                       (long long)s->index, s->config->cluster.servers);
    snprintf(name, sizeof name, "server-%lld-shard-%%d", (long long)s->index);
    shards_endpoint(endpoint, s->config, name);
    TRY(run_key_net(&s->net, s->key));
    return shards_start(&s->shards, s->net, s->config, s->schema, (int)s->index, endpoint);
}

static err_t say_hello(serving *s)
{
    int                   n       = shards_per_server(s->config);
    const char          **at      = malloc((size_t)n * sizeof *at);
    const control_options options = {
        .coordinator       = s->coordinator,
        .role              = WIRE_SERVER,
        .index             = (uint32_t)s->index,
        .generation        = (uint32_t)s->generation,
        .n_endpoints       = n,
        .endpoints         = at,
        .key               = s->key,
        .heartbeat_timeout = s->config->cluster.heartbeat_timeout,
    };

    if (!at)
        return err_memory((size_t)n * sizeof *at, "the endpoints of the shards");
    for (int i = 0; i < n; i++)
        at[i] = server_endpoint(s->shards, i);
    err_t err = control_open(&s->control, s->net, &options);
    free(at);
    return err;
}

static err_t serve(serving *s)
{
    bool ended = false;

    while (!ended) {
        TRY(server_check(s->shards));
        control_progress(s->control, server_pulse(s->shards));
        control_wait_end(s->control, 0.1, &ended);
    }
    return server_stop(&s->shards);
}

static err_t run(serving *s)
{
    TRY(start(s));
    TRY(say_hello(s));
    return serve(s);
}

static err_t run_and_tell(serving *s)
{
    char       name[32];
    err_report report;

    snprintf(name, sizeof name, "server-%lld", (long long)s->index);
    log_name(name);
    log_speaks_for_job(false);
    err_keep(&report, run(s));
    if (s->control)
        control_close(&s->control, err_exit_status(report.code),
                      report.code == OK ? "" : report.text);
    else
        ranks_refuse(s->coordinator, s->key, WIRE_SERVER, (int)s->index,
                     (uint32_t)s->generation, report.code);
    if (s->shards && server_stop(&s->shards) != OK)
        log_each(LOG_WARN, "stopping the shards: %s", err_text());
    net_free(&s->net);
    schema_free(&s->schema);
    config_free(&s->config);
    return err_give(&report);
}

err_t command_server(int argc, char **argv)
{
    static const char usage[] = "dips server --coordinator ENDPOINT --index K --folder DIR";
    static const char about[] =
        "One server of a run: shards of the tables, for the workers. `dips train` starts it;\n"
        "`dips train --dry-run` shows how.";
    serving    s       = {0};
    const flag flags[] = {
        {"coordinator", FLAG_TEXT, &s.coordinator, .meta = "ENDPOINT", .required = true,
         .help = "where the coordinator listens"},
        {"index", FLAG_INT, &s.index, .min = 0, .max = 65535, .required = true, .meta = "K",
         .help = "which server of the run this is"},
        {"folder", FLAG_TEXT, &s.folder, .meta = "DIR", .required = true,
         .help = "the run folder: run.yaml is read"},
        {"generation", FLAG_INT, &s.generation, .max = UINT32_MAX, .meta = "N",
         .help = "how often the run has returned to a checkpoint"},
        {"key", FLAG_TEXT, &s.key, .meta = "FILE", .help = RUN_KEY_HELP},
        {0}};
    bool helped;

    TRY(flags_parse_only(flags, usage, about, argc, argv, &helped));
    return helped ? OK : run_and_tell(&s);
}
