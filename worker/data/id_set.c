#include "worker/data/id_set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/hash.h"

#define FIRST_ROOM 512
#define AHEAD      24  /* ids whose entries are on their way from memory */
#define BLOCK      256 /* bare ids hashed at a time */
#define DIGIT      (HASH_BUCKET_BITS / 2)
#define DIGITS     (1 << DIGIT) /* values of half a bucket's number */
#define HUGE       (2 << 20)    /* bytes of a huge page */

_Static_assert(HASH_BUCKET_BITS % 2 == 0, "a bucket's number has two digits");

/* Ids are found by linear probing from the low 32 bits of their hash (the high ones are the
 * bucket). An entry counts only where it bears the index's epoch, so raising the epoch
 * clears the index. At most half of it is used. */
typedef struct index_entry {
    uint64_t id;
    uint32_t epoch;
    uint32_t place; /* among the known */
} index_entry;

typedef struct id_index {
    index_entry *entries; /* (2 room) a power of two */
    size_t       room;    /* ids it may hold */
    uint32_t     epoch;
    uint64_t     salt;
} id_index;

/* A distinct id of the table at work. */
typedef struct known_id {
    uint64_t id;
    uint32_t last; /* 1 + the sample that it was seen in last */
    uint32_t samples;
} known_id;

/* A distinct id on its way to its place in the set. */
typedef struct mover {
    uint32_t known; /* which */
    uint32_t bucket;
} mover;

struct id_maker {
    const schema *schema;
    int           shards;
    id_index     *indexes; /* (n_tables) */
    size_t        room;    /* the largest of the indexes' */
    int           n;
    known_id     *known;     /* (room), n of them in the order of their first occurrence */
    mover        *movers[2]; /* (room) */
    int          *sorted;    /* (room) place of each known id in the set */
};

/* ---- the index ---- */

/* *array, which has elements of `bytes` bytes, with room for more of them. */
static err_t reserve(void *array, size_t room, size_t bytes)
{
    void **at    = array;
    void  *grown = realloc(*at, room * bytes);

    if (!grown)
        return err_memory(room * bytes, "the ids of a batch");
    *at = grown;
    return OK;
}

static err_t reserve_known(id_maker *m, size_t room)
{
    if (room <= m->room)
        return OK;
    TRY(reserve(&m->known, room, sizeof *m->known));
    TRY(reserve(&m->sorted, room, sizeof *m->sorted));
    for (int i = 0; i < 2; i++)
        TRY(reserve(&m->movers[i], room, sizeof *m->movers[i]));
    m->room = room;
    return OK;
}

/* The bits of a hash that tell where in an index to look first. */
static inline uint32_t start_of(uint64_t salt, uint64_t id)
{
    return (uint32_t)hash_id(salt, id);
}

static inline void prefetch_entry(const id_index *x, uint32_t start)
{
    __builtin_prefetch(&x->entries[start & (2 * x->room - 1)], 1);
}

/* The entry of id, or the free one where it belongs. */
static inline index_entry *index_entry_of(const id_index *x, uint64_t id, uint32_t start)
{
    size_t mask = 2 * x->room - 1;
    size_t at   = start & mask;

    while (x->entries[at].epoch == x->epoch && x->entries[at].id != id)
        at = (at + 1) & mask;
    return &x->entries[at];
}

/* Entries that are all zero, on huge pages where they are many: each look-up is another
 * page. */
static index_entry *new_entries(size_t n)
{
    size_t bytes = n * sizeof(index_entry);

    if (bytes < HUGE)
        return calloc(n, sizeof(index_entry));
    void *entries = aligned_alloc(HUGE, bytes); /* a power of two */
    if (!entries)
        return NULL;
    madvise(entries, bytes, MADV_HUGEPAGE); /* a wish: without it, it is slower */
    return memset(entries, 0, bytes);
}

/* Give the index twice its room, and put in what is known. */
static err_t index_grow(id_maker *m, id_index *x)
{
    size_t room = x->room ? 2 * x->room : FIRST_ROOM;

    TRY(reserve_known(m, room));
    index_entry *entries = new_entries(2 * room);
    if (!entries)
        return err_memory(2 * room * sizeof *entries, "the index of a batch's ids");
    free(x->entries);
    *x = (id_index){.entries = entries, .room = room, .epoch = 1, .salt = x->salt};
    for (int i = 0; i < m->n; i++) {
        uint64_t id                                   = m->known[i].id;
        *index_entry_of(x, id, start_of(x->salt, id)) = (index_entry){id, 1, (uint32_t)i};
    }
    return OK;
}

/* Forget the ids of the last batch. */
static err_t index_clear(id_maker *m, id_index *x)
{
    m->n = 0;
    if (!x->entries)
        return index_grow(m, x);
    if (++x->epoch == 0) {
        memset(x->entries, 0, 2 * x->room * sizeof *x->entries);
        x->epoch = 1;
    }
    return OK;
}

/* The place of id among the known; a new id becomes the last of them. */
static inline err_t find_or_add(id_maker *m, id_index *x, uint64_t id, uint32_t start,
                                int *place)
{
    index_entry *entry = index_entry_of(x, id, start);

    if (entry->epoch == x->epoch) {
        *place = (int)entry->place;
        return OK;
    }
    if ((size_t)m->n == x->room) {
        TRY(index_grow(m, x));
        entry = index_entry_of(x, id, start);
    }
    *entry         = (index_entry){id, x->epoch, (uint32_t)m->n};
    m->known[m->n] = (known_id){.id = id};
    *place         = m->n++;
    return OK;
}

/* ---- from what is known to a set ---- */

/* One pass of a counting sort: to = from in the order of a digit of the bucket, movers of
 * the same digit in the order they had. count[d] are those of digit d. */
static void move_by_digit(mover *restrict to, const mover *restrict from, int n, int shift,
                          const int count[DIGITS])
{
    int next[DIGITS], sum = 0;

    for (int d = 0; d < DIGITS; d++) {
        next[d] = sum;
        sum += count[d];
    }
    for (int i = 0; i < n; i++)
        to[next[from[i].bucket >> shift & (DIGITS - 1)]++] = from[i];
}

/* The known ids as movers, by bucket, and within a bucket in the order of first occurrence:
 * two digits, the lower one first. 64 places at a time stay in the cache where 4,096 would
 * not, and a small batch pays for 128 counters only. */
static const mover *sort_movers(id_maker *m, uint64_t salt)
{
    int low[DIGITS] = {0}, high[DIGITS] = {0};

    for (int i = 0; i < m->n; i++) {
        uint32_t bucket = hash_bucket(hash_id(salt, m->known[i].id));
        m->movers[0][i] = (mover){(uint32_t)i, bucket};
        low[bucket & (DIGITS - 1)]++;
        high[bucket >> DIGIT]++;
    }
    move_by_digit(m->movers[1], m->movers[0], m->n, 0, low);
    move_by_digit(m->movers[0], m->movers[1], m->n, DIGIT, high);
    return m->movers[0];
}

/* The first mover of bucket or a later one. */
static int first_of_bucket(const mover *movers, int n, uint32_t bucket)
{
    int begin = 0, end = n;

    while (begin < end) {
        int middle = begin + (end - begin) / 2;
        if (movers[middle].bucket < bucket)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* Sort the known ids into the set; sorted[i] is where the i-th known id went. */
static err_t sort_known(id_maker *m, uint64_t salt, arena *a, id_set *set)
{
    const mover *movers = sort_movers(m, salt);

    set->n = m->n;
    TRY(arena_take(a, (size_t)m->n * sizeof *set->ids, &set->ids));
    TRY(arena_take(a, (size_t)m->n * sizeof *set->samples, &set->samples));
    TRY(arena_take(a, (size_t)(m->shards + 1) * sizeof *set->shard_begin, &set->shard_begin));
    for (int k = 0; k <= m->shards; k++)
        set->shard_begin[k] = first_of_bucket(movers, m->n, hash_first_bucket(k, m->shards));
    for (int i = 0; i < m->n; i++) {
        const known_id *known      = &m->known[movers[i].known];
        set->ids[i]                = known->id;
        set->samples[i]            = known->samples;
        m->sorted[movers[i].known] = i;
    }
    return OK;
}

/* Where in the slot's ids sample i's begin; those of the next one begin where these end. */
static int first_id(const schema_slot *slot, const batch *b, const batch_slot *in, int i)
{
    int row = slot->sequence < 0 ? i : b->sequences[slot->sequence].offsets[i];

    return in->offsets ? in->offsets[row] : row;
}

/* distinct[k] = where to look for id k first, until it is known. */
static void hash_slot(uint64_t salt, const batch_slot *in)
{
    for (int k = 0; k < in->n; k++)
        in->distinct[k] = (int)start_of(salt, in->ids[k]);
}

/* Know the ids that sample i has in slot. */
static err_t know_sample(id_maker *m, id_index *x, const schema_slot *slot, const batch *b,
                         const batch_slot *in, int i)
{
    for (int k = first_id(slot, b, in, i), end = first_id(slot, b, in, i + 1); k < end; k++) {
        if (k + AHEAD < in->n)
            prefetch_entry(x, (uint32_t)in->distinct[k + AHEAD]);
        TRY(find_or_add(m, x, in->ids[k], (uint32_t)in->distinct[k], &in->distinct[k]));
        known_id *known = &m->known[in->distinct[k]];
        known->samples += known->last != (uint32_t)i + 1;
        known->last = (uint32_t)i + 1;
    }
    return OK;
}

/* Sample by sample, so that an id that stands in several slots of a sample is counted
 * once for it. */
static err_t make_table(id_maker *m, int table, batch *b, arena *a, id_set *set)
{
    const schema *s = m->schema;
    id_index     *x = &m->indexes[table];

    TRY(index_clear(m, x));
    for (int k = 0; k < s->n_slots; k++)
        if (s->slots[k].table == table)
            hash_slot(x->salt, &b->slots[k]);
    for (int i = 0; i < b->B; i++)
        for (int k = 0; k < s->n_slots; k++)
            if (s->slots[k].table == table)
                TRY(know_sample(m, x, &s->slots[k], b, &b->slots[k], i));
    TRY(sort_known(m, x->salt, a, set));
    for (int k = 0; k < s->n_slots; k++)
        for (int j = 0; s->slots[k].table == table && j < b->slots[k].n; j++)
            b->slots[k].distinct[j] = m->sorted[b->slots[k].distinct[j]];
    return OK;
}

/* Know n bare ids, at most BLOCK. */
static err_t know_block(id_maker *m, id_index *x, const uint64_t *ids, size_t n)
{
    uint32_t start[BLOCK];
    int      place;

    for (size_t i = 0; i < n; i++)
        start[i] = start_of(x->salt, ids[i]);
    for (size_t i = 0; i < AHEAD && i < n; i++)
        prefetch_entry(x, start[i]);
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            prefetch_entry(x, start[i + AHEAD]);
        TRY(find_or_add(m, x, ids[i], start[i], &place));
    }
    return OK;
}

/* ---- the maker ---- */

err_t id_maker_new(id_maker **out, const schema *s, int shards)
{
    id_maker *m = calloc(1, sizeof *m);

    assert(shards > 0);
    *out = NULL;
    if (!m)
        return err_memory(sizeof *m, "the maker of id sets");
    *m         = (id_maker){.schema = s, .shards = shards};
    m->indexes = calloc((size_t)s->n_tables + 1, sizeof *m->indexes);
    if (!m->indexes) {
        id_maker_free(&m);
        return err_memory((size_t)s->n_tables * sizeof *m->indexes, "the maker of id sets");
    }
    for (int t = 0; t < s->n_tables; t++)
        m->indexes[t].salt = s->tables[t].salt;
    *out = m;
    return OK;
}

void id_maker_free(id_maker **m)
{
    if (!*m)
        return;
    for (int t = 0; (*m)->indexes && t < (*m)->schema->n_tables; t++)
        free((*m)->indexes[t].entries);
    free((*m)->indexes);
    free((*m)->known);
    free((*m)->movers[0]);
    free((*m)->movers[1]);
    free((*m)->sorted);
    free(*m);
    *m = NULL;
}

err_t id_maker_make(id_maker *m, batch *b, arena *a, id_set *sets)
{
    for (int k = 0; k < m->schema->n_slots; k++)
        TRY(arena_take(a, (size_t)b->slots[k].n * sizeof(int), &b->slots[k].distinct));
    for (int t = 0; t < m->schema->n_tables; t++)
        TRY(make_table(m, t, b, a, &sets[t]));
    return OK;
}

err_t id_maker_make_bare(id_maker *m, const uint64_t *const *ids, const size_t *n, arena *a,
                         id_set *sets)
{
    for (int t = 0; t < m->schema->n_tables; t++) {
        id_index *x = &m->indexes[t];
        TRY(index_clear(m, x));
        for (size_t i = 0; i < n[t]; i += BLOCK)
            TRY(know_block(m, x, ids[t] + i, n[t] - i < BLOCK ? n[t] - i : BLOCK));
        TRY(sort_known(m, x->salt, a, &sets[t]));
    }
    return OK;
}
