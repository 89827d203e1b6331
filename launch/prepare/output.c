#include "launch/prepare/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_SPLITS 3
#define PATH_ROOM   4096

struct output {
    char                folder[PATH_ROOM - 256]; /* DIR */
    char                partial[PATH_ROOM - 192];
    const shard_column *columns;
    int                 n_columns;
    shard_limits        limits;
    size_t              memory; /* a reader's share */
    counts             *counted; /* NULL: nobody wants them */
    int                 n_splits;
    const char         *names[MOST_SPLITS];
    shard_writer       *splits[MOST_SPLITS];
};

/* The files that dips prepare makes, and nobody else's. */
static const char *const made[] = {
    "train-[0-9]*.safetensors", "valid-[0-9]*.safetensors", "test-[0-9]*.safetensors",
    "names-*.safetensors",      "counts.safetensors",       "world.json",
};

static bool is_made(const char *name)
{
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (fnmatch(made[i], name, 0) == 0)
            return true;
    return false;
}

/* Call act(self, folder, name) for the entries of folder, the hidden ones too. */
static err_t each_entry(const char *folder,
                        err_t (*act)(void *self, const char *folder, const char *name),
                        void *self)
{
    DIR  *entries = opendir(folder);
    err_t err     = OK;

    if (!entries)
        return err_errno("opening the folder %s", folder);
    for (struct dirent *e; err == OK && (e = readdir(entries));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            err = act(self, folder, e->d_name);
    closedir(entries);
    return err;
}

static err_t refuse_made(void *self, const char *folder, const char *name)
{
    (void)self;
    if (is_made(name))
        return err_set(ERR_USAGE,
                       "%s holds prepared data already (%s); --overwrite replaces it", folder,
                       name);
    return OK;
}

static err_t remove_entry(void *self, const char *folder, const char *name)
{
    char path[PATH_ROOM + 256];

    (void)self;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (unlink(path) != 0)
        return err_errno("removing %s", path);
    return OK;
}

static err_t remove_made(void *self, const char *folder, const char *name)
{
    return is_made(name) ? remove_entry(self, folder, name) : OK;
}

static err_t move_up(void *self, const char *folder, const char *name)
{
    const output *out = self;
    char          from[PATH_ROOM + 256], to[PATH_ROOM + 256];

    snprintf(from, sizeof from, "%s/%s", folder, name);
    snprintf(to, sizeof to, "%s/%s", out->folder, name);
    if (rename(from, to) != 0)
        return err_errno("renaming %s to %s", from, to);
    return OK;
}

/* Make folder and those above it. */
static err_t make_folders(const char *folder)
{
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s", folder);
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char end = *p;
        *p       = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return err_errno("making the folder %s", path);
        *p = end;
        if (end == '\0')
            return OK;
    }
}

static err_t begin_partial(const output *out)
{
    if (mkdir(out->partial, 0777) == 0)
        return OK;
    if (errno != EEXIST)
        return err_errno("making the folder %s", out->partial);
    return each_entry(out->partial, remove_entry, NULL); /* of a run that was killed */
}

static void free_output(output **out)
{
    for (int i = 0; i < (*out)->n_splits; i++)
        shard_writer_free(&(*out)->splits[i]);
    counts_free(&(*out)->counted);
    free(*out);
    *out = NULL;
}

static err_t open_folder(output *out, const prepare_options *o)
{
    TRY(make_folders(out->folder));
    if (!o->overwrite)
        TRY(each_entry(out->folder, refuse_made, NULL));
    return begin_partial(out);
}

err_t output_open(output **out, const prepare_options *o, const char *const *tables,
                  int n_tables, const shard_column *columns, int n_columns)
{
    size_t memory = (size_t)o->memory;

    *out = NULL;
    if (o->out[0] == '\0' || strlen(o->out) >= sizeof(*out)->folder)
        return err_set(ERR_USAGE, "--out '%.64s' is not the name of a folder", o->out);
    if (!(*out = calloc(1, sizeof **out)))
        return err_memory(sizeof **out, "the output");
    snprintf((*out)->folder, sizeof(*out)->folder, "%s", o->out);
    snprintf((*out)->partial, sizeof(*out)->partial, "%s/.partial", o->out);
    (*out)->columns   = columns;
    (*out)->n_columns = n_columns;
    (*out)->memory    = memory / 4;
    (*out)->limits    = (shard_limits){(uint64_t)o->shard_samples, memory / 4 / MOST_SPLITS};
    err_t err         = open_folder(*out, o);
    if (err == OK && !o->no_counts)
        err = counts_new(&(*out)->counted, tables, n_tables, memory / 4, (*out)->partial);
    if (err != OK)
        free_output(out);
    return err;
}

const char *output_folder(const output *out)
{
    return out->partial;
}

size_t output_memory(const output *out)
{
    return out->memory;
}

err_t output_split(output *out, const char *split, shard_writer **w)
{
    int i = 0;

    while (i < out->n_splits && strcmp(out->names[i], split) != 0)
        i++;
    if (i == out->n_splits) {
        counts *counted = strcmp(split, "train") == 0 ? out->counted : NULL;
        out->names[i]   = split;
        out->n_splits++;
        TRY(shard_writer_new(&out->splits[i], out->partial, split, out->columns, out->n_columns,
                             out->limits, counted));
    }
    *w = out->splits[i];
    return OK;
}

static err_t sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY);

    if (fd < 0)
        return err_errno("opening the folder %s", folder);
    int failed = fsync(fd);
    close(fd);
    return failed ? err_errno("writing the folder %s", folder) : OK;
}

static err_t finish(output *out)
{
    char path[PATH_ROOM];

    for (int i = 0; i < out->n_splits; i++)
        TRY(shard_writer_finish(out->splits[i]));
    snprintf(path, sizeof path, "%s/counts.safetensors", out->partial);
    if (out->counted)
        TRY(counts_write(out->counted, path));
    TRY(each_entry(out->folder, remove_made, NULL));
    TRY(each_entry(out->partial, move_up, out));
    rmdir(out->partial);
    return sync_folder(out->folder);
}

/* "data/x: train 720 samples in 1 file, test 280 samples in 1 file" */
static void print_summary(const output *out)
{
    printf("%s:", out->folder);
    for (int i = 0; i < out->n_splits; i++) {
        const shard_writer *w = out->splits[i];
        printf("%s %s %llu samples in %d file%s", i ? "," : "", out->names[i],
               (unsigned long long)shard_writer_samples(w), shard_writer_shards(w),
               shard_writer_shards(w) == 1 ? "" : "s");
    }
    printf("\n");
}

err_t output_finish(output **out)
{
    err_t err = finish(*out);

    if (err == OK)
        print_summary(*out);
    if (err != OK)
        output_abandon(out);
    else
        free_output(out);
    return err;
}

void output_abandon(output **out)
{
    err_report keep;

    if (!*out)
        return;
    err_keep(&keep, OK); /* the sentence of what went wrong must survive the cleaning */
    if (each_entry((*out)->partial, remove_entry, NULL) == OK)
        rmdir((*out)->partial);
    (void)err_give(&keep);
    free_output(out);
}
