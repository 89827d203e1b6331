#include "worker/push_log.h"

#include <inttypes.h>
#include <stdlib.h>

static push_kept *places_of(const push_log *l, int shard)
{
    return l->kept + (size_t)shard * (size_t)l->places;
}

err_t push_log_init(push_log *l, int shards, int places)
{
    size_t n = (size_t)shards * (size_t)places;

    *l = (push_log){shards, places, calloc(n, sizeof *l->kept)};
    return l->kept ? OK : err_memory(n * sizeof *l->kept, "the pushes under way");
}

void push_log_clear(push_log *l)
{
    for (int i = 0; l->kept && i < l->shards * l->places; i++)
        net_message_clear(&l->kept[i].message);
    free(l->kept);
    *l = (push_log){0};
}

err_t push_log_keep(push_log *l, int shard, uint64_t step, net_message *m)
{
    push_kept *k = &places_of(l, shard)[step % (uint64_t)l->places];

    if (k->message.data)
        return err_set(ERR_MESSAGE,
                       "shard %d has not applied step %" PRIu64 " at step %" PRIu64, shard,
                       k->step, step);
    k->step = step;
    return net_message_share(&k->message, m);
}

void push_log_applied(push_log *l, int shard, uint64_t version)
{
    push_kept *kept = places_of(l, shard);

    for (int i = 0; i < l->places; i++)
        if (kept[i].message.data && kept[i].step < version)
            net_message_clear(&kept[i].message);
}

bool push_log_empty(const push_log *l)
{
    for (int i = 0; i < l->shards * l->places; i++)
        if (l->kept[i].message.data)
            return false;
    return true;
}

err_t push_log_next(push_log *l, int shard, int *at, uint64_t *step, net_message *m)
{
    push_kept *kept = places_of(l, shard);

    *m = (net_message){0};
    while (*at < l->places && !kept[*at].message.data)
        ++*at;
    if (*at == l->places)
        return OK;
    *step = kept[*at].step;
    return net_message_share(m, &kept[(*at)++].message);
}
