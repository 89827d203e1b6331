/* ps_room - where the rows and gradients of several shards lie. */
#include "worker/ps_state.h"

#include <stdlib.h>

/* Reals from one table's piece of a room to the next one's: whole cache lines. */
static size_t piece_size(const schema *s, int t, const id_set *sets)
{
    const size_t line = 64 / sizeof(real);
    size_t       n    = (size_t)sets[t].n * (size_t)s->tables[t].config->dim;

    return (n + line - 1) / line * line;
}

void ps_place_pieces(real **pieces, const schema *s, const id_set *sets, real *at)
{
    for (int t = 0; t < s->n_tables; t++) {
        pieces[t] = at;
        at += piece_size(s, t, sets);
    }
}

err_t ps_reserve_room(real **room, size_t *size, const schema *s, const id_set *sets)
{
    size_t needed = 64 / sizeof(real);

    for (int t = 0; t < s->n_tables; t++)
        needed += piece_size(s, t, sets);
    if (needed <= *size)
        return OK;
    free(*room);
    *size = 0;
    *room = aligned_alloc(64, needed * sizeof **room);
    if (!*room)
        return err_memory(needed * sizeof **room, "a step's rows");
    *size = needed;
    return OK;
}
