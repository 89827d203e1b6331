/* ledger - records of one size by bucket, kept for a while and given back bucket by bucket.
 *
 * What a bucket has is a list of blocks that double from half a KB to 16 KB, the newest first;
 * records within a block are in the order in which they came. Blocks lie in huge pages, and serve
 * again once given back. One thread owns a ledger. */
#ifndef DIPS_PS_LEDGER_H
#define DIPS_PS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "ps/slab.h"

typedef struct ledger_block {
    struct ledger_block *next; /* older */
    uint32_t             n, room;
    uint32_t             number; /* of its first element of the slab, of 2^bits */
    int                  bits;
    _Alignas(8) char     records[];
} ledger_block;

/* The end of a bucket: what adding a record needs, near at hand. */
typedef struct ledger_tail {
    ledger_block *newest;  /* NULL: the bucket has none */
    uint32_t      n, room; /* of the newest, whose own n is behind while records are added */
} ledger_tail;

/* All zero: no ledger, to which nothing can be added and which has nothing. */
typedef struct ledger {
    size_t       size;  /* of a record */
    ledger_tail *tails; /* (HASH_BUCKETS) */
    slab         memory;
} ledger;

/* An empty ledger; ledger_clear. */
MUST_CHECK err_t ledger_init(ledger *l, size_t record_size);
void             ledger_clear(ledger *l);

/* A new record of bucket, to be filled: *record is lent until the bucket is dropped. */
MUST_CHECK err_t ledger_add(ledger *l, uint32_t bucket, void **record);

/* A record of bucket will soon be added: have its place near by then. */
void ledger_prefetch(const ledger *l, uint32_t bucket);

/* Records of bucket; its newest block, or NULL. */
size_t              ledger_count(const ledger *l, uint32_t bucket);
const ledger_block *ledger_newest(const ledger *l, uint32_t bucket);

/* Give back what bucket has. */
void ledger_drop(ledger *l, uint32_t bucket);

#endif
