/* small_shard - data files written out by hand, for tests.
 *
 *     write_shard(path, (column[]){F32("label", 0, 1), U64("goods", 7, 9), {0}});
 */
#ifndef DIPS_TESTS_WORKER_SMALL_SHARD_H
#define DIPS_TESTS_WORKER_SMALL_SHARD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/safetensors.h"
#include "tests/folder.h"

typedef struct column {
    const char *name; /* NULL ends a list */
    dtype       type;
    int         n_dims;
    uint64_t    shape[2];
    const void *data;
} column;

#define LIST(name, dtype, type, ...)                                                           \
    {                                                                                          \
        name, dtype, 1, {sizeof((type[]){__VA_ARGS__}) / sizeof(type)}, (type[])               \
        {                                                                                      \
            __VA_ARGS__                                                                        \
        }                                                                                      \
    }
#define F32(name, ...)  LIST(name, DTYPE_F32, float, __VA_ARGS__)
#define F64(name, ...)  LIST(name, DTYPE_F64, double, __VA_ARGS__)
#define U64(name, ...)  LIST(name, DTYPE_U64, uint64_t, __VA_ARGS__)
#define I64(name, ...)  LIST(name, DTYPE_I64, int64_t, __VA_ARGS__)
#define U32(name, ...)  LIST(name, DTYPE_U32, uint32_t, __VA_ARGS__)
#define I32(name, ...)  LIST(name, DTYPE_I32, int32_t, __VA_ARGS__)
#define U8(name, ...)   LIST(name, DTYPE_U8, uint8_t, __VA_ARGS__)
#define BOOL(name, ...) LIST(name, DTYPE_BOOL, uint8_t, __VA_ARGS__)
#define EMPTY(name, dtype)                                                                     \
    {                                                                                          \
        name, dtype, 1, {0}, ""                                                                \
    }

static inline uint64_t column_bytes(const column *c)
{
    uint64_t count = 1;

    for (int i = 0; i < c->n_dims; i++)
        count *= c->shape[i];
    return count * dtype_size(c->type);
}

static inline void write_shard(const char *path, const column *columns)
{
    safetensors_writer *w;
    int                 number;

    assert_int_equal(safetensors_create(&w, path), OK);
    for (const column *c = columns; c->name; c++) {
        assert_int_equal(safetensors_declare(w, c->name, c->type, c->n_dims, c->shape, &number),
                         OK);
        assert_int_equal(number, c - columns);
    }
    for (int i = 0; columns[i].name; i++)
        assert_int_equal(safetensors_append(w, i, columns[i].data, column_bytes(&columns[i])),
                         OK);
    assert_int_equal(safetensors_finish(&w, NULL), OK);
}

/* The same in the order given and without any alignment, as other programs may. */
static inline void write_packed(const char *path, const column *columns)
{
    char     header[4096];
    int      n  = snprintf(header, sizeof header, "{");
    uint64_t at = 0;
    FILE    *to = fopen(path, "wb");

    assert_non_null(to);
    for (const column *c = columns; c->name; c++) {
        n += snprintf(
            header + n, sizeof header - (size_t)n,
            "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%llu],\"data_offsets\":[%llu,%llu]}",
            at ? "," : "", c->name, dtype_name(c->type), (unsigned long long)c->shape[0],
            (unsigned long long)at, (unsigned long long)(at + column_bytes(c)));
        at += column_bytes(c);
    }
    n += snprintf(header + n, sizeof header - (size_t)n, "}%s", n % 2 ? "" : " ");
    uint64_t length = (uint64_t)n;
    fwrite(&length, sizeof length, 1, to);
    fwrite(header, 1, length, to);
    for (const column *c = columns; c->name; c++)
        fwrite(c->data, 1, column_bytes(c), to);
    assert_int_equal(fclose(to), 0);
}

#endif
