#include "ps/row_store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clones.h"
#include "common/hash.h"
#include "common/vec.h"
#include "ps/row_group.h"
#include "ps/slab_array.h"

/* Buckets stand in lanes of 64, whose rows have numbers of 24 bits that the index can hold.
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
#define LANES     64
#define LANE_MOST (UINT32_C(1) << GROUP_ROW_BITS) /* rows of a lane */
#define LANE_NONE UINT32_MAX

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

#define AHEAD      16  /* rows between a prefetch and its use in a walk */
#define LAG        12  /* ids between two stages of a search */
#define RING       64  /* a power of two above END * LAG: searches in flight */
#define PIECE      32  /* rows placed at a time */
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
    lane       lanes[LANES];
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

static void clear_groups(row_store *s, const slab_array *index)
{
    for (uint32_t i = 0, n; i < n_groups(index); i += n) {
        n = UINT32_C(1) << slab_array_block_bits(group_shape, i);
        memset(group_at(s, index, i), 0, n * sizeof(group));
    }
}

/* ---- a bucket's rows ---- */

static inline row *row_at(const row_store *s, uint32_t number)
{
    return slab_at(&s->rows, number);
}

static inline uint32_t lane_number(uint32_t bucket_number)
{
    return bucket_number / (HASH_BUCKETS / LANES);
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

/* Rows on their way into groups. */
typedef struct placing {
    const row *r;
    uint32_t   number, home;
    uint64_t   hash;
    group     *g; /* the home */
} placing;

typedef struct piece {
    size_t  n; /* at most PIECE */
    placing at[PIECE];
} piece;

/* The bucket's rows from the first on, which are on their way then. */
INLINE void piece_fetch(const row_store *s, uint32_t bucket_number, uint32_t first, piece *p)
{
    const bucket *b = &s->buckets[bucket_number];

    p->n = b->next - first < PIECE ? b->next - first : PIECE;
    for (size_t i = 0; i < p->n; i++) {
        placing *x = &p->at[i];
        x->number  = in_lane(b, first + (uint32_t)i);
        x->r       = row_at(s, number_of(s, bucket_number, x->number));
        __builtin_prefetch(x->r);
    }
}

/* Leaves those that the bucket has, whose homes are on their way then. */
INLINE void piece_hash(const row_store *s, uint32_t bucket_number, piece *p)
{
    const slab_array *index = &s->index[bucket_number];
    size_t            n     = 0;

    for (size_t i = 0; i < p->n; i++) {
        placing x = p->at[i];
        x.hash    = hash_id(s->salt, x.r->id);
        if (hash_bucket(x.hash) != bucket_number)
            continue;
        x.home = home_of(index, x.hash);
        x.g    = group_at(s, index, x.home);
        __builtin_prefetch(x.g, 1);
        p->at[n++] = x;
    }
    p->n = n;
}

/* Lay the bucket's rows out anew, over all groups that it has: while the rows of one piece
 * are put into their groups, those of the next are on their way. */
CLONES_256 static void lay_out(row_store *s, uint32_t bucket_number)
{
    bucket *b = &s->buckets[bucket_number];
    piece   pieces[2];

    b->n_removed = 0;
    clear_groups(s, &s->index[bucket_number]);
    piece_fetch(s, bucket_number, 0, &pieces[0]);
    for (uint32_t first = 0, k = 0; first < b->next; first += PIECE, k ^= 1) {
        piece *now = &pieces[k];
        if (b->next - first > PIECE)
            piece_fetch(s, bucket_number, first + PIECE, &pieces[k ^ 1]);
        piece_hash(s, bucket_number, now);
        for (size_t i = 0; i < now->n; i++) {
            placing *x = &now->at[i];
            place(s, x->hash, x->home, x->g, x->number);
        }
    }
}

/* Rows that the bucket's groups are to hold, in the mean 12.25 to 14 each. It is not the same
 * for all buckets, so that they do not all grow at the same time. */
static inline uint32_t room_of(uint32_t bucket_number, uint32_t n_groups)
{
    return (uint32_t)((uint64_t)n_groups * (49 + bucket_number % 8) / 4);
}

/* At least n groups for the bucket. Where they cannot be had, those that could serve. */
static err_t grow_index(row_store *s, uint32_t bucket_number, uint32_t n)
{
    slab_array *index = &s->index[bucket_number];
    err_t       err   = slab_array_reserve(index, group_shape, n, &s->groups, &s->directories);

    lay_out(s, bucket_number);
    return err;
}

/* How many groups a bucket of n has next, at least: by the blocks of their shape 5/4, 6/5 or
 * 8/6 of n. All of a bucket's rows are placed anew each time: 3.75 times a row until there are
 * twice as many. */
static inline uint32_t more_groups(uint32_t n)
{
    return n + n / 6 + 1;
}

/* See that the bucket has room for a row, and that most of its filter bits mean something. */
static err_t make_room(row_store *s, uint32_t bucket_number)
{
    const bucket *b = &s->buckets[bucket_number];
    uint32_t      n = n_groups(&s->index[bucket_number]);

    if (b->n_rows == room_of(bucket_number, n))
        return grow_index(s, bucket_number, more_groups(n));
    if (b->n_removed > n * (GROUP_SLOTS / 2))
        lay_out(s, bucket_number);
    return OK;
}

err_t row_store_reserve(row_store *s, uint32_t number, uint32_t n)
{
    uint64_t wanted = (uint64_t)s->buckets[number].n_rows + n, groups;

    if (room_of(number, n_groups(&s->index[number])) >= wanted)
        return OK;
    groups = wanted * 4 / (49 + number % 8);
    groups += room_of(number, (uint32_t)groups) < wanted;
    return grow_index(s, number, (uint32_t)groups);
}

/* Another run of the lane's numbers for the bucket. */
static err_t take_run(row_store *s, uint32_t bucket_number)
{
    bucket  *b   = &s->buckets[bucket_number];
    lane    *l   = &s->lanes[lane_number(bucket_number)];
    uint32_t run = UINT32_C(1) << slab_array_next_bits(&b->rows, run_shape);

    if (run > LANE_MOST - l->next)
        return err_set(ERR_MEMORY,
                       "bucket %u of a table and its %d neighbours are full: they hold %u rows",
                       bucket_number, HASH_BUCKETS / LANES - 1, LANE_MOST);
    TRY(slab_array_reserve(&l->rows, lane_shape, l->next + run, &s->rows, &s->directories));
    TRY(slab_array_push(&b->rows, l->next, &s->run_directories));
    b->coming = l->next;
    b->left   = run;
    l->next += run;
    return OK;
}

/* A number in the lane for a new row of the bucket. */
static err_t take_number(row_store *s, uint32_t bucket_number, uint32_t *number)
{
    bucket *b = &s->buckets[bucket_number];

    if (b->spare != LANE_NONE) {
        *number  = b->spare;
        b->spare = row_at(s, number_of(s, bucket_number, *number))->count;
        return OK;
    }
    if (b->left == 0)
        TRY(take_run(s, bucket_number));
    *number = b->coming++;
    b->left--;
    b->next++;
    return OK;
}

/* ---- the store ---- */

static void make_empty(row_store *s)
{
    memset(s->lanes, 0, sizeof s->lanes);
    memset(s->index, 0, sizeof s->index);
    memset(s->buckets, 0, sizeof s->buckets);
    for (int i = 0; i < HASH_BUCKETS; i++)
        s->buckets[i].spare = LANE_NONE;
    s->n_rows = 0;
}

/* Two ids of different buckets. */
static void choose_foreign(row_store *s)
{
    while (hash_bucket(hash_id(s->salt, s->foreign[0])) ==
           hash_bucket(hash_id(s->salt, s->foreign[1])))
        s->foreign[1]++;
}

err_t row_store_new(row_store **out, uint64_t salt, int reals)
{
    row_store *s = calloc(1, sizeof *s);

    if (!s)
        return err_memory(sizeof *s, "a table's rows");
    s->salt = salt;
    slab_init(&s->rows, sizeof(row) + (size_t)reals * sizeof(real), "the rows of a table");
    s->fetched = s->rows.size < FETCH_MOST ? s->rows.size : FETCH_MOST;
    slab_init(&s->groups, sizeof(group), "the index of a table");
    slab_init(&s->directories, sizeof(uint32_t), "the directories of a table");
    slab_init(&s->run_directories, sizeof(uint32_t), "the directories of a table");
    choose_foreign(s);
    make_empty(s);
    *out = s;
    return OK;
}

void row_store_clear(row_store *s)
{
    slab_clear(&s->rows);
    slab_clear(&s->groups);
    slab_clear(&s->directories);
    slab_clear(&s->run_directories);
    make_empty(s);
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
    return row_at(s, number);
}

INLINE void prefetch_row(const row_store *s, const row *r)
{
    for (size_t at = 0; at < s->fetched; at += LINE)
        __builtin_prefetch((const char *)r + at);
    __builtin_prefetch((const char *)r + s->fetched - 1); /* r is seldom at a line's boundary */
}

uint64_t row_store_count(const row_store *s)
{
    return s->n_rows;
}

uint64_t row_store_bytes(const row_store *s)
{
    return sizeof *s + slab_bytes(&s->rows) + slab_bytes(&s->groups) +
           slab_bytes(&s->directories) + slab_bytes(&s->run_directories);
}

bool row_store_prefault(row_store *s)
{
    return slab_prefault(&s->rows) || slab_prefault(&s->groups);
}

/* ---- what it takes ---- */

/* The bytes of a full directory and of those that it has outgrown. */
static uint64_t directory_bytes(uint32_t n_blocks)
{
    uint32_t length = 4;

    while (length < n_blocks)
        length *= 2;
    return 2 * length * sizeof(uint32_t);
}

/* An array just long enough for n elements. */
static slab_array shortest(slab_shape shape, uint32_t n)
{
    return (slab_array){.n_blocks = n ? slab_array_block(shape, n - 1) + 1 : 0};
}

/* Rows of the bucket where there are `mean` of them in the mean: one of eight equally
 * frequent numbers of the normal distribution with the variance of Poisson's. */
static uint32_t rows_of_bucket(uint32_t bucket_number, double mean)
{
    static const double octile[] = {-1.534, -.887, -.489, -.157, .157, .489, .887, 1.534};
    double              n        = mean + octile[bucket_number / 8 % 8] * sqrt(mean);

    return n > 0 ? (uint32_t)ceil(n) : 0;
}

/* Of so many rows in a bucket in the mean; even: in each. */
static uint64_t plan_bytes(double mean, bool even, int reals)
{
    size_t   size      = sizeof(row) + (size_t)reals * sizeof(real);
    uint64_t row_bytes = 0, group_bytes = 0, directories = 0;
    uint32_t in_lane = 0;

    for (uint32_t b = 0; b < HASH_BUCKETS; b++) {
        uint32_t   n      = even ? (uint32_t)mean : rows_of_bucket(b, mean);
        slab_array groups = {0}, runs = shortest(run_shape, n);
        while (room_of(b, n_groups(&groups)) < n)
            groups = shortest(group_shape, more_groups(n_groups(&groups)));
        group_bytes += n_groups(&groups) * sizeof(group);
        directories += n ? directory_bytes(runs.n_blocks) : 0;
        in_lane += slab_array_length(&runs, run_shape);
        if ((b + 1) % (HASH_BUCKETS / LANES))
            continue;
        slab_array all = shortest(lane_shape, in_lane);
        row_bytes += (uint64_t)slab_array_length(&all, lane_shape) * size;
        in_lane = 0;
    }
    return sizeof(row_store) + slab_ready_bytes(row_bytes) + slab_ready_bytes(group_bytes) +
           slab_page_bytes(directories);
}

uint64_t row_store_plan_bytes(uint64_t rows, int reals)
{
    return plan_bytes((double)rows / HASH_BUCKETS, false, reals);
}

uint64_t row_store_full_bytes(uint32_t bucket_rows, int reals)
{
    return plan_bytes(bucket_rows, true, reals);
}

/* ---- searching ---- */

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

/* ---- inserting and removing ---- */

/* A row for id, which has none. */
static err_t insert_new(row_store *s, uint64_t hash, uint64_t id, uint32_t *number)
{
    uint32_t bucket_number = hash_bucket(hash), home, taken = 0;

    TRY(make_room(s, bucket_number));
    TRY(take_number(s, bucket_number, &taken));
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

/* Take a row out of its bucket's list of those in use. */
static void retire(row_store *s, uint32_t bucket_number, uint32_t place, row *r)
{
    bucket  *b     = &s->buckets[bucket_number];
    uint64_t first = hash_id(s->salt, s->foreign[0]);

    r->id    = s->foreign[hash_bucket(first) == bucket_number];
    r->count = b->spare;
    b->spare = place;
    b->n_rows--;
    b->n_removed++;
    s->n_rows--;
}

void row_store_remove(row_store *s, uint32_t number)
{
    row              *r             = row_at(s, number);
    uint64_t          hash          = hash_id(s->salt, r->id);
    uint32_t          bucket_number = hash_bucket(hash);
    const slab_array *index         = &s->index[bucket_number];

    for (uint32_t i = home_of(index, hash);; i = group_after(index, i)) {
        group *g = group_at(s, index, i);
        for (uint32_t bits = group_match(g, fingerprint_of(hash)); bits; bits &= bits - 1) {
            int      slot  = __builtin_ctz(bits);
            uint32_t taken = group_row(g, slot);
            if (number_of(s, bucket_number, taken) != number)
                continue;
            g->fingerprint[slot] = 0;
            retire(s, bucket_number, taken, r);
            return;
        }
    }
}

/* ---- walking ---- */

uint32_t row_store_bucket_count(const row_store *s, uint32_t number)
{
    return s->buckets[number].n_rows;
}

bool row_store_next(const row_store *s, uint32_t number, uint32_t *cursor, uint32_t *found)
{
    const bucket *b = &s->buckets[number];

    while (*cursor < b->next) {
        if (*cursor + AHEAD < b->next)
            __builtin_prefetch(row_at(s, number_of(s, number, in_lane(b, *cursor + AHEAD))));
        *found = number_of(s, number, in_lane(b, (*cursor)++));
        if (hash_bucket(hash_id(s->salt, row_at(s, *found)->id)) == number)
            return true;
    }
    return false;
}
