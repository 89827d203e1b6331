/* worker - `dips worker`: one rank of a run's workers. */
#include <stdio.h>
#include <unistd.h>

#include "common/wire.h"
#include "launch/commands.h"
#include "launch/flags.h"
#include "launch/ranks.h"
#include "launch/run_folder.h"
#include "launch/run_key.h"

/* What the command line says. */
typedef struct working {
    const char *coordinator, *folder, *key, *task, *checkpoint, *out;
    bool        json;
    int64_t     columns, generation, workers;
} working;

static err_t work(const working *x, launch *l, config **c, schema **s)
{
    char  file[CONFIG_PATH_MAX], words[64], *word = words;
    comm *nobody = NULL;

    TRY(run_folder_path(file, l->folder, "run.yaml"));
    snprintf(words, sizeof words, "cluster.workers=%lld", (long long)x->workers);
    TRY(config_load(c, file, x->workers > 0, &word));
    TRY(schema_new(s, *c));
    l->config = *c;
    l->schema = *s;
    return ranks_work(l, x->coordinator, &nobody);
}

static err_t work_and_tell(const working *x)
{
    launch  l = {.task    = {.kind       = task_find(x->task),
                             .checkpoint = x->checkpoint,
                             .out        = x->out,
                             .json       = x->json},
                 .folder     = x->folder,
                 .key        = x->key,
                 .columns    = (int)x->columns,
                 .generation = (uint32_t)x->generation};
    config *c = NULL;
    schema *s = NULL;
    int     rank, size;

    ranks_place(&rank, &size);
    if (rank == 0) /* mpirun's standard error has its own words too, and goes to a log */
        dup2(STDOUT_FILENO, STDERR_FILENO);
    err_t err = work(x, &l, &c, &s);
    if (err != OK && !l.schema)
        ranks_refuse(x->coordinator, x->key, WIRE_WORKER, rank, l.generation, err);
    schema_free(&s);
    config_free(&c);
    return err;
}

err_t command_worker(int argc, char **argv)
{
    static const char usage[] = "dips worker --coordinator ENDPOINT --folder DIR [flags]";
    static const char about[] =
        "One worker of a run. `dips train` starts it, under mpirun where there are several;\n"
        "`dips train --dry-run` shows how.";
    working    x       = {.task = "train"};
    const flag flags[] = {
        {"coordinator", FLAG_TEXT, &x.coordinator, .meta = "ENDPOINT", .required = true,
         .help = "where the coordinator listens"},
        {"folder", FLAG_TEXT, &x.folder, .meta = "DIR", .required = true,
         .help = "the run folder: run.yaml is read, logs are written"},
        {"key", FLAG_TEXT, &x.key, .meta = "FILE", .help = RUN_KEY_HELP},
        {"task", FLAG_TEXT, &x.task, .choices = TASK_NAMES, .help = "what to do"},
        {"checkpoint", FLAG_TEXT, &x.checkpoint, .meta = "DIR",
         .help = "evaluate, predict: the checkpoint"},
        {"out", FLAG_TEXT, &x.out, .meta = "FILE", .help = "predict: the file to write"},
        {"json", FLAG_BOOL, &x.json, .help = "evaluate: the result as one JSON object"},
        {"columns", FLAG_INT, &x.columns, .max = 100000,
         .help = "width of the user's terminal; 0: none"},
        {"generation", FLAG_INT, &x.generation, .max = UINT32_MAX, .meta = "N",
         .help = "how often the run has returned to a checkpoint"},
        {"workers", FLAG_INT, &x.workers, .max = CONFIG_WORKERS_MAX, .meta = "N",
         .help = "how many there are where not as many as run.yaml says"},
        {0}};
    bool helped;

    TRY(flags_parse_only(flags, usage, about, argc, argv, &helped));
    return helped ? OK : work_and_tell(&x);
}
