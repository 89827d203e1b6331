#include "launch/apply.h"

#include <string.h>

#include "common/log.h"
#include "common/manifest.h"
#include "launch/alone.h"
#include "launch/start.h"
#include "launch/terminal.h"

typedef struct applying {
    config *config;
    schema *schema;
} applying;

err_t apply_find_checkpoint(char folder[CONFIG_PATH_MAX], const char *path)
{
    err_t err = manifest_find(folder, path);

    if (err != OK)
        return err_add(err, "--checkpoint");
    if (strcmp(folder, path) != 0)
        log_once(LOG_INFO, "the newest checkpoint is %s", folder);
    return OK;
}

static err_t open_folder(void *self, run_folder *f)
{
    const applying *a = self;

    return run_folder_open_temporary(f, a->config);
}

/* Reading updates no row, so no table has to know how often its ids occur. Decay shows in
 * what is read. */
static void forget_penalties(config *c)
{
    for (int t = 0; t < c->n_tables; t++)
        if (c->tables[t].penalty.kind != PENALTY_DECAY)
            c->tables[t].penalty.kind = PENALTY_NONE;
}

static err_t apply(applying *a, const task *t, const char *source, int n, char *const *words)
{
    char   folder[CONFIG_PATH_MAX];
    launch l = {.task = *t, .columns = t->json ? 0 : terminal_columns()};

    TRY(start_load(&a->config, &a->schema, t->kind, source, n, words));
    TRY(apply_find_checkpoint(folder, t->checkpoint));
    forget_penalties(a->config);
    l.config                    = a->config;
    l.schema                    = a->schema;
    l.task.checkpoint           = folder;
    const start_options options = {.open_folder = open_folder, .self = a};
    return start_run(&l, &options);
}

/* One process with one shard, however many the run had. */
static void be_alone(config *c)
{
    c->cluster.servers     = 0;
    c->cluster.workers     = 1;
    c->cluster.shards      = 1;
    c->cluster.hostfile[0] = '\0';
}

static err_t alone(applying *a, const task *t, const char *source, int n, char *const *words,
                   const config **c, const schema **s)
{
    char   folder[CONFIG_PATH_MAX];
    launch l = {.task = *t};

    TRY(start_load(&a->config, &a->schema, t->kind, source, n, words));
    TRY(apply_find_checkpoint(folder, t->checkpoint));
    forget_penalties(a->config);
    be_alone(a->config);
    *c = l.config = a->config;
    *s = l.schema = a->schema;
    l.task.checkpoint = folder;
    return alone_run(&l);
}

err_t apply_alone(const task *t, const char *source, int n, char *const *words,
                  const config **c, const schema **s)
{
    applying a   = {0};
    err_t    err = alone(&a, t, source, n, words, c, s);

    schema_free(&a.schema);
    config_free(&a.config);
    return err;
}

err_t apply_task(const task *t, const char *source, int n, char *const *words)
{
    applying a   = {0};
    err_t    err = apply(&a, t, source, n, words);

    schema_free(&a.schema);
    config_free(&a.config);
    return err;
}
