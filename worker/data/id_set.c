#include "worker/data/id_set.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

#define FIRST_ROOM 512
#define AHEAD      16 /* ids whose entries are on their way from memory */

/* Ids are found by linear probing from the low bits of their hash (the high ones are the
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

struct id_maker {
    const schema *schema;
    int           shards;
    id_index     *indexes; /* (n_tables) */
    size_t        room;    /* the largest of the indexes' */
    int           n;
    known_id     *known; /* (room), n of them in the order of their first occurrence */
    int          *sorted; /* (room) place of each known id in the set */
};

/* ---- the index ---- */

static err_t reserve_known(id_maker *m, size_t room)
{
    if (room <= m->room)
        return OK;
    known_id *known = realloc(m->known, room * sizeof *known);
    m->known        = known ? known : m->known;
    int *sorted     = realloc(m->sorted, room * sizeof *sorted);
    m->sorted       = sorted ? sorted : m->sorted;
    if (!known || !sorted)
        return err_memory(room * sizeof *known, "the ids of a batch");
    m->room = room;
    return OK;
}

static inline void prefetch_entry(const id_index *x, uint64_t id)
{
    __builtin_prefetch(&x->entries[hash_id(x->salt, id) & (2 * x->room - 1)]);
}

/* The entry of id, or the free one where it belongs. */
static inline index_entry *index_entry_of(const id_index *x, uint64_t id)
{
    size_t mask = 2 * x->room - 1;
    size_t at   = hash_id(x->salt, id) & mask;

    while (x->entries[at].epoch == x->epoch && x->entries[at].id != id)
        at = (at + 1) & mask;
    return &x->entries[at];
}

/* Give the index twice its room, and put in what is known. */
static err_t index_grow(id_maker *m, id_index *x)
{
    size_t room = x->room ? 2 * x->room : FIRST_ROOM;

    TRY(reserve_known(m, room));
    index_entry *entries = calloc(2 * room, sizeof *entries);
    if (!entries)
        return err_memory(2 * room * sizeof *entries, "the index of a batch's ids");
    free(x->entries);
    *x = (id_index){.entries = entries, .room = room, .epoch = 1, .salt = x->salt};
    for (int i = 0; i < m->n; i++)
        *index_entry_of(x, m->known[i].id) = (index_entry){m->known[i].id, 1, (uint32_t)i};
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
static inline err_t find_or_add(id_maker *m, id_index *x, uint64_t id, int *place)
{
    index_entry *entry = index_entry_of(x, id);

    if (entry->epoch == x->epoch) {
        *place = (int)entry->place;
        return OK;
    }
    if ((size_t)m->n == x->room) {
        TRY(index_grow(m, x));
        entry = index_entry_of(x, id);
    }
    *entry         = (index_entry){id, x->epoch, (uint32_t)m->n};
    m->known[m->n] = (known_id){.id = id};
    *place         = m->n++;
    return OK;
}

/* ---- from what is known to a set ---- */

/* Sort the known ids by bucket, keeping their order within a bucket (a counting sort);
 * sorted[i] is where the i-th known id went. */
static err_t sort_known(id_maker *m, uint64_t salt, arena *a, id_set *set)
{
    int begin[HASH_BUCKETS + 1] = {0};

    set->n = m->n;
    TRY(arena_take(a, (size_t)m->n * sizeof *set->ids, &set->ids));
    TRY(arena_take(a, (size_t)m->n * sizeof *set->samples, &set->samples));
    TRY(arena_take(a, (size_t)(m->shards + 1) * sizeof *set->shard_begin, &set->shard_begin));
    for (int i = 0; i < m->n; i++)
        begin[hash_bucket(hash_id(salt, m->known[i].id)) + 1]++;
    for (int b = 0; b < HASH_BUCKETS; b++)
        begin[b + 1] += begin[b];
    for (int k = 0; k <= m->shards; k++)
        set->shard_begin[k] = begin[hash_first_bucket(k, m->shards)];
    for (int i = 0; i < m->n; i++) {
        const known_id *known = &m->known[i];
        int             to    = begin[hash_bucket(hash_id(salt, known->id))]++;
        set->ids[to]     = known->id;
        set->samples[to] = known->samples;
        m->sorted[i]     = to;
    }
    return OK;
}

/* Where in the slot's ids sample i's begin; those of the next one begin where these end. */
static int first_id(const schema_slot *slot, const batch *b, const batch_slot *in, int i)
{
    int row = slot->sequence < 0 ? i : b->sequences[slot->sequence].offsets[i];

    return in->offsets ? in->offsets[row] : row;
}

/* Know the ids that sample i has in slot. */
static err_t know_sample(id_maker *m, id_index *x, const schema_slot *slot, const batch *b,
                         const batch_slot *in, int i)
{
    for (int k = first_id(slot, b, in, i), end = first_id(slot, b, in, i + 1); k < end; k++) {
        if (k + AHEAD < in->n)
            prefetch_entry(x, in->ids[k + AHEAD]);
        TRY(find_or_add(m, x, in->ids[k], &in->distinct[k]));
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

/* ---- the maker ---- */

err_t id_maker_new(id_maker **out, const schema *s, int shards)
{
    id_maker *m = calloc(1, sizeof *m);

    assert(shards > 0);
    *out = NULL;
    if (!m)
        return err_memory(sizeof *m, "the maker of id sets");
    *m = (id_maker){.schema = s, .shards = shards};
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
        for (size_t i = 0; i < n[t]; i++) {
            int place;
            TRY(find_or_add(m, x, ids[t][i], &place));
        }
        TRY(sort_known(m, x->salt, a, &sets[t]));
    }
    return OK;
}
