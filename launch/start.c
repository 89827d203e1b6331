#include "launch/start.h"

#include <stdio.h>
#include <stdlib.h>

#include "launch/alone.h"
#include "launch/by_hand.h"
#include "launch/coordinator.h"
#include "launch/ranks.h"
#include "launch/run_key.h"

bool start_is_alone(const config *c)
{
    return c->cluster.servers == 0 && c->cluster.workers == 1 && !*c->cluster.hostfile;
}

/* Training may go without a test; the others have nothing but data.test. */
static err_t check_named(const config *c, task_kind kind)
{
    if (kind == TASK_TRAIN && c->data.train.n == 0)
        return err_set(ERR_CONFIG, "data.train is empty: which data shards are to train on?");
    if ((kind == TASK_EVALUATE || kind == TASK_PREDICT) && c->data.test.n == 0)
        return err_set(ERR_CONFIG, "data.test is empty: which data shards are to %s?",
                       kind == TASK_EVALUATE ? "evaluate on" : "predict for");
    return OK;
}

err_t start_load(config **c, schema **s, task_kind kind, const char *source, int n,
                 char *const *words)
{
    char   workers[64];
    int    rank, size;
    char **all = malloc(((size_t)n + 1) * sizeof *all);

    if (!all)
        return err_memory((size_t)n * sizeof *all, "the command line");
    for (int i = 0; i < n; i++)
        all[i] = words[i];
    ranks_place(&rank, &size);
    if (size > 1) {
        snprintf(workers, sizeof workers, "cluster.workers=%d", size);
        all[n++] = workers;
    }
    err_t err = config_load(c, source, n, all);
    if (err == OK)
        err = check_named(*c, kind);
    if (err == OK)
        err = schema_new(s, *c);
    if (err != OK)
        by_hand_let_rank_0_speak();
    free(all);
    return err;
}

static err_t run_with_folder(launch *l, const start_options *options)
{
    const coordinator_options coordinator = {.listen        = options->listen,
                                             .start_servers = !options->attach,
                                             .start_workers = !options->attach};
    run_folder                f;
    char                      key[CONFIG_PATH_MAX];

    TRY(options->open_folder(options->self, &f));
    l->folder = f.path;
    l->held   = &f;
    err_t err = run_key_path(key, l->config, f.path, options->key, options->listen);
    l->key    = *key ? key : NULL;
    if (err == OK)
        err = start_is_alone(l->config) && !options->attach ? alone_run(l)
                                                            : coordinator_run(l, &coordinator);
    run_folder_close(&f);
    return err;
}

err_t start_run(launch *l, const start_options *options)
{
    int rank, size;

    ranks_place(&rank, &size);
    if (size > 1 && !options->attach)
        return by_hand_run(l, options);
    return run_with_folder(l, options);
}
