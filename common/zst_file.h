/* zst_file - a file in compressed pieces (checkpoint.compression: zstd).
 *
 *     frames        one after the other, in the order in which they were written: a zstd frame
 *                   each, with its size and checksum, of up to 1 MiB of the plain file. Where
 *                   those are numbers of w bytes, all first bytes stand before all second ones
 *                   and so on, since the high bytes of floats are alike.
 *     index         a skippable frame of zstd:
 *        0  u32  0x184d2a5d
 *        4  u32  24 n + 24
 *        8  n x  0  u64  where the frame begins in the plain file
 *                8  u32  its bytes there
 *               12  u32  its bytes here
 *               16  u32  w
 *               20  u32  0
 *      end-24  u64  bytes of the plain file
 *      end-16  u64  XXH3 of the n x 24 bytes
 *      end -8  u32  n
 *      end -4  u32  0x31464344
 *
 * Frames cover the plain file once, without gaps; those of one tensor are in its order. So a
 * file whose tensors take turns is compressed as it is written, and read with the memory of a
 * frame. */
#ifndef DIPS_COMMON_ZST_FILE_H
#define DIPS_COMMON_ZST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/new_file.h"

#define ZST_SUFFIX ".zst"
#define ZST_FRAME  ((size_t)1 << 20) /* bytes of the plain file in a frame, at most */

/* Whether this program was built with zstd; else what follows fails and says so. */
bool zst_is_there(void);

/* ---- writing ---- */

typedef struct zst_writer zst_writer;

/* level: zstd's, 1 .. 19. zst_writer_free. */
MUST_CHECK err_t zst_writer_new(zst_writer **out, int level);
void             zst_writer_free(zst_writer **w);

/* bytes of data, numbers of width bytes (1: no matter), stand at `begin` of the plain file. */
MUST_CHECK err_t zst_write(zst_writer *w, const new_file *file, uint64_t begin,
                           const void *data, uint64_t bytes, size_t width);

/* All of the plain file came: write the index. *size and *xxh3 are those of the compressed
 * file. */
MUST_CHECK err_t zst_end(zst_writer *w, const new_file *file, uint64_t plain_bytes,
                         uint64_t *size, uint64_t *xxh3);

/* ---- reading ---- */

/* Write the plain file to fd, from the size bytes of the compressed one; name stands for it in
 * errors. ERR_FORMAT says what is wrong with it. */
MUST_CHECK err_t zst_unfold(int fd, uint64_t *plain_bytes, const char *name, const void *bytes,
                            size_t size);

#endif
