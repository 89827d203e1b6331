/* bare - the limit for a table of rows: what a look-up and an update cannot do without.
 *
 * An array of 8-byte slots, 16 bits of the hash and 48 of the row's address, 5/8 full, in
 * huge pages, over the rows of a row_store: hash, probe, check the id, copy. It neither
 * grows nor removes, has no buckets, and finds only ids that are there. An update gets its
 * rows' addresses and does the arithmetic of one rule in one width. Both are pipelined
 * with prefetches, written for nothing else. */
#ifndef DIPS_TESTS_BENCH_ROWS_BARE_H
#define DIPS_TESTS_BENCH_ROWS_BARE_H

#include "ps/row_store.h"
#include "tests/bench/rows/contender.h"

/* A bare table with room for rows rows of dim reals and a state, and for tickets of at most
 * `most` ids. self NULL: no memory. */
contender bare_new(uint64_t rows, int dim, int tickets, size_t most);

/* Let it find the row of id, which is lent. */
void bare_add(contender *c, row *r);

#endif
