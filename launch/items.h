/* items - what else is known of an item than its id: the other candidate features.
 *
 * Read from safetensors files whose tensors are named as features are and have a row for each
 * item, as data shards have one for each sample: goods and its cate. Of rows with one id the
 * last one counts. */
#ifndef DIPS_LAUNCH_ITEMS_H
#define DIPS_LAUNCH_ITEMS_H

#include "common/safetensors.h"
#include "common/schema.h"

typedef struct items items;

/* Read the column key of the files that patterns (NAME,NAME,...) name; items_free. */
MUST_CHECK err_t items_open(items **out, const char *patterns, const char *key);
void             items_free(items **i);

/* Where an item stands. */
typedef struct items_place {
    const safetensors *file;
    uint64_t           row;
} items_place;

/* false: no file has the item. */
bool items_find(const items *i, uint64_t id, items_place *place);

#endif
