#include "launch/checkpoint/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/new_file.h"

#define DENSE_NAME "dense.safetensors"
#define PIECE      ((size_t)1 << 20) /* bytes copied at a time */

/* ---- the manifest ---- */

/* *to = n elements of size bytes; NULL stays NULL. */
static err_t copy_array(void *to, const void *from, size_t n, size_t size)
{
    void *copy = from ? malloc(n * size + 1) : NULL;

    if (from && !copy)
        return err_memory(n * size, "a manifest");
    if (from)
        memcpy(copy, from, n * size);
    memcpy(to, &copy, sizeof copy);
    return OK;
}

/* All of m but its files, of which there is one for each shard and one more. */
static err_t copy_manifest(manifest *to, const manifest *m)
{
    size_t shards = (size_t)m->shards;

    *to               = *m;
    to->dealt.held    = NULL;
    to->first_bucket  = NULL;
    to->configuration = NULL;
    to->tables        = NULL;
    to->n_files       = m->shards + 1;
    to->files         = calloc(shards + 1, sizeof *to->files);
    if (!to->files)
        return err_memory(shards * sizeof *to->files, "a manifest");
    TRY(copy_array(&to->dealt.held, m->dealt.held, (size_t)m->dealt.n, sizeof *m->dealt.held));
    TRY(copy_array(&to->first_bucket, m->first_bucket, shards + 1, sizeof *m->first_bucket));
    TRY(copy_array(&to->tables, m->tables, (size_t)m->n_tables, sizeof *m->tables));
    return copy_array(&to->configuration, m->configuration, strlen(m->configuration) + 1, 1);
}

static err_t name_files(manifest *m)
{
    for (int k = 0; k < m->shards; k++)
        manifest_shard_name(m->files[k].name, k, m->shards);
    snprintf(m->files[m->shards].name, sizeof m->files->name, DENSE_NAME);
    if (m->first_bucket)
        return OK;
    m->first_bucket = malloc((size_t)(m->shards + 1) * sizeof *m->first_bucket);
    if (!m->first_bucket)
        return err_memory((size_t)m->shards * sizeof *m->first_bucket, "a manifest");
    for (int k = 0; k <= m->shards; k++)
        m->first_bucket[k] = hash_first_bucket(k, m->shards);
    return OK;
}

err_t target_begin(target *t, const char *path, bool replacing, const manifest *m)
{
    *t        = (target){.replacing = replacing};
    err_t err = copy_manifest(&t->manifest, m);
    if (err == OK)
        err = name_files(&t->manifest);
    if (err == OK)
        err = new_folder_begin(&t->folder, path, replacing);
    if (err != OK)
        target_abandon(t);
    return err;
}

void target_abandon(target *t)
{
    new_folder_abandon(&t->folder);
    manifest_clear(&t->manifest);
}

/* ---- files ---- */

static safetensors_digest *file_at(target *t, int i, char path[FILE_PATH_MOST])
{
    snprintf(path, FILE_PATH_MOST, "%s/%s", t->folder.temporary, t->manifest.files[i].name);
    return &t->manifest.files[i].digest;
}

safetensors_digest *target_shard(target *t, int shard, char path[FILE_PATH_MOST])
{
    return file_at(t, shard, path);
}

safetensors_digest *target_dense(target *t, char path[FILE_PATH_MOST])
{
    return file_at(t, t->manifest.shards, path);
}

/* What fd reads goes to file and into the digest. */
static err_t copy_bytes(const new_file *file, int fd, const char *from, hash_stream *hash,
                        char *buffer, safetensors_digest *digest)
{
    *digest = (safetensors_digest){0};
    for (;;) {
        ssize_t n = read(fd, buffer, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno("%s: reading", from);
        if (n == 0)
            break;
        hash_stream_add(hash, buffer, (size_t)n);
        TRY(new_file_write(file, digest->bytes, buffer, (size_t)n));
        digest->bytes += (uint64_t)n;
    }
    digest->xxh3 = hash_stream_value(hash);
    return OK;
}

static err_t copy_file(const char *to, int fd, const char *from, safetensors_digest *digest)
{
    new_file     file   = {0};
    char        *buffer = malloc(PIECE);
    hash_stream *hash   = hash_stream_new();
    err_t        err    = buffer && hash ? OK : err_memory(PIECE, "copying a file");

    if (err == OK)
        err = new_file_create(&file, to);
    if (err == OK)
        err = copy_bytes(&file, fd, from, hash, buffer, digest);
    if (err == OK)
        err = new_file_finish(&file);
    new_file_abandon(&file);
    if (hash)
        hash_stream_free(&hash);
    free(buffer);
    return err;
}

err_t target_copy_dense(target *t, const char *folder)
{
    char                from[FILE_PATH_MOST], to[FILE_PATH_MOST];
    safetensors_digest *digest = target_dense(t, to);

    snprintf(from, sizeof from, "%s/" DENSE_NAME, folder);
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno("%s: cannot be opened", from);
    err_t err = copy_file(to, fd, from, digest);
    close(fd);
    return err;
}

err_t target_finish(target *t, const schema *s)
{
    err_t err = manifest_write(t->folder.temporary, &t->manifest, s);

    if (err == OK)
        err = t->replacing ? new_folder_replace(&t->folder) : new_folder_finish(&t->folder);
    target_abandon(t);
    return err;
}

/* ---- ids with columns ---- */

static err_t declare(safetensors_writer *w, const char *table, const char *prefix,
                     const char *what, dtype type, uint64_t n, int *tensor)
{
    char name[TENSOR_NAME_MOST];

    row_form_tensor(name, table, prefix, what);
    return safetensors_declare(w, name, type, 1, &n, tensor);
}

err_t list_declare(list_writer *x, safetensors_writer *w, const char *table, const char *prefix,
                   const row_form *form, uint64_t n)
{
    *x = (list_writer){.form = form};
    TRY(declare(w, table, prefix, "ids", DTYPE_U64, n, &x->ids));
    TRY(declare(w, table, prefix, "buckets", DTYPE_U64, HASH_BUCKETS + 1, &x->buckets));
    for (int i = 0; i < form->n; i++) {
        const row_column *c = &form->at[i];
        char              name[TENSOR_NAME_MOST];
        row_form_tensor(name, table, prefix, c->what);
        TRY(safetensors_declare(w, name, c->type, c->wide ? 2 : 1, (uint64_t[]){n, c->width},
                                &x->columns[i]));
    }
    return OK;
}

/* Buckets up to this one begin here. */
static err_t write_offsets(list_writer *x, safetensors_writer *w, uint32_t bucket)
{
    for (; x->next <= bucket; x->next++)
        TRY(safetensors_append(w, x->buckets, &x->written, sizeof x->written));
    return OK;
}

err_t list_add(list_writer *x, safetensors_writer *w, const bucket_rows *rows)
{
    TRY(write_offsets(x, w, rows->bucket));
    TRY(safetensors_append(w, x->ids, rows->ids, rows->n * sizeof *rows->ids));
    for (int i = 0; i < x->form->n; i++)
        TRY(safetensors_append(w, x->columns[i], rows->columns[i],
                               rows->n * x->form->at[i].bytes));
    x->written += rows->n;
    return OK;
}

err_t list_end(list_writer *x, safetensors_writer *w)
{
    return write_offsets(x, w, HASH_BUCKETS);
}
