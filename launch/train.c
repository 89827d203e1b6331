/* train - `dips train`: a run from its configuration to its last checkpoint. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/warm_start.h"
#include "launch/commands.h"
#include "launch/flags.h"
#include "launch/lines.h"
#include "launch/run_key.h"
#include "launch/start.h"
#include "launch/terminal.h"

typedef struct training {
    const char *source; /* RUN.yaml */
    const char *dir, *listen, *key;
    bool        fresh, dry_run, attach;
    config     *config;
    schema     *schema;
} training;

static err_t open_folder(void *self, run_folder *f)
{
    const training *t = self;

    return run_folder_open(f, t->dir, t->source, t->fresh, t->config, t->schema);
}

/* A port of the loopback that nobody listens at. */
static err_t free_address(char *text, size_t size)
{
    struct sockaddr_in a      = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t          length = sizeof a;
    int                s      = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(s, (struct sockaddr *)&a, &length) != 0) {
        err_t err = err_errno("looking for a free port");
        if (s >= 0)
            close(s);
        return err;
    }
    close(s);
    snprintf(text, size, "127.0.0.1:%d", ntohs(a.sin_port));
    return OK;
}

static err_t print_lines(training *t, int n, char *const *given)
{
    char   address[64], dir[CONFIG_PATH_MAX], key[CONFIG_PATH_MAX];
    launch l = {.config = t->config, .schema = t->schema, .folder = dir};

    if (t->dir)
        snprintf(dir, sizeof dir, "%s", t->dir);
    else
        TRY(run_folder_new_name(dir, t->source));
    TRY(run_key_path(key, t->config, dir, t->key, t->listen));
    l.key = *key ? key : NULL;
    if (start_is_alone(t->config))
        return lines_print_alone(&l, t->source, n, given, stdout);
    if (!t->listen)
        TRY(free_address(address, sizeof address));
    return lines_print(&l, t->source, n, given, t->listen ? t->listen : address, stdout);
}

/* Whether the run goes on from a checkpoint of its own. */
static err_t goes_on(bool *yes, const training *t)
{
    char    dir[CONFIG_PATH_MAX];
    int64_t step = -1;

    if (*t->config->checkpoint.dir)
        snprintf(dir, sizeof dir, "%s", t->config->checkpoint.dir);
    else if (t->dir)
        TRY(run_folder_path(dir, t->dir, "checkpoints"));
    if (*t->config->checkpoint.dir || t->dir)
        TRY(manifest_newest(&step, dir));
    *yes = step >= 0;
    return OK;
}

/* What init.from means is settled once, for all processes of the run. */
static err_t settle_init(const training *t)
{
    bool resumed = false;

    if (!*t->config->init.from)
        return OK;
    TRY(goes_on(&resumed, t));
    return resumed ? OK : warm_start_settle(t->config);
}

static err_t train(training *t, int n, char *const *given)
{
    TRY(start_load(&t->config, &t->schema, TASK_TRAIN, t->source, n, given));
    TRY(settle_init(t));
    if (t->dry_run)
        return print_lines(t, n, given);
    launch              l       = {.task    = {.kind = TASK_TRAIN},
                                   .config  = t->config,
                                   .schema  = t->schema,
                                   .columns = terminal_columns()};
    const start_options options = {.open_folder = open_folder,
                                   .self        = t,
                                   .attach      = t->attach,
                                   .listen      = t->listen,
                                   .key         = t->key};
    return start_run(&l, &options);
}

err_t command_train(int argc, char **argv)
{
    static const char usage[] = "dips train RUN.yaml [flags] [key=value ...]";
    static const char about[] =
        "Train the model of a configuration, from the newest checkpoint of its run folder\n"
        "or from the beginning. key=value sets an option over the file (`dips options`\n"
        "lists them). cluster.servers and cluster.workers say how many processes work;\n"
        "`mpirun -n N dips train ...` makes N workers of its ranks.";
    training   t       = {0};
    const flag flags[] = {
        {"run", FLAG_TEXT, &t.dir, .meta = "DIR",
         .help = "the run folder; a run in it goes on (without: runs/NAME-DATE)"},
        {"fresh", FLAG_BOOL, &t.fresh, .help = "refuse a folder that has a run in it"},
        {"dry-run", FLAG_BOOL, &t.dry_run,
         .help = "print the command lines of the run's processes, to be typed in order"},
        {"attach", FLAG_BOOL, &t.attach,
         .help = "wait for servers and workers that are started by others"},
        {"listen", FLAG_TEXT, &t.listen, .meta = "HOST:PORT",
         .help = "where the coordinator waits for the others"},
        {"key", FLAG_TEXT, &t.key, .meta = "FILE",
         .help = "the key of the run's processes, made where there is none (cluster.curve)"},
        {0}};
    int  n;
    bool helped;

    TRY(flags_parse_run(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (t.attach && !t.listen)
        t.listen = "127.0.0.1:*";
    t.source  = argv[0];
    err_t err = train(&t, n, argv + 1);
    schema_free(&t.schema);
    config_free(&t.config);
    return err;
}
