#include "ps/ledger.h"

#include <stdlib.h>

#include "common/hash.h"

#define FIRST_BYTES 512   /* of a bucket's first block, and */
#define MOST_BYTES  16384 /* of its later ones at most, where a record is not larger */

err_t ledger_init(ledger *l, size_t record_size)
{
    *l = (ledger){.size   = record_size,
                  .blocks = calloc(HASH_BUCKETS, sizeof(ledger_block *))};
    return l->blocks ? OK
                     : err_memory(HASH_BUCKETS * sizeof(ledger_block *), "records by bucket");
}

void ledger_clear(ledger *l)
{
    for (uint32_t b = 0; l->blocks && b < HASH_BUCKETS; b++)
        ledger_drop(l, b);
    free(l->blocks);
    *l = (ledger){0};
}

static size_t block_bytes(const ledger *l, uint32_t room)
{
    return sizeof(ledger_block) + room * l->size;
}

/* Another block for bucket, twice as long as the one before. */
static err_t add_block(ledger *l, uint32_t bucket)
{
    ledger_block *before = l->blocks[bucket];
    uint32_t first = (uint32_t)(FIRST_BYTES / l->size), most = (uint32_t)(MOST_BYTES / l->size);
    uint32_t      room = before ? 2 * before->room : first;

    room                = room > most ? most : room;
    room                = room > 0 ? room : 1;
    ledger_block *block = malloc(block_bytes(l, room));
    if (!block)
        return err_memory(block_bytes(l, room), "records by bucket");
    *block            = (ledger_block){.next = before, .room = room};
    l->blocks[bucket] = block;
    l->bytes += block_bytes(l, room);
    return OK;
}

err_t ledger_add(ledger *l, uint32_t bucket, void **record)
{
    ledger_block *block = l->blocks[bucket];

    if (!block || block->n == block->room)
        TRY(add_block(l, bucket));
    block   = l->blocks[bucket];
    *record = block->records + block->n++ * l->size;
    return OK;
}

size_t ledger_count(const ledger *l, uint32_t bucket)
{
    size_t n = 0;

    for (const ledger_block *b = ledger_newest(l, bucket); b; b = b->next)
        n += b->n;
    return n;
}

const ledger_block *ledger_newest(const ledger *l, uint32_t bucket)
{
    return l->blocks ? l->blocks[bucket] : NULL;
}

void ledger_drop(ledger *l, uint32_t bucket)
{
    if (!l->blocks)
        return;
    for (ledger_block *b = l->blocks[bucket], *next; b; b = next) {
        next = b->next;
        l->bytes -= block_bytes(l, b->room);
        free(b);
    }
    l->blocks[bucket] = NULL;
}
