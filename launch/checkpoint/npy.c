#include "launch/checkpoint/npy.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC       "\x93NUMPY"
#define MAGIC_BYTES 6
#define ALIGN       64
#define TEXT_MOST   4096 /* a longer header is none of an array of numbers */

static const struct {
    dtype       type;
    const char *descr;
} descriptions[] = {
    {DTYPE_F64, "<f8"}, {DTYPE_F32, "<f4"}, {DTYPE_F16, "<f2"}, {DTYPE_U64, "<u8"},
    {DTYPE_I64, "<i8"}, {DTYPE_U32, "<u4"}, {DTYPE_I32, "<i4"}, {DTYPE_U16, "<u2"},
    {DTYPE_I16, "<i2"}, {DTYPE_U8, "|u1"},  {DTYPE_I8, "|i1"},  {DTYPE_BOOL, "|b1"},
};

#define N_DESCRIPTIONS (sizeof descriptions / sizeof *descriptions)

/* ---- writing ---- */

err_t npy_header(char header[NPY_HEADER_MOST], size_t *size, dtype type, int n_dims,
                 const uint64_t *shape)
{
    const char *descr = NULL;
    char       *text  = header + MAGIC_BYTES + 4;

    for (size_t i = 0; i < N_DESCRIPTIONS; i++)
        if (descriptions[i].type == type)
            descr = descriptions[i].descr;
    if (!descr)
        return err_set(ERR_FORMAT, "a .npy file cannot hold %s", dtype_name(type));
    int n = sprintf(text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < n_dims; i++)
        n += sprintf(text + n, "%" PRIu64 "%s", shape[i],
                     n_dims == 1      ? ","
                     : i + 1 < n_dims ? ", "
                                      : "");
    n += sprintf(text + n, "), }");
    size_t all = (MAGIC_BYTES + 4 + (size_t)n + 1 + ALIGN - 1) / ALIGN * ALIGN;
    memset(text + n, ' ', all - MAGIC_BYTES - 4 - (size_t)n);
    header[all - 1] = '\n';
    memcpy(header, MAGIC, MAGIC_BYTES);
    header[6] = 1, header[7] = 0;
    header[8] = (char)((all - 10) & 255), header[9] = (char)((all - 10) >> 8);
    *size = all;
    return OK;
}

/* ---- reading ---- */

/* What stands behind 'key': in the header's text, or NULL. */
static const char *value_of(const char *text, const char *key)
{
    char word[32];

    snprintf(word, sizeof word, "'%s':", key);
    const char *at = strstr(text, word);
    if (!at)
        return NULL;
    at += strlen(word);
    return at + strspn(at, " ");
}

static err_t parse_descr(npy *a, const char *path, const char *text)
{
    const char *value = value_of(text, "descr");

    for (size_t i = 0; value && i < N_DESCRIPTIONS; i++) {
        size_t length = strlen(descriptions[i].descr);
        if (value[0] == '\'' && !strncmp(value + 1, descriptions[i].descr, length) &&
            value[1 + length] == '\'') {
            a->array.type = descriptions[i].type;
            return OK;
        }
    }
    return err_set(ERR_FORMAT, "%s: an array of %.16s, which is not read", path,
                   value ? value : "nothing");
}

static err_t parse_shape(npy *a, const char *path, const char *text)
{
    const char         *value = value_of(text, "shape");
    safetensors_tensor *t     = &a->array;
    bool                large = false;

    if (!value || *value++ != '(')
        return err_set(ERR_FORMAT, "%s: the header has no shape", path);
    t->count = 1;
    while (*(value += strspn(value, " ,")) != ')') {
        char *end;
        errno = 0;
        if (!isdigit((unsigned char)*value) || t->n_dims == SAFETENSORS_MAX_DIMS)
            return err_set(ERR_FORMAT, "%s: the header's shape is none of %d sizes at most",
                           path, SAFETENSORS_MAX_DIMS);
        uint64_t extent = strtoull(value, &end, 10);
        large |= errno != 0 || __builtin_mul_overflow(t->count, extent, &t->count);
        t->shape[t->n_dims++] = extent;
        value                 = end;
    }
    if (large || __builtin_mul_overflow(t->count, dtype_size(t->type), &t->bytes))
        return err_set(ERR_FORMAT, "%s: an array larger than 64 bits can count", path);
    return OK;
}

/* Where the header's text begins, and its bytes. */
static err_t find_text(const char *path, const unsigned char *bytes, size_t size, size_t *begin,
                       size_t *length)
{
    if (size < 12 || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0 || bytes[6] < 1 || bytes[6] > 3)
        return err_set(ERR_FORMAT, "%s: not a .npy file of version 1, 2 or 3", path);
    *begin  = bytes[6] == 1 ? 10 : 12;
    *length = bytes[8] | (size_t)bytes[9] << 8;
    if (bytes[6] > 1)
        *length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (*length > TEXT_MOST || *length > size - *begin)
        return err_set(ERR_FORMAT, "%s: a header of %zu bytes, in a file of %zu", path, *length,
                       size);
    return OK;
}

err_t npy_parse(npy *a, const char *name, const void *bytes, size_t size)
{
    char   text[TEXT_MOST + 1];
    size_t begin = 0, length = 0;

    *a = (npy){0};
    TRY(find_text(name, bytes, size, &begin, &length));
    memcpy(text, (const char *)bytes + begin, length);
    text[length] = '\0';
    TRY(parse_descr(a, name, text));
    TRY(parse_shape(a, name, text));
    const char *order = value_of(text, "fortran_order");
    if (!order || (strncmp(order, "False", 5) != 0 && a->array.n_dims > 1))
        return err_set(ERR_FORMAT,
                       "%s: the numbers stand column by column (numpy.ascontiguousarray turns "
                       "them)",
                       name);
    if (a->array.bytes != size - begin - length)
        return err_set(ERR_FORMAT, "%s: %zu bytes of numbers, its shape asks for %" PRIu64,
                       name, size - begin - length, a->array.bytes);
    a->array.data = (const char *)bytes + begin + length;
    return OK;
}

static err_t map(void **at, size_t *size, const char *path)
{
    struct stat st;
    int         fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_errno("%s: cannot be opened", path);
    *size = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (size_t)st.st_size : 0;
    *at   = *size ? mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    close(fd);
    return *at == MAP_FAILED ? err_set(ERR_FORMAT, "%s: cannot be mapped, or is empty", path)
                             : OK;
}

err_t npy_open(npy *a, const char *path)
{
    void  *at;
    size_t size = 0;

    *a = (npy){0};
    TRY(map(&at, &size, path));
    err_t err = npy_parse(a, path, at, size);
    if (err != OK) {
        munmap(at, size);
        return err;
    }
    a->map  = at;
    a->size = size;
    return OK;
}

void npy_close(npy *a)
{
    if (a->map)
        munmap(a->map, a->size);
    *a = (npy){0};
}
