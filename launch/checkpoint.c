/* checkpoint - `dips checkpoint`: what a checkpoint holds, and whether it is whole. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/vec.h"
#include "launch/checkpoint_verify.h"
#include "launch/commands.h"
#include "launch/flags.h"

/* ---- which checkpoints a folder means ---- */

/* dir is a checkpoint itself, or a folder of them, or a run with such a folder. */
static bool is_checkpoint(const char *dir)
{
    char path[CONFIG_PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/manifest.json", dir);
    return access(path, F_OK) == 0;
}

/* All steps that dir holds, ascending, and where: dir or dir/checkpoints. *steps is
 * returned, free it. ERR_DATA where there are none. */
static err_t find_steps(int64_t **steps, int *n, char where[CONFIG_PATH_MAX], const char *dir)
{
    const char *slash = dir[0] && dir[strlen(dir) - 1] == '/' ? "" : "/";

    snprintf(where, CONFIG_PATH_MAX, "%s", dir);
    TRY(manifest_list(steps, n, where));
    if (*n > 0)
        return OK;
    free(*steps);
    *steps = NULL;
    snprintf(where, CONFIG_PATH_MAX, "%s%scheckpoints", dir, slash);
    TRY(manifest_list(steps, n, where));
    if (*n > 0)
        return OK;
    free(*steps);
    *steps = NULL;
    return err_set(ERR_DATA, "%s: there is no complete checkpoint", dir);
}

/* ---- inspect ---- */

static void print_size(uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double                   x       = (double)bytes;
    int                      u       = 0;

    for (; x >= 1000 && u < 4; u++)
        x /= 1000;
    printf("%9.*f %-2s", u == 0 ? 0 : 1, x, units[u]);
}

static uint64_t total_bytes(const manifest *m)
{
    uint64_t sum = 0;

    for (int i = 0; i < m->n_files; i++)
        sum += m->files[i].digest.bytes;
    return sum;
}

/* What the shards hold of one table. */
typedef struct holding {
    uint64_t rows, bytes;
} holding;

static void add_shard(holding *held, const manifest *m, const safetensors *file)
{
    const char *what;

    for (int i = 0; i < safetensors_count(file); i++) {
        const safetensors_tensor *t = safetensors_at(file, i);
        for (int k = 0; k < m->n_tables; k++) {
            if (!checkpoint_belongs(t->name, m->tables[k].name, &what))
                continue;
            held[k].bytes += t->bytes;
            held[k].rows += strcmp(what, "ids") ? 0 : t->count;
        }
    }
}

static err_t print_tables(const manifest *m, const char *folder)
{
    holding *held = calloc((size_t)m->n_tables + 1, sizeof *held);
    err_t    err  = held ? OK : err_memory(sizeof *held, "the tables of a checkpoint");

    for (int k = 0; err == OK && k < m->shards; k++) {
        char         name[CONFIG_NAME_MAX], path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
        safetensors *file;
        manifest_shard_name(name, k, m->shards);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        err = safetensors_open(&file, path);
        if (err == OK)
            add_shard(held, m, file);
        safetensors_close(&file);
    }
    if (err == OK)
        printf("\n%-24s %5s  %-16s %12s %12s\n", "table", "dim", "optimizer", "rows", "bytes");
    for (int k = 0; err == OK && k < m->n_tables; k++) {
        const manifest_table *t = &m->tables[k];
        printf("%-24s %5d  %-16s %12" PRIu64 " ", t->name, t->dim, t->optimizer, held[k].rows);
        print_size(held[k].bytes);
        printf("\n");
    }
    free(held);
    return err;
}

/* "[200, 80]" */
static void shape_text(char text[200], const safetensors_tensor *t)
{
    int n = sprintf(text, "[");

    for (int i = 0; i < t->n_dims; i++)
        n += sprintf(text + n, "%s%" PRIu64, i ? ", " : "", t->shape[i]);
    sprintf(text + n, "]");
}

/* The parts of the state of the weight called name: "m v step". */
static void print_state(const safetensors *file, const char *name)
{
    size_t length = strlen(name);

    for (int i = 0; i < safetensors_count(file); i++) {
        const char *other = safetensors_at(file, i)->name;
        if (!strncmp(other, name, length) && other[length] == '@')
            printf(" %s", other + length + 1);
    }
    printf("\n");
}

static err_t print_dense(const char *folder)
{
    char         path[CONFIG_PATH_MAX + CONFIG_NAME_MAX], shape[200];
    safetensors *file;

    snprintf(path, sizeof path, "%s/dense.safetensors", folder);
    TRY(safetensors_open(&file, path));
    printf("\n%-40s %-5s %-16s state\n", "dense tensor", "dtype", "shape");
    for (int i = 0; i < safetensors_count(file); i++) {
        const safetensors_tensor *t = safetensors_at(file, i);
        if (strchr(t->name, '@'))
            continue;
        shape_text(shape, t);
        printf("%-40s %-5s %-16s", t->name, dtype_name(t->type), shape);
        print_state(file, t->name);
    }
    safetensors_close(&file);
    return OK;
}

static void print_files(const manifest *m)
{
    printf("\n%-40s %12s  %s\n", "file", "bytes", "XXH3");
    for (int i = 0; i < m->n_files; i++) {
        printf("%-40s ", m->files[i].name);
        print_size(m->files[i].digest.bytes);
        printf("  %016" PRIx64 "\n", m->files[i].digest.xxh3);
    }
}

static err_t inspect_one(const char *folder, bool configuration)
{
    manifest m;

    TRY(manifest_read(&m, folder));
    if (configuration) {
        fputs(m.configuration, stdout);
        manifest_clear(&m);
        return OK;
    }
    printf("%s\nstep %" PRId64 ", %" PRId64 " of them skipped, seed %" PRIu64
           ", %s, %d shard%s, %d tables\n",
           folder, m.step, m.bad_steps, m.seed, m.real, m.shards, m.shards == 1 ? "" : "s",
           m.n_tables);
    err_t err = print_tables(&m, folder);
    if (err == OK)
        err = print_dense(folder);
    if (err == OK)
        print_files(&m);
    manifest_clear(&m);
    return err;
}

static err_t print_line(const char *where, int64_t step)
{
    char     folder[CONFIG_PATH_MAX];
    manifest m;

    manifest_folder(folder, where, step);
    TRY(manifest_read(&m, folder));
    printf("%14" PRId64 " %7d ", m.step, m.shards);
    print_size(total_bytes(&m));
    printf("  %s\n", folder);
    manifest_clear(&m);
    return OK;
}

static err_t list(const char *dir)
{
    char     where[CONFIG_PATH_MAX];
    int64_t *steps;
    int      n;
    err_t    err = OK;

    TRY(find_steps(&steps, &n, where, dir));
    printf("%14s %7s %12s\n", "step", "shards", "bytes");
    for (int i = 0; err == OK && i < n; i++)
        err = print_line(where, steps[i]);
    free(steps);
    return err;
}

static err_t inspect(int argc, char **argv)
{
    static const char usage[] = "dips checkpoint inspect [flags] DIR";
    static const char about[] =
        "Print what a checkpoint holds: its step, tables, dense tensors and files. DIR is a\n"
        "checkpoint (a folder step-...), or a run or a folder of checkpoints: those are "
        "listed,\n"
        "the newest last.";
    bool       configuration = false, helped;
    const flag flags[]       = {{"configuration", FLAG_BOOL, &configuration,
                                 .help = "print the YAML of the run that wrote it, nothing else"},
                                {0}};
    int        n;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n != 1)
        return err_set(ERR_USAGE, "wanted one DIR, not %d; usage: %s", n, usage);
    if (configuration || is_checkpoint(argv[0]))
        return inspect_one(argv[0], configuration);
    return list(argv[0]);
}

/* ---- verify ---- */

static err_t verify_all(const char *dir, int *checked)
{
    char     where[CONFIG_PATH_MAX], folder[CONFIG_PATH_MAX];
    int64_t *steps;
    int      n;
    err_t    err = OK;

    TRY(find_steps(&steps, &n, where, dir));
    for (int i = 0; err == OK && i < n; i++) {
        manifest_folder(folder, where, steps[i]);
        err = checkpoint_verify(folder, stdout);
    }
    free(steps);
    *checked = n;
    return err;
}

static err_t verify(int argc, char **argv)
{
    static const char usage[] = "dips checkpoint verify DIR";
    static const char about[] =
        "Check every size, hash and shape of a checkpoint, and that each row stands in the\n"
        "bucket and shard of its id. DIR as for inspect; of several, all are checked. The "
        "first\n"
        "fault is named, and the exit status is 3.";
    const flag flags[] = {{0}};
    int        n, checked = 1;
    bool       helped;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n != 1)
        return err_set(ERR_USAGE, "wanted one DIR, not %d; usage: %s", n, usage);
    if (is_checkpoint(argv[0]))
        TRY(checkpoint_verify(argv[0], stdout));
    else
        TRY(verify_all(argv[0], &checked));
    printf("whole: %d checkpoint%s\n", checked, checked == 1 ? "" : "s");
    return OK;
}

static const command commands[] = {
    {"inspect", "what a checkpoint holds", inspect},
    {"verify", "is it whole?", verify},
    {0},
};

err_t command_checkpoint(int argc, char **argv)
{
    return commands_run("dips checkpoint", "dips checkpoint looks at what dips train wrote.",
                        commands, argc, argv);
}
