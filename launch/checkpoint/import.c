/* `dips checkpoint import`: a checkpoint from the files of another program, or of an export. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/schema.h"
#include "launch/checkpoint/import_table.h"
#include "launch/checkpoint/target.h"
#include "launch/checkpoint/tools.h"
#include "launch/flags.h"
#include "launch/shards.h"
#include "worker/first_dense.h"

typedef struct importing {
    const char   *source, *out;
    int64_t       shards, step; /* step: -1: as the files say, or 0 */
    config       *config;       /* owned, as the following */
    schema       *schema;
    sheet_reader *readers;                /* (n_tables) */
    bool         *given;                  /* (n_tables) whether there is one */
    char          dense[CONFIG_PATH_MAX]; /* a file, or a folder of .npy files; "": none */
    safetensors  *counts;
    import_table *tables; /* (n_tables) */
    uint64_t      rows, bytes;
} importing;

/* ---- which files there are ---- */

/* The steps of several files must be one, unless --step says it. */
static err_t take_step(int64_t *step, const sheet_reader *r)
{
    const char *text = sheet_said(r, "step");
    int64_t     said;

    if (!text || sscanf(text, "%" SCNd64, &said) != 1 || said < 0)
        return OK;
    if (*step >= 0 && *step != said)
        return err_set(ERR_DATA,
                       "%s is of step %" PRId64 ", another file of step %" PRId64
                       ": --step N says which one is meant",
                       r->path, said, *step);
    *step = said;
    return OK;
}

/* The T of a file or folder called table-T.safetensors or table-T; "" where it has another
 * name. */
static void table_in_name(char table[CONFIG_NAME_MAX], const char *path)
{
    static const char before[] = "table-";
    size_t            n        = sizeof before - 1;
    const char       *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

    table[0] = '\0';
    if (!strncmp(base, before, n))
        snprintf(table, CONFIG_NAME_MAX, "%s", base + n);
    char *end = strstr(table, ".safetensors");
    if (end)
        *end = '\0';
}

static bool is_dense(const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

    return !strcmp(base, "dense") || !strcmp(base, "dense.safetensors");
}

static err_t take_table(importing *m, const char *path, int64_t *step)
{
    char         table[CONFIG_NAME_MAX];
    sheet_reader r;
    err_t        err = sheet_open(&r, path);

    table_in_name(table, path);
    const char *said = err == OK ? sheet_said(&r, "table") : NULL;
    int         t    = schema_find_table(m->schema, said ? said : table);
    if (err == OK && t < 0)
        err = err_set(ERR_DATA,
                      "%s: of which table? %s has no '%s' (the file is to be called "
                      "table-T.safetensors, the folder table-T)",
                      path, m->source, said ? said : table);
    else if (err == OK && m->given[t])
        err = err_set(ERR_DATA, "%s and %s are both of table %s", m->readers[t].path, path,
                      m->config->tables[t].name);
    if (err == OK)
        err = take_step(step, &r);
    if (err != OK) {
        sheet_close(&r);
        return err;
    }
    m->readers[t] = r;
    m->given[t]   = true;
    return OK;
}

static err_t take_dense(importing *m, const char *path)
{
    if (*m->dense)
        return err_set(ERR_DATA, "%s and %s are both dense weights", m->dense, path);
    snprintf(m->dense, sizeof m->dense, "%s", path);
    return OK;
}

static err_t take_file(importing *m, const char *path, int64_t *step)
{
    return is_dense(path) ? take_dense(m, path) : take_table(m, path, step);
}

/* What export writes into a folder: table-* and dense*; *found: how many. */
static err_t take_folder(importing *m, DIR *d, const char *path, int64_t *step, int *found)
{
    for (struct dirent *e; (e = readdir(d));) {
        char inner[CONFIG_PATH_MAX];
        if (strncmp(e->d_name, "table-", 6) != 0 && !is_dense(e->d_name))
            continue;
        if (snprintf(inner, sizeof inner, "%s/%s", path, e->d_name) >= CONFIG_PATH_MAX)
            return err_set(ERR_USAGE, "%s: the path is too long", path);
        ++*found;
        TRY(take_file(m, inner, step));
    }
    return OK;
}

/* A word is a file, a folder of .npy files, or a folder of those. */
static err_t take_word(importing *m, const char *path, int64_t *step)
{
    DIR  *d     = opendir(path);
    int   found = 0;
    err_t err   = OK;

    if (d)
        err = take_folder(m, d, path, step, &found);
    if (d)
        closedir(d);
    return err == OK && found == 0 ? take_file(m, path, step) : err;
}

/* ---- counts ---- */

/* Whether rows want the counts of the data set and no file tells theirs. */
static bool wants_counts(const importing *m)
{
    for (int t = 0; t < m->config->n_tables; t++)
        if (m->given[t] && config_needs_counts(&m->config->tables[t]) &&
            !sheet_find(&m->readers[t], "count"))
            return true;
    return false;
}

static err_t open_counts(importing *m)
{
    char path[CONFIG_PATH_MAX];

    if (!wants_counts(m))
        return OK;
    TRY(shards_find_counts(path, m->config));
    return safetensors_open(&m->counts, path);
}

/* ---- writing ---- */

static err_t declare(const importing *m, safetensors_writer *w, list_writer *writers,
                     uint32_t first, uint32_t end)
{
    for (int t = 0; t < m->config->n_tables; t++) {
        const import_table *table = &m->tables[t];
        TRY(list_declare(&writers[t], w, table->config->name, "", &table->form,
                         table->buckets[end] - table->buckets[first]));
    }
    return OK;
}

static err_t write_rows(importing *m, safetensors_writer *w, uint32_t first, uint32_t end)
{
    int          n       = m->config->n_tables;
    list_writer *writers = calloc((size_t)n + 1, sizeof *writers);
    err_t        err     = writers ? declare(m, w, writers, first, end)
                                   : err_memory((size_t)n * sizeof *writers, "tables");

    for (int t = 0; err == OK && t < n; t++) {
        for (uint32_t b = first; err == OK && b < end; b++) {
            bucket_rows rows;
            err = import_table_read(&m->tables[t], b, &rows);
            if (err == OK && rows.n > 0)
                err = list_add(&writers[t], w, &rows);
        }
        if (err == OK)
            err = list_end(&writers[t], w);
    }
    free(writers);
    return err;
}

static err_t write_shard(importing *m, target *to, int shard)
{
    char                path[FILE_PATH_MOST];
    const uint32_t     *first  = &to->manifest.first_bucket[shard];
    safetensors_digest *digest = target_shard(to, shard, path);
    safetensors_writer *w;

    TRY(safetensors_create(&w, path));
    err_t err = write_rows(m, w, first[0], first[1]);
    if (err != OK) {
        safetensors_abandon(&w);
        return err;
    }
    TRY(safetensors_finish(&w, digest));
    m->bytes += digest->bytes;
    return OK;
}

static err_t copy_arrays(safetensors_writer *w, const sheet_reader *r)
{
    int tensor;

    for (int i = 0; i < sheet_count(r); i++) {
        const safetensors_tensor *t = sheet_at(r, i);
        TRY(safetensors_declare(w, t->name, t->type, t->n_dims, t->shape, &tensor));
    }
    for (int i = 0; i < sheet_count(r); i++)
        TRY(safetensors_append(w, i, sheet_at(r, i)->data, sheet_at(r, i)->bytes));
    return OK;
}

/* Arrays in files of their own become one file, which the model reads. */
static err_t join_arrays(const char *path, const char *folder)
{
    sheet_reader        r;
    safetensors_writer *w   = NULL;
    err_t               err = sheet_open(&r, folder);

    if (err == OK)
        err = safetensors_create(&w, path);
    if (err == OK)
        err = copy_arrays(w, &r);
    if (err == OK)
        err = safetensors_finish(&w, NULL);
    safetensors_abandon(&w);
    sheet_close(&r);
    return err;
}

static void tell_dense(const first_dense *d)
{
    printf("dense: %d parameters with the optimizer's state", d->taken);
    if (d->anew)
        printf("; %d without (%s ...)", d->anew, d->name_anew);
    if (d->missing)
        printf("; %d begin with first values (%s ...)", d->missing, d->name_missing);
    if (d->unknown)
        printf("; %d tensors of no parameter (%s ...)", d->unknown, d->name_unknown);
    printf("\n");
}

static err_t write_dense(importing *m, target *to)
{
    char                path[FILE_PATH_MOST], joined[FILE_PATH_MOST + 16];
    const char         *from   = *m->dense ? m->dense : NULL;
    safetensors_digest *digest = target_dense(to, path);
    first_dense         told;
    struct stat         st;
    bool                join = from && stat(from, &st) == 0 && S_ISDIR(st.st_mode);

    snprintf(joined, sizeof joined, "%s.joined", path);
    if (join)
        TRY(join_arrays(joined, from));
    err_t err =
        first_dense_write(&told, m->config, m->schema, join ? joined : from, path, digest);
    if (join)
        unlink(joined);
    TRY(err);
    m->bytes += digest->bytes;
    tell_dense(&told);
    return OK;
}

static err_t write_files(importing *m, target *to)
{
    for (int k = 0; k < to->manifest.shards; k++)
        TRY(write_shard(m, to, k));
    return write_dense(m, to);
}

static err_t write_checkpoint(importing *m)
{
    target   to;
    size_t   size;
    manifest made = {.step        = m->step,
                     .seed        = m->config->train.seed,
                     .shards      = (int)m->shards,
                     .schema_hash = m->schema->hash,
                     .real        = REAL_NAME};

    TRY(config_text(&made.configuration, &size, m->config));
    err_t err = target_begin(&to, m->out, false, &made);
    free(made.configuration);
    TRY(err);
    err = write_files(m, &to);
    if (err == OK)
        return target_finish(&to, m->schema);
    target_abandon(&to);
    return err;
}

/* ---- all ---- */

static void tell_table(const import_table *t, bool given)
{
    printf("table %s: ", t->config->name);
    if (given)
        printf("%s rows%s%s\n", tool_count(t->n).at, *t->missing ? ", " : "", t->missing);
    else
        printf("no file, no rows\n");
}

static err_t open_tables(importing *m)
{
    for (int t = 0; t < m->config->n_tables; t++) {
        TRY(import_table_open(&m->tables[t], &m->config->tables[t],
                              m->given[t] ? &m->readers[t] : NULL, m->counts,
                              m->config->train.seed, (uint32_t)m->step));
        tell_table(&m->tables[t], m->given[t]);
        m->rows += m->tables[t].n;
    }
    return OK;
}

static err_t import(importing *m, int n_files, char **files)
{
    size_t  n    = (size_t)m->config->n_tables;
    int64_t said = -1;

    m->readers = calloc(n + 1, sizeof *m->readers);
    m->given   = calloc(n + 1, sizeof *m->given);
    m->tables  = calloc(n + 1, sizeof *m->tables);
    if (!m->readers || !m->given || !m->tables)
        return err_memory(n * sizeof *m->tables, "tables");
    for (int i = 0; i < n_files; i++) {
        int64_t any = -1;
        TRY(take_word(m, files[i], m->step < 0 ? &said : &any));
    }
    if (m->step < 0)
        m->step = said < 0 ? 0 : said;
    TRY(open_counts(m));
    TRY(open_tables(m));
    return write_checkpoint(m);
}

static void clear(importing *m)
{
    for (int t = 0; m->tables && t < m->config->n_tables; t++)
        import_table_close(&m->tables[t]);
    for (int t = 0; m->readers && t < m->config->n_tables; t++)
        sheet_close(&m->readers[t]);
    safetensors_close(&m->counts);
    free(m->tables);
    free(m->readers);
    free(m->given);
    schema_free(&m->schema);
    config_free(&m->config);
}

/* Part the words key=value of a configuration from those that are files, of which the number is
 * returned. */
static int part_words(int n, char **words, char **settings)
{
    int files = 0, others = 0;

    for (int i = 0; i < n; i++) {
        if (strchr(words[i], '=') && access(words[i], F_OK) != 0)
            settings[others++] = words[i];
        else
            words[files++] = words[i];
    }
    return files;
}

static err_t run(importing *m, int n, char **words)
{
    int64_t since    = clock_now(clock_monotonic());
    char  **settings = calloc((size_t)n + 1, sizeof *settings);

    if (!settings)
        return err_memory((size_t)n * sizeof *settings, "the command line");
    int   files = part_words(n, words, settings);
    err_t err   = config_load(&m->config, m->source, n - files, settings);
    free(settings);
    if (err == OK)
        err = schema_new(&m->schema, m->config);
    if (err == OK)
        err = import(m, files, words);
    if (err == OK)
        printf("%s: step %" PRId64 ", %d shard%s, %s rows, %s %s\n", m->out, m->step,
               (int)m->shards, m->shards == 1 ? "" : "s", tool_count(m->rows).at,
               tool_bytes(m->bytes).at, tool_pace(m->bytes, since).at);
    return err;
}

err_t checkpoint_import(int argc, char **argv)
{
    static const char usage[] =
        "dips checkpoint import --config RUN.yaml --out CHECKPOINT [flags] FILES... "
        "[key=value ...]";
    static const char about[] =
        "Make a checkpoint that `dips train`, `dips eval` and `init.from` can start from.\n"
        "FILES are what export writes, or a program of yours: table-T.safetensors (or a\n"
        "folder table-T of .npy files) with weight [n, dim], ids [n], and @STATE, count,\n"
        "touched where they are known; dense.safetensors (or a folder dense); or a folder\n"
        "of these. What is missing is said: optimizers' state begins anew, dense parameters\n"
        "with first values. For a run to go on from it, CHECKPOINT is\n"
        "RUN/checkpoints/step-000000000000, with its step. Nothing of it is there before it\n"
        "is complete.";
    importing  m       = {.shards = 1, .step = -1};
    const flag flags[] = {
        {"config", FLAG_TEXT, &m.source, .meta = "RUN.yaml", .required = true,
         .help = "the configuration whose tables and model these are"},
        {"out", FLAG_TEXT, &m.out, .meta = "CHECKPOINT", .required = true,
         .help = "the folder to make"},
        {"shards", FLAG_INT, &m.shards, .min = 1, .max = HASH_BUCKETS, .help = "files of rows"},
        {"step", FLAG_INT, &m.step, .min = -1, .max = 4e9,
         .help = "of the checkpoint; -1: as the files say, or 0"},
        {0}};
    int  n;
    bool helped;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n < 1)
        return err_set(ERR_USAGE, "which files? usage: %s", usage);
    err_t err = run(&m, n, argv);
    clear(&m);
    return err;
}
