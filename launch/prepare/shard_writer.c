#include "launch/prepare/shard_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/vec.h"

/* What is collected of a column. */
typedef struct column_data {
    VEC(char) bytes;
    uint64_t last; /* offset */
} column_data;

struct shard_writer {
    const char         *folder, *split;
    const shard_column *columns;
    column_data        *data; /* (n_columns) */
    int                 n_columns;
    shard_limits        limits;
    counts             *counted;
    uint64_t            bytes, samples; /* of the shard at hand */
    uint64_t            samples_before;
    int                 shards; /* written */
};

static err_t add(shard_writer *w, int column, const void *x, size_t bytes)
{
    column_data *data = &w->data[column];

    if (bytes == 0)
        return OK;
    TRY(vec_reserve(&data->bytes, data->bytes.n + bytes));
    memcpy(data->bytes.at + data->bytes.n, x, bytes);
    data->bytes.n += bytes;
    w->bytes += bytes;
    return OK;
}

/* An empty shard: its offsets begin with 0. */
static err_t begin_shard(shard_writer *w)
{
    static const uint64_t zero = 0;

    w->bytes = w->samples = 0;
    for (int c = 0; c < w->n_columns; c++) {
        w->data[c].bytes.n = 0;
        w->data[c].last    = 0;
        if (w->columns[c].offsets)
            TRY(add(w, c, &zero, sizeof zero));
    }
    return OK;
}

err_t shard_writer_new(shard_writer **out, const char *folder, const char *split,
                       const shard_column *columns, int n_columns, shard_limits limits,
                       counts *counted)
{
    shard_writer *w = calloc(1, sizeof *w);

    *out = w;
    if (!w || !(w->data = calloc((size_t)n_columns, sizeof *w->data)))
        return err_memory((size_t)n_columns * sizeof *w->data, "data shards");
    w->folder    = folder;
    w->split     = split;
    w->columns   = columns;
    w->n_columns = n_columns;
    w->limits    = limits;
    w->counted   = counted;
    return begin_shard(w);
}

void shard_writer_free(shard_writer **w)
{
    if (!*w)
        return;
    for (int c = 0; c < (*w)->n_columns; c++)
        vec_clear(&(*w)->data[c].bytes);
    free((*w)->data);
    free(*w);
    *w = NULL;
}

err_t shard_writer_u64(shard_writer *w, int column, const uint64_t *x, size_t n)
{
    if (w->counted && w->columns[column].table >= 0)
        TRY(counts_see(w->counted, w->columns[column].table, x, n));
    return add(w, column, x, n * sizeof *x);
}

err_t shard_writer_i64(shard_writer *w, int column, const int64_t *x, size_t n)
{
    return add(w, column, x, n * sizeof *x);
}

err_t shard_writer_f32(shard_writer *w, int column, const float *x, size_t n)
{
    return add(w, column, x, n * sizeof *x);
}

err_t shard_writer_length(shard_writer *w, int column, uint64_t n)
{
    w->data[column].last += n;
    return add(w, column, &w->data[column].last, sizeof n);
}

static err_t declare(const shard_writer *w, safetensors_writer *file, int column, int *tensor)
{
    const shard_column *c        = &w->columns[column];
    uint64_t            elements = w->data[column].bytes.n / dtype_size(c->type);
    uint64_t            shape[2] = {elements, 1};
    int                 n_dims   = 1;

    if (c->width > 1) {
        shape[0] = elements / (uint64_t)c->width;
        shape[1] = (uint64_t)c->width;
        n_dims   = 2;
    }
    return safetensors_declare(file, c->name, c->type, n_dims, shape, tensor);
}

static err_t write_columns(const shard_writer *w, safetensors_writer *file)
{
    int tensor; /* the writer numbers them as they come: column c is tensor c */

    for (int c = 0; c < w->n_columns; c++)
        TRY(declare(w, file, c, &tensor));
    for (int c = 0; c < w->n_columns; c++)
        TRY(safetensors_append(file, c, w->data[c].bytes.at, w->data[c].bytes.n));
    return OK;
}

static err_t write_shard(shard_writer *w)
{
    safetensors_writer *file;
    char                path[4096];

    snprintf(path, sizeof path, "%s/%s-%05d.safetensors", w->folder, w->split, w->shards);
    TRY(safetensors_create(&file, path));
    err_t err = write_columns(w, file);
    if (err != OK) {
        safetensors_abandon(&file);
        return err;
    }
    TRY(safetensors_finish(&file, NULL));
    w->shards++;
    w->samples_before += w->samples;
    return begin_shard(w);
}

err_t shard_writer_end_sample(shard_writer *w)
{
    w->samples++;
    if (w->counted)
        TRY(counts_end_sample(w->counted));
    if (w->samples >= w->limits.samples || w->bytes >= w->limits.bytes)
        return write_shard(w);
    return OK;
}

err_t shard_writer_finish(shard_writer *w)
{
    return w->samples > 0 ? write_shard(w) : OK;
}

uint64_t shard_writer_samples(const shard_writer *w)
{
    return w->samples_before + w->samples;
}

int shard_writer_shards(const shard_writer *w)
{
    return w->shards;
}
