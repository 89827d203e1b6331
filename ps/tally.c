#include "ps/tally.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/hash.h"
#include "common/vec.h"
#include "ps/sample_count.h"

typedef struct tally_map {
    uint64_t *ids;
    uint32_t *counts;
    uint32_t  slots, n;
} tally_map;

struct tally {
    uint64_t  salt, ids, slots; /* of all maps together */
    tally_map buckets[HASH_BUCKETS];
};

err_t tally_new(tally **out, uint64_t salt)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return err_memory(sizeof **out, "counters of ids");
    (*out)->salt = salt;
    return OK;
}

void tally_clear(tally *t)
{
    for (int i = 0; i < HASH_BUCKETS; i++) {
        free(t->buckets[i].ids);
        free(t->buckets[i].counts);
        t->buckets[i] = (tally_map){0};
    }
    t->ids = t->slots = 0;
}

void tally_free(tally **t)
{
    if (!*t)
        return;
    tally_clear(*t);
    free(*t);
    *t = NULL;
}

uint64_t tally_ids(const tally *t)
{
    return t->ids;
}

uint64_t tally_bytes(const tally *t)
{
    return sizeof *t + t->slots * (sizeof(uint64_t) + sizeof(uint32_t));
}

/* Where the search for the id with this hash begins. The map has slots. */
static uint32_t home_of(const tally_map *m, uint64_t hash)
{
    return (uint32_t)((uint64_t)(uint32_t)(hash >> 20) * m->slots >> 32);
}

static uint32_t slot_after(const tally_map *m, uint32_t slot)
{
    return slot + 1 == m->slots ? 0 : slot + 1;
}

/* The slot of id, or the empty one where it would be put. The map has an empty slot. */
static uint32_t search(const tally_map *m, uint64_t hash, uint64_t id)
{
    uint32_t slot = home_of(m, hash);

    while (m->counts[slot] && m->ids[slot] != id)
        slot = slot_after(m, slot);
    return slot;
}

static err_t grow(tally *t, tally_map *m)
{
    uint32_t  slots = m->slots + m->slots / 4 + 8;
    tally_map fresh = {malloc(slots * sizeof *fresh.ids), calloc(slots, sizeof *fresh.counts),
                       slots, m->n};

    if (!fresh.ids || !fresh.counts) {
        free(fresh.ids);
        free(fresh.counts);
        return err_memory(slots * (sizeof *m->ids + sizeof *m->counts), "counters of ids");
    }
    for (uint32_t i = 0; i < m->slots; i++)
        if (m->counts[i]) {
            uint32_t slot      = search(&fresh, hash_id(t->salt, m->ids[i]), m->ids[i]);
            fresh.ids[slot]    = m->ids[i];
            fresh.counts[slot] = m->counts[i];
        }
    t->slots += slots - m->slots;
    free(m->ids);
    free(m->counts);
    *m = fresh;
    return OK;
}

err_t tally_add(tally *t, uint64_t id, uint32_t n, uint32_t *count)
{
    uint64_t   hash = hash_id(t->salt, id);
    tally_map *m    = &t->buckets[hash_bucket(hash)];

    if (m->n >= m->slots - m->slots / 5) /* also where there are none */
        TRY(grow(t, m));
    uint32_t slot = search(m, hash, id);
    if (!m->counts[slot]) {
        m->ids[slot] = id;
        m->n++;
        t->ids++;
    }
    m->counts[slot] = sample_count_add(m->counts[slot], n);
    *count          = m->counts[slot];
    return OK;
}

uint32_t tally_get(const tally *t, uint64_t id)
{
    uint64_t         hash = hash_id(t->salt, id);
    const tally_map *m    = &t->buckets[hash_bucket(hash)];

    return m->slots ? m->counts[search(m, hash, id)] : 0;
}

/* Later ids of the run move up, so that no search finds a hole before them (Knuth's
 * algorithm R). */
void tally_remove(tally *t, uint64_t id)
{
    uint64_t   hash = hash_id(t->salt, id);
    tally_map *m    = &t->buckets[hash_bucket(hash)];

    if (!m->slots)
        return;
    uint32_t hole = search(m, hash, id);
    if (!m->counts[hole])
        return;
    for (uint32_t slot = slot_after(m, hole); m->counts[slot]; slot = slot_after(m, slot)) {
        uint32_t home = home_of(m, hash_id(t->salt, m->ids[slot]));
        bool reaches = hole <= slot ? home <= hole || home > slot : home <= hole && home > slot;
        if (!reaches)
            continue;
        m->ids[hole]    = m->ids[slot];
        m->counts[hole] = m->counts[slot];
        hole            = slot;
    }
    m->counts[hole] = 0;
    m->n--;
    t->ids--;
}

void tally_prefetch(const tally *t, uint64_t id)
{
    uint64_t         hash = hash_id(t->salt, id);
    const tally_map *m    = &t->buckets[hash_bucket(hash)];

    if (m->slots) {
        __builtin_prefetch(&m->ids[home_of(m, hash)]);
        __builtin_prefetch(&m->counts[home_of(m, hash)]);
    }
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const tally_entry *)a)->id, y = ((const tally_entry *)b)->id;
    return (x > y) - (x < y);
}

err_t tally_bucket(const tally *t, uint32_t bucket, tally_entry **entries, size_t *capacity,
                   size_t *n)
{
    const tally_map *m = &t->buckets[bucket];

    *n = 0;
    if (*capacity < m->n)
        TRY(vec_grow(entries, capacity, sizeof **entries, m->n));
    for (uint32_t i = 0; i < m->slots; i++)
        if (m->counts[i])
            (*entries)[(*n)++] = (tally_entry){m->ids[i], m->counts[i]};
    if (*n)
        qsort(*entries, *n, sizeof **entries, by_id);
    return OK;
}
