/* safetensors - the one file format of dips: data, checkpoints, predictions.
 *
 *   0  u64  n, length of the header
 *   8  ...  n bytes of JSON: {"name": {"dtype": "F32", "shape": [2, 3],
 *                                      "data_offsets": [begin, end]}, ...,
 *                             "__metadata__": {"key": "text", ...}}
 *   8+n     raw little-endian tensors, without gaps or overlap
 *
 * https://github.com/huggingface/safetensors. A file is mapped and checked whole
 * before its first use: bounds of the header, dtypes, shape x dtype = byte range, no
 * overlap, no gap, no overflow; a bad one is refused with its name and what is wrong.
 * Tensors may stand at any alignment: read them with safetensors_get_* or memcpy.
 * Written files put the widest dtype first, so that every tensor is aligned. */
#ifndef DIPS_COMMON_SAFETENSORS_H
#define DIPS_COMMON_SAFETENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/real.h"

#define SAFETENSORS_MAX_DIMS 8

typedef enum {
    DTYPE_F64, DTYPE_I64, DTYPE_U64,
    DTYPE_F32, DTYPE_I32, DTYPE_U32,
    DTYPE_F16, DTYPE_BF16, DTYPE_I16, DTYPE_U16,
    DTYPE_I8, DTYPE_U8, DTYPE_BOOL,
} dtype;

#ifdef DIPS_REAL_IS_DOUBLE
#define DTYPE_REAL DTYPE_F64
#else
#define DTYPE_REAL DTYPE_F32
#endif

size_t      dtype_size(dtype type);
const char *dtype_name(dtype type);       /* "F32" */
bool        dtype_is_integer(dtype type); /* BOOL too */
int         dtype_find(const char *name); /* the dtype so called, or -1 */

typedef struct safetensors_tensor {
    const char *name;
    dtype       type;
    int         n_dims;
    uint64_t    shape[SAFETENSORS_MAX_DIMS];
    uint64_t    count; /* elements */
    uint64_t    bytes;
    const void *data; /* at any alignment; lent by the file */
} safetensors_tensor;

/* ---- reading ---- */

typedef struct safetensors safetensors;

/* Map and check path; safetensors_close. ERR_FORMAT says what is wrong with it, ERR_DATA that
 * there is no such file. Where path ends with .zst, or only path.zst is there, that is read:
 * unfolded into a file without a name in $TMPDIR, or /var/tmp, for as long as it is open. */
MUST_CHECK err_t safetensors_open(safetensors **out, const char *path);

/* The same over size bytes in memory (caller's, must stay); name stands for the path. */
MUST_CHECK err_t safetensors_open_memory(safetensors **out, const char *name, const void *bytes,
                                         size_t size);
void safetensors_close(safetensors **file);

const char *safetensors_path(const safetensors *file);
int         safetensors_count(const safetensors *file);

/* The i-th tensor, in the order of their bytes. */
const safetensors_tensor *safetensors_at(const safetensors *file, int i);

/* The tensor called name, or NULL. */
const safetensors_tensor *safetensors_find(const safetensors *file, const char *name);

/* The tensor called name, which must be of type and have the n_dims sizes of shape.
 * ERR_FORMAT says how it differs, or that it is not there. */
MUST_CHECK err_t safetensors_expect(const safetensors_tensor **out, const safetensors *file,
                                    const char *name, dtype type, int n_dims,
                                    const uint64_t *shape);

/* The text under key of "__metadata__", or NULL. */
const char *safetensors_metadata(const safetensors *file, const char *key);

/* Element i of a tensor of any integer dtype or BOOL as 64 bits (I64 keeps its bits,
 * narrower signed ones are sign-extended), or of any number as double. */
uint64_t safetensors_get_u64(const safetensors_tensor *t, uint64_t i);
double   safetensors_get_double(const safetensors_tensor *t, uint64_t i);

/* Copy n elements from element first on, converted to the type of to. */
void safetensors_copy_u64(uint64_t *to, const safetensors_tensor *t, uint64_t first,
                          uint64_t n);
void safetensors_copy_real(real *to, const safetensors_tensor *t, uint64_t first, uint64_t n);

/* Elements first .. first+n-1 (along the first dimension) of a tensor of file will soon be
 * read, or are done with: who reads a large file from one end to the other says so. A wish,
 * which changes nothing but the time that reading takes and the memory that the map holds
 * meanwhile. */
void safetensors_fetch(const safetensors *file, const safetensors_tensor *t, uint64_t first,
                       uint64_t n);
void safetensors_drop(const safetensors *file, const safetensors_tensor *t, uint64_t first,
                      uint64_t n);

/* ---- writing ---- */

typedef struct safetensors_writer safetensors_writer;

typedef struct safetensors_digest {
    uint64_t bytes; /* of the whole file */
    uint64_t xxh3;  /* of the whole file */
} safetensors_digest;

/* Begin a file that will be path: it is written beside it under a temporary name.
 * safetensors_finish or safetensors_abandon. */
MUST_CHECK err_t safetensors_create(safetensors_writer **out, const char *path);

/* The same, but the file is created, and what is wrong with path told, by the first append or
 * the end: perhaps by another thread. */
MUST_CHECK err_t safetensors_create_later(safetensors_writer **out, const char *path);

/* Compress the file, which will be path.zst (common/zst_file.h; level: zstd's) and is opened as
 * path. To be called before anything else, after safetensors_create_later. */
MUST_CHECK err_t safetensors_compress(safetensors_writer *w, int level);

/* Declare a tensor, in any order; all of them before the first append. Returns its
 * number, 0, 1, ... through *tensor. */
MUST_CHECK err_t safetensors_declare(safetensors_writer *w, const char *name, dtype type,
                                     int n_dims, const uint64_t *shape, int *tensor);
MUST_CHECK err_t safetensors_declare_metadata(safetensors_writer *w, const char *key,
                                              const char *text);

/* Append bytes to what tensor holds already; tensors may take turns. */
MUST_CHECK err_t safetensors_append(safetensors_writer *w, int tensor, const void *data,
                                    uint64_t bytes);

/* Check that every tensor is whole, fsync, rename to path, fsync the folder, free.
 * digest may be NULL. On failure nothing of the file stays; *w is freed in any case. */
MUST_CHECK err_t safetensors_finish(safetensors_writer **w, safetensors_digest *digest);

/* Give up: remove the temporary file and free. */
void safetensors_abandon(safetensors_writer **w);

#endif
