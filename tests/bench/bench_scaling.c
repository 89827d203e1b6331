/* bench_scaling - how long a step takes as workers and servers grow: by the closed form of
 * launch/plan/pace.h, and by playing the cluster event by event.
 *
 *     bench_scaling one  NAME=VALUE ...     one cluster
 *     bench_scaling grid NAME=VALUE ...     1 to 128 workers by 1 to 16 servers
 *
 * Names are those of the table below: what a worker's part of a step takes, the cluster, the
 * costs of rows and messages. Times are in the unit that the name says. */
#include <stdio.h>
#include <string.h>

#include "simulated_cluster.h"

#define AT(member) offsetof(sim_options, member)

/* clang-format off */
static const struct {
    const char *name;
    size_t      at;
    bool        whole;
    double      unit;
} names[] = {
    {"samples",           AT(load.samples),            false, 1},
    {"arithmetic_ms",     AT(load.arithmetic),         false, 1e-3},
    {"reading_ms",        AT(load.reading),            false, 1e-3},
    {"distinct",          AT(load.distinct),           false, 1},
    {"births",            AT(load.births),             false, 1},
    {"pull_bytes",        AT(load.pull),               false, 1},
    {"rows_bytes",        AT(load.rows),               false, 1},
    {"push_bytes",        AT(load.push),               false, 1},
    {"dense_bytes",       AT(load.dense),              false, 1},
    {"workers",           AT(cluster.workers),         true,  1},
    {"servers",           AT(cluster.servers),         true,  1},
    {"shards",            AT(cluster.shards),          true,  1},
    {"staleness",         AT(cluster.staleness),       true,  1},
    {"workers_per_host",  AT(cluster.workers_per_host), true, 1},
    {"cores",             AT(cluster.cores),           false, 1},
    {"network_gbit",      AT(cluster.network),         false, 1e9 / 8},
    {"latency_us",        AT(cluster.latency),         false, 1e-6},
    {"worker_row_ns",     AT(costs.worker_row),        false, 1e-9},
    {"worker_message_us", AT(costs.worker_message),    false, 1e-6},
    {"server_row_ns",     AT(costs.server_row),        false, 1e-9},
    {"server_birth_ns",   AT(costs.server_birth),      false, 1e-9},
    {"server_message_us", AT(costs.server_message),    false, 1e-6},
    {"io_message_us",     AT(costs.io_message),        false, 1e-6},
    {"io_byte_ns",        AT(costs.io_byte),           false, 1e-9},
    {"sum_message_us",    AT(costs.sum_message),       false, 1e-6},
    {"sum_byte_ns",       AT(costs.sum_byte),          false, 1e-9},
    {"crowding",          AT(costs.crowding),          false, 1},
    {"jitter",            AT(jitter),                  false, 1},
};
/* clang-format on */

static err_t set(sim_options *o, const char *word)
{
    const char *equals = strchr(word, '=');
    char       *end;

    for (size_t i = 0; equals && i < sizeof names / sizeof *names; i++) {
        size_t length = (size_t)(equals - word);
        if (strlen(names[i].name) != length || strncmp(names[i].name, word, length) != 0)
            continue;
        double value = strtod(equals + 1, &end) * names[i].unit;
        if (end == equals + 1 || *end != '\0' || value < 0)
            return err_set(ERR_USAGE, "'%s' has no number that is not below 0", word);
        if (names[i].whole)
            *(int *)((char *)o + names[i].at) = (int)value;
        else
            *(double *)((char *)o + names[i].at) = value;
        return OK;
    }
    return err_set(ERR_USAGE, "'%s' is not NAME=VALUE with a name of bench_scaling's table",
                   word);
}

/* A line: the closed form, the simulation, and the parts of the closed form. */
static err_t show(const sim_options *o)
{
    pace   p = pace_of(&o->load, &o->cluster, &o->costs);
    double played;

    TRY(simulate(&played, o, o->cluster.workers > 32 ? 24 : 60));
    printf("%4d x %-3d %8.3f ms  simulated %8.3f ms  %10.0f samples/s  by %s\n",
           o->cluster.workers, o->cluster.servers, p.step * 1e3, played * 1e3, p.samples_per_s,
           pace_part_name(p.largest));
    fflush(stdout);
    return OK;
}

static err_t grid(sim_options *o)
{
    for (o->cluster.servers = 1; o->cluster.servers <= 16; o->cluster.servers *= 2)
        for (o->cluster.workers = 1; o->cluster.workers <= 128; o->cluster.workers *= 2)
            TRY(show(o));
    return OK;
}

static err_t run(int argc, char **argv)
{
    sim_options o = {.load    = {.samples = 1},
                     .cluster = {.workers          = 1,
                                 .servers          = 1,
                                 .shards           = 1,
                                 .staleness        = 1,
                                 .workers_per_host = 1},
                     .costs   = pace_usual_costs,
                     .seed    = 1};

    if (argc < 2 || (strcmp(argv[1], "one") != 0 && strcmp(argv[1], "grid") != 0))
        return err_set(ERR_USAGE, "usage: bench_scaling one|grid NAME=VALUE ...");
    for (int i = 2; i < argc; i++)
        TRY(set(&o, argv[i]));
    if (o.cluster.workers < 1 || o.cluster.servers < 1 || o.cluster.shards < 1 ||
        o.cluster.workers_per_host < 1 || o.cluster.staleness > AHEAD / 2)
        return err_set(ERR_USAGE, "there is no such cluster");
    return argv[1][0] == 'o' ? show(&o) : grid(&o);
}

int main(int argc, char **argv)
{
    err_t err = run(argc, argv);

    if (err != OK)
        fprintf(stderr, "bench_scaling: %s\n", err_text());
    return err_exit_status(err);
}
