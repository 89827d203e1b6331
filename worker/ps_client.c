#include "worker/ps_client.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bf16.h"
#include "common/log.h"
#include "common/wire.h"
#include "worker/push_log.h"

#define REPEAT_S      1.0  /* of a wait, before it is asked again for the first time */
#define REPEAT_MOST_S 30.0 /* ... and between later times, each twice as long as the last */
#define SLICE_MS    100  /* of a wait, between two questions whether to go on */
#define COPIED_MOST 8192 /* reals copied at a time: they are in the L1 or L2 cache then */

/* Encode the message for shard; what is the request's own. */
typedef err_t (*encoder)(net_message *m, const wire_header *h, const ps_client *c, int shard,
                         const void *what);

/* What PULL, READ and BIRTH tell. */
typedef struct ids_wanted {
    int64_t       version;
    const id_set *sets;
} ids_wanted;

/* A request to all shards and what they answered. */
typedef struct exchange {
    wire_kind     request; /* WIRE_NONE: this place is free */
    uint64_t      step;    /* of the header of the request and of its answers */
    encoder       encode;  /* makes the request, once more if need be, of what */
    const void   *what;
    ids_wanted    wanted; /* a PULL's what */
    uint64_t      version;
    uint64_t      oldest;  /* version of the rows that came */
    int           missing; /* shards that have not answered yet */
    double        timeout_s;
    net_message  *answers; /* (shards) data is NULL until there is one, and once it is used */
    const id_set *sets;    /* whose rows are asked for; NULL: none are */
    real         *room;    /* (room_size) for rows that are not read where they came */
    size_t        room_size;
} exchange;

struct ps_client {
    ps_client_options options;
    int               shards;
    exchange         *pulls; /* (in_flight) a pull is kept until its push */
    exchange          call;  /* the request of a function that waits */
    exchange          save;  /* a checkpoint under way; call waits for its begin */
    wire_text         save_text;
    char              save_folder[CONFIG_PATH_MAX];
    int64_t           save_news; /* clock: of its last answer */
    uint64_t          asked; /* numbers the calls that are of no step */
    push_log          pushed; /* what the shards may not have applied yet */
    net_message       push;  /* where gradients are written that travel as they are */
    real             *room;  /* (room_size) for other gradients */
    size_t            room_size;
    bool             *complained; /* (shards) a bad message was logged */
    ps_traffic        traffic;
};

/* ---- rows and gradients of several shards lie in rooms ---- */

/* Whether rows and gradients lie in the messages as the worker uses them. */
static bool in_place(const ps_client *c)
{
    return c->shards == 1 && c->options.values == PRECISION_FP32;
}

/* Reals from one table's piece of a room to the next one's: whole cache lines. */
static size_t piece_size(const schema *s, int t, const id_set *sets)
{
    const size_t line = 64 / sizeof(real);
    size_t       n    = (size_t)sets[t].n * (size_t)s->tables[t].config->dim;

    return (n + line - 1) / line * line;
}

/* The tables' pieces, (n, dim) each, of a room that is big enough. */
static void place_pieces(real **pieces, const schema *s, const id_set *sets, real *at)
{
    for (int t = 0; t < s->n_tables; t++) {
        pieces[t] = at;
        at += piece_size(s, t, sets);
    }
}

/* See that the room, of *size reals, is big enough; what is in it may be lost. */
static err_t reserve_room(real **room, size_t *size, const schema *s, const id_set *sets)
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

/* ---- exchanges ---- */

/* sets: whose rows the answers bring, or NULL. */
static err_t exchange_open(const ps_client *c, exchange *x, wire_kind request, uint64_t step,
                           uint64_t version, const id_set *sets)
{
    assert(x->request == WIRE_NONE);
    if (sets && !in_place(c))
        TRY(reserve_room(&x->room, &x->room_size, c->options.schema, sets));
    x->request = request;
    x->step    = step;
    x->version = version;
    x->oldest  = UINT64_MAX;
    x->sets      = sets;
    x->missing = c->shards;
    bool file    = request == WIRE_BEGIN || request == WIRE_SAVE;
    x->timeout_s = file && c->options.checkpoint_timeout_s > 0 ? c->options.checkpoint_timeout_s
                                                               : c->options.timeout_s;
    return OK;
}

static void clear_answers(const ps_client *c, exchange *x)
{
    for (int k = 0; k < c->shards; k++)
        net_message_clear(&x->answers[k]);
}

static void exchange_close(const ps_client *c, exchange *x)
{
    clear_answers(c, x);
    x->request = WIRE_NONE;
    x->missing = 0;
}

/* The open exchange of a request, or NULL. */
static exchange *exchange_find(ps_client *c, wire_kind request, uint64_t step)
{
    if (c->call.request == request && c->call.step == step)
        return &c->call;
    for (int i = 0; i < c->options.in_flight; i++)
        if (c->pulls[i].request == request && c->pulls[i].step == step)
            return &c->pulls[i];
    return NULL;
}

static exchange *pull_of(ps_client *c, int64_t step)
{
    exchange *x = exchange_find(c, WIRE_PULL, (uint64_t)step);

    assert(x);
    return x;
}

static exchange *free_pull(ps_client *c)
{
    exchange *x = c->pulls;

    while (x < c->pulls + c->options.in_flight && x->request != WIRE_NONE)
        x++;
    assert(x < c->pulls + c->options.in_flight);
    return x;
}

/* ---- asking ---- */

static wire_header header_of(const ps_client *c, wire_kind kind, uint64_t step)
{
    return (wire_header){.kind       = kind,
                         .generation = c->options.generation,
                         .sender     = (uint32_t)c->options.worker,
                         .step       = step};
}

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

/* m is taken. */
static err_t send_one(ps_client *c, wire_kind kind, uint64_t step, int shard, net_message *m)
{
    const transport *t = c->options.transport;

    c->traffic.sent += m->size;
    err_t err = t->send(t->self, shard, m, (int)(c->options.timeout_s * 1000));

    if (err != OK)
        return err_add(err, "%s of %llu to shard %d of %d", wire_kind_name(kind),
                       (unsigned long long)step, shard, c->shards);
    return OK;
}

/* The message for shard, which is returned. */
static err_t make_one(const ps_client *c, wire_kind kind, uint64_t step, int shard,
                      encoder encode, const void *what, net_message *m)
{
    wire_header header = header_of(c, kind, step);
    err_t       err    = encode(m, &header, c, shard, what);

    if (err != OK)
        return err_add(err, "%s of %llu to shard %d of %d", wire_kind_name(kind),
                       (unsigned long long)step, shard, c->shards);
    return OK;
}

/* Send the request of x, whose encoder and what are set here, to all shards. */
static err_t ask_all(ps_client *c, exchange *x, encoder encode, const void *what)
{
    x->encode = encode;
    x->what   = what;
    for (int k = 0; k < c->shards; k++) {
        net_message m = {0};
        TRY(make_one(c, x->request, x->step, k, encode, what, &m));
        TRY(send_one(c, x->request, x->step, k, &m));
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
    TRY(make_one(c, x->request, x->step, shard, x->encode, x->what, &m));
    return repeat_one(c, x->request, x->step, shard, &m);
}

static err_t encode_begin(net_message *m, const wire_header *h, const ps_client *c, int shard,
                          const void *what)
{
    (void)c, (void)shard;
    return wire_encode_begin(m, h, what);
}

static err_t encode_save(net_message *m, const wire_header *h, const ps_client *c, int shard,
                         const void *what)
{
    (void)c, (void)shard;
    return wire_encode_text(m, h, what);
}

static err_t encode_stats(net_message *m, const wire_header *h, const ps_client *c, int shard,
                          const void *what)
{
    (void)c, (void)shard, (void)what;
    return wire_encode_empty(m, h);
}

/* The shard's piece of every set; a pull tells in how many samples its ids occur. */
static err_t encode_ids(net_message *m, const wire_header *h, const ps_client *c, int shard,
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

/* A request of no rows. */
static err_t encode_nothing(net_message *m, const wire_header *h, const ps_client *c, int shard,
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

/* What is pushed to shard, tables without values. */
static wire_push push_to(const ps_client *c, int shard, const id_set *sets)
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

static void tell_part(wire_push *p, int64_t pulled_until, const ps_part *part)
{
    p->pulled_until = (uint64_t)pulled_until;
    p->samples      = part->samples;
    p->time         = part->time;
    p->finite       = part->finite;
}

typedef struct gradients_made {
    int64_t        pulled_until;
    const ps_part *part;
    const id_set  *sets;
} gradients_made;

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

/* The shard's piece of the gradients in the client's room. */
static err_t encode_push(net_message *m, const wire_header *h, const ps_client *c, int shard,
                         const void *what)
{
    const gradients_made *made = what;
    wire_push             p    = push_to(c, shard, made->sets);
    real                 *pieces[WIRE_MAX_TABLES];

    place_pieces(pieces, c->options.schema, made->sets, c->room);
    tell_part(&p, made->pulled_until, made->part);
    TRY(wire_prepare_push(m, h, &p));
    wire_sum sum = wire_sum_begin(m);
    for (int t = 0; t < p.tables; t++) {
        size_t first = (size_t)made->sets[t].shard_begin[shard];
        fill_values(&p.table[t], pieces[t] + first * p.table[t].dim, &sum);
    }
    wire_sum_seal(&sum, m);
    return OK;
}

/* ---- answers ---- */

/* A bad message is dropped; the first one of a shard is told. */
static void complain(ps_client *c, int from)
{
    if (!c->complained[from])
        log_each(LOG_WARN, "a bad message of shard %d is dropped: %s", from, err_text());
    c->complained[from] = true;
}

/* The error that a shard tells, as this thread's. */
static err_t failure_of(int from, const wire_text *t)
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

    place_pieces(pieces, c->options.schema, x->sets, x->room);
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
    if (!in_place(c))
        copy_rows(c, x, shard, &got);
    return OK;
}

static bool lacks_answer(const exchange *x, const wire_header *h, int from)
{
    return x->request == WIRE_SAVE && x->step == h->step && !x->answers[from].data;
}

/* An answer to a SAVE: DONE, that the cut has begun, for who waits for that; SAVED and FAILED say
 * the same, and that it has ended. m is taken. */
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
        err = err == OK ? failure_of(from, &failed) : err;
    } else if (known && wanted) {
        x->answers[from] = *m;
        x->missing--;
        return x->sets ? use_rows(c, x, from) : OK;
    }
    net_message_clear(m);
    return err;
}

static err_t tell_silence(const ps_client *c, const exchange *x)
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

/* Wait until all shards have answered x; each answer that comes is news. */
static err_t await(ps_client *c, exchange *x)
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
            return tell_silence(c, x);
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

/* Ask all shards and wait for their answers in c->call, which stays open. */
static err_t call(ps_client *c, wire_kind request, uint64_t step, uint64_t version,
                  const id_set *sets, encoder encode, const void *what)
{
    exchange_close(c, &c->call);
    TRY(exchange_open(c, &c->call, request, step, version, sets));
    TRY(ask_all(c, &c->call, encode, what));
    return await(c, &c->call);
}

/* Where the rows of x are, all answers of which are here. */
static err_t lend_rows(const ps_client *c, exchange *x, real **rows)
{
    wire_rows got;

    if (!in_place(c)) {
        place_pieces(rows, c->options.schema, x->sets, x->room);
        clear_answers(c, x);
        return OK;
    }
    TRY(wire_decode_rows(&got, &x->answers[0]));
    for (int t = 0; t < got.tables; t++)
        rows[t] = got.table[t].values;
    return OK;
}

/* ---- the client ---- */

err_t ps_client_new(ps_client **out, const ps_client_options *options)
{
    ps_client *c     = calloc(1, sizeof *c);
    size_t     calls = (size_t)options->in_flight + 2;
    int        n     = options->transport->peers;

    assert(n > 0 && options->in_flight > 0 && options->schema->n_tables <= WIRE_MAX_TABLES);
    *out = NULL;
    if (!c)
        return err_memory(sizeof *c, "a client of the servers");
    *c            = (ps_client){.options = *options, .shards = n};
    c->pulls      = calloc((size_t)options->in_flight, sizeof *c->pulls);
    c->complained = calloc((size_t)n, sizeof *c->complained);
    /* one piece for all exchanges; the call's is the first */
    c->call.answers = calloc(calls * (size_t)n, sizeof *c->call.answers);
    if (!c->pulls || !c->complained || !c->call.answers) {
        ps_client_free(&c);
        return err_memory(calls * (size_t)n * sizeof(net_message), "a client of the servers");
    }
    for (int i = 0; i < options->in_flight; i++)
        c->pulls[i].answers = c->call.answers + (size_t)(i + 1) * (size_t)n;
    c->save.answers = c->call.answers + (calls - 1) * (size_t)n;
    /* Rows of step t are of version t + 1 - in_flight or later; async: the clock is at most as
       many steps behind as a shard has tickets for. */
    err_t err =
        push_log_init(&c->pushed, n, options->async ? WIRE_TICKETS : options->in_flight);
    if (err != OK)
        ps_client_free(&c);
    *out = c;
    return err;
}

void ps_client_free(ps_client **out)
{
    ps_client *c = *out;

    if (!c)
        return;
    if (c->pulls && c->call.answers) {
        for (int i = 0; i < c->options.in_flight; i++) {
            exchange_close(c, &c->pulls[i]);
            free(c->pulls[i].room);
        }
        exchange_close(c, &c->call);
        if (c->save.answers)
            exchange_close(c, &c->save);
    }
    net_message_clear(&c->push);
    push_log_clear(&c->pushed);
    free(c->room);
    free(c->call.room);
    free(c->pulls);
    free(c->complained);
    free(c->call.answers);
    free(c);
    *out = NULL;
}

err_t ps_begin(ps_client *c, const char *folder, int64_t step)
{
    wire_begin begin = {.workers    = (uint32_t)c->options.workers,
                        .real_bytes = sizeof(real),
                        .path       = folder,
                        .path_bytes = folder ? (uint32_t)strlen(folder) : 0};
    err_t      err   = call(c, WIRE_BEGIN, (uint64_t)step, 0, NULL, encode_begin, &begin);

    exchange_close(c, &c->call);
    return err;
}

err_t ps_pull(ps_client *c, int64_t step, int64_t version, const id_set *sets)
{
    exchange *x = free_pull(c);

    TRY(exchange_open(c, x, WIRE_PULL, (uint64_t)step, (uint64_t)version, sets));
    x->wanted = (ids_wanted){.version = version, .sets = sets};
    return ask_all(c, x, encode_ids, &x->wanted);
}

err_t ps_rows(ps_client *c, int64_t step, const id_set *sets, real **rows)
{
    exchange *x = pull_of(c, step);

    assert(x->sets == sets);
    TRY(await(c, x));
    return lend_rows(c, x, rows);
}

int64_t ps_rows_version(ps_client *c, int64_t step)
{
    return (int64_t)pull_of(c, step)->oldest;
}

/* A push to the only shard, whose values are where the gradients are written. */
static err_t prepare_in_place(ps_client *c, int64_t step, const id_set *sets, real **gradients)
{
    wire_header h = header_of(c, WIRE_PUSH, (uint64_t)step);
    wire_push   p = push_to(c, 0, sets);

    net_message_clear(&c->push);
    TRY(wire_prepare_push(&c->push, &h, &p));
    for (int t = 0; t < p.tables; t++)
        gradients[t] = p.table[t].values;
    return OK;
}

err_t ps_gradients(ps_client *c, int64_t step, const id_set *sets, real **gradients)
{
    const schema *s = c->options.schema;

    if (in_place(c)) {
        TRY(prepare_in_place(c, step, sets, gradients));
    } else {
        TRY(reserve_room(&c->room, &c->room_size, s, sets));
        place_pieces(gradients, s, sets, c->room);
    }
    for (int t = 0; t < s->n_tables; t++)
        memset(gradients[t], 0,
               (size_t)sets[t].n * (size_t)s->tables[t].config->dim * sizeof(real));
    return OK;
}

/* m is taken. */
static err_t send_push(ps_client *c, int64_t step, int shard, net_message *m)
{
    err_t err = push_log_keep(&c->pushed, shard, (uint64_t)step, m);

    if (err == OK)
        return send_one(c, WIRE_PUSH, (uint64_t)step, shard, m);
    net_message_clear(m);
    return err;
}

/* The gradients are where they travel. */
static err_t push_in_place(ps_client *c, int64_t step, int64_t pulled_until,
                           const ps_part *part)
{
    wire_push p = {.tables = c->options.schema->n_tables};

    assert(c->push.data);
    tell_part(&p, pulled_until, part);
    wire_change_push(&c->push, &p);
    wire_seal(&c->push);
    return send_push(c, step, 0, &c->push);
}

err_t ps_push(ps_client *c, int64_t step, int64_t pulled_until, const ps_part *part,
              const id_set *sets)
{
    const gradients_made made = {pulled_until, part, sets};

    exchange_close(c, pull_of(c, step));
    if (in_place(c))
        return push_in_place(c, step, pulled_until, part);
    for (int k = 0; k < c->shards; k++) {
        net_message m = {0};
        TRY(make_one(c, WIRE_PUSH, (uint64_t)step, k, encode_push, &made, &m));
        TRY(send_push(c, step, k, &m));
    }
    return OK;
}

err_t ps_drain(ps_client *c, int64_t version)
{
    ids_wanted nothing = {.version = version};

    if (push_log_empty(&c->pushed))
        return OK;
    TRY(call(c, WIRE_READ, ++c->asked, (uint64_t)version, NULL, encode_nothing, &nothing));
    for (int k = 0; k < c->shards; k++)
        push_log_applied(&c->pushed, k, (uint64_t)version);
    exchange_close(c, &c->call);
    return OK;
}

err_t ps_read(ps_client *c, int64_t version, const id_set *sets, real **rows)
{
    ids_wanted wanted = {.version = version, .sets = sets};

    TRY(call(c, WIRE_READ, ++c->asked, (uint64_t)version, sets, encode_ids, &wanted));
    return lend_rows(c, &c->call, rows);
}

err_t ps_birth(ps_client *c, int64_t version, const id_set *sets)
{
    ids_wanted wanted = {.version = version, .sets = sets};
    err_t err = call(c, WIRE_BIRTH, ++c->asked, (uint64_t)version, NULL, encode_ids, &wanted);

    exchange_close(c, &c->call);
    return err;
}

/* The file that the shard has written, or why it could not. */
static err_t read_saved(manifest_file *file, const ps_client *c, int shard)
{
    const net_message *m = &c->save.answers[shard];
    wire_header        h;
    wire_saved         saved;
    wire_text          failed;

    TRY(wire_open(&h, m));
    if (h.kind == WIRE_FAILED) {
        TRY(wire_decode_text(&failed, m));
        return failure_of(shard, &failed);
    }
    TRY(wire_decode_saved(&saved, m));
    manifest_shard_name(file->name, shard, c->shards);
    file->digest = (safetensors_digest){.bytes = saved.bytes, .xxh3 = saved.xxh3};
    return OK;
}

err_t ps_save_begin(ps_client *c, int64_t step, int64_t parent, const char *folder)
{
    if (strlen(folder) >= sizeof c->save_folder)
        return err_set(ERR_CONFIG, "a checkpoint's path of %zu bytes", strlen(folder));
    snprintf(c->save_folder, sizeof c->save_folder, "%s", folder);
    c->save_text = (wire_text){.status = (uint32_t)(parent + 1),
                               .text   = c->save_folder,
                               .bytes  = (uint32_t)strlen(folder)};
    TRY(exchange_open(c, &c->save, WIRE_SAVE, (uint64_t)step, 0, NULL));
    c->save.encode = encode_save;
    c->save.what   = &c->save_text;
    err_t err    = call(c, WIRE_SAVE, (uint64_t)step, 0, NULL, encode_save, &c->save_text);
    c->save_news = clock_now(c->options.clock);
    exchange_close(c, &c->call);
    if (err != OK)
        exchange_close(c, &c->save);
    return err;
}

err_t ps_save_is_done(ps_client *c, bool *done)
{
    *done = c->save.missing == 0;
    if (!*done && clock_seconds(c->options.clock, c->save_news) >= c->save.timeout_s)
        return tell_silence(c, &c->save);
    return OK;
}

err_t ps_save_end(ps_client *c, manifest_file *files)
{
    err_t err = await(c, &c->save);

    for (int k = 0; err == OK && k < c->shards; k++)
        err = read_saved(&files[k], c, k);
    exchange_close(c, &c->save);
    return err;
}

err_t ps_client_stats(ps_client *c, ps_stats *stats)
{
    err_t err = call(c, WIRE_STATS, ++c->asked, 0, NULL, encode_stats, NULL);

    *stats = (ps_stats){0};
    for (int k = 0; err == OK && k < c->shards; k++) {
        wire_stated stated = {0};
        err = wire_decode_stated(&stated, &c->call.answers[k]);
        stats->rows += stated.rows;
        stats->bytes += stated.bytes;
        stats->dropped += stated.dropped;
        stats->refused += stated.refused;
        stats->admitted += stated.admitted;
        stats->evicted += stated.evicted;
    }
    exchange_close(c, &c->call);
    return err;
}

ps_traffic ps_client_traffic(const ps_client *c)
{
    return c->traffic;
}
