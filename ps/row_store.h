/* row_store - the rows of one table in one shard, found by id.
 *
 * Per bucket an open-addressed index of 64-byte groups: 1-byte fingerprints and 3-byte
 * row numbers, so that a look-up is one cache line and one vector compare. Rows stand
 * in huge-page slabs whose addresses never move, those of a bucket mostly side by side; a
 * removed row's place is used again by its bucket. Growth is per bucket and by about a
 * quarter. Requests are batches: hash all, prefetch index lines, compare, prefetch rows.
 * Every one of the 2^64 ids is legal.
 *
 * One thread owns a store, so nothing here locks. */
#ifndef DIPS_PS_ROW_STORE_H
#define DIPS_PS_ROW_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/real.h"

#define ROW_NONE UINT32_MAX          /* there is no such row */
#define ROW_MOST (UINT32_C(1) << 30) /* rows of a store, and 2^24 of each 64 buckets */

/* An id that needs no padding in front of floats. */
typedef uint64_t row_id __attribute__((aligned(_Alignof(real))));

/* A row. What the payload is, ps/table.h says: weights, then the state of the rule. */
typedef struct row {
    row_id   id;
    uint32_t count;   /* samples with this id: exact, or seen so far */
    uint32_t touched; /* the last step that updated it, plus one; 0: none yet */
    real     x[];
} row;

typedef struct row_store row_store;

/* An empty store of rows of reals reals (weights and state); salt is the table's.
 * row_store_free. */
MUST_CHECK err_t row_store_new(row_store **out, uint64_t salt, int reals);
void             row_store_free(row_store **s);

/* rows[i] = the number of the row of ids[i], or ROW_NONE. Duplicates are allowed. The
 * rows' first cache lines are on their way when it returns. */
void row_store_find(const row_store *s, const uint64_t *ids, size_t n, uint32_t *rows);

/* The same, and the first width reals of what is found: values (n, width); the places of
 * ids without a row are left as they are. */
void row_store_gather(const row_store *s, const uint64_t *ids, size_t n, uint32_t *rows,
                      real *values, size_t width);

/* Make a row for each of n ids that has none yet; its payload, count and touched are
 * zero. rows[i] = the number of the row of ids[i], new or old; an id may be there twice. */
MUST_CHECK err_t row_store_insert(row_store *s, const uint64_t *ids, size_t n, uint32_t *rows);

/* Make room in the index for n more rows of bucket, which then need not grow step by step. */
MUST_CHECK err_t row_store_reserve(row_store *s, uint32_t bucket, uint32_t n);

/* Take the row out; its number may be used again. */
void row_store_remove(row_store *s, uint32_t number);

/* The row; lent until it is removed. */
row *row_store_at(const row_store *s, uint32_t number);

/* Bring memory for coming rows into being, a huge page a call, so that inserting need not
 * wait for it. False when there is enough. */
bool row_store_prefault(row_store *s);

/* Rows held; bytes of memory for them, the index included. */
uint64_t row_store_count(const row_store *s);
uint64_t row_store_bytes(const row_store *s);

/* The bytes that a store of so many rows will take, with what is made ready for more: right
 * to 2 % from a million rows on. */
uint64_t row_store_plan_bytes(uint64_t rows, int reals);

/* The same of a store each of whose buckets has, or once had, so many rows. */
uint64_t row_store_full_bytes(uint32_t bucket_rows, int reals);

/* Rows held in bucket. */
uint32_t row_store_bucket_count(const row_store *s, uint32_t bucket);

/* Walk the rows of bucket, in no order that means anything: *cursor is 0 at first; false
 * when there are no more. The row walked to may be removed before the next one. */
bool row_store_next(const row_store *s, uint32_t bucket, uint32_t *cursor, uint32_t *number);

/* Remove all rows. */
void row_store_clear(row_store *s);

#endif
