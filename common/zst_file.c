#include "common/zst_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef DIPS_ZSTD
#include <zstd.h>
#endif

#include "common/clones.h"
#include "common/hash.h"
#include "common/vec.h"

#ifdef DIPS_ZSTD

#define INDEX_MAGIC 0x184d2a5dU /* one of zstd's skippable frames */
#define END_MAGIC   0x31464344U

typedef struct entry {
    uint64_t begin;
    uint32_t bytes, stored, width, zero;
} entry;

typedef struct ending {
    uint64_t plain_bytes, xxh3;
    uint32_t n, magic;
} ending;

_Static_assert(sizeof(entry) == 24 && sizeof(ending) == 24, "as the picture says");

struct zst_writer {
    ZSTD_CCtx *context;
    VEC(entry) entries;
    char        *parted, *frame; /* ZST_FRAME; its bound */
    uint64_t     written;        /* bytes */
    hash_stream *hash;           /* of those */
};

bool zst_is_there(void)
{
    return true;
}

/* ---- writing ---- */

void zst_writer_free(zst_writer **writer)
{
    zst_writer *w = *writer;

    *writer = NULL;
    if (!w)
        return;
    ZSTD_freeCCtx(w->context);
    vec_clear(&w->entries);
    free(w->parted);
    free(w->frame);
    if (w->hash)
        hash_stream_free(&w->hash);
    free(w);
}

err_t zst_writer_new(zst_writer **out, int level)
{
    zst_writer *w = calloc(1, sizeof *w);

    if (w) {
        w->context = ZSTD_createCCtx();
        w->parted  = malloc(ZST_FRAME);
        w->frame   = malloc(ZSTD_compressBound(ZST_FRAME));
        w->hash    = hash_stream_new();
    }
    if (!w || !w->context || !w->parted || !w->frame || !w->hash ||
        ZSTD_isError(ZSTD_CCtx_setParameter(w->context, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(w->context, ZSTD_c_checksumFlag, 1))) {
        zst_writer_free(&w);
        return err_memory(2 * ZST_FRAME, "compressing a file");
    }
    *out = w;
    return OK;
}

/* to[b][i] = byte b of the i-th of n numbers. */
INLINE void part_by(char *restrict to, const char *restrict from, size_t n, size_t width)
{
    for (size_t b = 0; b < width; b++)
        for (size_t i = 0; i < n; i++)
            to[b * n + i] = from[i * width + b];
}

/* The way back. */
INLINE void join_by(char *restrict to, const char *restrict from, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < width; b++)
            to[i * width + b] = from[b * n + i];
}

/* What is left of a number stands behind the others. */
static void part(char *to, const char *from, size_t bytes, size_t width)
{
    size_t n = bytes / width;

    if (width == 2)
        part_by(to, from, n, 2);
    else if (width == 4)
        part_by(to, from, n, 4);
    else
        part_by(to, from, n, width);
    memcpy(to + n * width, from + n * width, bytes - n * width);
}

static void join(char *to, const char *from, size_t bytes, size_t width)
{
    size_t n = bytes / width;

    if (width == 2)
        join_by(to, from, n, 2);
    else if (width == 4)
        join_by(to, from, n, 4);
    else
        join_by(to, from, n, width);
    memcpy(to + n * width, from + n * width, bytes - n * width);
}

static err_t put(zst_writer *w, const new_file *file, const void *bytes, size_t n)
{
    TRY(new_file_write(file, w->written, bytes, n));
    hash_stream_add(w->hash, bytes, n);
    w->written += n;
    return OK;
}

static err_t write_frame(zst_writer *w, const new_file *file, uint64_t begin, const char *data,
                         size_t bytes, size_t width)
{
    if (width > 1) {
        part(w->parted, data, bytes, width);
        data = w->parted;
    }
    size_t stored =
        ZSTD_compress2(w->context, w->frame, ZSTD_compressBound(ZST_FRAME), data, bytes);
    if (ZSTD_isError(stored))
        return err_set(ERR_SYSTEM, "%s: compressing %zu bytes: %s", file->path, bytes,
                       ZSTD_getErrorName(stored));
    entry e = {begin, (uint32_t)bytes, (uint32_t)stored, (uint32_t)width, 0};
    TRY(vec_push(&w->entries, e));
    return put(w, file, w->frame, stored);
}

err_t zst_write(zst_writer *w, const new_file *file, uint64_t begin, const void *data,
                uint64_t bytes, size_t width)
{
    const char *next = data;

    for (size_t n; bytes > 0; begin += n, next += n, bytes -= n) {
        n = bytes < ZST_FRAME ? (size_t)bytes : ZST_FRAME;
        TRY(write_frame(w, file, begin, next, n, width));
    }
    return OK;
}

err_t zst_end(zst_writer *w, const new_file *file, uint64_t plain_bytes, uint64_t *size,
              uint64_t *xxh3)
{
    size_t   bytes   = w->entries.n * sizeof(entry);
    uint32_t head[2] = {INDEX_MAGIC, (uint32_t)(bytes + sizeof(ending))};
    ending   end     = {plain_bytes, hash_bytes(w->entries.at, bytes), (uint32_t)w->entries.n,
                        END_MAGIC};

    if (w->entries.n > (UINT32_MAX - sizeof end) / sizeof(entry))
        return err_set(ERR_FORMAT, "%s: too large to be compressed", file->path);
    TRY(put(w, file, head, sizeof head));
    TRY(put(w, file, w->entries.at, bytes));
    TRY(put(w, file, &end, sizeof end));
    *size = w->written;
    *xxh3 = hash_stream_value(w->hash);
    return OK;
}

/* ---- reading ---- */

/* The index, checked against the size of the file: that frames lie where bytes are, are no
 * larger than a frame, and cover the plain file once. */
typedef struct frames {
    const char *name;
    ending      end;
    entry      *all;    /* (end.n) in the order of the compressed file; owned */
    entry      *sorted; /* (end.n) in that of the plain one; owned */
} frames;

static int by_begin(const void *a, const void *b)
{
    uint64_t x = ((const entry *)a)->begin, y = ((const entry *)b)->begin;
    return (x > y) - (x < y);
}

static err_t read_index(frames *f, const char *bytes, size_t size)
{
    uint32_t head[2];
    size_t   n = 0;

    if (size >= sizeof head + sizeof f->end) {
        memcpy(&f->end, bytes + size - sizeof f->end, sizeof f->end);
        n = f->end.n;
    }
    if (f->end.magic != END_MAGIC || n > (size - sizeof head - sizeof f->end) / sizeof(entry))
        return err_set(ERR_FORMAT, "%s: no compressed file of dips, or a truncated one",
                       f->name);
    bytes += size - sizeof f->end - n * sizeof(entry) - sizeof head;
    memcpy(head, bytes, sizeof head);
    if (head[0] != INDEX_MAGIC || head[1] != n * sizeof(entry) + sizeof f->end ||
        hash_bytes(bytes + sizeof head, n * sizeof(entry)) != f->end.xxh3)
        return err_set(ERR_FORMAT, "%s: the index of its frames is damaged", f->name);
    f->all    = calloc(n + 1, sizeof(entry));
    f->sorted = calloc(n + 1, sizeof(entry));
    if (!f->all || !f->sorted)
        return err_memory(2 * n * sizeof(entry), "the index of a compressed file");
    memcpy(f->all, bytes + sizeof head, n * sizeof(entry));
    memcpy(f->sorted, f->all, n * sizeof(entry));
    qsort(f->sorted, n, sizeof(entry), by_begin);
    return OK;
}

static err_t check_index(const frames *f, size_t size)
{
    uint64_t plain = 0, stored = 0;
    uint64_t room = size - 2 * sizeof(uint32_t) - f->end.n * sizeof(entry) - sizeof f->end;

    for (uint32_t i = 0; i < f->end.n; i++) {
        const entry *e = &f->sorted[i];
        if (e->begin != plain || e->bytes == 0 || e->bytes > ZST_FRAME || e->width == 0 ||
            e->width > 8 || e->zero)
            return err_set(ERR_FORMAT,
                           "%s: a frame of %u bytes stands at %" PRIu64
                           " of the plain file, where one of at most %zu bytes was to stand at "
                           "%" PRIu64,
                           f->name, e->bytes, e->begin, ZST_FRAME, plain);
        plain += e->bytes;
        stored += e->stored;
    }
    if (plain != f->end.plain_bytes || stored != room)
        return err_set(ERR_FORMAT,
                       "%s: its frames are of %" PRIu64 " and %" PRIu64
                       " plain and compressed bytes; its index says %" PRIu64 " and %" PRIu64,
                       f->name, plain, stored, f->end.plain_bytes, room);
    return OK;
}

static err_t write_all(int fd, const char *name, const char *from, size_t bytes, uint64_t at)
{
    while (bytes > 0) {
        ssize_t n = pwrite(fd, from, bytes, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno("%s: unfolding it at %" PRIu64, name, at);
        from += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return OK;
}

/* One frame, that says what it holds just as the index does, to its place. */
static err_t unfold_frame(int fd, const frames *f, const entry *e, const char *from,
                          char *parted, char *plain)
{
    unsigned long long says = ZSTD_getFrameContentSize(from, e->stored);
    size_t n = says == e->bytes ? ZSTD_decompress(parted, ZST_FRAME, from, e->stored) : 0;

    if (says != e->bytes)
        return err_set(ERR_FORMAT,
                       "%s: the frame of the %u plain bytes at %" PRIu64
                       " is damaged: it does not say that it holds as many",
                       f->name, e->bytes, e->begin);
    if (n != e->bytes)
        return err_set(ERR_FORMAT,
                       "%s: the frame of the %u plain bytes at %" PRIu64 " is damaged: %s",
                       f->name, e->bytes, e->begin,
                       ZSTD_isError(n) ? ZSTD_getErrorName(n) : "it ends early");
    if (e->width == 1)
        return write_all(fd, f->name, parted, n, e->begin);
    join(plain, parted, n, e->width);
    return write_all(fd, f->name, plain, n, e->begin);
}

static err_t unfold(int fd, const frames *f, const char *bytes)
{
    char *buffer = malloc(2 * ZST_FRAME);
    err_t err    = buffer ? OK : err_memory(2 * ZST_FRAME, "reading a compressed file");

    for (uint32_t i = 0; err == OK && i < f->end.n; bytes += f->all[i++].stored)
        err = unfold_frame(fd, f, &f->all[i], bytes, buffer, buffer + ZST_FRAME);
    free(buffer);
    return err;
}

err_t zst_unfold(int fd, uint64_t *plain_bytes, const char *name, const void *bytes,
                 size_t size)
{
    frames f   = {.name = name};
    err_t  err = read_index(&f, bytes, size);

    if (err == OK)
        err = check_index(&f, size);
    if (err == OK)
        err = unfold(fd, &f, bytes);
    *plain_bytes = f.end.plain_bytes;
    free(f.all);
    free(f.sorted);
    return err;
}

#else

static err_t refuse(const char *name)
{
    return err_set(ERR_CONFIG, "%s: this dips was built without zstd (libzstd-dev)", name);
}

bool zst_is_there(void)
{
    return false;
}

err_t zst_writer_new(zst_writer **out, int level)
{
    (void)level;
    *out = NULL;
    return refuse("checkpoint.compression");
}

void zst_writer_free(zst_writer **w)
{
    *w = NULL;
}

err_t zst_write(zst_writer *w, const new_file *file, uint64_t begin, const void *data,
                uint64_t bytes, size_t width)
{
    (void)w, (void)begin, (void)data, (void)bytes, (void)width;
    return refuse(file->path);
}

err_t zst_end(zst_writer *w, const new_file *file, uint64_t plain_bytes, uint64_t *size,
              uint64_t *xxh3)
{
    (void)w, (void)plain_bytes, (void)size, (void)xxh3;
    return refuse(file->path);
}

err_t zst_unfold(int fd, uint64_t *plain_bytes, const char *name, const void *bytes,
                 size_t size)
{
    (void)fd, (void)plain_bytes, (void)bytes, (void)size;
    return refuse(name);
}

#endif
