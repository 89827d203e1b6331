#include "worker/layers/places.h"

#include "common/rng.h"

/* Discarding ids (the Dropout of DIN's table 4): each is left out with probability `share`, as
 * though the sample did not have it: a single id embeds as zero, a bag is pooled over the
 * kept ones. What is kept is not rescaled. Which ones depends on (seed, step, place in the
 * global batch, slot, position within the sample) alone. */
static void discard(int *place, const batch_slot *slot, double share, int slot_number,
                    const int *rows_of, const pass *p)
{
    for (int i = 0; i < p->batch->B; i++) {
        uint64_t name  = p->batch->first + (uint64_t)i + ((uint64_t)slot_number << 48);
        rng      r     = rng_named(p->seed, RNG_DROP_ID, (uint64_t)p->step, name);
        int      begin = rows_of ? rows_of[i] : i, end = rows_of ? rows_of[i + 1] : i + 1;
        if (slot->offsets) {
            begin = slot->offsets[begin];
            end   = slot->offsets[end];
        }
        for (int k = begin; k < end; k++)
            place[k] = rng_uniform(&r) < share ? -1 : slot->distinct[k];
    }
}

err_t places_take(int **places, const schema *s, int slot, pass *p)
{
    const batch_slot  *ids   = &p->batch->slots[slot];
    const schema_slot *about = &s->slots[slot];

    *places = ids->distinct;
    if (!p->training || about->drop_ids <= 0)
        return OK;
    TRY(arena_take(p->arena, (size_t)ids->n * sizeof **places, places));
    discard(*places, ids, about->drop_ids, slot,
            about->sequence < 0 ? NULL : pass_offsets(p, about->sequence), p);
    return OK;
}
