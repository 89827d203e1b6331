/* npy - NumPy's files of one array.
 *
 *   0  6 bytes  \x93NUMPY
 *   6  u8, u8   version: 1.0, or 2.0, 3.0
 *   8  u16      n, bytes of the header; u32 from version 2.0 on
 *  ..  n bytes  {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, then spaces and a
 *               newline, so that the numbers begin at a multiple of 64
 *      numbers, row by row
 *
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Little-endian numbers
 * are read, in the order of rows; NumPy has no bf16. */
#ifndef DIPS_LAUNCH_CHECKPOINT_NPY_H
#define DIPS_LAUNCH_CHECKPOINT_NPY_H

#include "common/safetensors.h"

#define NPY_HEADER_MOST 512

/* The bytes in front of the numbers of an array: *size of them. ERR_FORMAT where NumPy has no
 * such numbers. */
MUST_CHECK err_t npy_header(char header[NPY_HEADER_MOST], size_t *size, dtype type, int n_dims,
                            const uint64_t *shape);

/* An array that is mapped. */
typedef struct npy {
    safetensors_tensor array; /* its name is the caller's */
    void              *map;
    size_t             size;
} npy;

/* Map and check path; npy_close. ERR_FORMAT says what is wrong with it. */
MUST_CHECK err_t npy_open(npy *a, const char *path);
void             npy_close(npy *a);

/* The same of size bytes that are caller's and stay; name stands for the path. */
MUST_CHECK err_t npy_parse(npy *a, const char *name, const void *bytes, size_t size);

#endif
