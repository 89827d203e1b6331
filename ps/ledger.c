#include "ps/ledger.h"

#include <stdlib.h>

#include "common/hash.h"

#define ELEMENT     512 /* bytes of a bucket's first block; later ones double, and have */
#define MOST_BITS   5   /* 2^5 of those at most, where a record is not larger */
#define CACHE_LINE  64

err_t ledger_init(ledger *l, size_t record_size)
{
    *l = (ledger){.size = record_size, .tails = calloc(HASH_BUCKETS, sizeof *l->tails)};
    slab_init(&l->memory, ELEMENT, "records by bucket");
    return l->tails ? OK : err_memory(HASH_BUCKETS * sizeof *l->tails, "records by bucket");
}

void ledger_clear(ledger *l)
{
    if (l->tails)
        slab_clear(&l->memory);
    free(l->tails);
    *l = (ledger){0};
}

static size_t room_in(const ledger *l, int bits)
{
    size_t bytes = (size_t)ELEMENT << bits;

    return bytes < sizeof(ledger_block) ? 0 : (bytes - sizeof(ledger_block)) / l->size;
}

/* Another block for bucket, twice as long as the one before. */
static err_t add_block(ledger *l, uint32_t bucket)
{
    ledger_tail  *tail   = &l->tails[bucket];
    ledger_block *before = tail->newest, *block;
    uint32_t      number;
    int           bits   = !before ? 0 : before->bits + (before->bits < MOST_BITS);

    while (room_in(l, bits) == 0)
        bits++;
    TRY(slab_take(&l->memory, bits, &number));
    if (before)
        before->n = tail->n;
    block  = slab_at(&l->memory, number);
    *block = (ledger_block){.next = before, .number = number, .bits = bits};
    block->room = (uint32_t)room_in(l, bits);
    *tail       = (ledger_tail){block, 0, block->room};
    return OK;
}

err_t ledger_add(ledger *l, uint32_t bucket, void **record)
{
    ledger_tail *tail = &l->tails[bucket];

    if (tail->n == tail->room)
        TRY(add_block(l, bucket));
    *record = tail->newest->records + tail->n++ * l->size;
    return OK;
}

void ledger_prefetch(const ledger *l, uint32_t bucket)
{
    const ledger_tail *tail = &l->tails[bucket];

    if (tail->n < tail->room)
        for (size_t i = 0; i < l->size + CACHE_LINE; i += CACHE_LINE)
            __builtin_prefetch(tail->newest->records + tail->n * l->size + i, 1);
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
    ledger_block *block = l->tails ? l->tails[bucket].newest : NULL;

    if (block)
        block->n = l->tails[bucket].n;
    return block;
}

void ledger_drop(ledger *l, uint32_t bucket)
{
    if (!l->tails)
        return;
    for (ledger_block *b = l->tails[bucket].newest, *next; b; b = next) {
        next = b->next;
        slab_give(&l->memory, b->number, b->bits);
    }
    l->tails[bucket] = (ledger_tail){0};
}
