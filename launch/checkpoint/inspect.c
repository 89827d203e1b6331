/* `dips checkpoint inspect`: what a checkpoint holds. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/checkpoint/list.h"
#include "launch/checkpoint/tools.h"
#include "launch/flags.h"

/* ---- in words ---- */

static err_t print_tables(const manifest *m, const char *folder)
{
    size_t    n    = (size_t)m->n_tables;
    uint64_t *rows = calloc(2 * n + 1, sizeof *rows);
    err_t     err  = rows ? tool_count_rows(rows, rows + n, m, folder)
                          : err_memory(n * sizeof *rows, "the tables of a checkpoint");

    if (err == OK)
        printf("\n%-24s %5s  %-16s %14s %10s\n", "table", "dim", "optimizer", "rows", "bytes");
    for (size_t k = 0; err == OK && k < n; k++)
        printf("%-24s %5d  %-16s %14" PRIu64 " %10s\n", m->tables[k].name, m->tables[k].dim,
               m->tables[k].optimizer, rows[k], tool_bytes(rows[n + k]).at);
    free(rows);
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
    printf("\n%-40s %10s  %s\n", "file", "bytes", "XXH3");
    for (int i = 0; i < m->n_files; i++)
        printf("%-40s %10s  %016" PRIx64 "\n", m->files[i].name,
               tool_bytes(m->files[i].digest.bytes).at, m->files[i].digest.xxh3);
}

static err_t print_all(const manifest *m, const char *folder)
{
    printf("%s\nstep %" PRId64, folder, m->step);
    if (m->parent.there)
        printf(", a delta of step %" PRId64, m->parent.step);
    printf(", %" PRId64 " of them skipped, seed %" PRIu64 ", %s, %d shard%s, %d tables\n",
           m->bad_steps, m->seed, m->real, m->shards, m->shards == 1 ? "" : "s", m->n_tables);
    TRY(print_tables(m, folder));
    TRY(print_dense(folder));
    print_files(m);
    return OK;
}

/* ---- in JSON ---- */

static err_t put_tables(json_t *all, const manifest *m, const char *folder)
{
    size_t    n    = (size_t)m->n_tables;
    uint64_t *rows = calloc(2 * n + 1, sizeof *rows);
    json_t   *list = json_array();
    err_t     err  = rows ? tool_count_rows(rows, rows + n, m, folder)
                          : err_memory(n * sizeof *rows, "the tables of a checkpoint");

    for (size_t k = 0; err == OK && k < n; k++)
        json_array_append_new(
            list, json_pack("{s:s, s:i, s:s, s:I, s:I}", "name", m->tables[k].name, "dim",
                            m->tables[k].dim, "optimizer", m->tables[k].optimizer, "rows",
                            (json_int_t)rows[k], "bytes", (json_int_t)rows[n + k]));
    json_object_set_new(all, "tables", list);
    free(rows);
    return err;
}

static json_t *json_of_tensor(const safetensors_tensor *t)
{
    json_t *shape = json_array();

    for (int i = 0; i < t->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    return json_pack("{s:s, s:s, s:o}", "name", t->name, "dtype", dtype_name(t->type), "shape",
                     shape);
}

static err_t put_dense(json_t *all, const char *folder)
{
    char         path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
    json_t      *list = json_array();
    safetensors *file;

    json_object_set_new(all, "dense", list);
    snprintf(path, sizeof path, "%s/dense.safetensors", folder);
    TRY(safetensors_open(&file, path));
    for (int i = 0; i < safetensors_count(file); i++)
        json_array_append_new(list, json_of_tensor(safetensors_at(file, i)));
    safetensors_close(&file);
    return OK;
}

static void put_files(json_t *all, const manifest *m)
{
    json_t *list = json_array();

    for (int i = 0; i < m->n_files; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:o}", "name", m->files[i].name, "bytes",
                                        (json_int_t)m->files[i].digest.bytes, "xxh3",
                                        json_sprintf("%016" PRIx64, m->files[i].digest.xxh3)));
    json_object_set_new(all, "files", list);
}

static err_t print_json(const manifest *m, const char *folder)
{
    json_t *parent = m->parent.there ? json_integer((json_int_t)m->parent.step) : json_null();
    json_t *all    = json_pack("{s:s, s:I, s:o, s:I, s:o, s:s, s:i}", "folder", folder, "step",
                               (json_int_t)m->step, "parent", parent, "bad_steps",
                               (json_int_t)m->bad_steps, "seed", json_sprintf("%" PRIu64, m->seed),
                               "real", m->real, "shards", m->shards);
    err_t   err    = all ? put_tables(all, m, folder)
                         : err_set(ERR_FORMAT, "%s: the name is not UTF-8", folder);

    if (err == OK)
        err = put_dense(all, folder);
    if (err == OK) {
        put_files(all, m);
        json_dumpf(all, stdout, JSON_INDENT(1));
        printf("\n");
    }
    json_decref(all);
    return err;
}

/* ---- the command ---- */

static err_t inspect(const char *folder, bool configuration, bool json)
{
    manifest m;
    err_t    err = OK;

    TRY(manifest_read(&m, folder));
    if (configuration)
        fputs(m.configuration, stdout);
    else
        err = json ? print_json(&m, folder) : print_all(&m, folder);
    manifest_clear(&m);
    return err;
}

err_t checkpoint_inspect(int argc, char **argv)
{
    static const char usage[] = "dips checkpoint inspect [flags] DIR";
    static const char about[] =
        "Print what a checkpoint holds: its step, tables, dense tensors and files. DIR is a\n"
        "checkpoint (a folder step-...), or a run or a folder of checkpoints: those are\n"
        "listed, the newest last.";
    bool       configuration = false, json = false, helped;
    const flag flags[] = {{"configuration", FLAG_BOOL, &configuration,
                           .help = "print the YAML of the run that wrote it, nothing else"},
                          {"json", FLAG_BOOL, &json, .help = "print JSON"},
                          {0}};
    int        n;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n != 1)
        return err_set(ERR_USAGE, "wanted one DIR, not %d; usage: %s", n, usage);
    if (configuration || tool_is_checkpoint(argv[0]))
        return inspect(argv[0], configuration, json);
    return list_checkpoints(argv[0], json);
}
