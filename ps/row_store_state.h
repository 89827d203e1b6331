/* row_store_state - how a row_store's rows and buckets lie in memory; for ps/row_store*.c
 * alone.
 *
 * Buckets stand in lanes of 64, whose rows have numbers of 24 bits that the index can hold.
 * A bucket takes them from its lane in runs, so that its rows lie together; a lane takes its
 * memory in longer runs from the slab of all rows, so that it knows with a short directory
 * where a number lies.
 *
 * Each bucket has an array of groups that finds its rows. An id's hash says which bucket,
 * which group is its home there, and which fingerprint stands for it:
 *
 *      63 .. 52      51 .. 20     19 .. 13     12 .. 8        7 .. 0
 *      bucket        home         -            filter         fingerprint
 *
 * The home is home * groups / 2^32, so any number of groups will do. An id whose home is
 * full goes to the next group that is not, and leaves its filter bit in every full group
 * it passes: a search goes on only where its own bit is set. So nearly every search ends
 * in the home, found or not, and an emptied slot needs no tombstone.
 *
 * A removed row waits in its bucket to be used again. It bears an id of another bucket, so
 * that who walks the bucket's rows can tell it. */
#ifndef DIPS_PS_ROW_STORE_STATE_H
#define DIPS_PS_ROW_STORE_STATE_H

#include "common/clones.h"
#include "common/hash.h"
#include "ps/row_group.h"
#include "ps/row_store.h"
#include "ps/slab_array.h"

#define STORE_LANES 64
#define LANE_MOST   (UINT32_C(1) << GROUP_ROW_BITS) /* rows of a lane */
#define LANE_NONE   UINT32_MAX

typedef struct lane {
    slab_array rows; /* of the slab of rows */
    uint32_t   next; /* numbers from here on were never used */
} lane;

typedef struct bucket {
    slab_array rows; /* of the lane */
    uint32_t   n_rows;
    uint32_t   next;      /* rows of the array from here on were never used */
    uint32_t   coming;    /* the first of them, by its number in the lane, */
    uint32_t   left;      /* and how many of them the array has */
    uint32_t   spare;     /* a removed row, which names the next one in count; or LANE_NONE */
    uint32_t   n_removed; /* since the groups were laid out: their filter bits stay */
} bucket;

/* Half of an array's last block is empty in the mean; a short directory stays in the cache.
 * Groups grow by a fifth to a third (more_groups). */
static const slab_shape group_shape = {.steps = 2, .most = 20};
static const slab_shape run_shape   = {.steps = 3, .most = 6};
static const slab_shape lane_shape  = {.steps = 3, .most = 10};

#define LINE       64  /* bytes of a cache line */
#define FETCH_MOST 512 /* bytes of a row that are asked for; the rest follows suit */

struct row_store {
    uint64_t   salt;
    uint64_t   foreign[2]; /* ids of different buckets */
    slab       rows, groups;
    slab       directories;     /* of groups and lanes: what look-ups read, close together */
    slab       run_directories; /* of buckets */
    size_t     fetched;         /* bytes of a row that a prefetch asks for */
    uint64_t   n_rows;
    lane       lanes[STORE_LANES];
    slab_array index[HASH_BUCKETS]; /* groups: what a look-up needs of a bucket, side by side */
    bucket     buckets[HASH_BUCKETS];
};

/* ---- a bucket's index ---- */

static inline uint32_t n_groups(const slab_array *index)
{
    return slab_array_length(index, group_shape);
}

static inline uint32_t home_of(const slab_array *index, uint64_t hash)
{
    return (uint32_t)((uint64_t)(uint32_t)(hash >> 20) * n_groups(index) >> 32);
}

static inline group *group_at(const row_store *s, const slab_array *index, uint32_t i)
{
    return slab_at(&s->groups, slab_array_number(index, group_shape, i));
}

static inline uint32_t group_after(const slab_array *index, uint32_t i)
{
    return i + 1 == n_groups(index) ? 0 : i + 1;
}

/* Put a row where the search for hash will come by, from its home on, which is g. The bucket
 * has an empty slot. */
INLINE void place(row_store *s, uint64_t hash, uint32_t home, group *g, uint32_t number)
{
    const slab_array *index = &s->index[hash_bucket(hash)];
    uint32_t          i     = home, empty;

    while (!(empty = group_match(g, 0))) {
        g->passed |= filter_of(hash);
        i = group_after(index, i);
        g = group_at(s, index, i);
    }
    group_put(g, __builtin_ctz(empty), hash, number);
}

/* Rows that the bucket's groups are to hold, in the mean 12.25 to 14 each. It is not the same
 * for all buckets, so that they do not all grow at the same time. */
static inline uint32_t room_of(uint32_t bucket_number, uint32_t n_groups)
{
    return (uint32_t)((uint64_t)n_groups * (49 + bucket_number % 8) / 4);
}

/* How many groups a bucket of n has next, at least: by the blocks of their shape 5/4, 6/5 or
 * 8/6 of n. All of a bucket's rows are placed anew each time: 3.75 times a row until there are
 * twice as many. */
static inline uint32_t more_groups(uint32_t n)
{
    return n + n / 6 + 1;
}

/* ---- a bucket's rows ---- */

static inline row *row_at(const row_store *s, uint32_t number)
{
    return slab_at(&s->rows, number);
}

INLINE void prefetch_row(const row_store *s, const row *r)
{
    for (size_t at = 0; at < s->fetched; at += LINE)
        __builtin_prefetch((const char *)r + at);
    __builtin_prefetch((const char *)r + s->fetched - 1); /* r is seldom at a line's boundary */
}

static inline uint32_t lane_number(uint32_t bucket_number)
{
    return bucket_number / (HASH_BUCKETS / STORE_LANES);
}

/* The number in the slab of the bucket's row that is in_lane in its lane. */
static inline uint32_t number_of(const row_store *s, uint32_t bucket_number, uint32_t in_lane)
{
    const lane *l = &s->lanes[lane_number(bucket_number)];
    return slab_array_number(&l->rows, lane_shape, in_lane);
}

/* The number in the lane of the bucket's i-th row. */
static inline uint32_t in_lane(const bucket *b, uint32_t i)
{
    return slab_array_number(&b->rows, run_shape, i);
}

/* ---- row_store_grow.c: room for a new row ---- */

/* See that the bucket's groups have room for a row, and that most of their filter bits mean
 * something. */
MUST_CHECK err_t bucket_make_room(row_store *s, uint32_t bucket_number);

/* A number in the lane for a new row of the bucket. */
MUST_CHECK err_t bucket_take_number(row_store *s, uint32_t bucket_number, uint32_t *number);

#endif
