/* plan - `dips plan`: what a run will need, before anyone starts it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/safetensors.h"
#include "launch/commands.h"
#include "launch/flags.h"
#include "launch/plan/plan.h"
#include "launch/shards.h"

#define IDS_MOST 1e15

typedef struct planning {
    const char *ids; /* as typed; NULL: those of counts.safetensors */
    int64_t     servers, workers, workers_per_host;
    double      memory, distinct, births, network, latency, disk, samples_per_s;
    bool        json;

    const char *source;
    config     *config;
    schema     *schema;
    uint64_t   *rows;    /* (n_tables) */
    uint64_t   *counted; /* (n_tables) ids that counts.safetensors has; 0: not known */
} planning;

/* ---- how many ids ---- */

static err_t number_of_ids(uint64_t *ids, const char *text)
{
    double x;

    if (!flags_number(&x, text) || x < 1 || x > IDS_MOST)
        return err_set(ERR_USAGE, "--ids: '%s' is no number of ids, as in 600M", text);
    *ids = (uint64_t)x;
    return OK;
}

/* Ids of each table in the run's counts.safetensors, where there is one. */
static err_t read_counts(planning *my)
{
    char         path[CONFIG_PATH_MAX], name[CONFIG_NAME_MAX + 8];
    safetensors *file;

    TRY(shards_counts_path(path, my->config));
    if (access(path, R_OK) != 0)
        return OK;
    TRY(safetensors_open(&file, path));
    for (int t = 0; t < my->schema->n_tables; t++) {
        snprintf(name, sizeof name, "%s.ids", my->config->tables[t].name);
        const safetensors_tensor *ids = safetensors_find(file, name);
        my->counted[t]                = ids ? ids->count : 0;
    }
    safetensors_close(&file);
    return OK;
}

/* "goods=400M": the table of it, and where its number begins. */
static err_t table_of_word(const planning *my, char *word, int *table, const char **number)
{
    char *equals = strchr(word, '=');

    if (!equals)
        return err_set(ERR_USAGE, "--ids: '%s' names no table; wanted: TABLE=NUMBER,...", word);
    *equals = '\0';
    *number = equals + 1;
    *table  = schema_find_table(my->schema, word);
    if (*table < 0)
        return err_set(ERR_USAGE, "--ids: %s has no table '%s'", my->source, word);
    return OK;
}

static err_t ids_of_tables(planning *my)
{
    char       *words = strdup(my->ids), *rest = words;
    err_t       err    = words ? OK : err_memory(strlen(my->ids), "--ids");
    int         table  = 0;
    const char *number = NULL;

    for (char *word; err == OK && (word = strsep(&rest, ","));) {
        err = table_of_word(my, word, &table, &number);
        if (err == OK)
            err = number_of_ids(&my->rows[table], number);
    }
    free(words);
    return err;
}

/* weights[t] = the ids of table t that a sample looks up at most; their sum. */
static double weigh_slots(const schema *s, double *weights)
{
    double sum = 0;

    for (int k = 0; k < s->n_slots; k++) {
        const schema_slot *slot = &s->slots[k];
        int length              = slot->sequence < 0 ? 1 : s->sequences[slot->sequence].max_len;
        weights[slot->table] += length > 0 ? length : 1;
        sum += length > 0 ? length : 1;
    }
    return sum;
}

/* Share a total out over the tables: as the counts have it, else as ids are looked up. */
static err_t share_out(planning *my, const char **how)
{
    int      n                        = my->schema->n_tables;
    uint64_t total                    = 0;
    double   weights[WIRE_MAX_TABLES] = {0}, sum = 0;

    TRY(number_of_ids(&total, my->ids));
    for (int t = 0; t < n; t++)
        sum += weights[t] = (double)my->counted[t];
    *how = sum > 0 ? "as in counts.safetensors" : "by the ids that a sample looks up";
    if (sum == 0)
        sum = weigh_slots(my->schema, weights);
    if (sum == 0)
        return err_set(ERR_CONFIG, "%s: no feature looks ids up", my->source);
    if (n == 1)
        *how = NULL;
    for (int t = 0; t < n; t++) { /* each its share of what is left: together they are total */
        if (weights[t] == 0)
            continue; /* no feature looks its ids up, and where it is the last nothing is left */
        my->rows[t] = (uint64_t)((double)total * weights[t] / sum + 0.5);
        total -= my->rows[t] < total ? my->rows[t] : total;
        sum -= weights[t];
    }
    return OK;
}

static err_t find_ids(planning *my, const char **how)
{
    *how = NULL;
    TRY(read_counts(my));
    for (int t = 0; t < my->schema->n_tables; t++)
        my->rows[t] = my->counted[t];
    if (my->ids && !strchr(my->ids, '='))
        return share_out(my, how);
    if (my->ids)
        TRY(ids_of_tables(my));
    for (int t = 0; t < my->schema->n_tables; t++)
        if (my->rows[t] == 0)
            return err_set(ERR_USAGE,
                           "how many ids will table %s have? --ids 600M, or --ids %s=600M,...",
                           my->config->tables[t].name, my->config->tables[t].name);
    return OK;
}

/* ---- the command ---- */

static err_t load(planning *my, int n, char *const *words)
{
    TRY(config_load(&my->config, my->source, n, words));
    if (my->workers > 0)
        my->config->cluster.workers = (int)my->workers;
    TRY(schema_new(&my->schema, my->config));
    size_t tables = (size_t)my->schema->n_tables;
    my->rows      = calloc(tables + 1, sizeof *my->rows);
    my->counted   = calloc(tables + 1, sizeof *my->counted);
    return my->rows && my->counted ? OK : err_memory(tables * sizeof *my->rows, "a plan");
}

/* Of the machine that all processes share, unless they are told to be on several. */
static int shared_cores(const planning *my)
{
    bool several = my->network > 0 || my->config->cluster.hostfile[0];

    return several ? 0 : (int)sysconf(_SC_NPROCESSORS_ONLN);
}

static err_t make_and_print(planning *my)
{
    plan        *p = malloc(sizeof *p);
    plan_options o = {.config = my->config,
                      .schema = my->schema,
                      .ids    = my->rows,
                      .servers =
                          my->servers >= 0 ? (int)my->servers : my->config->cluster.servers,
                      .memory           = my->memory,
                      .network          = my->network,
                      .disk             = my->disk,
                      .samples_per_s    = my->samples_per_s,
                      .births           = my->births,
                      .latency          = my->network > 0 ? my->latency : 0,
                      .workers_per_host = (int)my->workers_per_host,
                      .cores            = shared_cores(my)};

    if (!p)
        return err_memory(sizeof *p, "a plan");
    err_t err = find_ids(my, &o.shared_out);
    if (err == OK)
        err = plan_make(p, &o, my->distinct);
    if (err == OK && my->json)
        err = plan_print_json(p, stdout);
    else if (err == OK)
        plan_print(p, my->source, stdout);
    free(p);
    return err;
}

err_t command_plan(int argc, char **argv)
{
    static const char usage[] = "dips plan RUN.yaml [--ids 600M] [flags] [key=value ...]";
    static const char about[] =
        "What a run of a configuration will need, before anyone starts it: bytes of a row\n"
        "and of all rows, memory of each server and worker, how many servers of a given\n"
        "memory, the size of a checkpoint, what travels in a step, how long it takes, and\n"
        "what holds it up. Where data.train is there, a few steps of it tell how many ids a\n"
        "step looks up and how many of them are distinct.";
    planning   my      = {.servers = -1, .workers_per_host = 1, .latency = 50e-6};
    const flag flags[] = {
        {"ids", FLAG_TEXT, &my.ids, .meta = "600M",
         .help = "ids of all tables, or goods=400M,user=200M; without: those of the counts"},
        {"servers", FLAG_INT, &my.servers, .min = 0, .max = 4096,
         .help = "server processes; -1: cluster.servers"},
        {"workers", FLAG_INT, &my.workers, .min = 0, .max = 65536,
         .help = "workers; 0: cluster.workers. train.batch is of all of them"},
        {"memory", FLAG_REAL, &my.memory, .meta = "24G", .min = 1, .max = 1e18,
         .help = "bytes of memory of each server's host: how many servers does it take?"},
        {"distinct", FLAG_REAL, &my.distinct, .meta = "SHARE", .min = 0, .max = 1,
         .help =
             "of the ids that a step looks up, those that are distinct; 0: as in the data, or "
             "all"},
        {"births", FLAG_REAL, &my.births, .meta = "SHARE", .min = 0, .max = 1,
         .help = "of the distinct ids of a step, those that no step has had before"},
        {"network", FLAG_REAL, &my.network, .meta = "RATE", .min = 0, .max = 1e15,
         .help = "bytes/s of a host's link, also as 25Gbit; 0: all run on this machine"},
        {"latency", FLAG_REAL, &my.latency, .meta = "SECONDS", .min = 0, .max = 10,
         .help = "of a message between hosts"},
        {"workers-per-host", FLAG_INT, &my.workers_per_host, .min = 1, .max = 65536,
         .help = "who share a link"},
        {"disk", FLAG_REAL, &my.disk, .meta = "RATE", .min = 0, .max = 1e15,
         .help = "bytes/s of a server's disk: how long does a checkpoint take?"},
        {"samples-per-s", FLAG_REAL, &my.samples_per_s, .meta = "RATE", .min = 0, .max = 1e15,
         .help = "samples/s of all workers, as a trial run printed it: how long is a step?"},
        {"json", FLAG_BOOL, &my.json, .help = "print one JSON object and nothing else"},
        {0}};
    int  n;
    bool helped;

    TRY(flags_parse_run(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    my.source = argv[0];
    err_t err = load(&my, n, argv + 1);
    if (err == OK)
        err = make_and_print(&my);
    schema_free(&my.schema);
    config_free(&my.config);
    free(my.rows);
    free(my.counted);
    return err;
}
