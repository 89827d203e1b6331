/* id_map - from any 64-bit id to a number of the caller's. Open addressing; grows. */
#ifndef DIPS_LAUNCH_PREPARE_ID_MAP_H
#define DIPS_LAUNCH_PREPARE_ID_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

typedef struct id_map_slot {
    uint64_t id, value;
    uint64_t used; /* 0: empty */
} id_map_slot;

/* All zero: empty and ready. id_map_clear. */
typedef struct id_map {
    id_map_slot *slots;
    size_t       capacity, n;
} id_map;

/* The value of id, to be read or written until the next id_map_put; NULL: not there. */
uint64_t *id_map_find(const id_map *m, uint64_t id);

/* Set the value of id, new or known. */
MUST_CHECK err_t id_map_put(id_map *m, uint64_t id, uint64_t value);

void id_map_clear(id_map *m);

#endif
