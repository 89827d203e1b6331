/* The reader: the checks of a header, and the tensors it names. safetensors_elements.c has what
 * is in them, safetensors_writer.c the writer. */
#include "common/safetensors.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/zst_file.h"

#define HEADER_MAX 100000000 /* bytes of JSON; the format's own limit */

struct safetensors {
    char                *path;
    const unsigned char *bytes; /* the whole file */
    size_t               size;
    bool                 mapped; /* bytes are a map of ours */
    json_t              *header; /* names and metadata live here */
    int                  n;
    safetensors_tensor  *tensors; /* (n) in the order of their bytes */
    safetensors_tensor **by_name; /* (n) in the order of their names */
};

/* ---- the header ---- */

/* Parse the header's JSON; *data is where the tensors' bytes begin. */
static err_t parse_json(safetensors *f, size_t *data)
{
    uint64_t     length;
    json_error_t error;

    if (f->size < 8)
        return err_set(ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", f->path,
                       f->size);
    memcpy(&length, f->bytes, 8);
    if (length > HEADER_MAX || length > f->size - 8)
        return err_set(
            ERR_FORMAT,
            "%s: not a safetensors file, or a truncated one: it says that its header "
            "has %llu bytes, of %zu in all",
            f->path, (unsigned long long)length, f->size);
    if (length == 0 || f->bytes[8] != '{')
        return err_set(ERR_FORMAT, "%s: the header does not begin with '{'", f->path);
    f->header = json_loadb((const char *)f->bytes + 8, length, JSON_REJECT_DUPLICATES, &error);
    if (!f->header)
        return err_set(ERR_FORMAT, "%s: header: %s at byte %d", f->path, error.text,
                       error.position);
    *data = 8 + (size_t)length;
    return OK;
}

static err_t check_metadata(const safetensors *f, const json_t *metadata)
{
    const char *key;
    json_t     *value;

    if (!json_is_object(metadata))
        return err_set(ERR_FORMAT, "%s: __metadata__ is not an object", f->path);
    json_object_foreach ((json_t *)metadata, key, value)
        if (!json_is_string(value))
            return err_set(ERR_FORMAT, "%s: __metadata__ '%.64s' is not a text", f->path, key);
    return OK;
}

static err_t parse_dtype(const safetensors *f, const json_t *entry, safetensors_tensor *t)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    int         type = name ? dtype_find(name) : -1;

    if (type < 0)
        return err_set(ERR_FORMAT, "%s: tensor '%.64s' has the dtype '%.32s', which is unknown",
                       f->path, t->name, name ? name : "");
    t->type = (dtype)type;
    return OK;
}

/* shape, and with it count and bytes. */
static err_t parse_shape(const safetensors *f, const json_t *entry, safetensors_tensor *t)
{
    const json_t *shape = json_object_get(entry, "shape");
    bool          large = false;

    if (!json_is_array(shape))
        return err_set(ERR_FORMAT, "%s: tensor '%.64s' has no shape", f->path, t->name);
    if (json_array_size(shape) > SAFETENSORS_MAX_DIMS)
        return err_set(ERR_FORMAT, "%s: tensor '%.64s' has %zu dimensions; at most %d are read",
                       f->path, t->name, json_array_size(shape), SAFETENSORS_MAX_DIMS);
    t->n_dims = (int)json_array_size(shape);
    t->count  = 1;
    for (int i = 0; i < t->n_dims; i++) {
        const json_t *extent = json_array_get(shape, (size_t)i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return err_set(ERR_FORMAT, "%s: tensor '%.64s': dimension %d is not a size",
                           f->path, t->name, i);
        t->shape[i] = (uint64_t)json_integer_value(extent);
        large |= __builtin_mul_overflow(t->count, t->shape[i], &t->count);
    }
    if (large || __builtin_mul_overflow(t->count, dtype_size(t->type), &t->bytes))
        return err_set(ERR_FORMAT, "%s: tensor '%.64s' is larger than 64 bits can count",
                       f->path, t->name);
    return OK;
}

/* data_offsets, which must lie in the size bytes from data on and fit the shape. */
static err_t parse_offsets(const safetensors *f, const json_t *entry, const unsigned char *data,
                           size_t size, safetensors_tensor *t)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);

    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(begin) > json_integer_value(end))
        return err_set(ERR_FORMAT, "%s: tensor '%.64s': data_offsets are not [begin, end]",
                       f->path, t->name);
    uint64_t from = (uint64_t)json_integer_value(begin), to = (uint64_t)json_integer_value(end);
    if (to > size)
        return err_set(ERR_FORMAT,
                       "%s: tensor '%.64s' ends at byte %llu of %zu: the file is truncated",
                       f->path, t->name, (unsigned long long)to, size);
    if (to - from != t->bytes)
        return err_set(
            ERR_FORMAT, "%s: tensor '%.64s' has %llu bytes, but its shape asks for %llu",
            f->path, t->name, (unsigned long long)(to - from), (unsigned long long)t->bytes);
    t->data = data + from;
    return OK;
}

static int compare_places(const void *a, const void *b)
{
    const safetensors_tensor *s = a, *t = b;

    if (s->data != t->data)
        return (const char *)s->data < (const char *)t->data ? -1 : 1;
    if (s->bytes != t->bytes) /* an empty tensor stands before the one that begins there */
        return s->bytes < t->bytes ? -1 : 1;
    return strcmp(s->name, t->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(safetensors_tensor *const *)a)->name,
                  (*(safetensors_tensor *const *)b)->name);
}

/* Every byte from data to end belongs to exactly one tensor. */
static err_t check_cover(const safetensors *f, const unsigned char *data)
{
    const unsigned char *reached = data;

    for (int i = 0; i < f->n; i++) {
        const safetensors_tensor *t = &f->tensors[i];
        if ((const unsigned char *)t->data < reached)
            return err_set(ERR_FORMAT, "%s: tensor '%.64s' overlaps '%.64s'", f->path, t->name,
                           f->tensors[i - 1].name);
        if ((const unsigned char *)t->data > reached)
            return err_set(ERR_FORMAT, "%s: %td bytes before tensor '%.64s' belong to none",
                           f->path, (const unsigned char *)t->data - reached, t->name);
        reached += t->bytes;
    }
    if (reached != f->bytes + f->size)
        return err_set(ERR_FORMAT, "%s: the last %td bytes belong to no tensor", f->path,
                       f->bytes + f->size - reached);
    return OK;
}

static err_t parse(safetensors *f)
{
    const char *name;
    json_t     *entry;
    size_t      data;

    TRY(parse_json(f, &data));
    size_t room = json_object_size(f->header) + 1;
    f->tensors  = calloc(room, sizeof *f->tensors);
    f->by_name  = calloc(room, sizeof(safetensors_tensor *));
    if (!f->tensors || !f->by_name)
        return err_memory(room * sizeof *f->tensors, "the tensors of a file");
    json_object_foreach (f->header, name, entry) {
        if (!strcmp(name, "__metadata__")) {
            TRY(check_metadata(f, entry));
            continue;
        }
        safetensors_tensor *t = &f->tensors[f->n++];
        t->name               = name;
        TRY(parse_dtype(f, entry, t));
        TRY(parse_shape(f, entry, t));
        TRY(parse_offsets(f, entry, f->bytes + data, f->size - data, t));
    }
    qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, compare_places);
    for (int i = 0; i < f->n; i++)
        f->by_name[i] = &f->tensors[i];
    qsort(f->by_name, (size_t)f->n, sizeof(safetensors_tensor *), compare_names);
    return check_cover(f, f->bytes + data);
}

/* ---- opening and closing ---- */

err_t safetensors_open_memory(safetensors **out, const char *name, const void *bytes,
                              size_t size)
{
    safetensors *f = calloc(1, sizeof *f);

    *out = NULL;
    if (!f || !(f->path = strdup(name))) {
        free(f);
        return err_memory(sizeof *f, "a safetensors file");
    }
    f->bytes  = bytes;
    f->size   = size;
    err_t err = parse(f);
    if (err != OK) {
        safetensors_close(&f);
        return err;
    }
    *out = f;
    return OK;
}

/* Map the file of fd, whose name is path; an empty file gives no map and size 0. */
static err_t map_open(void **bytes, size_t *size, int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_errno("%s: cannot be examined", path);
    if (!S_ISREG(st.st_mode))
        return err_set(ERR_DATA, "%s: not a file", path);
    if (st.st_size == 0)
        return OK;
    void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        return err_errno("%s: cannot be mapped", path);
    *bytes = at;
    *size  = (size_t)st.st_size;
    return OK;
}

/* Map the file behind path. */
static err_t map(void **bytes, size_t *size, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *bytes = NULL;
    *size  = 0;
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(ERR_DATA, "%s: there is no such file", path);
    if (fd < 0)
        return err_errno("%s: cannot be opened", path);
    err_t err = map_open(bytes, size, fd, path);
    close(fd);
    return err;
}

/* A file without a name, gone when it is closed. */
static err_t open_nameless(int *fd, const char *wanted_by)
{
    const char *folder = getenv("TMPDIR");

    folder = folder && *folder ? folder : "/var/tmp";
    *fd    = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return *fd < 0 ? err_errno("%s is unfolded in %s ($TMPDIR)", wanted_by, folder) : OK;
}

/* Map what the compressed file at path holds. */
static err_t map_folded(void **bytes, size_t *size, const char *path)
{
    void    *folded;
    size_t   folded_size;
    uint64_t plain;
    int      fd = -1;

    *bytes = NULL;
    *size  = 0;
    TRY(map(&folded, &folded_size, path));
    err_t err = open_nameless(&fd, path);
    if (err == OK)
        err = zst_unfold(fd, &plain, path, folded, folded_size);
    if (err == OK)
        err = map_open(bytes, size, fd, path);
    if (fd >= 0)
        close(fd);
    if (folded_size > 0)
        munmap(folded, folded_size);
    return err;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n >= k && !strcmp(text + n - k, end);
}

/* Whether path stands for a compressed file, whose name is folded then. */
static bool is_folded(char folded[PATH_MAX], const char *path)
{
    if (ends_with(path, ZST_SUFFIX))
        return snprintf(folded, PATH_MAX, "%s", path) < PATH_MAX;
    return access(path, F_OK) != 0 && errno == ENOENT &&
           snprintf(folded, PATH_MAX, "%s" ZST_SUFFIX, path) < PATH_MAX &&
           access(folded, F_OK) == 0;
}

err_t safetensors_open(safetensors **out, const char *path)
{
    char   folded[PATH_MAX];
    void  *bytes;
    size_t size;

    *out = NULL;
    if (is_folded(folded, path))
        TRY(map_folded(&bytes, &size, path = folded));
    else
        TRY(map(&bytes, &size, path));
    err_t err = safetensors_open_memory(out, path, bytes, size);
    if (err == OK)
        (*out)->mapped = true;
    else if (size > 0)
        munmap(bytes, size);
    return err;
}

void safetensors_close(safetensors **file)
{
    safetensors *f = *file;

    *file = NULL;
    if (!f)
        return;
    if (f->mapped)
        munmap((void *)f->bytes, f->size);
    json_decref(f->header);
    free(f->tensors);
    free(f->by_name);
    free(f->path);
    free(f);
}

/* ---- what is to come, and what is done with ---- */

/* Tell the system what the pages of some elements are for. It takes whole pages: of those
 * that hold other elements too, DONTNEED leaves those out and WILLNEED does not. */
static void advise(const safetensors *f, const safetensors_tensor *t, uint64_t first,
                   uint64_t n, int advice)
{
    size_t    page  = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t  width = dtype_size(t->type);
    uint64_t  row   = t->n_dims > 0 && t->shape[0] > 0 ? t->count / t->shape[0] * width : width;
    uintptr_t begin = (uintptr_t)t->data + first * row, end = begin + n * row;

    if (!f->mapped)
        return;
    if (advice == MADV_DONTNEED)
        begin = (begin + page - 1) / page * page, end = end / page * page;
    else
        begin = begin / page * page;
    if (end > begin)
        (void)madvise((void *)begin, end - begin, advice);
}

void safetensors_fetch(const safetensors *file, const safetensors_tensor *t, uint64_t first,
                       uint64_t n)
{
    advise(file, t, first, n, MADV_WILLNEED);
}

void safetensors_drop(const safetensors *file, const safetensors_tensor *t, uint64_t first,
                      uint64_t n)
{
    advise(file, t, first, n, MADV_DONTNEED);
}

/* ---- what is in it ---- */

const char *safetensors_path(const safetensors *file)
{
    return file->path;
}

int safetensors_count(const safetensors *file)
{
    return file->n;
}

const safetensors_tensor *safetensors_at(const safetensors *file, int i)
{
    assert(i >= 0 && i < file->n);
    return &file->tensors[i];
}

const safetensors_tensor *safetensors_find(const safetensors *file, const char *name)
{
    int low = 0, high = file->n;

    while (low < high) {
        int middle = low + (high - low) / 2;
        int order  = strcmp(name, file->by_name[middle]->name);
        if (order == 0)
            return file->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

err_t safetensors_expect(const safetensors_tensor **out, const safetensors *file,
                         const char *name, dtype type, int n_dims, const uint64_t *shape)
{
    const safetensors_tensor *t = safetensors_find(file, name);

    if (!t)
        return err_set(ERR_FORMAT, "%s: there is no tensor %s", safetensors_path(file), name);
    if (t->type != type || t->n_dims != n_dims)
        return err_set(ERR_FORMAT, "%s: %s is %s with %d dimensions, wanted %s with %d",
                       safetensors_path(file), name, dtype_name(t->type), t->n_dims,
                       dtype_name(type), n_dims);
    for (int i = 0; i < n_dims; i++)
        if (t->shape[i] != shape[i])
            return err_set(ERR_FORMAT, "%s: dimension %d of %s is %" PRIu64 ", wanted %" PRIu64,
                           safetensors_path(file), i, name, t->shape[i], shape[i]);
    *out = t;
    return OK;
}

const char *safetensors_metadata(const safetensors *file, const char *key)
{
    return json_string_value(
        json_object_get(json_object_get(file->header, "__metadata__"), key));
}
