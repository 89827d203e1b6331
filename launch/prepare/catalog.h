/* catalog - the items that a log names: a number for each, its cate, how often it occurs.
 *
 * Kept in memory, 50 bytes or so an item. Items are numbered in the order they are met. */
#ifndef DIPS_LAUNCH_PREPARE_CATALOG_H
#define DIPS_LAUNCH_PREPARE_CATALOG_H

#include "common/rng.h"
#include "common/vec.h"
#include "launch/prepare/id_map.h"
#include "launch/prepare/negatives.h"

typedef struct catalog_item {
    uint64_t id, cate;
    uint64_t times;     /* it occurs */
    bool     described; /* its cate is known */
} catalog_item;

/* All zero: empty and ready. catalog_clear. */
typedef struct catalog {
    id_map numbers; /* by id */
    VEC(catalog_item) items;
    VEC(uint64_t) until; /* running sums of times, once something was drawn by popularity */
} catalog;

/* The number of the item with this id, which is added if it is new. */
MUST_CHECK err_t catalog_number(catalog *c, uint64_t id, uint64_t *number);

/* The item with this id until another one is added; NULL: not there. */
catalog_item *catalog_find(const catalog *c, uint64_t id);

/* To be called when all occurrences are counted and before anything is drawn. ERR_DATA where
 * negatives are wanted and there are not two items. */
MUST_CHECK err_t catalog_complete(catalog *c, negatives_kind kind);

/* An item, but not item number `but`: any with the same chance, or in proportion to `times`. */
const catalog_item *catalog_draw(const catalog *c, negatives_kind kind, uint64_t but, rng *r);

void catalog_clear(catalog *c);

#endif
