/* handlers - what a shard does about each kind of message (common/wire.h draws them). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bf16.h"
#include "ps/snapshot.h"
#include "ps/state.h"
#include "ps/warm_rows.h"

#define PARKED_MOST(s) (64 + 4 * (size_t)(s)->workers)
#define STEP_MOST      (UINT32_MAX - 1) /* touched, step + 1, is 32 bits wide */
#define GATHERED_MOST  (2 * CONFIG_DIM_MAX) /* reals gathered at a time: they fit the L1 cache \
                                             */

/* ---- answers ---- */

wire_header answer_header(const shard *s, wire_kind kind, const wire_header *asked)
{
    return (wire_header){.kind       = kind,
                         .generation = asked->generation,
                         .sender     = (uint32_t)s->options.index,
                         .step       = asked->step};
}

err_t answer(shard *s, uint64_t peer, net_message *m)
{
    return s->options.send(s->options.self, peer, m);
}

static uint64_t rows_held(const shard *s)
{
    uint64_t rows = 0;

    for (int t = 0; t < s->n_tables; t++)
        rows += row_store_count(s->tables[t].rows);
    return rows;
}

static err_t make_done(const shard *s, const wire_header *asked, net_message *m)
{
    wire_header h = answer_header(s, WIRE_DONE, asked);
    wire_done   d = {.request = asked->kind, .rows = rows_held(s)};

    return wire_encode_done(m, &h, &d);
}

err_t answer_failed(shard *s, uint64_t peer, const wire_header *asked, err_t failure)
{
    wire_header h = answer_header(s, WIRE_FAILED, asked);
    wire_text   t = {.status  = (uint32_t)failure,
                     .request = asked->kind,
                     .text    = err_text(),
                     .bytes   = (uint32_t)strlen(err_text())};
    net_message m;

    TRY(wire_encode_text(&m, &h, &t));
    return answer(s, peer, &m);
}

/* ---- waiting for the clock ---- */

static err_t refuse_version(const shard *s, const incoming *in, uint64_t version)
{
    return err_set(ERR_MESSAGE,
                   "%s of worker %u wants version %" PRIu64 "%s: the clock is %" PRIu64,
                   wire_kind_name(in->header.kind), in->header.sender, version,
                   version < s->clock ? ", which is gone" : "", s->clock);
}

static bool same_request(const wire_header *a, const wire_header *b)
{
    return a->kind == b->kind && a->generation == b->generation && a->sender == b->sender &&
           a->step == b->step;
}

/* Keep the message until the clock is at version. One that repeats a parked one takes its
 * place: the asker may have come back under another name. */
static err_t park(shard *s, incoming *in, uint64_t version)
{
    parked p = {version, *in};

    if (version - s->clock > TICKETS)
        return refuse_version(s, in, version);
    for (size_t i = 0; i < s->parked.n; i++) {
        if (!same_request(&s->parked.at[i].in.header, &in->header))
            continue;
        net_message_clear(&s->parked.at[i].in.message);
        s->parked.at[i] = p;
        in->message     = (net_message){0};
        return OK;
    }
    if (s->parked.n >= PARKED_MOST(s))
        return err_set(ERR_MESSAGE, "%s finds %zu others waiting for the clock",
                       wire_kind_name(in->header.kind), s->parked.n);
    TRY(vec_push(&s->parked, p));
    in->message = (net_message){0};
    return OK;
}

err_t answer_at(shard *s, incoming *in, uint64_t version, carry_out_function *carry_out)
{
    net_message m   = {0};
    err_t       err = OK;

    if (version > s->clock)
        err = park(s, in, version);
    else if (version < s->clock)
        err = refuse_version(s, in, version);
    else
        err = carry_out(s, in, &m);
    if (err != OK)
        return answer_failed(s, in->peer, &in->header, err);
    return m.data ? answer(s, in->peer, &m) : OK;
}

/* ---- BEGIN ---- */

static err_t check_begin(const incoming *in, const wire_begin *b)
{
    if (b->workers < 1 || b->workers > CONFIG_WORKERS_MAX)
        return err_set(ERR_CONFIG, "a run of %u workers; a shard serves 1 to %d", b->workers,
                       CONFIG_WORKERS_MAX);
    if (b->real_bytes != sizeof(real))
        return err_set(ERR_CONFIG, "the workers' numbers have %u bytes, the server's %zu",
                       b->real_bytes, sizeof(real));
    if (in->header.step > STEP_MOST)
        return err_set(ERR_CONFIG, "a run that begins at step %" PRIu64 "; the last is %u",
                       in->header.step, STEP_MOST);
    return OK;
}

static err_t agree(const shard *s, const manifest *m, const char *folder, uint64_t step)
{
    TRY(manifest_agrees(m, folder, s->options.schema));
    if (m->step != (int64_t)step)
        return err_set(ERR_CONFIG, "%s is the cut at step %" PRId64 ", not %" PRIu64, folder,
                       m->step, step);
    return OK;
}

/* Read the shard's part of the cut at step in folder. */
static err_t load_cut(shard *s, const char *folder, uint64_t step)
{
    manifest_chain chain;
    err_t          err = manifest_chain_read(&chain, folder);

    if (err == OK)
        err = agree(s, &manifest_chain_end(&chain)->manifest, folder, step);
    if (err == OK)
        err = snapshot_read_chain(&chain, s->tables, s->n_tables, &s->options.pulse);
    manifest_chain_clear(&chain);
    return err;
}

static err_t begin(shard *s, const incoming *in, const wire_begin *b)
{
    char folder[CONFIG_PATH_MAX];

    shard_forget(s);
    save_abandon(s);
    s->refused = s->admitted = s->evicted = 0;
    s->begun                              = false;
    s->generation = in->header.generation;
    for (int t = 0; t < s->n_tables; t++)
        TRY(table_empty(&s->tables[t]));
    TRY(check_begin(in, b));
    if (b->path_bytes >= sizeof folder)
        return err_set(ERR_CONFIG, "a checkpoint's path of %u bytes", b->path_bytes);
    memcpy(folder, b->path, b->path_bytes);
    folder[b->path_bytes] = 0;
    if (b->path_bytes)
        TRY(load_cut(s, folder, in->header.step));

    size_t workers = b->workers, tables = (size_t)s->n_tables;
    free(s->parts);
    free(s->halves);
    free(s->paces);
    s->paces   = calloc(workers, sizeof *s->paces);
    s->parts   = calloc(workers * tables + 1, sizeof *s->parts);
    s->halves  = calloc(workers * tables + 1, sizeof *s->halves);
    s->tickets = calloc(workers * TICKETS, sizeof *s->tickets);
    if (!s->paces || !s->parts || !s->halves || !s->tickets)
        return err_memory(workers * TICKETS * sizeof *s->tickets, "the workers' tickets");
    s->workers = (int)b->workers;
    s->front   = 0;
    for (size_t worker = 0; worker < workers; worker++)
        s->paces[worker].next = in->header.step;
    s->noted_since = in->header.step;
    step_set_clock(s, in->header.step);
    if (!b->path_bytes && *s->options.config->init.from)
        TRY(warm_rows_read(s->options.config, s->tables, s->n_tables, &s->options.pulse));
    s->begun = true;
    return OK;
}

err_t handle_begin(shard *s, incoming *in)
{
    wire_begin b;

    TRY(wire_decode_begin(&b, &in->message));
    if (in->header.sender != 0)
        return err_set(ERR_MESSAGE, "BEGIN of worker %u; worker 0 alone begins a run",
                       in->header.sender);
    if (in->header.generation < s->generation)
        return err_set(ERR_MESSAGE, "BEGIN of generation %u; the shard is at %" PRId64,
                       in->header.generation, s->generation);
    net_message m;
    err_t       err = OK;
    if (!s->begun || in->header.generation != s->generation)
        err = begin(s, in, &b); /* else a repeated one: steps may have been applied since */
    if (err == OK)
        err = make_done(s, &in->header, &m);
    return err == OK ? answer(s, in->peer, &m) : answer_failed(s, in->peer, &in->header, err);
}

/* ---- PULL, READ, BIRTH ---- */

static err_t decode_request(wire_request *q, const shard *s, const incoming *in)
{
    TRY(wire_decode_request(q, &in->message));
    if (q->tables != s->n_tables)
        return err_set(ERR_MESSAGE, "%s of %d tables; there are %d",
                       wire_kind_name(in->header.kind), q->tables, s->n_tables);
    for (int t = 0; t < q->tables; t++)
        if (!table_owns(&s->tables[t], q->table[t].ids, q->table[t].n))
            return err_set(ERR_MESSAGE, "%s for ids of table %s that belong to another shard",
                           wire_kind_name(in->header.kind), s->tables[t].config->name);
    return OK;
}

static size_t total_ids(const wire_request *q)
{
    size_t total = 0;

    for (int t = 0; t < q->tables; t++)
        total += q->table[t].n;
    return total;
}

/* The weights of n ids, written to where they travel, from row `first` of the table's
 * values on. rows (n) tells what the ids mean. */
static const void *gather_values(const table *t, const uint64_t *ids, size_t n, uint32_t *rows,
                                 const wire_values *to, size_t first)
{
    size_t dim = to->dim;
    real   wide[GATHERED_MOST];

    if (to->type == PRECISION_FP32) {
        table_gather(t, ids, n, rows, to->values + first * dim);
        return to->values + (first + n) * dim;
    }
    table_gather(t, ids, n, rows, wide);
    bf16_nearest(to->halves + first * dim, wide, n * dim);
    return to->halves + (first + n) * dim;
}

/* All of a table's, a few at a time. */
static void fill_values(const table *t, const uint64_t *ids, uint32_t *rows,
                        const wire_values *to, wire_sum *sum)
{
    size_t most = GATHERED_MOST / to->dim;

    for (size_t first = 0; first < to->n; first += most) {
        size_t n = to->n - first < most ? to->n - first : most;
        wire_sum_until(sum, gather_values(t, ids + first, n, rows + first, to, first));
    }
}

/* The answer to q, whose version is now. rows (total_ids) tells what the ids mean. */
static err_t make_rows(const shard *s, const wire_request *q, const wire_header *asked,
                       uint32_t *rows, net_message *m)
{
    wire_header h = answer_header(s, WIRE_ROWS, asked);
    wire_rows   r = {.version = q->version, .request = asked->kind, .tables = q->tables};

    for (int t = 0; t < q->tables; t++)
        r.table[t] = (wire_values){.n    = q->table[t].n,
                                   .dim  = (uint32_t)s->tables[t].config->dim,
                                   .type = s->options.config->cluster.values};
    TRY(wire_prepare_rows(m, &h, &r));
    wire_sum sum = wire_sum_begin(m);
    for (int t = 0; t < q->tables; t++) {
        fill_values(&s->tables[t], q->table[t].ids, rows, &r.table[t], &sum);
        rows += q->table[t].n;
    }
    wire_sum_seal(&sum, m);
    return OK;
}

/* The rows may change between the version and the push of a later step, so such a reply
 * is kept for who asks again; the reply of the step itself can be made again till then.
 * Under async they may change at any time. */
err_t answer_pull(shard *s, ticket *t)
{
    wire_request q;
    net_message  m;

    if (t->reply.data) {
        TRY(net_message_share(&m, &t->reply));
        return answer(s, t->peer, &m);
    }
    TRY(wire_decode_request(&q, &t->pull));
    q.version = s->clock;
    t->rows.n = total_ids(&q);
    TRY(vec_reserve(&t->rows, t->rows.n));
    err_t err = make_rows(s, &q, &t->asked, t->rows.at, &m);
    if (err != OK)
        return answer_failed(s, t->peer, &t->asked, err);
    if (s->async || t->asked.step > t->version)
        TRY(net_message_share(&t->reply, &m));
    t->state = TICKET_ANSWERED;
    return answer(s, t->peer, &m);
}

/* A pull of a step to come, with no ticket yet. */
static err_t check_pull(const shard *s, const incoming *in, const wire_request *q)
{
    uint64_t step = in->header.step;

    if (step - s->clock >= TICKETS || step > STEP_MOST)
        return err_set(ERR_MESSAGE,
                       "PULL of worker %u for step %" PRIu64 "; the clock is %" PRIu64,
                       in->header.sender, step, s->clock);
    if (q->version > step)
        return err_set(ERR_MESSAGE,
                       "PULL of worker %u for step %" PRIu64
                       " wants the later version %" PRIu64,
                       in->header.sender, step, q->version);
    return q->version < s->clock && !s->async ? refuse_version(s, in, q->version) : OK;
}

static void open_ticket(ticket *t, incoming *in, uint64_t version)
{
    t->state    = TICKET_WAITING;
    t->asked    = in->header;
    t->version  = version;
    t->pull     = in->message;
    in->message = (net_message){0};
}

err_t handle_pull(shard *s, incoming *in)
{
    wire_request q;
    uint64_t     step = in->header.step;

    TRY(decode_request(&q, s, in));
    if (step < shard_next(s, in->header.sender))
        return shard_repeated(s);
    if (s->async && step - s->clock >= TICKETS)
        return err_set(ERR_MESSAGE,
                       "PULL of worker %u for step %" PRIu64 "; the clock is %" PRIu64
                       ", where some worker's push is missing",
                       in->header.sender, step, s->clock); /* it asks again */
    ticket *t        = shard_ticket(s, in->header.sender, step);
    bool    repeated = t->state != TICKET_FREE && t->asked.step == step;
    if (!repeated) {
        err_t err = check_pull(s, in, &q);
        if (err != OK)
            return answer_failed(s, in->peer, &in->header, err);
        open_ticket(t, in, q.version);
    }
    t->peer = in->peer;
    if (t->state == TICKET_WAITING && t->version > s->clock)
        return OK;
    TRY(answer_pull(s, t));
    return step_advance(s); /* its absence may have held up a step */
}

static err_t read_rows(shard *s, const incoming *in, net_message *m)
{
    wire_request q;
    uint32_t    *rows;

    TRY(wire_decode_request(&q, &in->message));
    err_t err = arena_take(&s->scratch, total_ids(&q) * sizeof *rows, &rows);
    if (err == OK)
        err = make_rows(s, &q, &in->header, rows, m);
    arena_reset(&s->scratch);
    return err;
}

err_t handle_read(shard *s, incoming *in)
{
    wire_request q;

    TRY(decode_request(&q, s, in));
    return answer_at(s, in, q.version, read_rows);
}

static err_t bear_rows(shard *s, const incoming *in, net_message *m)
{
    wire_request q;
    uint32_t    *rows;

    TRY(wire_decode_request(&q, &in->message));
    if (s->saving.cut) /* they would be of its step, and not of the cut */
        return err_set(ERR_MESSAGE, "BIRTH while the checkpoint of step %" PRIu64 " is written",
                       s->saving.asked.step);
    err_t err = arena_take(&s->scratch, total_ids(&q) * sizeof *rows, &rows);
    for (int t = 0; err == OK && t < q.tables; t++)
        err = table_bear(&s->tables[t], q.table[t].ids, q.table[t].n, rows);
    arena_reset(&s->scratch);
    return err == OK ? make_done(s, &in->header, m) : err;
}

err_t handle_birth(shard *s, incoming *in)
{
    wire_request q;

    TRY(decode_request(&q, s, in));
    return answer_at(s, in, q.version, bear_rows);
}

/* ---- PUSH ---- */

/* Whether the push's tables are those of the ticket's pull. */
static err_t check_push(const shard *s, const incoming *in, const ticket *t, const wire_push *p)
{
    wire_request q;
    uint64_t     step = in->header.step;

    if (p->pulled_until <= step || p->pulled_until - step > TICKETS)
        return err_set(ERR_MESSAGE,
                       "PUSH of worker %u for step %" PRIu64 " tells of pulls until %" PRIu64,
                       in->header.sender, step, p->pulled_until);
    TRY(wire_decode_request(&q, &t->pull));
    if (p->tables != q.tables)
        return err_set(ERR_MESSAGE, "PUSH of %d tables; there are %d", p->tables, q.tables);
    for (int i = 0; i < q.tables; i++)
        if (p->table[i].n != q.table[i].n ||
            p->table[i].dim != (uint32_t)s->tables[i].config->dim)
            return err_set(ERR_MESSAGE,
                           "PUSH of worker %u for step %" PRIu64
                           ": %u gradients of dim %u for table %s; its pull has %u of dim %d",
                           in->header.sender, step, p->table[i].n, p->table[i].dim,
                           s->tables[i].config->name, q.table[i].n, s->tables[i].config->dim);
    for (int i = 0; i < q.tables; i++)
        if (p->table[i].type != s->options.config->cluster.values)
            return err_set(ERR_MESSAGE,
                           "PUSH of worker %u for step %" PRIu64
                           ": gradients of table %s in another type than cluster.values",
                           in->header.sender, step, s->tables[i].config->name);
    return OK;
}

err_t handle_push(shard *s, incoming *in)
{
    uint64_t  step = in->header.step;
    wire_push p;

    TRY(wire_decode_push(&p, &in->message));
    if (step < shard_next(s, in->header.sender))
        return shard_repeated(s);
    if (step - s->clock >= TICKETS)
        return err_set(ERR_MESSAGE,
                       "PUSH of worker %u for step %" PRIu64 "; the clock is %" PRIu64,
                       in->header.sender, step, s->clock);
    ticket *t = shard_ticket(s, in->header.sender, step);
    if (t->state != TICKET_ANSWERED)
        return err_set(ERR_MESSAGE,
                       "PUSH of worker %u for step %" PRIu64 ", whose rows it does not have",
                       in->header.sender, step);
    if (t->push.data)
        return shard_repeated(s);
    TRY(check_push(s, in, t, &p));
    t->pulled_until = p.pulled_until;
    t->push         = in->message;
    in->message     = (net_message){0};
    return step_push(s, in->header.sender);
}

/* ---- STATS ---- */

err_t handle_stats(shard *s, incoming *in)
{
    wire_header h      = answer_header(s, WIRE_STATED, &in->header);
    wire_stated stated = {.rows     = rows_held(s),
                          .dropped  = s->dropped,
                          .refused  = s->refused,
                          .admitted = s->admitted,
                          .evicted  = s->evicted};
    net_message m;

    TRY(wire_decode_empty(&in->message));
    for (int t = 0; t < s->n_tables; t++)
        stated.bytes += row_store_bytes(s->tables[t].rows) +
                        admission_bytes(&s->tables[t].admission);
    TRY(wire_encode_stated(&m, &h, &stated));
    return answer(s, in->peer, &m);
}
