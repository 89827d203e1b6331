/* sketch - about how often ids occurred, in memory that does not grow.
 *
 * Every bucket has m cells that count from 0 to a limit. An id has k of them, drawn by its
 * hash; the smallest is at least the number of times it was counted. Only cells that are too
 * small for the new number are raised: the minimal increase of Cohen and Matias, Spectral
 * Bloom Filters (SIGMOD 2003), or conservative update (Estan and Varghese 2002). An id is
 * counted too high only where all of its cells were raised by others, so with n ids in a
 * bucket the share of such ids is at most the false-positive rate of a Bloom filter
 * (Broder and Mitzenmacher 2004, section 2):
 *
 *     p = (1 - exp(-k n / m))^k        least at k = ln 2 m / n, where p = 2^-k
 *
 * So for the rate p that is asked and N ids over all buckets,
 *
 *     k = ceil(-log2 p)      n = N / buckets + k / 2      m = -k n / ln(1 - p^(1/k))
 *
 * The k / 2 make up for buckets that get more than their share by chance: p(n) is convex.
 * A cell has as few bits as its limit needs: 1, 2, 4 or 8. */
#ifndef DIPS_PS_SKETCH_H
#define DIPS_PS_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SKETCH_LIMIT 255 /* the highest that a cell counts to */

typedef struct sketch {
    uint32_t first, end; /* buckets */
    uint32_t limit;
    int      hashes, bits; /* k; of a cell */
    uint64_t cells;        /* of a bucket: m */
    size_t   bytes;        /* of a bucket, a multiple of 8 */
    uint8_t *at;           /* (end - first, bytes); cell i is bits i * bits .. of its bucket */
} sketch;

/* A sketch of the buckets first .. end-1, all zero, for expected_ids over all buckets;
 * sketch_clear. */
MUST_CHECK err_t sketch_init(sketch *s, uint32_t limit, double false_positive,
                             double expected_ids, uint32_t first, uint32_t end);
void             sketch_clear(sketch *s);

/* All cells zero. */
MUST_CHECK err_t sketch_reset(sketch *s);

/* The bytes of a bucket of the sketch's; lent. */
uint8_t *sketch_bucket(const sketch *s, uint32_t bucket);

/* Bring the cells of the id with this hash (hash_id) near. */
void sketch_prefetch(const sketch *s, uint64_t hash);

/* At least as often as the id was counted, up to the limit. */
uint32_t sketch_get(const sketch *s, uint64_t hash);

/* Where the id's cells are among the bytes of its bucket: places[], at most most of them, of
 * which there are as many as it has cells. */
int sketch_places(const sketch *s, uint64_t hash, uint32_t *places, int most);

/* Raise the id's cells to count, or the limit, where they are below. */
void sketch_raise(sketch *s, uint64_t hash, uint32_t count);

#endif
