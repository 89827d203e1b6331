#include "launch/prepare/catalog.h"

err_t catalog_number(catalog *c, uint64_t id, uint64_t *number)
{
    const uint64_t    *known = id_map_find(&c->numbers, id);
    const catalog_item added = {.id = id};

    *number = known ? *known : c->items.n;
    if (known)
        return OK;
    TRY(vec_push(&c->items, added));
    return id_map_put(&c->numbers, id, *number);
}

catalog_item *catalog_find(const catalog *c, uint64_t id)
{
    const uint64_t *number = id_map_find(&c->numbers, id);
    return number ? &c->items.at[*number] : NULL;
}

/* Items that occur; drawing one but `but` must end. */
static size_t count_drawable(const catalog *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->items.n; i++)
        n += c->items.at[i].times > 0;
    return n;
}

err_t catalog_complete(catalog *c, negatives_kind kind)
{
    uint64_t sum = 0;

    if (kind == NEGATIVES_NONE)
        return OK;
    if (c->items.n < 2 || (kind == NEGATIVES_POPULARITY && count_drawable(c) < 2))
        return err_set(ERR_DATA, "fewer than two items occur: none is left for a negative");
    TRY(vec_reserve(&c->until, c->items.n));
    for (size_t i = 0; i < c->items.n; i++) {
        sum += c->items.at[i].times;
        TRY(vec_push(&c->until, sum));
    }
    return OK;
}

/* The first item whose running sum is above place. */
static uint64_t find_place(const catalog *c, uint64_t place)
{
    size_t low = 0, high = c->until.n - 1;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->until.at[middle] > place)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const catalog_item *catalog_draw(const catalog *c, negatives_kind kind, uint64_t but, rng *r)
{
    uint64_t number;

    do {
        number = kind == NEGATIVES_UNIFORM
                     ? rng_below(r, c->items.n)
                     : find_place(c, rng_below(r, c->until.at[c->until.n - 1]));
    } while (number == but);
    return &c->items.at[number];
}

void catalog_clear(catalog *c)
{
    id_map_clear(&c->numbers);
    vec_clear(&c->items);
    vec_clear(&c->until);
}
