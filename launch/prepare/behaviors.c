#include "launch/prepare/behaviors.h"

#include "launch/prepare/progress.h"
#include "worker/data/gap.h"

int behavior_order(const void *a, const void *b)
{
    const behavior *x = a, *y = b;

    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

typedef VEC(behavior) behaviors;

static err_t each_user(sorter *sorted, uint64_t n_all, behaviors *of_user, progress *shown,
                       err_t (*take)(void *self, const behavior *events, size_t n), void *self)
{
    const void *record;

    TRY(sorter_rewind(sorted));
    for (uint64_t i = 0;; i++) {
        TRY(sorter_next(sorted, &record));
        const behavior *next = record;
        if (of_user->n > 0 && (!next || next->user != of_user->at[0].user)) {
            TRY(take(self, of_user->at, of_user->n));
            of_user->n = 0;
        }
        if (!next)
            return OK;
        TRY(vec_push(of_user, *next));
        TRY(progress_tell(shown, i, "events", (double)i / (double)n_all));
    }
}

err_t behaviors_each_user(sorter *sorted, uint64_t n_all,
                          err_t (*take)(void *self, const behavior *events, size_t n),
                          void *self)
{
    behaviors of_user = {0};
    progress  shown;

    progress_begin(&shown, "writing");
    err_t err = each_user(sorted, n_all, &of_user, &shown, take, self);
    progress_end(&shown);
    vec_clear(&of_user);
    return err;
}

/* ---- histories ---- */

/* How many of the n events, the newest, are kept at time now. */
static size_t count_kept(const history_writer *h, const behavior *events, size_t n, int64_t now)
{
    size_t most = n < h->max_len ? n : h->max_len, kept = 0;

    if (h->seconds == 0)
        return most;
    while (kept < most && gap_seconds(events[n - 1 - kept].time, now) <= (uint64_t)h->seconds)
        kept++;
    return kept;
}

typedef enum { OF_ITEM, OF_CATE, OF_WHAT } part;

static err_t write_part(history_writer *h, shard_writer *w, int column, part which,
                        const behavior *events, size_t n)
{
    if (column < 0)
        return OK;
    h->ids.n = 0;
    for (size_t i = 0; i < n; i++) {
        const catalog_item *item = &h->items->items.at[events[i].item];
        TRY(vec_push(&h->ids, which == OF_ITEM   ? item->id
                              : which == OF_CATE ? item->cate
                                                 : events[i].what));
    }
    return shard_writer_u64(w, column, h->ids.at, n);
}

static err_t write_times(history_writer *h, shard_writer *w, const behavior *events, size_t n)
{
    h->times.n = 0;
    for (size_t i = 0; i < n; i++)
        TRY(vec_push(&h->times, events[i].time));
    return shard_writer_i64(w, h->at.time, h->times.at, n);
}

static err_t write_negatives(history_writer *h, shard_writer *w, const behavior *events,
                             size_t n)
{
    h->ids.n = h->negative_ids.n = 0;
    for (size_t i = 0; i < n; i++) {
        rng                 chance = rng_named(h->seed, RNG_PREPARE, hash_mix(events[i].user),
                                               ~events[i].number); /* not a stream of a sample */
        const catalog_item *item =
            catalog_draw(h->items, h->negatives, events[i].item, &chance);
        TRY(vec_push(&h->negative_ids, item->id));
        TRY(vec_push(&h->ids, item->cate));
    }
    TRY(shard_writer_u64(w, h->at.negative_item, h->negative_ids.at, n));
    return shard_writer_u64(w, h->at.negative_cate, h->ids.at, n);
}

err_t history_write(history_writer *h, shard_writer *w, const behavior *events, size_t n,
                    int64_t now)
{
    size_t kept = count_kept(h, events, n, now);

    events += n - kept;
    TRY(shard_writer_length(w, h->at.offsets, kept));
    TRY(write_part(h, w, h->at.item, OF_ITEM, events, kept));
    TRY(write_part(h, w, h->at.cate, OF_CATE, events, kept));
    TRY(write_part(h, w, h->at.what, OF_WHAT, events, kept));
    TRY(write_times(h, w, events, kept));
    return h->negatives == NEGATIVES_NONE ? OK : write_negatives(h, w, events, kept);
}

void history_clear(history_writer *h)
{
    vec_clear(&h->ids);
    vec_clear(&h->negative_ids);
    vec_clear(&h->times);
}
