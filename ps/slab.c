#include "ps/slab.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE  ((size_t)2 << 20)
#define SMALL_PAGE ((size_t)4 << 10)
#define REGION     ((size_t)64 << 20)   /* bytes, at most */
#define AHEAD      ((uint64_t)16 << 20) /* bytes, at most, and a 64th of what is in use */
#define AHEAD_PART 64

/* MADV_POPULATE_WRITE of Linux 5.14, for systems whose headers are older. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

static size_t region_bytes(const slab *s)
{
    return round_up(s->size << s->region_bits, HUGE_PAGE);
}

void slab_init(slab *s, size_t size, const char *what)
{
    *s = (slab){.size = size, .what = what};
    while (s->region_bits < 31 && size << (s->region_bits + 1) <= REGION)
        s->region_bits++;
    for (int bits = 0; bits < SLAB_RUN_BITS; bits++)
        s->spare[bits] = SLAB_NONE;
}

void slab_clear(slab *s)
{
    for (size_t i = 0; i < s->regions.n; i++)
        munmap(s->regions.at[i], region_bytes(s));
    vec_clear(&s->regions);
    slab_init(s, s->size, s->what);
}

/* Addresses on a huge page's boundary. The first huge page of a slab is left to small pages,
 * so that a small slab costs little. */
static err_t add_region(slab *s)
{
    size_t bytes = region_bytes(s), small = s->regions.n ? 0 : HUGE_PAGE;
    char  *all, *region;

    if (((uint64_t)s->regions.n + 1) << s->region_bits >= SLAB_NONE)
        return err_set(ERR_MEMORY, "%s: one shard numbers at most %u of them", s->what,
                       SLAB_NONE);
    TRY(vec_reserve(&s->regions, s->regions.n + 1));
    all = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return err_memory(bytes, s->what);
    region = all + (HUGE_PAGE - (uintptr_t)all % HUGE_PAGE);
    munmap(all, (size_t)(region - all));
    if (region < all + HUGE_PAGE)
        munmap(region + bytes, (size_t)(all + HUGE_PAGE - region));
    if (bytes > small)
        (void)madvise(region + small, bytes - small, MADV_HUGEPAGE); /* a wish: any will do */
    s->regions.at[s->regions.n++] = region;
    return OK;
}

/* ---- runs ---- */

/* What is left of the region is too short for the run that is wanted; shorter ones may use
 * it. */
static void skip_rest_of_region(slab *s)
{
    uint32_t all  = UINT32_C(1) << s->region_bits;
    uint32_t left = (all - (s->next & (all - 1))) & (all - 1);

    for (int bits = SLAB_RUN_BITS - 1; bits >= 0; bits--)
        if (left >> bits & 1) {
            slab_give(s, s->next, bits);
            s->next += UINT32_C(1) << bits;
        }
}

/* A run that was given back, or the first part of a longer one. */
static bool take_spare(slab *s, int bits, uint32_t *number)
{
    int longer = bits;

    while (longer < SLAB_RUN_BITS && s->spare[longer] == SLAB_NONE)
        longer++;
    if (longer == SLAB_RUN_BITS)
        return false;
    *number = s->spare[longer];
    memcpy(&s->spare[longer], slab_at(s, *number), sizeof s->spare[longer]);
    while (longer-- > bits)
        slab_give(s, *number + (UINT32_C(1) << longer), longer);
    return true;
}

err_t slab_take(slab *s, int bits, uint32_t *number)
{
    uint32_t run = UINT32_C(1) << bits, mask = (UINT32_C(1) << s->region_bits) - 1;

    assert(bits < SLAB_RUN_BITS && bits <= s->region_bits);
    if (take_spare(s, bits, number))
        return OK;
    if ((s->next & mask) + run > mask + 1)
        skip_rest_of_region(s);
    if (s->next >> s->region_bits == s->regions.n)
        TRY(add_region(s));
    *number = s->next;
    s->next += run;
    return OK;
}

void slab_give(slab *s, uint32_t number, int bits)
{
    memcpy(slab_at(s, number), &s->spare[bits], sizeof s->spare[bits]);
    s->spare[bits] = number;
}

/* ---- memory ---- */

/* Bytes of the regions, in order, that were handed out. */
static uint64_t used(const slab *s)
{
    uint32_t mask = (UINT32_C(1) << s->region_bits) - 1;

    return (uint64_t)(s->next >> s->region_bits) * region_bytes(s) + (s->next & mask) * s->size;
}

/* Bytes that are made ready behind those in use. */
static uint64_t ahead_of(uint64_t bytes)
{
    return bytes / AHEAD_PART < AHEAD ? bytes / AHEAD_PART : AHEAD;
}

uint64_t slab_page_bytes(uint64_t bytes)
{
    return round_up(bytes, bytes <= HUGE_PAGE ? SMALL_PAGE : HUGE_PAGE);
}

uint64_t slab_ready_bytes(uint64_t bytes)
{
    return slab_page_bytes(bytes) + round_up(bytes + ahead_of(bytes), HUGE_PAGE) -
           round_up(bytes, HUGE_PAGE);
}

/* Have the system clear and map the huge page at at, none of which is in use. */
static void populate(char *at)
{
    if (!madvise(at, HUGE_PAGE, MADV_POPULATE_WRITE))
        return;
    for (size_t i = 0; i < HUGE_PAGE; i += SMALL_PAGE)
        *(volatile char *)(at + i) = 0;
}

bool slab_prefault(slab *s)
{
    uint64_t bytes = used(s), ahead = ahead_of(bytes);

    if (s->ready < round_up(bytes, HUGE_PAGE))
        s->ready = round_up(bytes, HUGE_PAGE); /* use has made it so */
    if (s->ready - bytes >= ahead)
        return false;
    if (s->ready / region_bytes(s) == s->regions.n && add_region(s) != OK)
        return false; /* whoever needs it will say so */
    populate(s->regions.at[s->ready / region_bytes(s)] + s->ready % region_bytes(s));
    s->ready += HUGE_PAGE;
    return true;
}

uint64_t slab_bytes(const slab *s)
{
    uint64_t bytes = used(s), pages = round_up(bytes, HUGE_PAGE);

    return slab_page_bytes(bytes) + (s->ready > pages ? s->ready - pages : 0) +
           s->regions.capacity * sizeof *s->regions.at;
}
