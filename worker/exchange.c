/* exchange - a request to all shards, and what they answer. */
#include "worker/ps_state.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "common/bf16.h"
#include "common/log.h"

#define REPEAT_S      1.0  /* of a wait, before it is asked again for the first time */
#define REPEAT_MOST_S 30.0 /* ... and between later times, each twice as long as the last */
#define SLICE_MS      100  /* of a wait, between two questions whether to go on */

err_t exchange_open(const ps_client *c, exchange *x, wire_kind request, uint64_t step,
                    uint64_t version, const id_set *sets)
{
    assert(x->request == WIRE_NONE);
    if (sets && !ps_in_place(c))
        TRY(ps_reserve_room(&x->room, &x->room_size, c->options.schema, sets));
    x->request   = request;
    x->step      = step;
    x->version   = version;
    x->oldest    = UINT64_MAX;
    x->sets      = sets;
    x->missing   = c->shards;
    bool file    = request == WIRE_BEGIN || request == WIRE_SAVE;
    x->timeout_s = file && c->options.checkpoint_timeout_s > 0 ? c->options.checkpoint_timeout_s
                                                               : c->options.timeout_s;
    return OK;
}

void exchange_clear(const ps_client *c, exchange *x)
{
    for (int k = 0; k < c->shards; k++)
        net_message_clear(&x->answers[k]);
}

void exchange_close(const ps_client *c, exchange *x)
{
    exchange_clear(c, x);
    x->request = WIRE_NONE;
    x->missing = 0;
}

exchange *exchange_find(ps_client *c, wire_kind request, uint64_t step)
{
    if (c->call.request == request && c->call.step == step)
        return &c->call;
    for (int i = 0; i < c->options.in_flight; i++)
        if (c->pulls[i].request == request && c->pulls[i].step == step)
            return &c->pulls[i];
    return NULL;
}

/* ---- asking ---- */

/* m is taken. Who reads nothing meanwhile is asked again later. */
static err_t repeat_one(ps_client *c, wire_kind kind, uint64_t step, int shard, net_message *m)
{
    const transport *t = c->options.transport;

    c->traffic.sent += m->size;
    c->traffic.repeated++;
    err_t err = t->send(t->self, shard, m, 0);

    return err == OK || err == ERR_TIMEOUT
               ? OK
               : err_add(err, "%s of %llu to shard %d of %d again", wire_kind_name(kind),
                         (unsigned long long)step, shard, c->shards);
}

err_t exchange_ask(ps_client *c, exchange *x, encoder *encode, const void *what)
{
    x->encode = encode;
    x->what   = what;
    for (int k = 0; k < c->shards; k++) {
        net_message m = {0};
        TRY(ps_make(c, x->request, x->step, k, encode, what, &m));
        TRY(ps_send(c, x->request, x->step, k, &m));
    }
    return OK;
}

/* Send what shard may have missed: pushes whose absence would hold up its answer, then the
 * request of x. */
static err_t ask_again(ps_client *c, const exchange *x, int shard)
{
    net_message m  = {0};
    int         at = 0;
    uint64_t    step;

    for (;;) {
        TRY(push_log_next(&c->pushed, shard, &at, &step, &m));
        if (!m.data)
            break;
        TRY(repeat_one(c, WIRE_PUSH, step, shard, &m));
    }
    TRY(ps_make(c, x->request, x->step, shard, x->encode, x->what, &m));
    return repeat_one(c, x->request, x->step, shard, &m);
}

/* ---- answers ---- */

/* A bad message is dropped; the first one of a shard is told. */
static void complain(ps_client *c, int from)
{
    if (!c->complained[from])
        log_each(LOG_WARN, "a bad message of shard %d is dropped: %s", from, err_text());
    c->complained[from] = true;
}

err_t ps_failure(int from, const wire_text *t)
{
    err_t code = t->status > OK && t->status <= ERR_TERMINATE ? (err_t)t->status : ERR_DEATH;

    return err_set(code, "shard %d: %.*s", from, (int)t->bytes, t->text);
}

/* Which kind of request m answers; ERR_MESSAGE if its body is wrong. */
static err_t request_of(wire_kind *request, const wire_header *h, const net_message *m)
{
    wire_rows   rows;
    wire_done   done;
    wire_saved  saved;
    wire_stated stated;
    wire_text   failed;

    switch (h->kind) {
    case WIRE_ROWS:
        TRY(wire_decode_rows(&rows, m));
        *request = rows.request;
        return OK;
    case WIRE_DONE:
        TRY(wire_decode_done(&done, m));
        *request = done.request;
        return OK;
    case WIRE_FAILED:
        TRY(wire_decode_text(&failed, m));
        *request = failed.request;
        return OK;
    case WIRE_SAVED:
        *request = WIRE_SAVE;
        return wire_decode_saved(&saved, m);
    case WIRE_STATED:
        *request = WIRE_STATS;
        return wire_decode_stated(&stated, m);
    default:
        return err_set(ERR_MESSAGE, "a %s is no answer", wire_kind_name(h->kind));
    }
}

/* What shard answered must be what it was asked. */
static err_t check_rows(const ps_client *c, const exchange *x, int shard, const wire_rows *got)
{
    const schema *s = c->options.schema;

    if (c->options.async && x->request == WIRE_PULL ? got->version < x->version
                                                    : got->version != x->version)
        return err_set(ERR_MESSAGE, "rows of version %llu; wanted %llu",
                       (unsigned long long)got->version, (unsigned long long)x->version);
    if (got->tables != s->n_tables)
        return err_set(ERR_MESSAGE, "rows of %d tables; wanted %d", got->tables, s->n_tables);
    for (int t = 0; t < s->n_tables; t++) {
        const wire_values *table = &got->table[t];
        const int         *begin = &x->sets[t].shard_begin[shard];
        uint32_t           n     = (uint32_t)(begin[1] - begin[0]);
        uint32_t           dim   = (uint32_t)s->tables[t].config->dim;
        if (table->n != n || table->dim != dim)
            return err_set(ERR_MESSAGE, "table %s: %u rows of %u; wanted %u of %u",
                           s->tables[t].config->name, table->n, table->dim, n, dim);
        if (table->type != c->options.values)
            return err_set(ERR_MESSAGE, "table %s: rows of another type than cluster.values",
                           s->tables[t].config->name);
    }
    return OK;
}

/* The shard's rows to their places in the room. */
static void copy_rows(const ps_client *c, const exchange *x, int shard, const wire_rows *got)
{
    real *pieces[WIRE_MAX_TABLES];

    ps_place_pieces(pieces, c->options.schema, x->sets, x->room);
    for (int t = 0; t < got->tables; t++) {
        const wire_values *table = &got->table[t];
        size_t             n     = (size_t)table->n * table->dim;
        real              *to = pieces[t] + (size_t)x->sets[t].shard_begin[shard] * table->dim;
        if (table->halves)
            bf16_widen(to, table->halves, n);
        else if (n)
            memcpy(to, table->values, n * sizeof(real));
    }
}

/* The answer of shard is here. Its rows are copied at once, while it is in the cache and
 * other shards still work. */
static err_t use_rows(ps_client *c, exchange *x, int shard)
{
    wire_rows got;
    err_t     err = wire_decode_rows(&got, &x->answers[shard]);

    if (err == OK)
        err = check_rows(c, x, shard, &got);
    if (err != OK)
        return err_add(err, "shard %d, %s of %llu", shard, wire_kind_name(x->request),
                       (unsigned long long)x->step);
    push_log_applied(&c->pushed, shard, got.version);
    if (got.version < x->oldest)
        x->oldest = got.version;
    if (!ps_in_place(c))
        copy_rows(c, x, shard, &got);
    return OK;
}

static bool lacks_answer(const exchange *x, const wire_header *h, int from)
{
    return x->request == WIRE_SAVE && x->step == h->step && !x->answers[from].data;
}

/* An answer to a SAVE: DONE, that the cut has begun, for who waits for that; SAVED and FAILED
 * say the same, and that it has ended. m is taken. */
static err_t take_save(ps_client *c, int from, const wire_header *h, net_message *m)
{
    err_t err = OK;

    if (lacks_answer(&c->call, h, from)) {
        err = net_message_share(&c->call.answers[from], m);
        c->call.missing -= err == OK;
    }
    if (err == OK && h->kind != WIRE_DONE && lacks_answer(&c->save, h, from)) {
        c->save.answers[from] = *m;
        c->save.missing--;
        c->save_news = clock_now(c->options.clock);
        return OK;
    }
    net_message_clear(m);
    return err;
}

/* Put m, which is taken, where it is waited for. Late, repeated and bad messages and
 * those of another generation are dropped. A failure is an error at once; that of a SAVE
 * is kept as its answer, because the other shards still write. */
static err_t take_answer(ps_client *c, int from, net_message *m)
{
    wire_header h;
    wire_kind   request;
    err_t       err = wire_open(&h, m);

    c->traffic.received += m->size;
    assert(from >= 0 && from < c->shards);
    if (err == OK)
        err = request_of(&request, &h, m);
    if (err == OK && h.sender != (uint32_t)from)
        err = err_set(ERR_MESSAGE, "it says that it is of shard %u", h.sender);
    if (err != OK) {
        complain(c, from);
        net_message_clear(m);
        return OK;
    }
    exchange *x      = exchange_find(c, request, h.step);
    bool      known  = h.generation == c->options.generation;
    bool      wanted = x && x->missing > 0 && !x->answers[from].data;
    if (known && request == WIRE_SAVE)
        return take_save(c, from, &h, m);
    if (known && h.kind == WIRE_FAILED && (wanted || request == WIRE_PUSH)) {
        wire_text failed;
        err = wire_decode_text(&failed, m);
        err = err == OK ? ps_failure(from, &failed) : err;
    } else if (known && wanted) {
        x->answers[from] = *m;
        x->missing--;
        return x->sets ? use_rows(c, x, from) : OK;
    }
    net_message_clear(m);
    return err;
}

/* ---- waiting ---- */

err_t exchange_tell_silence(const ps_client *c, const exchange *x)
{
    int first = 0;

    while (x->answers[first].data)
        first++;
    if (x->missing == 1)
        return err_set(ERR_TIMEOUT, "shard %d of %d is silent for %g s: asked for %s of %llu",
                       first, c->shards, x->timeout_s, wire_kind_name(x->request),
                       (unsigned long long)x->step);
    return err_set(ERR_TIMEOUT,
                   "%d of %d shards are silent for %g s, the first is %d: asked for %s of %llu",
                   x->missing, c->shards, x->timeout_s, first, wire_kind_name(x->request),
                   (unsigned long long)x->step);
}

/* Milliseconds of the next slice of a wait. */
static int slice_ms(int64_t left)
{
    return left < SLICE_MS * NS_PER_MS ? (int)((left + NS_PER_MS - 1) / NS_PER_MS) : SLICE_MS;
}

/* When a wait asks again. */
typedef struct repeats {
    int64_t due; /* clock */
    double  pause_s;
} repeats;

static int64_t nanoseconds(double seconds)
{
    return (int64_t)(seconds * (double)NS_PER_S);
}

static repeats first_repeat(const ps_client *c, int64_t now)
{
    double pause_s = c->options.repeat_s > 0 ? c->options.repeat_s : REPEAT_S;

    return (repeats){now + nanoseconds(pause_s), pause_s};
}

/* What was lost on its way is sent anew to who has not answered; what was only slow arrives
 * twice, which is nothing to a shard. */
static err_t repeat_if_due(ps_client *c, const exchange *x, repeats *r, int64_t now)
{
    if (now < r->due)
        return OK;
    for (int k = 0; k < c->shards; k++)
        if (!x->answers[k].data)
            TRY(ask_again(c, x, k));
    r->pause_s = fmin(2 * r->pause_s, REPEAT_MOST_S);
    r->due     = now + nanoseconds(r->pause_s);
    return OK;
}

err_t exchange_await(ps_client *c, exchange *x)
{
    const ps_client_options *o       = &c->options;
    const transport         *t       = o->transport;
    const int64_t            timeout = nanoseconds(x->timeout_s);
    int64_t                  now = clock_now(o->clock), news = now, asked = now;
    repeats                  again = first_repeat(c, now);

    while (x->missing > 0) {
        int         from, missing = x->missing;
        net_message m = {0};
        if (now - news >= timeout)
            return exchange_tell_silence(c, x);
        int64_t until = news + timeout < again.due ? news + timeout : again.due;
        TRY(t->receive(t->self, &from, &m, slice_ms(until - now)));
        if (m.data)
            TRY(take_answer(c, from, &m));
        now = clock_now(o->clock);
        if (x->missing > 0)
            TRY(repeat_if_due(c, x, &again, now));
        if (x->missing < missing)
            news = now;
        if (o->check && now - asked >= SLICE_MS * NS_PER_MS) {
            TRY(o->check(o->self));
            asked = now;
        }
    }
    return OK;
}

err_t exchange_call(ps_client *c, wire_kind request, uint64_t step, uint64_t version,
                    const id_set *sets, encoder *encode, const void *what)
{
    exchange_close(c, &c->call);
    TRY(exchange_open(c, &c->call, request, step, version, sets));
    TRY(exchange_ask(c, &c->call, encode, what));
    return exchange_await(c, &c->call);
}
