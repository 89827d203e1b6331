/* worker - `dips worker`: one rank of a run's workers. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/wire.h"
#include "launch/commands.h"
#include "launch/flags.h"
#include "launch/ranks.h"
#include "launch/run_folder.h"
#include "launch/run_key.h"

static struct {
    const char *coordinator, *folder, *key, *task, *checkpoint, *out;
    bool        json;
    int64_t     columns, generation, workers;
} my;

static err_t work(launch *l, config **c, schema **s)
{
    char  file[CONFIG_PATH_MAX], words[64], *word = words;
    comm *nobody = NULL;

    TRY(run_folder_path(file, l->folder, "run.yaml"));
    snprintf(words, sizeof words, "cluster.workers=%lld", (long long)my.workers);
    TRY(config_load(c, file, my.workers > 0, &word));
    TRY(schema_new(s, *c));
    l->config = *c;
    l->schema = *s;
    return ranks_work(l, my.coordinator, &nobody);
}

err_t command_worker(int argc, char **argv)
{
    static const char usage[] = "dips worker --coordinator ENDPOINT --folder DIR [flags]";
    const flag        flags[] = {
               {"coordinator", FLAG_TEXT, &my.coordinator, .meta = "ENDPOINT", .required = true,
                .help = "where the coordinator listens"},
               {"folder", FLAG_TEXT, &my.folder, .meta = "DIR", .required = true,
                .help = "the run folder: run.yaml is read, logs are written"},
               {"key", FLAG_TEXT, &my.key, .meta = "FILE", .help = RUN_KEY_HELP},
               {"task", FLAG_TEXT, &my.task, .choices = TASK_NAMES, .help = "what to do"},
               {"checkpoint", FLAG_TEXT, &my.checkpoint, .meta = "DIR",
                .help = "evaluate, predict: the checkpoint"},
               {"out", FLAG_TEXT, &my.out, .meta = "FILE", .help = "predict: the file to write"},
               {"json", FLAG_BOOL, &my.json, .help = "evaluate: the result as one JSON object"},
               {"columns", FLAG_INT, &my.columns, .max = 100000,
                .help = "width of the user's terminal; 0: none"},
               {"generation", FLAG_INT, &my.generation, .max = UINT32_MAX, .meta = "N",
                .help = "how often the run has returned to a checkpoint"},
               {"workers", FLAG_INT, &my.workers, .max = CONFIG_WORKERS_MAX, .meta = "N",
                .help = "how many there are where not as many as run.yaml says"},
               {0}};
    config *c     = NULL;
    schema *s     = NULL;
    bool    helped;

    my.task = "train";
    TRY(flags_parse_only(
        flags, usage,
        "One worker of a run. `dips train` starts it, under mpirun where there are "
        "several; `dips train --dry-run` shows how.",
        argc, argv, &helped));
    if (helped)
        return OK;
    launch l = {.task    = {.kind       = task_find(my.task),
                            .checkpoint = my.checkpoint,
                            .out        = my.out,
                            .json       = my.json},
                .folder     = my.folder,
                .key        = my.key,
                .columns    = (int)my.columns,
                .generation = (uint32_t)my.generation};
    int    rank, size;
    ranks_place(&rank, &size);
    if (rank == 0) /* mpirun's standard error has its own words too, and goes to a log */
        dup2(STDOUT_FILENO, STDERR_FILENO);
    err_t err = work(&l, &c, &s);
    if (err != OK && !l.schema)
        ranks_refuse(my.coordinator, my.key, WIRE_WORKER, rank, l.generation, err);
    schema_free(&s);
    config_free(&c);
    return err;
}
