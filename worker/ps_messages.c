/* ps_messages - what a client sends. */
#include "worker/ps_state.h"

#include <string.h>

#include "common/bf16.h"

#define COPIED_MOST 8192 /* reals copied at a time: they are in the L1 or L2 cache then */

wire_header ps_header(const ps_client *c, wire_kind kind, uint64_t step)
{
    return (wire_header){.kind       = kind,
                         .generation = c->options.generation,
                         .sender     = (uint32_t)c->options.worker,
                         .step       = step};
}

err_t ps_encode_begin(net_message *m, const wire_header *h, const ps_client *c, int shard,
                      const void *what)
{
    (void)c, (void)shard;
    return wire_encode_begin(m, h, what);
}

err_t ps_encode_save(net_message *m, const wire_header *h, const ps_client *c, int shard,
                     const void *what)
{
    (void)c, (void)shard;
    return wire_encode_text(m, h, what);
}

err_t ps_encode_stats(net_message *m, const wire_header *h, const ps_client *c, int shard,
                      const void *what)
{
    (void)c, (void)shard, (void)what;
    return wire_encode_empty(m, h);
}

err_t ps_encode_ids(net_message *m, const wire_header *h, const ps_client *c, int shard,
                    const void *what)
{
    const ids_wanted *wanted = what;
    wire_request      r;

    r.version = (uint64_t)wanted->version;
    r.tables  = c->options.schema->n_tables;
    for (int t = 0; t < r.tables; t++) {
        const id_set *set   = &wanted->sets[t];
        int           begin = set->shard_begin[shard];
        r.table[t]          = (wire_ids){
                     .n      = (uint32_t)(set->shard_begin[shard + 1] - begin),
                     .ids    = set->ids + begin,
                     .counts = h->kind == WIRE_PULL ? set->samples + begin : NULL,
        };
    }
    return wire_encode_request(m, h, &r);
}

err_t ps_encode_nothing(net_message *m, const wire_header *h, const ps_client *c, int shard,
                        const void *what)
{
    const ids_wanted *wanted = what;
    wire_request      r      = {.version = (uint64_t)wanted->version,
                                .tables  = c->options.schema->n_tables};
    const uint64_t    none   = 0;

    (void)shard;
    for (int t = 0; t < r.tables; t++)
        r.table[t].ids = &none;
    return wire_encode_request(m, h, &r);
}

wire_push ps_push_to(const ps_client *c, int shard, const id_set *sets)
{
    const schema *s = c->options.schema;
    wire_push     p = {.tables = s->n_tables};

    for (int t = 0; t < p.tables; t++) {
        const int *begin = &sets[t].shard_begin[shard];
        p.table[t]       = (wire_values){.n    = (uint32_t)(begin[1] - begin[0]),
                                         .dim  = (uint32_t)s->tables[t].config->dim,
                                         .type = c->options.values};
    }
    return p;
}

void ps_tell_part(wire_push *p, int64_t pulled_until, const ps_part *part)
{
    p->pulled_until = (uint64_t)pulled_until;
    p->samples      = part->samples;
    p->time         = part->time;
    p->finite       = part->finite;
}

/* Gradients to where they travel, a few at a time. */
static void fill_values(const wire_values *to, const real *from, wire_sum *sum)
{
    size_t all = (size_t)to->n * to->dim;

    for (size_t first = 0; first < all; first += COPIED_MOST) {
        size_t n = all - first < COPIED_MOST ? all - first : COPIED_MOST;
        if (to->halves) {
            bf16_nearest(to->halves + first, from + first, n);
            wire_sum_until(sum, to->halves + first + n);
        } else {
            memcpy(to->values + first, from + first, n * sizeof *from);
            wire_sum_until(sum, to->values + first + n);
        }
    }
}

err_t ps_encode_push(net_message *m, const wire_header *h, const ps_client *c, int shard,
                     const void *what)
{
    const gradients_made *made = what;
    wire_push             p    = ps_push_to(c, shard, made->sets);
    real                 *pieces[WIRE_MAX_TABLES];

    ps_place_pieces(pieces, c->options.schema, made->sets, c->room);
    ps_tell_part(&p, made->pulled_until, made->part);
    TRY(wire_prepare_push(m, h, &p));
    wire_sum sum = wire_sum_begin(m);
    for (int t = 0; t < p.tables; t++) {
        size_t first = (size_t)made->sets[t].shard_begin[shard];
        fill_values(&p.table[t], pieces[t] + first * p.table[t].dim, &sum);
    }
    wire_sum_seal(&sum, m);
    return OK;
}

err_t ps_make(const ps_client *c, wire_kind kind, uint64_t step, int shard, encoder *encode,
              const void *what, net_message *m)
{
    wire_header header = ps_header(c, kind, step);
    err_t       err    = encode(m, &header, c, shard, what);

    if (err != OK)
        return err_add(err, "%s of %llu to shard %d of %d", wire_kind_name(kind),
                       (unsigned long long)step, shard, c->shards);
    return OK;
}

err_t ps_send(ps_client *c, wire_kind kind, uint64_t step, int shard, net_message *m)
{
    const transport *t = c->options.transport;

    c->traffic.sent += m->size;
    err_t err = t->send(t->self, shard, m, (int)(c->options.timeout_s * 1000));

    if (err != OK)
        return err_add(err, "%s of %llu to shard %d of %d", wire_kind_name(kind),
                       (unsigned long long)step, shard, c->shards);
    return OK;
}
