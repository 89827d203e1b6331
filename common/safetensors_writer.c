/* The writer of safetensors.h. Each tensor has a place in the file from the first append
 * on and a buffer of its own, so that tensors may take turns in small pieces. Blocks of the file
 * are summed up while they are written; those where tensors meet are read back at the end. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/hash.h"
#include "common/new_file.h"
#include "common/safetensors.h"
#include "common/vec.h"
#include "common/zst_file.h"

#define BUFFER_BYTES (UINT64_C(1) << 16)
#define HASTE_BYTES  (UINT64_C(4) << 20) /* of a tensor that go to the disk in one go */
#define READ_BYTES   (UINT64_C(1) << 20)

typedef struct part {
    char    *name; /* owned */
    dtype    type;
    int      n_dims;
    uint64_t shape[SAFETENSORS_MAX_DIMS];
    uint64_t bytes;    /* when whole */
    uint64_t begin;    /* its place in the file */
    uint64_t written;  /* bytes of it in the file */
    uint64_t hastened; /* bytes of those that were told to go to the disk */
    uint64_t buffered; /* bytes after those, in buffer */
    char    *buffer;   /* BUFFER_BYTES; NULL before the first append and once whole */
} part;

struct safetensors_writer {
    char    *path; /* owned */
    new_file file; /* all zero: not created yet */
    json_t  *header; /* of metadata until the layout, then of everything */
    VEC(part) parts;
    bool         laid_out;
    uint64_t     bytes; /* of the whole file, once laid out */
    hash_stream *hash;  /* of the first hashed bytes of a plain file */
    uint64_t     hashed;
    zst_writer  *zst; /* NULL: the file is a plain one */
};

static void free_writer(safetensors_writer **writer)
{
    safetensors_writer *w = *writer;

    *writer = NULL;
    new_file_abandon(&w->file);
    for (size_t i = 0; i < w->parts.n; i++) {
        free(w->parts.at[i].name);
        free(w->parts.at[i].buffer);
    }
    vec_clear(&w->parts);
    zst_writer_free(&w->zst);
    json_decref(w->header);
    if (w->hash)
        hash_stream_free(&w->hash);
    free(w->path);
    free(w);
}

err_t safetensors_create_later(safetensors_writer **out, const char *path)
{
    safetensors_writer *w = calloc(1, sizeof *w);

    *out = NULL;
    if (!w)
        return err_memory(sizeof *w, "a file's writer");
    w->header = json_object();
    w->path   = strdup(path);
    w->hash   = hash_stream_new();
    if (!w->header || !w->path || !w->hash) {
        free_writer(&w);
        return err_memory(1024, "a file's writer");
    }
    *out = w;
    return OK;
}

err_t safetensors_create(safetensors_writer **out, const char *path)
{
    TRY(safetensors_create_later(out, path));
    err_t err = new_file_create(&(*out)->file, path);
    if (err != OK)
        free_writer(out);
    return err;
}

err_t safetensors_compress(safetensors_writer *w, int level)
{
    size_t size = strlen(w->path) + sizeof ZST_SUFFIX;
    char  *path = malloc(size);

    if (!path)
        return err_memory(size, "a file's name");
    snprintf(path, size, "%s" ZST_SUFFIX, w->path);
    free(w->path);
    w->path = path;
    return zst_writer_new(&w->zst, level);
}

/* ---- declaring ---- */

static bool is_declared(const safetensors_writer *w, const char *name)
{
    for (size_t i = 0; i < w->parts.n; i++)
        if (!strcmp(w->parts.at[i].name, name))
            return true;
    return !strcmp(name, "__metadata__");
}

err_t safetensors_declare(safetensors_writer *w, const char *name, dtype type, int n_dims,
                          const uint64_t *shape, int *tensor)
{
    const char *path = w->path;
    part        p    = {.type = type, .n_dims = n_dims, .bytes = dtype_size(type)};

    if (w->laid_out)
        return err_set(ERR_FORMAT, "%s: tensor '%s' is declared after the first append", path,
                       name);
    if (is_declared(w, name))
        return err_set(ERR_FORMAT, "%s: the tensor name '%s' is taken", path, name);
    if (n_dims < 0 || n_dims > SAFETENSORS_MAX_DIMS)
        return err_set(ERR_FORMAT,
                       "%s: tensor '%s' of %d dimensions; at most %d can be written", path,
                       name, n_dims, SAFETENSORS_MAX_DIMS);
    for (int i = 0; i < n_dims; i++) {
        p.shape[i] = shape[i];
        if (shape[i] > INT64_MAX || __builtin_mul_overflow(p.bytes, shape[i], &p.bytes))
            return err_set(ERR_FORMAT, "%s: tensor '%s' is too large to write", path, name);
    }
    p.name = strdup(name);
    if (!p.name)
        return err_memory(strlen(name), "a tensor's name");
    err_t err = vec_push(&w->parts, p);
    if (err != OK) {
        free(p.name);
        return err;
    }
    *tensor = (int)w->parts.n - 1;
    return OK;
}

err_t safetensors_declare_metadata(safetensors_writer *w, const char *key, const char *text)
{
    json_t *metadata = json_object_get(w->header, "__metadata__");

    if (w->laid_out)
        return err_set(ERR_FORMAT, "%s: metadata '%s' is declared after the first append",
                       w->path, key);
    if (!metadata) {
        metadata = json_object();
        json_object_set_new(w->header, "__metadata__", metadata);
    }
    if (json_object_set_new(metadata, key, json_string(text)) != 0)
        return err_set(ERR_FORMAT, "%s: metadata '%.64s' is not UTF-8", w->path, key);
    return OK;
}

/* ---- the layout ---- */

/* An entry of the header: where p is and what it looks like. origin: of offset 0. */
static json_t *entry_of(const part *p, uint64_t origin)
{
    json_t *shape = json_array();

    for (int i = 0; i < p->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)p->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(p->type), "shape", shape,
                     "data_offsets", (json_int_t)(p->begin - origin),
                     (json_int_t)(p->begin - origin + p->bytes));
}

/* Give each tensor its place, counted from the first one's, and name it in the header:
 * widest dtype first, in the order of declaration within a width. */
static err_t place_tensors(safetensors_writer *w)
{
    uint64_t place = 0;

    for (size_t width = 8; width >= 1; width /= 2) {
        for (size_t i = 0; i < w->parts.n; i++) {
            part *p = &w->parts.at[i];
            if (dtype_size(p->type) != width)
                continue;
            p->begin = place;
            if (__builtin_add_overflow(place, p->bytes, &place) || place > INT64_MAX / 2)
                return err_set(ERR_FORMAT, "%s: tensors of more than 2^62 bytes", w->path);
            if (json_object_set_new(w->header, p->name, entry_of(p, 0)) != 0)
                return err_set(ERR_FORMAT, "%s: the tensor name '%s' is not UTF-8",
                               w->path, p->name);
        }
    }
    w->bytes = place;
    return OK;
}

/* Write bytes, numbers of width bytes, at offset of the plain file, and hash them if they continue
 * what is hashed. */
static err_t write_bytes(safetensors_writer *w, uint64_t offset, const void *data,
                         uint64_t bytes, size_t width)
{
    if (w->zst)
        return zst_write(w->zst, &w->file, offset, data, bytes, width);
    TRY(new_file_write(&w->file, offset, data, bytes));
    if (offset == w->hashed) {
        hash_stream_add(w->hash, data, bytes);
        w->hashed += bytes;
    }
    return OK;
}

/* Length and text of the header, padded with spaces so that tensors begin at a multiple
 * of 8. */
static err_t write_header(safetensors_writer *w)
{
    size_t length = json_dumpb(w->header, NULL, 0, JSON_COMPACT);
    size_t padded = (length + 7) / 8 * 8;
    char  *bytes  = malloc(8 + padded);

    if (!bytes)
        return err_memory(8 + padded, "a file's header");
    memcpy(bytes, &(uint64_t){padded}, 8);
    memset(bytes + 8, ' ', padded);
    json_dumpb(w->header, bytes + 8, length, JSON_COMPACT);
    err_t err = write_bytes(w, 0, bytes, 8 + padded, 1);
    free(bytes);
    for (size_t i = 0; i < w->parts.n; i++)
        w->parts.at[i].begin += 8 + padded;
    w->bytes += 8 + padded;
    return err;
}

static err_t lay_out(safetensors_writer *w)
{
    if (w->laid_out)
        return OK;
    if (!w->file.path)
        TRY(new_file_create(&w->file, w->path));
    TRY(place_tensors(w));
    TRY(write_header(w));
    w->laid_out = true;
    return OK;
}

/* ---- appending ---- */

/* Write the next bytes of p. */
static err_t write_next(safetensors_writer *w, part *p, const void *data, uint64_t bytes)
{
    TRY(write_bytes(w, p->begin + p->written, data, bytes, dtype_size(p->type)));
    p->written += bytes;
    if (w->zst)
        return OK;
    if (p->written - p->hastened >= HASTE_BYTES) {
        new_file_hasten(&w->file, p->begin + p->hastened, p->written - p->hastened);
        p->hastened = p->written;
    }
    return OK;
}

static err_t flush(safetensors_writer *w, part *p)
{
    uint64_t bytes = p->buffered;

    p->buffered = 0;
    return bytes ? write_next(w, p, p->buffer, bytes) : OK;
}

err_t safetensors_append(safetensors_writer *w, int tensor, const void *data, uint64_t bytes)
{
    TRY(lay_out(w));
    part *p = &w->parts.at[tensor];
    if (bytes > p->bytes - p->written - p->buffered)
        return err_set(ERR_FORMAT,
                       "%s: tensor '%s' has room for %" PRIu64 " bytes, not for %" PRIu64,
                       w->path, p->name, p->bytes, p->written + p->buffered + bytes);
    if (bytes == 0)
        return OK;
    if (p->buffered + bytes > BUFFER_BYTES)
        TRY(flush(w, p));
    if (bytes > BUFFER_BYTES)
        return write_next(w, p, data, bytes);
    if (!p->buffer && !(p->buffer = malloc(BUFFER_BYTES)))
        return err_memory(BUFFER_BYTES, "a tensor's buffer");
    memcpy(p->buffer + p->buffered, data, bytes);
    p->buffered += bytes;
    if (p->written + p->buffered == p->bytes) {
        TRY(flush(w, p));
        free(p->buffer);
        p->buffer = NULL;
    }
    return OK;
}

/* ---- the end ---- */

static err_t check_whole(const safetensors_writer *w)
{
    for (size_t i = 0; i < w->parts.n; i++) {
        const part *p = &w->parts.at[i];
        if (p->written + p->buffered != p->bytes)
            return err_set(ERR_FORMAT,
                           "%s: tensor '%s' ends after %" PRIu64 " of %" PRIu64 " bytes",
                           w->path, p->name, p->written + p->buffered, p->bytes);
    }
    return OK;
}

/* Hash what was not written in the order of the file, by reading it back, from the system's cache
 * mostly. */
static err_t hash_rest(safetensors_writer *w)
{
    char *buffer = malloc(READ_BYTES);
    err_t err    = buffer ? OK : err_memory(READ_BYTES, "reading a file back");

    while (err == OK && w->hashed < w->bytes) {
        ssize_t n = pread(w->file.fd, buffer, READ_BYTES, (off_t)w->hashed);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO; /* somebody else cut the file */
        if (n <= 0) {
            err = err_errno("%s: reading it back at %" PRIu64, w->path, w->hashed);
            break;
        }
        hash_stream_add(w->hash, buffer, (size_t)n);
        w->hashed += (uint64_t)n;
    }
    free(buffer);
    return err;
}

/* All tensors are written. */
static err_t sum_up(safetensors_writer *w, safetensors_digest *digest)
{
    if (w->zst)
        return zst_end(w->zst, &w->file, w->bytes, &digest->bytes, &digest->xxh3);
    new_file_hasten(&w->file, 0, w->bytes);
    TRY(hash_rest(w));
    *digest = (safetensors_digest){.bytes = w->bytes, .xxh3 = hash_stream_value(w->hash)};
    return OK;
}

static err_t finish(safetensors_writer *w, safetensors_digest *digest)
{
    safetensors_digest sum;

    TRY(lay_out(w));
    TRY(check_whole(w));
    for (size_t i = 0; i < w->parts.n; i++)
        TRY(flush(w, &w->parts.at[i]));
    TRY(sum_up(w, &sum));
    if (digest)
        *digest = sum;
    return new_file_finish(&w->file);
}

err_t safetensors_finish(safetensors_writer **w, safetensors_digest *digest)
{
    err_t err = finish(*w, digest);

    free_writer(w);
    return err;
}

void safetensors_abandon(safetensors_writer **w)
{
    if (*w)
        free_writer(w);
}
