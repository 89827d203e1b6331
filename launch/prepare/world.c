#include "launch/prepare/world.h"

#include <stdlib.h>

#include "launch/prepare/world_history.h"

const world_kind *const world_kinds[] = {
    &world_interests, &world_fine_grained, &world_drift, &world_sessions,
    &world_page,      &world_crosses,      NULL,
};

static err_t check(const world_kind *kind, const world_options *o)
{
    if (kind->heeds & WORLD_GOODS && o->goods < o->cates)
        return err_set(ERR_USAGE,
                       "--goods %llu is less than --cates %llu: every cate has goods",
                       (unsigned long long)o->goods, (unsigned long long)o->cates);
    if (o->cates < kind->least_cates)
        return err_set(ERR_USAGE, "--cates %llu is less than the %llu that this world needs",
                       (unsigned long long)o->cates, (unsigned long long)kind->least_cates);
    if (o->fields < kind->least_fields)
        return err_set(ERR_USAGE, "--fields %d is less than the %d that this world needs",
                       o->fields, kind->least_fields);
    if (o->negatives != NEGATIVES_NONE && o->goods < 2)
        return err_set(ERR_USAGE,
                       "--goods is 1: there is nothing else that a negative could be");
    return OK;
}

err_t world_open(world *w, const world_kind *kind, const world_options *o)
{
    uint64_t least = kind->heeds & WORLD_GOODS ? o->goods / o->cates : 0;
    int      most  = o->max_len > WORLD_ROOM ? o->max_len : WORLD_ROOM;
    size_t   room  = (size_t)most * sizeof(world_event);

    *w = (world){.kind = kind, .options = *o};
    TRY(check(kind, o));
    w->of_cate[0] = zipf_of(least > 0 ? least : 1, o->zipf);
    w->of_cate[1] = zipf_of(least + 1, o->zipf);
    w->of_users   = zipf_of(o->users > 0 ? o->users : 1, o->zipf / 2);
    w->room       = malloc(room);
    return w->room ? OK : err_memory(room, "a history");
}

void world_close(world *w)
{
    free(w->room);
    w->room = NULL;
}

rng world_stream(const world *w, uint64_t what, uint64_t a, uint64_t b)
{
    return rng_named(w->options.seed ^ hash_mix(what), RNG_PREPARE, a, b);
}

uint64_t world_draw_goods(const world *w, uint64_t cate, rng *r)
{
    const world_options *o    = &w->options;
    const zipf          *rank = &w->of_cate[cate < o->goods % o->cates];

    return (zipf_draw(rank, r) - 1) * o->cates + cate;
}

uint64_t world_draw_shop(const world *w, uint64_t goods, rng *r)
{
    uint64_t offer = rng_next(r) & 1;
    return hash_mix(2 * goods + offer + hash_mix(w->options.seed)) % w->options.shops;
}

double world_quality(const world *w, uint64_t cate)
{
    rng r = world_stream(w, WORLD_OF_CATE, cate, 0);
    return w->options.quality * rng_normal(&r);
}
