/* Finding the rows of a batch of ids, and making rows of those that have none: many searches
 * are in flight at a time, each in another stage. */
#include "ps/row_store_state.h"

#include <string.h>

#define LAG  12 /* ids between two stages of a search */
#define RING 64 /* a power of two above END * LAG: searches in flight */

/* ---- a search ---- */

/* A search in flight. */
typedef struct search {
    uint64_t     hash;
    const group *g;          /* lent: where it stands */
    const row   *r;          /* lent: the first candidate's */
    uint32_t     number;     /* of that row */
    uint32_t     i;          /* which group of its bucket g is */
    slab_place   place;      /* of g among the bucket's groups, or of r among the lane's rows */
    uint16_t     candidates; /* slots of g that have the fingerprint */
    bool         late;       /* its home had none, which it had to pass: g is the next group */
} search;

static const group no_rows; /* the group of a bucket that has none */

INLINE void search_begin(const row_store *s, search *x, uint64_t id)
{
    x->hash = hash_id(s->salt, id);
    __builtin_prefetch(&s->index[hash_bucket(x->hash)]);
}

INLINE void search_bucket(const row_store *s, search *x)
{
    const slab_array *index = &s->index[hash_bucket(x->hash)];
    x->i                    = home_of(index, x->hash);
    x->place                = slab_array_place(group_shape, x->i);
    if (index->n_blocks)
        __builtin_prefetch(&index->blocks[x->place.block]);
}

INLINE void search_home(const row_store *s, search *x)
{
    const slab_array *index = &s->index[hash_bucket(x->hash)];
    x->g = index->n_blocks ? slab_at(&s->groups, slab_array_at(index, x->place)) : &no_rows;
    __builtin_prefetch(x->g);
}

INLINE const lane *lane_of(const row_store *s, const search *x)
{
    return &s->lanes[lane_number(hash_bucket(x->hash))];
}

INLINE slab_place candidate_place(const search *x, uint32_t candidates)
{
    return slab_array_place(lane_shape, group_row(x->g, __builtin_ctz(candidates)));
}

INLINE uint32_t candidate_of(const row_store *s, const search *x, uint32_t candidates)
{
    return slab_array_at(&lane_of(s, x)->rows, candidate_place(x, candidates));
}

/* Which slots may hold the id; what tells where their rows are is on its way. */
INLINE void search_compare(const row_store *s, search *x)
{
    const lane *l = lane_of(s, x);

    x->candidates = (uint16_t)group_match(x->g, fingerprint_of(x->hash));
    if (!x->candidates)
        return;
    x->place = candidate_place(x, x->candidates);
    __builtin_prefetch(&l->rows.blocks[x->place.block]);
    for (uint32_t more = x->candidates & (x->candidates - 1); more; more &= more - 1)
        __builtin_prefetch(&l->rows.blocks[candidate_place(x, more).block]);
}

/* The rows of those slots are on their way. */
INLINE void search_fetch(const row_store *s, search *x)
{
    if (!x->candidates)
        return;
    x->number = slab_array_at(&lane_of(s, x)->rows, x->place);
    x->r      = row_at(s, x->number);
    prefetch_row(s, x->r);
    for (uint32_t more = x->candidates & (x->candidates - 1); more; more &= more - 1)
        prefetch_row(s, row_at(s, candidate_of(s, x, more)));
}

/* Whether the id may live in the group after this one. */
INLINE bool search_passed(const search *x)
{
    return x->g->passed & filter_of(x->hash);
}

INLINE void search_next(const row_store *s, search *x)
{
    const slab_array *index = &s->index[hash_bucket(x->hash)];
    x->i                    = group_after(index, x->i);
    x->g                    = group_at(s, index, x->i);
    __builtin_prefetch(x->g);
}

/* The search goes on, its first candidate being another id's. */
static uint32_t search_on(const row_store *s, search *x, uint64_t id)
{
    const slab_array *index = &s->index[hash_bucket(x->hash)];

    for (uint32_t looked = 0;; looked++) {
        for (uint32_t bits = x->candidates; bits; bits &= bits - 1) {
            x->number = candidate_of(s, x, bits);
            x->r      = row_at(s, x->number);
            if (x->r->id == id)
                return x->number;
        }
        if (!search_passed(x) || looked == n_groups(index))
            return ROW_NONE;
        search_next(s, x);
        x->candidates = (uint16_t)group_match(x->g, fingerprint_of(x->hash));
    }
}

INLINE uint32_t search_end(const row_store *s, search *x, uint64_t id)
{
    if (x->candidates && x->r->id == id)
        return x->number;
    if (!x->candidates && !search_passed(x))
        return ROW_NONE;
    return search_on(s, x, id);
}

/* One id in fifteen has no candidate in its home, which it had to pass. */
INLINE void search_compare_home(const row_store *s, search *x)
{
    search_compare(s, x);
    x->late = !x->candidates && search_passed(x);
    if (x->late)
        search_next(s, x);
}

/* ---- a batch of them ---- */

/* The searches of a batch. Each stage asks for the memory that the next one reads, LAG ids
 * later: the bucket, its directory, the home, the directory of rows or the next group, the
 * rows. So memory always has something to do, and so has the processor. */
enum { BEGIN, BUCKET, HOME, COMPARE, FETCH, END };

typedef struct flight {
    const uint64_t *ids;
    size_t          n;
    search          ring[RING];
} flight;

/* The search that comes to stage when the batch's t-th id begins, or NULL. */
INLINE search *flight_at(flight *f, size_t t, size_t stage)
{
    size_t i = t - stage * LAG; /* below zero it is a very large number */
    return i < f->n ? &f->ring[i % RING] : NULL;
}

/* The t-th id begins, and those in front of it go on. Returns the search that comes to its
 * end, for the id number t - END * LAG, or NULL. */
INLINE search *flight_step(const row_store *s, flight *f, size_t t)
{
    search *x;

    if ((x = flight_at(f, t, BEGIN)))
        search_begin(s, x, f->ids[t]);
    if ((x = flight_at(f, t, BUCKET)))
        search_bucket(s, x);
    if ((x = flight_at(f, t, HOME)))
        search_home(s, x);
    if ((x = flight_at(f, t, COMPARE)))
        search_compare_home(s, x);
    if ((x = flight_at(f, t, FETCH))) {
        if (x->late)
            search_compare(s, x);
        search_fetch(s, x);
    }
    return flight_at(f, t, END);
}

/* values: NULL, or where `width` reals of each row go. */
INLINE void look_up(const row_store *s, const uint64_t *ids, size_t n, uint32_t *rows,
                    real *values, size_t width)
{
    flight f; /* not cleared: a request may be for one id */

    f.ids = ids;
    f.n   = n;
    for (size_t t = 0; t < n + END * LAG; t++) {
        search *x = flight_step(s, &f, t);
        size_t  i = t - END * LAG;
        if (!x)
            continue;
        rows[i] = search_end(s, x, ids[i]);
        if (values && rows[i] != ROW_NONE)
            memcpy(values + i * width, x->r->x, width * sizeof *values);
    }
}

CLONES_256 void row_store_find(const row_store *s, const uint64_t *ids, size_t n,
                               uint32_t *rows)
{
    look_up(s, ids, n, rows, NULL, 0);
}

CLONES_256 void row_store_gather(const row_store *s, const uint64_t *ids, size_t n,
                                 uint32_t *rows, real *values, size_t width)
{
    BY_LENGTH(width, look_up, s, ids, n, rows, values);
}

/* ---- inserting ---- */

/* A row for id, which has none. */
static err_t insert_new(row_store *s, uint64_t hash, uint64_t id, uint32_t *number)
{
    uint32_t bucket_number = hash_bucket(hash), home, taken = 0;

    TRY(bucket_make_room(s, bucket_number));
    TRY(bucket_take_number(s, bucket_number, &taken));
    home = home_of(&s->index[bucket_number], hash);
    place(s, hash, home, group_at(s, &s->index[bucket_number], home), taken);
    s->buckets[bucket_number].n_rows++;
    s->n_rows++;
    *number = number_of(s, bucket_number, taken);
    row *r  = row_at(s, *number);
    memset(r, 0, s->rows.size);
    r->id = id;
    return OK;
}

/* Bring near what a new row will lie in, if it is known, and the group behind a full home. */
INLINE void prefetch_place(const row_store *s, const search *x)
{
    uint32_t          bucket_number = hash_bucket(x->hash);
    const slab_array *index         = &s->index[bucket_number];
    const bucket     *b             = &s->buckets[bucket_number];

    if (b->left)
        prefetch_row(s, row_at(s, number_of(s, bucket_number, b->coming)));
    if (index->n_blocks && !group_match(x->g, 0))
        __builtin_prefetch(group_at(s, index, group_after(index, x->i)), 1);
}

/* What x has found is in the cache, but ids in front of this one may have changed it since. */
INLINE err_t insert_one(row_store *s, search *x, uint64_t id, uint32_t *number)
{
    search_bucket(s, x);
    search_home(s, x);
    search_compare(s, x);
    search_fetch(s, x);
    *number = search_end(s, x, id);
    return *number == ROW_NONE ? insert_new(s, x->hash, id, number) : OK;
}

CLONES_256 err_t row_store_insert(row_store *s, const uint64_t *ids, size_t n, uint32_t *rows)
{
    flight f;

    f.ids = ids;
    f.n   = n;
    for (size_t t = 0; t < n + END * LAG; t++) {
        search *x = flight_step(s, &f, t), *early;
        if ((early = flight_at(&f, t, HOME)))
            __builtin_prefetch(&s->buckets[hash_bucket(early->hash)], 1);
        if ((early = flight_at(&f, t, COMPARE)))
            prefetch_place(s, early);
        if (x)
            TRY(insert_one(s, x, ids[t - END * LAG], &rows[t - END * LAG]));
    }
    return OK;
}
