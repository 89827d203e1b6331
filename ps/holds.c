/* holds - the rows that answered pulls name whose steps are still to come. */
#include "ps/state.h"

/* Whether the worker has a ticket, answered, for a step to come. (A ticket is of a step that
 * the clock has not passed, so that what stands in its place is that step's.) */
static bool holds_rows(const shard *s, int worker, uint64_t step)
{
    return shard_ticket(s, (uint32_t)worker, step)->state == TICKET_ANSWERED;
}

/* What that ticket holds of a table. */
static err_t hold_of(const shard *s, int worker, uint64_t step, int number, eviction_hold *hold)
{
    const ticket *t    = shard_ticket(s, (uint32_t)worker, step);
    size_t        rows = 0;
    wire_request  pull;

    TRY(wire_decode_request(&pull, &t->pull));
    for (int i = 0; i < number; i++)
        rows += pull.table[i].n;
    *hold = (eviction_hold){pull.table[number].n, pull.table[number].ids, t->rows.at + rows};
    return OK;
}

/* The first step of worker that is neither applied nor being applied. */
static uint64_t first_held(const shard *s, int worker)
{
    return s->async ? s->paces[worker].next : s->clock + 1;
}

err_t holds_find(shard *s, int number, eviction_hold **holds, int *n)
{
    *n = 0;
    for (int worker = 0; worker < s->workers; worker++)
        for (uint64_t step = first_held(s, worker); step < s->clock + TICKETS; step++)
            *n += holds_rows(s, worker, step);
    TRY(arena_take(&s->scratch, (size_t)*n * sizeof **holds, holds));
    *n = 0;
    for (int worker = 0; worker < s->workers; worker++)
        for (uint64_t step = first_held(s, worker); step < s->clock + TICKETS; step++)
            if (holds_rows(s, worker, step))
                TRY(hold_of(s, worker, step, number, &(*holds)[(*n)++]));
    return OK;
}
