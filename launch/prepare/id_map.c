#include "launch/prepare/id_map.h"

#include <stdlib.h>

#include "common/hash.h"

#define CAPACITY_FIRST 64

/* The slot of id, or the empty one where it belongs; there is always an empty one. */
static id_map_slot *find_slot(const id_map *m, uint64_t id)
{
    size_t i = (size_t)hash_mix(id) & (m->capacity - 1);

    while (m->slots[i].used && m->slots[i].id != id)
        i = (i + 1) & (m->capacity - 1);
    return &m->slots[i];
}

uint64_t *id_map_find(const id_map *m, uint64_t id)
{
    id_map_slot *slot = m->n > 0 ? find_slot(m, id) : NULL;
    return slot && slot->used ? &slot->value : NULL;
}

static err_t grow(id_map *m)
{
    id_map old = *m;

    m->capacity = old.capacity ? 2 * old.capacity : CAPACITY_FIRST;
    m->slots    = calloc(m->capacity, sizeof *m->slots);
    if (!m->slots) {
        size_t bytes = m->capacity * sizeof *m->slots;
        *m           = old;
        return err_memory(bytes, "a map of ids");
    }
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].used)
            *find_slot(m, old.slots[i].id) = old.slots[i];
    free(old.slots);
    return OK;
}

err_t id_map_put(id_map *m, uint64_t id, uint64_t value)
{
    if (m->n >= m->capacity / 4 * 3)
        TRY(grow(m));
    id_map_slot *slot = find_slot(m, id);
    m->n += !slot->used;
    *slot = (id_map_slot){id, value, 1};
    return OK;
}

void id_map_clear(id_map *m)
{
    free(m->slots);
    *m = (id_map){0};
}
