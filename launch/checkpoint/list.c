#include "launch/checkpoint/list.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/vec.h"
#include "launch/checkpoint/tools.h"
#include "launch/flags.h"

/* What a line tells. */
typedef struct entry {
    char     folder[CONFIG_PATH_MAX];
    int64_t  step;
    char     date[32]; /* when the manifest was written, local time; "" */
    bool     delta;
    int64_t  parent; /* of a delta */
    int      shards;
    uint64_t rows, bytes;
    char     fault[ERR_TEXT_MAX]; /* "": whole */
} entry;

typedef VEC(int64_t) step_list;

/* ---- looking ---- */

static void find_date(entry *e)
{
    char        path[CONFIG_PATH_MAX + 16];
    struct stat st;
    struct tm   at;

    snprintf(path, sizeof path, "%s/manifest.json", e->folder);
    if (stat(path, &st) == 0 && localtime_r(&st.st_mtime, &at))
        strftime(e->date, sizeof e->date, "%Y-%m-%d %H:%M:%S", &at);
}

/* Every file is there, as large as the manifest says. */
static err_t check_sizes(const manifest *m, const char *folder)
{
    for (int i = 0; i < m->n_files; i++) {
        char        path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", folder, m->files[i].name);
        if (stat(path, &st) != 0)
            return err_set(ERR_FORMAT, "%s is missing", m->files[i].name);
        if ((uint64_t)st.st_size != m->files[i].digest.bytes)
            return err_set(ERR_FORMAT, "%s has %lld bytes, not %" PRIu64, m->files[i].name,
                           (long long)st.st_size, m->files[i].digest.bytes);
    }
    return OK;
}

static err_t sum_rows(entry *e, const manifest *m)
{
    uint64_t *rows = calloc((size_t)m->n_tables + 1, sizeof *rows);
    err_t     err  = rows ? tool_count_rows(rows, NULL, m, e->folder)
                          : err_memory(sizeof *rows, "the tables of a checkpoint");

    for (int k = 0; err == OK && k < m->n_tables; k++)
        e->rows += rows[k];
    free(rows);
    return err;
}

static err_t look(entry *e)
{
    manifest m;

    TRY(manifest_read(&m, e->folder));
    e->step   = m.step;
    e->delta  = m.parent.there;
    e->parent = m.parent.step;
    e->shards = m.shards;
    e->bytes  = tool_total_bytes(&m);
    find_date(e);
    err_t err = check_sizes(&m, e->folder);
    if (err == OK)
        err = sum_rows(e, &m);
    manifest_clear(&m);
    return err;
}

static void fill(entry *e, const char *folder, int64_t step)
{
    *e = (entry){.step = step};
    snprintf(e->folder, sizeof e->folder, "%s", folder);
    if (!tool_is_checkpoint(folder))
        snprintf(e->fault, sizeof e->fault, "no manifest: cut off, or being written");
    else if (look(e) != OK)
        snprintf(e->fault, sizeof e->fault, "%s", err_text());
}

static int compare_steps(const void *a, const void *b)
{
    int64_t s = *(const int64_t *)a, t = *(const int64_t *)b;
    return s < t ? -1 : s > t;
}

/* The steps of all folders step-N in dir, with a manifest or without. No dir: none. */
static err_t scan(step_list *steps, const char *dir)
{
    DIR  *d   = opendir(dir);
    err_t err = OK;

    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? OK : err_errno("%s: cannot be read", dir);
    for (struct dirent *e; err == OK && (e = readdir(d));) {
        int64_t step;
        int     end = 0;
        if (sscanf(e->d_name, "step-%" SCNd64 "%n", &step, &end) == 1 && step >= 0 &&
            e->d_name[end] == '\0')
            err = vec_push(steps, step);
    }
    closedir(d);
    if (steps->n > 0)
        qsort(steps->at, steps->n, sizeof *steps->at, compare_steps);
    return err;
}

/* ---- telling ---- */

static tool_text kind_text(const entry *e)
{
    tool_text t;

    if (!*e->date)
        snprintf(t.at, sizeof t.at, "-");
    else if (e->delta)
        snprintf(t.at, sizeof t.at, "delta of %" PRId64, e->parent);
    else
        snprintf(t.at, sizeof t.at, "full");
    return t;
}

static void print_head(void)
{
    printf("%14s  %-19s  %-16s %6s %15s %10s  %s\n", "step", "written", "kind", "shards",
           "rows", "bytes", "state");
}

static void print_line(const entry *e)
{
    printf("%14" PRId64 "  %-19s  %-16s %6d %15s %10s  %s\n", e->step, *e->date ? e->date : "-",
           kind_text(e).at, e->shards, tool_count(e->rows).at, tool_bytes(e->bytes).at,
           *e->fault ? e->fault : "whole");
}

static json_t *to_json(const entry *e)
{
    json_t *parent = e->delta ? json_integer((json_int_t)e->parent) : json_null();
    json_t *o      = json_pack("{s:s, s:I, s:s, s:o, s:i, s:I, s:I, s:b}", "folder", e->folder,
                               "step", (json_int_t)e->step, "written", e->date, "parent", parent,
                               "shards", e->shards, "rows", (json_int_t)e->rows, "bytes",
                               (json_int_t)e->bytes, "whole", !*e->fault);

    if (o && *e->fault)
        json_object_set_new(o, "fault", json_string(e->fault));
    return o;
}

/* ---- all of a folder ---- */

static err_t print_folder(const char *folder, int64_t step, json_t *list)
{
    entry e;

    fill(&e, folder, step);
    if (list)
        return json_array_append_new(list, to_json(&e)) == 0
                   ? OK
                   : err_set(ERR_FORMAT, "%s: the name is not UTF-8", folder);
    print_line(&e);
    return OK;
}

static err_t print_steps(const step_list *steps, const char *where, json_t *list)
{
    for (size_t i = 0; i < steps->n; i++) {
        char folder[CONFIG_PATH_MAX];
        manifest_folder(folder, where, steps->at[i]);
        TRY(print_folder(folder, steps->at[i], list));
    }
    return OK;
}

/* dir, or its checkpoints/, as manifest_find looks at them. */
static err_t find_steps(step_list *steps, char where[CONFIG_PATH_MAX], const char *dir)
{
    size_t length = strlen(dir);

    while (length > 1 && dir[length - 1] == '/')
        length--;
    snprintf(where, CONFIG_PATH_MAX, "%.*s", (int)length, dir);
    TRY(scan(steps, where));
    if (steps->n > 0)
        return OK;
    snprintf(where, CONFIG_PATH_MAX, "%.*s/checkpoints", (int)length, dir);
    TRY(scan(steps, where));
    return steps->n > 0 ? OK : err_set(ERR_DATA, "%s: there is no complete checkpoint", dir);
}

static err_t print_all(const char *dir, json_t *list)
{
    char      where[CONFIG_PATH_MAX];
    step_list steps = {0};

    if (tool_is_checkpoint(dir)) {
        if (!list)
            print_head();
        return print_folder(dir, 0, list);
    }
    err_t err = find_steps(&steps, where, dir);
    if (err == OK && !list)
        print_head();
    if (err == OK)
        err = print_steps(&steps, where, list);
    vec_clear(&steps);
    return err;
}

err_t list_checkpoints(const char *dir, bool json)
{
    json_t *list = json ? json_array() : NULL;
    err_t   err  = print_all(dir, list);

    if (json && err == OK) {
        json_dumpf(list, stdout, JSON_INDENT(1));
        printf("\n");
    }
    json_decref(list);
    return err;
}

err_t checkpoint_list(int argc, char **argv)
{
    static const char usage[] = "dips checkpoint list [--json] DIR";
    static const char about[] =
        "List the checkpoints of a run (or of a folder of them) with their steps, when they\n"
        "were written, whether full or a delta and of which step, shards, rows and bytes.\n"
        "`whole` means that all files are there with their sizes; `verify` reads them too.";
    bool       json    = false, helped;
    const flag flags[] = {{"json", FLAG_BOOL, &json, .help = "print a JSON array"}, {0}};
    int        n;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n != 1)
        return err_set(ERR_USAGE, "wanted one DIR, not %d; usage: %s", n, usage);
    return list_checkpoints(argv[0], json);
}
