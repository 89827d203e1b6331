/* How a bucket grows: its groups by about a quarter, over which its rows are laid out anew, and
 * the numbers of its rows by runs of its lane's. */
#include "ps/row_store_state.h"

#include <string.h>

#define PIECE 32 /* rows placed at a time */

/* ---- groups ---- */

static void clear_groups(row_store *s, const slab_array *index)
{
    for (uint32_t i = 0, n; i < n_groups(index); i += n) {
        n = UINT32_C(1) << slab_array_block_bits(group_shape, i);
        memset(group_at(s, index, i), 0, n * sizeof(group));
    }
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

/* At least n groups for the bucket. Where they cannot be had, those that could serve. */
static err_t grow_index(row_store *s, uint32_t bucket_number, uint32_t n)
{
    slab_array *index = &s->index[bucket_number];
    err_t       err   = slab_array_reserve(index, group_shape, n, &s->groups, &s->directories);

    lay_out(s, bucket_number);
    return err;
}

/* See that the bucket has room for a row, and that most of its filter bits mean something. */
err_t bucket_make_room(row_store *s, uint32_t bucket_number)
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

/* ---- numbers ---- */

/* Another run of the lane's numbers for the bucket. */
static err_t take_run(row_store *s, uint32_t bucket_number)
{
    bucket  *b   = &s->buckets[bucket_number];
    lane    *l   = &s->lanes[lane_number(bucket_number)];
    uint32_t run = UINT32_C(1) << slab_array_next_bits(&b->rows, run_shape);

    if (run > LANE_MOST - l->next)
        return err_set(ERR_MEMORY,
                       "bucket %u of a table and its %d neighbours are full: they hold %u rows",
                       bucket_number, HASH_BUCKETS / STORE_LANES - 1, LANE_MOST);
    TRY(slab_array_reserve(&l->rows, lane_shape, l->next + run, &s->rows, &s->directories));
    TRY(slab_array_push(&b->rows, l->next, &s->run_directories));
    b->coming = l->next;
    b->left   = run;
    l->next += run;
    return OK;
}

/* A number in the lane for a new row of the bucket. */
err_t bucket_take_number(row_store *s, uint32_t bucket_number, uint32_t *number)
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
