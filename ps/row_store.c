#include "ps/row_store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/hash.h"
#include "common/vec.h"

/* A bucket is an array of groups. An id's hash says which bucket, which group is its home
 * there, and which fingerprint stands for it:
 *
 *      63 .. 52      51 .. 20     19 .. 13     12 .. 8        7 .. 0
 *      bucket        home         -            filter         fingerprint
 *
 * The home is home * groups / 2^32, so any number of groups will do. An id whose home is
 * full goes to the next group that is not, and leaves its filter bit in every full group
 * it passes: a search goes on only where its own bit is set. So nearly every search ends
 * in the home, found or not, and an emptied slot needs no tombstone. */
#define GROUP_SLOTS  12
#define GROUP_FILLED 11 /* slots of a group filled on average before its bucket grows */

typedef struct group {
    uint8_t  fingerprint[GROUP_SLOTS]; /* 0: the slot is empty */
    uint32_t passed;                   /* filter bits of ids that live further on */
    uint32_t row[GROUP_SLOTS];
} group;

_Static_assert(sizeof(group) == 64, "a group is a cache line");

typedef struct bucket {
    group   *groups;
    uint32_t n_groups;
    uint32_t n_rows;
    uint32_t n_removed; /* since the groups were laid out: their filter bits are still there */
} bucket;

#define HUGE_PAGE ((size_t)2 << 20)
#define SLAB      ((size_t)64 << 20) /* bytes of addresses; memory comes as rows are made */
#define BATCH     64                 /* ids in flight of a batch */

struct row_store {
    uint64_t salt;
    size_t   stride; /* bytes from row to row */
    int      slab_bits;
    uint32_t next;  /* rows from here on were never used */
    uint32_t spare; /* a removed row, which names the next one in count; or ROW_NONE */
    uint64_t n_rows, n_groups;
    VEC(char *) slabs;
    bucket buckets[HASH_BUCKETS];
};

/* ---- a group ---- */

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

    memcpy(&all, g, sizeof all); /* the fingerprints, and passed behind them */
#ifdef __SSE2__
    typedef char i8x16 __attribute__((vector_size(16)));
    bits = (uint32_t)__builtin_ia32_pmovmskb128((i8x16)(all == wanted));
#else
    for (int i = 0; i < GROUP_SLOTS; i++)
        bits |= (uint32_t)(all[i] == wanted[i]) << i;
#endif
    return bits & ((1u << GROUP_SLOTS) - 1);
}

/* ---- a bucket ---- */

static inline uint32_t home_of(const bucket *b, uint64_t hash)
{
    return (uint32_t)((uint64_t)(uint32_t)(hash >> 20) * b->n_groups >> 32);
}

static inline group *group_after(const bucket *b, group *g)
{
    return g + 1 == b->groups + b->n_groups ? b->groups : g + 1;
}

/* Put number where the search for hash will come by. The bucket has an empty slot. */
static void place(bucket *b, uint64_t hash, uint32_t number)
{
    group *g = &b->groups[home_of(b, hash)];

    for (;; g = group_after(b, g)) {
        uint32_t empty = group_match(g, 0);
        if (empty) {
            int slot             = __builtin_ctz(empty);
            g->fingerprint[slot] = fingerprint_of(hash);
            g->row[slot]         = number;
            return;
        }
        g->passed |= filter_of(hash);
    }
}

/* Move the bucket's rows to a new array of n_groups groups. */
static err_t lay_out(row_store *s, bucket *b, uint32_t n_groups)
{
    bucket fresh = {.n_groups = n_groups, .n_rows = b->n_rows};
    size_t bytes = n_groups * sizeof(group);

    fresh.groups = aligned_alloc(sizeof(group), bytes);
    if (!fresh.groups)
        return err_memory(bytes, "the index of a table");
    memset(fresh.groups, 0, bytes);
    for (uint32_t i = 0; i < b->n_groups; i++) {
        const group *g = &b->groups[i];
        if (i + 2 < b->n_groups)
            for (int slot = 0; slot < GROUP_SLOTS; slot++)
                if (g[2].fingerprint[slot])
                    row_store_prefetch(s, g[2].row[slot]);
        for (int slot = 0; slot < GROUP_SLOTS; slot++)
            if (g->fingerprint[slot])
                place(&fresh, hash_id(s->salt, row_store_at(s, g->row[slot])->id),
                      g->row[slot]);
    }
    s->n_groups += fresh.n_groups - b->n_groups;
    free(b->groups);
    *b = fresh;
    return OK;
}

/* See that the bucket has room for a row, and that most of its filter bits mean something. */
static err_t make_room(row_store *s, bucket *b)
{
    if (b->n_rows == b->n_groups * GROUP_FILLED)
        return lay_out(s, b, b->n_groups + b->n_groups / 4 + 1);
    if (b->n_removed > b->n_groups * (GROUP_FILLED / 2))
        return lay_out(s, b, b->n_groups);
    return OK;
}

/* ---- slabs ---- */

/* Addresses for another 2^slab_bits rows, on a huge page's boundary. The first huge page
 * of a store is left to small pages, so that a small table costs little. */
static err_t add_slab(row_store *s)
{
    size_t bytes = (s->stride << s->slab_bits) + HUGE_PAGE - 1;
    char  *all, *slab;

    bytes -= bytes % HUGE_PAGE;
    TRY(vec_reserve(&s->slabs, s->slabs.n + 1));
    all = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return err_memory(bytes, "the rows of a table");
    slab = all + (HUGE_PAGE - (uintptr_t)all % HUGE_PAGE);
    munmap(all, (size_t)(slab - all));
    if (slab < all + HUGE_PAGE)
        munmap(slab + bytes, (size_t)(all + HUGE_PAGE - slab));
    size_t small = s->slabs.n ? 0 : HUGE_PAGE;
    if (bytes > small)
        (void)madvise(slab + small, bytes - small,
                      MADV_HUGEPAGE); /* a wish: any page will do */
    s->slabs.at[s->slabs.n++] = slab;
    return OK;
}

static void drop_slabs(row_store *s)
{
    size_t bytes = (s->stride << s->slab_bits) + HUGE_PAGE - 1;

    for (size_t i = 0; i < s->slabs.n; i++)
        munmap(s->slabs.at[i], bytes - bytes % HUGE_PAGE);
    vec_clear(&s->slabs);
}

static err_t take_number(row_store *s, uint32_t *number)
{
    if (s->spare != ROW_NONE) {
        *number  = s->spare;
        s->spare = row_store_at(s, *number)->count;
        return OK;
    }
    if (s->next == ROW_MOST)
        return err_set(ERR_MEMORY, "a table's part in one shard is full: it holds %u rows",
                       ROW_MOST);
    if (s->next >> s->slab_bits == s->slabs.n)
        TRY(add_slab(s));
    *number = s->next++;
    return OK;
}

/* ---- the store ---- */

err_t row_store_new(row_store **out, uint64_t salt, int reals)
{
    row_store *s = calloc(1, sizeof *s);

    if (!s)
        return err_memory(sizeof *s, "a table's rows");
    s->salt   = salt;
    s->stride = sizeof(row) + (size_t)reals * sizeof(real);
    s->spare  = ROW_NONE;
    while (s->slab_bits < 31 && s->stride << (s->slab_bits + 1) <= SLAB)
        s->slab_bits++;
    *out = s;
    return OK;
}

void row_store_clear(row_store *s)
{
    for (int i = 0; i < HASH_BUCKETS; i++)
        free(s->buckets[i].groups);
    memset(s->buckets, 0, sizeof s->buckets);
    drop_slabs(s);
    s->next   = 0;
    s->spare  = ROW_NONE;
    s->n_rows = s->n_groups = 0;
}

void row_store_free(row_store **s)
{
    if (!*s)
        return;
    row_store_clear(*s);
    free(*s);
    *s = NULL;
}

row *row_store_at(const row_store *s, uint32_t number)
{
    size_t place_in_slab = number & ((UINT32_C(1) << s->slab_bits) - 1);
    return (row *)(s->slabs.at[number >> s->slab_bits] + place_in_slab * s->stride);
}

void row_store_prefetch(const row_store *s, uint32_t number)
{
    const char *r = (const char *)row_store_at(s, number);

    __builtin_prefetch(r);
    __builtin_prefetch(r + 64); /* rows seldom begin at a line's boundary */
}

uint64_t row_store_count(const row_store *s)
{
    return s->n_rows;
}

uint64_t row_store_bytes(const row_store *s)
{
    return sizeof *s + s->slabs.capacity * sizeof *s->slabs.at + s->next * s->stride +
           s->n_groups * sizeof(group);
}

/* The slots of a search in flight: what is left of them to look at. */
typedef struct search {
    uint64_t hash;
    group   *g;
    uint32_t candidates; /* slots of g that have the fingerprint */
} search;

static void search_start(const row_store *s, search *x, uint64_t id)
{
    x->hash         = hash_id(s->salt, id);
    const bucket *b = &s->buckets[hash_bucket(x->hash)];
    x->g            = b->n_groups ? &b->groups[home_of(b, x->hash)] : NULL;
    if (x->g)
        __builtin_prefetch(x->g);
}

static void search_compare(const row_store *s, search *x)
{
    if (!x->g)
        return;
    x->candidates = group_match(x->g, fingerprint_of(x->hash));
    if (x->candidates)
        row_store_prefetch(s, x->g->row[__builtin_ctz(x->candidates)]);
}

static uint32_t search_end(const row_store *s, search *x, uint64_t id)
{
    const bucket *b = &s->buckets[hash_bucket(x->hash)];

    if (!x->g)
        return ROW_NONE;
    for (uint32_t looked = 0;; looked++) {
        for (uint32_t bits = x->candidates; bits; bits &= bits - 1) {
            uint32_t number = x->g->row[__builtin_ctz(bits)];
            if (row_store_at(s, number)->id == id)
                return number;
        }
        if (!(x->g->passed & filter_of(x->hash)) || looked == b->n_groups)
            return ROW_NONE;
        x->g          = group_after(b, x->g);
        x->candidates = group_match(x->g, fingerprint_of(x->hash));
    }
}

void row_store_find(const row_store *s, const uint64_t *ids, size_t n, uint32_t *rows)
{
    search flight[BATCH];

    for (size_t first = 0; first < n; first += BATCH) {
        size_t m = n - first < BATCH ? n - first : BATCH;
        for (size_t i = 0; i < m; i++)
            search_start(s, &flight[i], ids[first + i]);
        for (size_t i = 0; i < m; i++)
            search_compare(s, &flight[i]);
        for (size_t i = 0; i < m; i++)
            rows[first + i] = search_end(s, &flight[i], ids[first + i]);
    }
}

/* A row for id, which has none. */
static err_t insert_new(row_store *s, uint64_t hash, uint64_t id, uint32_t *number)
{
    bucket *b = &s->buckets[hash_bucket(hash)];

    TRY(make_room(s, b));
    TRY(take_number(s, number));
    row *r = row_store_at(s, *number);
    memset(r, 0, s->stride);
    r->id = id;
    place(b, hash, *number);
    b->n_rows++;
    s->n_rows++;
    return OK;
}

err_t row_store_insert(row_store *s, const uint64_t *ids, size_t n, uint32_t *rows)
{
    for (size_t first = 0; first < n; first += BATCH) {
        size_t end = n - first < BATCH ? n : first + BATCH;
        search x;
        for (size_t i = first; i < end; i++)
            search_start(s, &x, ids[i]); /* brings its group near */
        for (size_t i = first; i < end; i++) {
            search_start(s, &x, ids[i]);
            search_compare(s, &x);
            rows[i] = search_end(s, &x, ids[i]);
            if (rows[i] == ROW_NONE)
                TRY(insert_new(s, x.hash, ids[i], &rows[i]));
        }
    }
    return OK;
}

void row_store_remove(row_store *s, uint32_t number)
{
    row     *r    = row_store_at(s, number);
    uint64_t hash = hash_id(s->salt, r->id);
    bucket  *b    = &s->buckets[hash_bucket(hash)];

    for (group *g = &b->groups[home_of(b, hash)];; g = group_after(b, g))
        for (uint32_t bits = group_match(g, fingerprint_of(hash)); bits; bits &= bits - 1) {
            int slot = __builtin_ctz(bits);
            if (g->row[slot] != number)
                continue;
            g->fingerprint[slot] = 0;
            b->n_rows--;
            b->n_removed++;
            s->n_rows--;
            r->count = s->spare;
            s->spare = number;
            return;
        }
}

uint32_t row_store_bucket_count(const row_store *s, uint32_t number)
{
    return s->buckets[number].n_rows;
}

bool row_store_next(const row_store *s, uint32_t number, uint32_t *cursor,
                    uint32_t *found)
{
    const bucket *b = &s->buckets[number];

    while (*cursor < b->n_groups * GROUP_SLOTS) {
        const group *g    = &b->groups[*cursor / GROUP_SLOTS];
        uint32_t     slot = (*cursor)++ % GROUP_SLOTS;
        if (g->fingerprint[slot]) {
            *found = g->row[slot];
            return true;
        }
    }
    return false;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const row_reference *)a)->id, y = ((const row_reference *)b)->id;
    return (x > y) - (x < y);
}

err_t row_store_bucket(const row_store *s, uint32_t number, row_reference **rows,
                       size_t *capacity, size_t *n)
{
    const bucket *b     = &s->buckets[number];
    size_t        found = 0;

    if (*capacity < b->n_rows)
        TRY(vec_grow(rows, capacity, sizeof **rows, b->n_rows));
    for (uint32_t i = 0; i < b->n_groups; i++) {
        const group *g = &b->groups[i];
        for (int slot = 0; slot < GROUP_SLOTS; slot++)
            if (g->fingerprint[slot])
                (*rows)[found++] =
                    (row_reference){row_store_at(s, g->row[slot])->id, g->row[slot]};
    }
    if (found)
        qsort(*rows, found, sizeof **rows, by_id);
    *n = found;
    return OK;
}
