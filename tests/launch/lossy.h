/* lossy - a transport over another one that loses, doubles, delays and reorders messages, by
 * lot. A message that is late lets up to eight events of the wire (a send, a receive) pass. */
#ifndef DIPS_TESTS_LAUNCH_LOSSY_H
#define DIPS_TESTS_LAUNCH_LOSSY_H

#include <string.h>

#include "common/net.h"
#include "common/rng.h"
#include "common/vec.h"

/* A message that waits. */
typedef struct lossy_letter {
    int         shard;
    int         events; /* to pass */
    net_message message;
} lossy_letter;

typedef VEC(lossy_letter) lossy_letters;

typedef struct lossy {
    transport        wire; /* what the client is given */
    const transport *under;
    rng              chance;
    double           share; /* of each fate */
    lossy_letters    there, back;
    uint64_t         messages, lost, twice, late;
} lossy;

static inline err_t lossy_hold(lossy *l, lossy_letters *in, int shard, net_message *m)
{
    lossy_letter letter = {shard, 1 + (int)rng_below(&l->chance, 8), *m};

    *m = (net_message){0};
    return vec_push(in, letter);
}

/* Draw the fate of m: it is left where it goes on its way at once. */
static inline err_t lossy_draw(lossy *l, lossy_letters *in, int shard, net_message *m)
{
    double fate = rng_uniform(&l->chance) / l->share;

    l->messages++;
    if (fate < 1) {
        l->lost++;
        net_message_clear(m);
    } else if (fate < 2) {
        net_message copy;
        l->twice++;
        TRY(net_message_new(&copy, m->size));
        memcpy(copy.data, m->data, m->size);
        return lossy_hold(l, in, shard, &copy);
    } else if (fate < 3) {
        l->late++;
        return lossy_hold(l, in, shard, m);
    }
    return OK;
}

/* A letter whose time has come, taken out; its message is empty where there is none. */
static inline lossy_letter lossy_due(lossy_letters *from)
{
    for (size_t i = 0; i < from->n; i++)
        if (from->at[i].events <= 0) {
            lossy_letter due = from->at[i];
            from->at[i]      = from->at[--from->n];
            return due;
        }
    return (lossy_letter){0};
}

/* An event passes; what is due goes out. */
static inline err_t lossy_pass(lossy *l)
{
    for (size_t i = 0; i < l->there.n; i++)
        l->there.at[i].events--;
    for (size_t i = 0; i < l->back.n; i++)
        l->back.at[i].events--;
    for (;;) {
        lossy_letter due = lossy_due(&l->there);
        if (!due.message.data)
            return OK;
        TRY(l->under->send(l->under->self, due.shard, &due.message, 1000));
    }
}

static inline err_t lossy_send(void *self, int to, net_message *m, int timeout_ms)
{
    lossy *l = self;

    TRY(lossy_pass(l));
    TRY(lossy_draw(l, &l->there, to, m));
    return m->data ? l->under->send(l->under->self, to, m, timeout_ms) : OK;
}

static inline err_t lossy_receive(void *self, int *from, net_message *m, int timeout_ms)
{
    lossy *l       = self;
    bool   waiting = l->there.n + l->back.n > 0;

    TRY(lossy_pass(l));
    lossy_letter due = lossy_due(&l->back);
    *from            = due.shard;
    *m               = due.message;
    if (m->data)
        return OK;
    TRY(l->under->receive(l->under->self, from, m, waiting ? 1 : timeout_ms));
    return m->data ? lossy_draw(l, &l->back, *from, m) : OK;
}

static inline void lossy_open(lossy *l, const transport *under, double share, uint64_t seed)
{
    *l = (lossy){.under = under, .share = share, .chance = rng_named(seed, RNG_TEST, 3, 3)};
    l->wire = (transport){l, under->peers, lossy_send, lossy_receive};
}

static inline void lossy_close(lossy *l)
{
    for (size_t i = 0; i < l->there.n; i++)
        net_message_clear(&l->there.at[i].message);
    for (size_t i = 0; i < l->back.n; i++)
        net_message_clear(&l->back.at[i].message);
    vec_clear(&l->there);
    vec_clear(&l->back);
}

#endif
