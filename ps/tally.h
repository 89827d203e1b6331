/* tally - a counter for each id that has one, by bucket.
 *
 * Per bucket an open-addressed map with linear probing (Knuth, volume 3, 6.4), of ids in one
 * array and their counts in another: 12 bytes a slot, a slot whose count is 0 is empty. It
 * grows by a quarter when four fifths are filled, so an id costs 15 to 19 bytes. Every one
 * of the 2^64 ids is legal; its count is at least 1. */
#ifndef DIPS_PS_TALLY_H
#define DIPS_PS_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* An id and its count. */
typedef struct tally_entry {
    uint64_t id;
    uint32_t count;
} tally_entry;

typedef struct tally tally;

/* An empty tally; salt is the table's. tally_free. */
MUST_CHECK err_t tally_new(tally **out, uint64_t salt);
void             tally_free(tally **t);

/* Remove all ids. */
void tally_clear(tally *t);

/* Add n > 0 to the count of id; *count: what it is then. It stops at UINT32_MAX. */
MUST_CHECK err_t tally_add(tally *t, uint64_t id, uint32_t n, uint32_t *count);

/* The count of id; 0: it has none. */
uint32_t tally_get(const tally *t, uint64_t id);

/* Forget id, if it is there. */
void tally_remove(tally *t, uint64_t id);

/* Bring the slot of id near. */
void tally_prefetch(const tally *t, uint64_t id);

/* Ids of all buckets together; bytes of memory for them. */
uint64_t tally_ids(const tally *t);
uint64_t tally_bytes(const tally *t);

/* The ids of bucket, ascending, into *entries (grown as needed, *capacity elements; free). */
MUST_CHECK err_t tally_bucket(const tally *t, uint32_t bucket, tally_entry **entries,
                              size_t *capacity, size_t *n);

#endif
