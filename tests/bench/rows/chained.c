#include "tests/bench/rows/contender.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

typedef struct node {
    struct node *next;
    uint64_t     id;
    real         x[]; /* weights, state */
} node;

typedef struct chained {
    size_t dim, n, length;
    node **first;
} chained;

static node **place_of(const chained *c, uint64_t id)
{
    return &c->first[hash_mix(id) & (c->length - 1)];
}

static node *find(const chained *c, uint64_t id)
{
    node *at = *place_of(c, id);

    while (at && at->id != id)
        at = at->next;
    return at;
}

static bool grow(chained *c)
{
    node **old    = c->first;
    size_t length = c->length;

    c->length = length ? 2 * length : 1024;
    c->first  = calloc(c->length, sizeof(node *));
    for (size_t i = 0; c->first && i < length; i++)
        while (old[i]) {
            node *moved            = old[i];
            old[i]                 = moved->next;
            moved->next            = *place_of(c, moved->id);
            *place_of(c, moved->id) = moved;
        }
    free(old);
    return c->first;
}

static bool add(chained *c, uint64_t id)
{
    node *new;

    if (find(c, id))
        return true;
    new = calloc(1, sizeof *new + (c->dim + 1) * sizeof(real));
    if (!new)
        return false;
    new->id          = id;
    new->next        = *place_of(c, id);
    *place_of(c, id) = new;
    return ++c->n < c->length || grow(c);
}

static bool fill(void *self, const uint64_t *ids, size_t n)
{
    chained *c = self;

    for (size_t i = 0; i < n; i++)
        if ((!c->first && !grow(c)) || !add(c, ids[i]))
            return false;
    return true;
}

static void gather(void *self, const uint64_t *ids, size_t n, real *values)
{
    const chained *c = self;

    for (size_t i = 0; i < n; i++)
        memcpy(values + i * c->dim, find(c, ids[i])->x, c->dim * sizeof *values);
}

static void update(void *self, int ticket, const uint64_t *ids, size_t n, real *g)
{
    const chained *c = self;

    (void)ticket;
    for (size_t i = 0; i < n; i++) {
        node *at = find(c, ids[i]);
        contender_update(at->x, at->x + c->dim, g + i * c->dim, (int)c->dim);
    }
}

static void destroy(void *self)
{
    chained *c = self;

    for (size_t i = 0; i < c->length; i++)
        while (c->first[i]) {
            node *next = c->first[i]->next;
            free(c->first[i]);
            c->first[i] = next;
        }
    free(c->first);
    free(c);
}

contender contender_chained(int dim)
{
    chained *c = calloc(1, sizeof *c);

    if (c)
        c->dim = (size_t)dim;
    return (contender){.name   = "chained",
                       .self   = c,
                       .fill   = fill,
                       .gather = gather,
                       .update = update,
                       .free   = destroy};
}
