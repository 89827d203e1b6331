/* row_group - a cache line of a row_store's index.
 *
 *       0  u8   fingerprint[15]   0: the slot is empty
 *      15  u24  row[15]           numbers
 *      60  u32  passed            filter bits of ids that live further on
 */
#ifndef DIPS_PS_ROW_GROUP_H
#define DIPS_PS_ROW_GROUP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GROUP_SLOTS    15
#define GROUP_ROW_BITS 24 /* of a row's number */

typedef struct group {
    uint8_t  fingerprint[GROUP_SLOTS];
    uint8_t  row[GROUP_SLOTS][3];
    uint32_t passed;
} group;

_Static_assert(sizeof(group) == 64, "a group is a cache line");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a group is little-endian");

static inline uint8_t fingerprint_of(uint64_t hash)
{
    uint8_t low = (uint8_t)hash;
    return low ? low : 0xff;
}

static inline uint32_t filter_of(uint64_t hash)
{
    return UINT32_C(1) << (hash >> 8 & 31);
}

/* Bits of the slots whose fingerprint is f. */
static inline uint32_t group_match(const group *g, uint8_t f)
{
    typedef uint8_t u8x16 __attribute__((vector_size(16)));
    u8x16           all, wanted = (u8x16){0} + f;
    uint32_t        bits = 0;

    memcpy(&all, g, sizeof all); /* the fingerprints, and a byte behind them */
#ifdef __SSE2__
    typedef char i8x16 __attribute__((vector_size(16)));
    bits = (uint32_t)__builtin_ia32_pmovmskb128((i8x16)(all == wanted));
#else
    for (int i = 0; i < GROUP_SLOTS; i++)
        bits |= (uint32_t)(all[i] == wanted[i]) << i;
#endif
    return bits & ((1u << GROUP_SLOTS) - 1);
}

/* The row of a slot. The byte behind its three is the group's too. */
static inline uint32_t group_row(const group *g, int slot)
{
    uint32_t bytes;

    memcpy(&bytes, (const char *)g + offsetof(group, row) + 3 * slot, sizeof bytes);
    return bytes & ((UINT32_C(1) << GROUP_ROW_BITS) - 1);
}

static inline void group_put(group *g, int slot, uint64_t hash, uint32_t number)
{
    g->fingerprint[slot] = fingerprint_of(hash);
    memcpy(g->row[slot], &number, sizeof g->row[slot]);
}

#endif
