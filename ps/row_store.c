/* A store's life, the removal of a row, and the walk over a bucket. Finding and making rows is
 * row_store_search.c's, the growth of buckets row_store_grow.c's. */
#include "ps/row_store_state.h"

#include <stdlib.h>
#include <string.h>

#define AHEAD 16 /* rows between a prefetch and its use in a walk */

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

/* ---- removing ---- */

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
