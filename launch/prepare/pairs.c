#include "launch/prepare/pairs.h"

/* A sample at the time of event i, whose history are the ones before it. */
static err_t write_sample(pair_writer *p, shard_writer *w, const behavior *events, size_t i,
                          const catalog_item *candidate, float label)
{
    const behavior *e = &events[i];

    TRY(shard_writer_f32(w, p->at.label, &label, 1));
    TRY(shard_writer_u64(w, p->at.user, &e->user, 1));
    TRY(shard_writer_u64(w, p->at.item, &candidate->id, 1));
    TRY(shard_writer_u64(w, p->at.cate, &candidate->cate, 1));
    TRY(history_write(&p->history, w, events, i, e->time));
    TRY(shard_writer_i64(w, p->at.time, &e->time, 1));
    return shard_writer_end_sample(w);
}

/* An item that the user never chose. There are some. */
static const catalog_item *draw_twin(const pair_writer *p, rng *r)
{
    for (;;) {
        uint64_t number = rng_below(r, p->items->items.n);
        if (!id_map_find(&p->chosen, number))
            return &p->items->items.at[number];
    }
}

static err_t write_pair(pair_writer *p, const behavior *events, size_t n, size_t i)
{
    rng           chance = rng_named(p->seed, RNG_PREPARE, events[i].user, i);
    shard_writer *w;

    TRY(output_split(p->out, i + 1 < n ? "train" : "test", &w));
    TRY(write_sample(p, w, events, i, &p->items->items.at[events[i].item], 1));
    return write_sample(p, w, events, i, draw_twin(p, &chance), 0);
}

err_t pairs_write_user(void *self, const behavior *events, size_t n)
{
    pair_writer *p     = self;
    size_t       first = p->newest > 0 && n > p->newest ? n - p->newest : 1;

    id_map_clear(&p->chosen);
    for (size_t i = 0; i < n; i++)
        TRY(id_map_put(&p->chosen, events[i].item, 1));
    if (p->chosen.n == p->items->items.n)
        return err_set(ERR_DATA, "%s: a user chose all %zu goods: no negative is left",
                       p->source, p->items->items.n);
    for (size_t i = first; i < n; i++)
        TRY(write_pair(p, events, n, i));
    return OK;
}

void pairs_clear(pair_writer *p)
{
    history_clear(&p->history);
    id_map_clear(&p->chosen);
}
