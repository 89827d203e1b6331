#include "tests/bench/rows/bare.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/hash.h"

#define HUGE_PAGE    ((size_t)2 << 20)
#define AHEAD        16 /* ids between a prefetch and its use */
#define ADDRESS_BITS 48
#define WIDTH        16 /* reals of a row, where the compiler is to know it */

typedef struct bare {
    int       dim;
    uint64_t  length;
    uint64_t *slots; /* (length) 0: empty */
    size_t    most;
    row     **at; /* (tickets, most) of the rows to be updated */
} bare;

__extension__ typedef unsigned __int128 u128;

static inline uint64_t home_of(const bare *b, uint64_t hash)
{
    return (uint64_t)((u128)hash * b->length >> 64);
}

static inline row *row_of(uint64_t slot)
{
    return (row *)(uintptr_t)(slot & ((UINT64_C(1) << ADDRESS_BITS) - 1));
}

static inline uint64_t after(const bare *b, uint64_t i)
{
    return i + 1 == b->length ? 0 : i + 1;
}

/* The first slot from the home on that has the hash's 16 low bits. */
static inline row *candidate(const bare *b, uint64_t hash, uint64_t *i)
{
    while (b->slots[*i] >> ADDRESS_BITS != (hash & 0xffff))
        *i = after(b, *i);
    return row_of(b->slots[*i]);
}

static inline void fetch(const row *r, int dim, int write)
{
    const char *first = (const char *)r, *last = (const char *)&r->x[dim + 1] - 1;

    for (const char *p = first; p < last; p += 64)
        write ? __builtin_prefetch(p, 1) : __builtin_prefetch(p, 0);
    write ? __builtin_prefetch(last, 1) : __builtin_prefetch(last, 0);
}

void bare_add(contender *c, row *r)
{
    const bare *b    = c->self;
    uint64_t    hash = hash_mix(r->id), i = home_of(b, hash);

    while (b->slots[i])
        i = after(b, i);
    b->slots[i] = (hash & 0xffff) << ADDRESS_BITS | (uint64_t)(uintptr_t)r;
}

/* Three stages AHEAD ids apart: fetch the slot, fetch the row, check the id. */
static inline void look_up(const bare *b, const uint64_t *ids, size_t n, real *values,
                           row **at_rows, int dim)
{
    enum { RING = 2 * AHEAD };
    uint64_t hash[RING], place[RING];
    row     *found[RING];

    for (size_t t = 0; t < n + 2 * AHEAD; t++) {
        size_t at = t % RING;
        if (t >= 2 * AHEAD) {
            size_t i = t - 2 * AHEAD;
            row   *r = found[at];
            while (r->id != ids[i]) {
                place[at] = after(b, place[at]);
                r         = candidate(b, hash[at], &place[at]);
            }
            if (values)
                memcpy(values + i * (size_t)dim, r->x, (size_t)dim * sizeof *values);
            else
                at_rows[i] = r;
        }
        if (t < n) {
            hash[at]  = hash_mix(ids[t]);
            place[at] = home_of(b, hash[at]);
            __builtin_prefetch(&b->slots[place[at]]);
        }
        if (t >= AHEAD && t - AHEAD < n) {
            size_t ready = (t - AHEAD) % RING;
            found[ready] = candidate(b, hash[ready], &place[ready]);
            fetch(found[ready], dim, 0);
        }
    }
}

static void gather(void *self, const uint64_t *ids, size_t n, real *values)
{
    const bare *b = self;

    if (b->dim == WIDTH)
        look_up(b, ids, n, values, NULL, WIDTH);
    else
        look_up(b, ids, n, values, NULL, b->dim);
}

static void find(void *self, int ticket, const uint64_t *ids, size_t n)
{
    const bare *b = self;

    look_up(b, ids, n, NULL, b->at + (size_t)ticket * b->most, b->dim);
}

static inline void update_all(row *const *at, size_t n, const real *g, int dim)
{
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            fetch(at[i + AHEAD], dim, 1);
        real *w = at[i]->x;
        contender_update(w, w + dim, g + i * (size_t)dim, dim);
    }
}

static void update(void *self, int ticket, const uint64_t *ids, size_t n, real *g)
{
    const bare *b  = self;
    row *const *at = b->at + (size_t)ticket * b->most;

    (void)ids;
    if (b->dim == WIDTH)
        update_all(at, n, g, WIDTH);
    else
        update_all(at, n, g, b->dim);
}

static void destroy(void *self)
{
    bare *b = self;

    munmap(b->slots, b->length * sizeof *b->slots);
    free(b->at);
    free(b);
}

contender bare_new(uint64_t rows, int dim, int tickets, size_t most)
{
    bare  *b     = calloc(1, sizeof *b);
    size_t bytes = (rows * 8 / 5 + 64) * sizeof(uint64_t);

    bytes += HUGE_PAGE - bytes % HUGE_PAGE;
    if (b) {
        b->dim    = dim;
        b->length = bytes / sizeof *b->slots;
        b->slots  = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        b->most   = most;
        b->at     = malloc((size_t)tickets * most * sizeof(row *));
    }
    if (b && (b->slots == MAP_FAILED || !b->at)) {
        free(b->at);
        free(b);
        b = NULL;
    }
    if (b)
        (void)madvise(b->slots, bytes, MADV_HUGEPAGE);
    return (contender){.name   = "bare",
                       .self   = b,
                       .gather = gather,
                       .find   = find,
                       .update = update,
                       .free   = destroy};
}
