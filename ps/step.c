/* step - when a step is complete, or a push by itself, and what happens then (ps/shard.h: the
 * clock). */
#include <inttypes.h>

#include "common/bf16.h"
#include "common/log.h"
#include "ps/applicants.h"
#include "ps/state.h"

/* Whether the worker has pushed the step that the clock is at, and all its pulls that this
 * push speaks of are here: those that must see the rows as they are now are answered. */
static bool worker_is_done(const shard *s, uint32_t worker)
{
    const ticket *now = shard_ticket(s, worker, s->clock);

    if (now->state != TICKET_ANSWERED || !now->push.data)
        return false;
    for (uint64_t step = s->clock + 1; step < now->pulled_until; step++)
        if (shard_ticket(s, worker, step)->state == TICKET_FREE)
            return false;
    return true;
}

static bool step_is_complete(const shard *s)
{
    for (int worker = 0; worker < s->workers; worker++)
        if (!worker_is_done(s, (uint32_t)worker))
            return false;
    return true;
}

/* What the pushes of a step tell of it besides gradients. */
typedef struct step_facts {
    double  samples;
    int64_t time; /* the latest */
    bool    finite;
} step_facts;

/* Bring the ticket and the push of a worker for step together, table by table, in s->parts. */
static err_t collect_parts(shard *s, uint32_t worker, uint64_t step, step_facts *facts)
{
    ticket      *now  = shard_ticket(s, worker, step);
    uint32_t    *rows = now->rows.at;
    wire_request pull;
    wire_push    push;

    TRY(wire_decode_request(&pull, &now->pull));
    TRY(wire_decode_push(&push, &now->push));
    facts->samples += push.samples;
    facts->finite &= push.finite;
    if (push.time > facts->time)
        facts->time = push.time;
    for (int t = 0; t < s->n_tables; t++) {
        int at        = t * s->workers + (int)worker;
        s->halves[at] = push.table[t].halves;
        s->parts[at]  = (update_part){.n         = pull.table[t].n,
                                      .ids       = pull.table[t].ids,
                                      .counts    = pull.table[t].counts,
                                      .rows      = rows,
                                      .gradients = push.table[t].values};
        rows += pull.table[t].n;
    }
    return OK;
}

/* The gradients of n parts of table t, from worker first on, where they came as bf16, as reals
 * of s->scratch. */
static err_t widen_gradients(shard *s, int t, int first, int n_parts)
{
    for (int at = t * s->workers + first; at < t * s->workers + first + n_parts; at++) {
        update_part *part = &s->parts[at];
        size_t       n    = part->n * (size_t)s->tables[t].config->dim;
        real        *wide;
        if (!s->halves[at])
            continue;
        TRY(arena_take(&s->scratch, n * sizeof *wide, &wide));
        bf16_widen(wide, s->halves[at], n);
        part->gradients = wide;
    }
    return OK;
}

static double rate_at(const shard *s, const table *t, uint64_t step)
{
    return t->config->optimizer.lr * config_lr_factor(s->options.config, (int64_t)step);
}

void step_set_clock(shard *s, uint64_t clock)
{
    s->clock = clock;
    if (s->async && clock < s->front)
        return; /* the tables are at the front */
    s->front = clock;
    for (int t = 0; t < s->n_tables; t++) {
        double lr = rate_at(s, &s->tables[t], clock > 0 ? clock - 1 : 0);
        table_set_clock(&s->tables[t], clock, lr);
    }
}

/* Let rows leave that the configuration wants no longer, after a step whose latest sample is
 * of time. */
static err_t evict(shard *s, int number, int64_t step, int64_t time)
{
    table              *t = &s->tables[number];
    const evict_config *c = &t->config->evict;
    eviction_hold      *holds;
    int                 n;

    if (!eviction_wanted(c))
        return OK;
    if (c->idle_days)
        TRY(calendar_note(&t->calendar, step, time, c->idle_days));
    TRY(holds_find(s, number, &holds, &n));
    return eviction_apply(t, holds, n, &s->scratch, &s->evicted);
}

/* Births, counts, admission, touched: of n_parts workers, from `first` on. */
static err_t apply_parts(shard *s, int number, int first, int n_parts, const update_step *step)
{
    update_part      *parts  = &s->parts[number * s->workers + first];
    applicants_result result = {0};
    table            *t      = &s->tables[number];
    uint64_t          before = t->repeated;

    TRY(widen_gradients(s, number, first, n_parts));
    TRY(update_apply(t, parts, n_parts, step, &s->scratch));
    if (before == 0 && t->repeated > 0)
        log_each(LOG_WARN,
                 "table %s: a worker's pull for step %" PRId64 " names an id more than once; "
                 "the first gradient of such an id counts, others are dropped (later ones in "
                 "silence)",
                 t->config->name, step->step);
    TRY(applicants_apply(t, parts, n_parts, &s->scratch, &result));
    s->refused += result.refused;
    s->admitted += result.admitted;
    return OK;
}

/* A step with a gradient that is not finite, or without samples, changes no row. */
static err_t apply_step(shard *s)
{
    const config *c     = s->options.config;
    update_step   step  = {.step = (int64_t)s->clock, .row_norm = c->clip.row_norm};
    step_facts    facts = {.time = WIRE_NO_TIME, .finite = true};

    for (int worker = 0; worker < s->workers; worker++)
        TRY(collect_parts(s, (uint32_t)worker, s->clock, &facts));
    step.samples = facts.samples;
    if (!facts.finite || facts.samples == 0)
        return OK;
    for (int t = 0; t < s->n_tables; t++) {
        step.lr = rate_at(s, &s->tables[t], s->clock);
        TRY(apply_parts(s, t, 0, s->workers, &step));
        TRY(evict(s, t, step.step, facts.time));
        arena_reset(&s->scratch);
    }
    return OK;
}

/* ---- who waited for the new clock ---- */

static err_t serve_pulls(shard *s)
{
    for (int worker = 0; worker < s->workers; worker++)
        for (uint64_t step = s->clock; step < s->clock + TICKETS; step++) {
            ticket *t = shard_ticket(s, (uint32_t)worker, step);
            if (t->state == TICKET_WAITING && t->version == s->clock)
                TRY(answer_pull(s, t));
        }
    return OK;
}

/* Hand in what was parked until now; the rest stays in its order. */
static err_t serve_parked(shard *s)
{
    size_t kept = 0;
    err_t  err  = OK;

    for (size_t i = 0; i < s->parked.n; i++) {
        parked p = s->parked.at[i];
        if (err == OK && p.version == s->clock)
            err = shard_dispatch(s, &p.in);
        else
            s->parked.at[kept++] = p;
    }
    s->parked.n = kept;
    return err;
}

err_t step_advance(shard *s)
{
    while (!s->async && step_is_complete(s)) {
        TRY(apply_step(s));
        for (int worker = 0; worker < s->workers; worker++)
            ticket_release(shard_ticket(s, (uint32_t)worker, s->clock));
        step_set_clock(s, s->clock + 1);
        TRY(serve_pulls(s));
        TRY(serve_parked(s));
    }
    return OK;
}

/* ---- async: a push by itself ---- */

/* The samples of a whole step, as the latest pushes tell; who told nothing yet counts as much
 * as worker. */
static double samples_heard(const shard *s, uint32_t worker)
{
    double samples = 0;

    for (int w = 0; w < s->workers; w++)
        samples += s->paces[s->paces[w].heard ? (uint32_t)w : worker].samples;
    return samples;
}

/* Apply a push with samples and finite gradients, which s->parts has. */
static err_t apply_part(shard *s, uint32_t worker, uint64_t at, int64_t time)
{
    bool moves = at >= s->front;

    if (moves)
        s->front = at + 1;
    update_step step = {.step     = (int64_t)s->front - 1,
                        .samples  = samples_heard(s, worker),
                        .row_norm = s->options.config->clip.row_norm,
                        .shared   = s->workers > 1};
    for (int t = 0; t < s->n_tables; t++) {
        step.lr = rate_at(s, &s->tables[t], (uint64_t)step.step);
        TRY(apply_parts(s, t, (int)worker, 1, &step));
        if (moves)
            TRY(evict(s, t, step.step, time));
        arena_reset(&s->scratch);
    }
    return OK;
}

/* Apply the worker's next push, which is here. */
static err_t apply_push(shard *s, uint32_t worker)
{
    pace      *p     = &s->paces[worker];
    uint64_t   step  = p->next;
    step_facts facts = {.time = WIRE_NO_TIME, .finite = true};

    TRY(collect_parts(s, worker, step, &facts));
    *p = (pace){.next = step + 1, .heard = true, .samples = facts.samples};
    if (facts.finite && facts.samples > 0)
        TRY(apply_part(s, worker, step, facts.time));
    ticket_release(shard_ticket(s, worker, step));
    return OK;
}

/* The clock is at the first step that some worker's push is missing of. */
static err_t follow_slowest(shard *s)
{
    uint64_t least = UINT64_MAX;

    for (int w = 0; w < s->workers; w++)
        least = s->paces[w].next < least ? s->paces[w].next : least;
    if (least == s->clock)
        return OK;
    step_set_clock(s, least);
    TRY(serve_pulls(s));
    return serve_parked(s);
}

err_t step_push(shard *s, uint32_t worker)
{
    if (!s->async)
        return step_advance(s);
    while (shard_ticket(s, worker, s->paces[worker].next)->push.data) {
        TRY(apply_push(s, worker));
        TRY(follow_slowest(s));
    }
    return OK;
}
