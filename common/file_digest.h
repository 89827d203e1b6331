/* file_digest - the checksum of a file, from its blocks.
 *
 * A file is taken in blocks of a MiB, the last one shorter. Its checksum is the XXH3 (64 bits) of
 * its block where there is one, or none; of more, that of their XXH3s, as 64-bit little-endian
 * numbers side by side. So a file whose parts are written in turns is summed up while it is
 * written, and need not be read again. */
#ifndef DIPS_COMMON_FILE_DIGEST_H
#define DIPS_COMMON_FILE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/hash.h"
#include "common/vec.h"

#define FILE_DIGEST_BLOCK (UINT64_C(1) << 20)

/* All zero: of no blocks yet; file_digest_clear. */
typedef struct file_digest {
    VEC(uint64_t) blocks; /* XXH3 of each */
    VEC(bool) known;      /* (blocks.n) */
} file_digest;

/* Bytes of the file in their order, from `at` on, which is where it begins; the rest zero.
 * digest_run_clear. */
typedef struct digest_run {
    uint64_t     at;
    hash_stream *hash;     /* of a block's first bytes, */
    bool         in_block; /* if it was seen from its first byte on */
} digest_run;

void file_digest_clear(file_digest *d);
void digest_run_clear(digest_run *r);

/* The next n bytes of the run. */
MUST_CHECK err_t file_digest_add(file_digest *d, digest_run *r, const void *data, uint64_t n);

/* The file ends where the run does. */
MUST_CHECK err_t file_digest_end(file_digest *d, digest_run *r);

/* Block number, bytes long at most a block. */
MUST_CHECK err_t file_digest_put(file_digest *d, uint64_t block, const void *data, size_t bytes);
bool             file_digest_knows(const file_digest *d, uint64_t block);

/* The checksum, when all blocks are known. */
uint64_t file_digest_value(const file_digest *d);

#endif
