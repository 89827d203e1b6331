#include "launch/checkpoint/sheet.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/new_file.h"
#include "common/vec.h"

#define PATH_MOST 1400

/* An array in a file of its own. */
typedef struct own_file {
    char     path[PATH_MOST];
    new_file file;
    char     header[NPY_HEADER_MOST];
    size_t   header_bytes;
    uint64_t bytes, written; /* of numbers */
} own_file;

struct sheet {
    safetensors_writer *writer; /* NULL: .npy files */
    char                folder[PATH_MOST - 300];
    VEC(own_file *) files;
    uint64_t bytes;
};

/* ---- writing ---- */

err_t sheet_create(sheet **out, sheet_format format, const char *folder, const char *name)
{
    char   path[PATH_MOST];
    sheet *s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s)
        return err_memory(sizeof *s, "a file's writer");
    snprintf(s->folder, sizeof s->folder, "%s/%s", folder, name);
    snprintf(path, sizeof path, "%s.safetensors", s->folder);
    err_t err = format == SHEET_SAFETENSORS   ? safetensors_create(&s->writer, path)
                : mkdir(s->folder, 0777) == 0 ? OK
                                              : err_errno("%s: cannot be made", s->folder);
    if (err != OK) {
        free(s);
        return err;
    }
    *out = s;
    return OK;
}

static void free_sheet(sheet **out)
{
    sheet *s = *out;

    *out = NULL;
    for (size_t i = 0; i < s->files.n; i++) {
        new_file_abandon(&s->files.at[i]->file);
        free(s->files.at[i]);
    }
    vec_clear(&s->files);
    free(s);
}

static err_t declare_file(sheet *s, const char *name, dtype type, int n_dims,
                          const uint64_t *shape, int *array)
{
    own_file *f = calloc(1, sizeof *f);

    if (!f || vec_push(&s->files, f) != OK) {
        free(f);
        return err_memory(sizeof *f, "an array's file");
    }
    *array   = (int)s->files.n - 1;
    f->bytes = dtype_size(type);
    for (int i = 0; i < n_dims; i++)
        f->bytes *= shape[i];
    snprintf(f->path, sizeof f->path, "%s/%.200s.npy", s->folder, name);
    return npy_header(f->header, &f->header_bytes, type, n_dims, shape);
}

err_t sheet_declare(sheet *s, const char *name, dtype type, int n_dims, const uint64_t *shape,
                    int *array)
{
    return s->writer ? safetensors_declare(s->writer, name, type, n_dims, shape, array)
                     : declare_file(s, name, type, n_dims, shape, array);
}

err_t sheet_say(sheet *s, const char *key, const char *text)
{
    return s->writer ? safetensors_declare_metadata(s->writer, key, text) : OK;
}

/* The file is open from its first bytes to its last. */
static err_t append_file(own_file *f, const void *data, uint64_t bytes)
{
    if (!f->file.path) {
        TRY(new_file_create(&f->file, f->path));
        TRY(new_file_write(&f->file, 0, f->header, f->header_bytes));
    }
    if (bytes > f->bytes - f->written)
        return err_set(ERR_FORMAT, "%s: room for %" PRIu64 " bytes, not for %" PRIu64, f->path,
                       f->bytes, f->written + bytes);
    if (bytes > 0)
        TRY(new_file_write(&f->file, f->header_bytes + f->written, data, bytes));
    f->written += bytes;
    return f->written == f->bytes ? new_file_finish(&f->file) : OK;
}

err_t sheet_append(sheet *s, int array, const void *data, uint64_t bytes)
{
    if (bytes == 0)
        return OK;
    s->bytes += bytes;
    return s->writer ? safetensors_append(s->writer, array, data, bytes)
                     : append_file(s->files.at[array], data, bytes);
}

/* Arrays of no numbers have no file yet. */
static err_t finish_files(sheet *s)
{
    for (size_t i = 0; i < s->files.n; i++) {
        own_file *f = s->files.at[i];
        if (f->bytes == 0)
            TRY(append_file(f, NULL, 0));
        if (f->written != f->bytes)
            return err_set(ERR_FORMAT, "%s ends after %" PRIu64 " of %" PRIu64 " bytes",
                           f->path, f->written, f->bytes);
    }
    return new_file_sync_folder(s->folder);
}

err_t sheet_finish(sheet **s, uint64_t *bytes)
{
    err_t err = (*s)->writer ? safetensors_finish(&(*s)->writer, NULL) : finish_files(*s);

    if (bytes)
        *bytes = (*s)->bytes;
    free_sheet(s);
    return err;
}

void sheet_abandon(sheet **s)
{
    if (!*s)
        return;
    safetensors_abandon(&(*s)->writer);
    free_sheet(s);
}

/* ---- reading ---- */

static err_t open_array(sheet_reader *r, const char *file)
{
    char path[PATH_MOST];
    npy *grown = realloc(r->arrays, (size_t)(r->n + 1) * sizeof *grown);

    if (!grown)
        return err_memory(sizeof *grown, "an array");
    r->arrays = grown;
    snprintf(path, sizeof path, "%s/%.255s", r->path, file);
    TRY(npy_open(&grown[r->n], path));
    char *name = strndup(file, strlen(file) - strlen(".npy"));
    if (!name) {
        npy_close(&grown[r->n]);
        return err_memory(strlen(file), "an array's name");
    }
    grown[r->n++].array.name = name;
    return OK;
}

static err_t open_folder(sheet_reader *r, DIR *d)
{
    for (struct dirent *e; (e = readdir(d));) {
        size_t length = strlen(e->d_name);
        if (length > 4 && !strcmp(e->d_name + length - 4, ".npy"))
            TRY(open_array(r, e->d_name));
    }
    return r->n ? OK : err_set(ERR_DATA, "%s: a folder without .npy files", r->path);
}

err_t sheet_open(sheet_reader *r, const char *path)
{
    DIR  *d;
    err_t err;

    *r = (sheet_reader){0};
    if (snprintf(r->path, sizeof r->path, "%s", path) >= (int)sizeof r->path)
        return err_set(ERR_USAGE, "%s: the path is too long", path);
    d = opendir(path);
    if (!d)
        return safetensors_open(&r->file, path);
    err = open_folder(r, d);
    closedir(d);
    return err;
}

void sheet_close(sheet_reader *r)
{
    safetensors_close(&r->file);
    for (int i = 0; i < r->n; i++) {
        free((char *)r->arrays[i].array.name);
        npy_close(&r->arrays[i]);
    }
    free(r->arrays);
    *r = (sheet_reader){0};
}

int sheet_count(const sheet_reader *r)
{
    return r->file ? safetensors_count(r->file) : r->n;
}

const safetensors_tensor *sheet_at(const sheet_reader *r, int i)
{
    return r->file ? safetensors_at(r->file, i) : &r->arrays[i].array;
}

const safetensors_tensor *sheet_find(const sheet_reader *r, const char *name)
{
    if (r->file)
        return safetensors_find(r->file, name);
    for (int i = 0; i < r->n; i++)
        if (!strcmp(r->arrays[i].array.name, name))
            return &r->arrays[i].array;
    return NULL;
}

const char *sheet_said(const sheet_reader *r, const char *key)
{
    return r->file ? safetensors_metadata(r->file, key) : NULL;
}
