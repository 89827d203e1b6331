/* simulated_cluster - workers, servers and their links, played event by event.
 *
 * Threads and links are places that do jobs one after the other; threads share the cores of the
 * machine evenly where they have to. A worker asks for rows `staleness` steps ahead, computes a
 * step when its rows are there and its batch is read, pushes, and waits for the sum of dense
 * gradients. A shard answers a pull when its clock has come far enough, and updates its rows
 * when all workers have pushed. How long jobs take is what pace.h says; arithmetic varies by
 * up to `jitter` of itself either way, the same with the same seed. */
#ifndef DIPS_TESTS_BENCH_SIMULATED_CLUSTER_H
#define DIPS_TESTS_BENCH_SIMULATED_CLUSTER_H

#include <math.h>
#include <stdbool.h>

#include "common/rng.h"
#include "common/vec.h"
#include "launch/plan/pace.h"

typedef struct sim_options {
    pace_load    load;
    pace_cluster cluster;
    pace_costs   costs;
    double       jitter;
    uint64_t     seed;
} sim_options;

/* A message goes through CARRY_OUT, LEAVE, FLY, ENTER and CARRY_IN: a thread and a link of who
 * sends it, the way, and a link and a thread of who gets it. */
typedef enum {
    ASK,
    ANSWER,
    UPDATE,
    READ,
    COMPUTE,
    SUM,
    CARRY_OUT,
    LEAVE,
    FLY,
    ENTER,
    CARRY_IN
} sim_kind;
typedef enum { PULL, ROWS, PUSH } sim_message;

typedef struct sim_job {
    sim_kind    kind;
    sim_message message;
    int         worker, shard; /* of all shards */
    int64_t     step;
    double      left; /* seconds */
} sim_job;

typedef struct sim_place {
    VEC(sim_job) jobs;
    size_t first; /* of jobs that is not done */
} sim_place;

/* Of each worker and of each shard; those of a server but THREAD are its first shard's. */
enum { THREAD, READER, CARRIER, OUT, IN, PLACES };
enum { AHEAD = 32 }; /* no more steps are under way */

typedef struct sim_worker {
    int64_t step, asked, read; /* at work on it; the first not asked for, not read */
    int     rows[AHEAD];       /* shards that have answered, by step */
    bool    busy;
} sim_worker;

typedef struct sim_shard {
    int64_t clock;
    int     pushes[AHEAD];
    VEC(sim_job) parked;
} sim_shard;

typedef struct simulation {
    sim_options o;
    rng         chance;
    double      now;
    int         n_shards, n_places;
    int         summed; /* workers that wait for the sum */
    sim_worker *workers;
    sim_shard  *shards;
    sim_place  *places; /* (workers + shards, PLACES) */
    VEC(sim_job) flying, done;
} simulation;

/* ---- places ---- */

static inline err_t sim_put(simulation *s, int owner, int place, sim_job job)
{
    sim_place *p = &s->places[owner * PLACES + place];

    if (p->first == p->jobs.n)
        p->first = p->jobs.n = 0;
    return vec_push(&p->jobs, job);
}

static inline int sim_owner_of_shard(const simulation *s, int shard)
{
    return s->o.cluster.workers + shard;
}

static inline int sim_owner_of_server(const simulation *s, int shard)
{
    return s->o.cluster.workers + shard / s->o.cluster.shards * s->o.cluster.shards;
}

/* ---- messages ---- */

/* Bring a message to its next stage. */
static inline err_t sim_move(simulation *s, sim_job m, sim_kind stage)
{
    bool                carries = stage == CARRY_OUT || stage == CARRY_IN;
    const pace_cluster *c       = &s->o.cluster;
    const pace_load    *l       = &s->o.load;
    bool                here    = (m.message == ROWS) == (stage > FLY); /* at the worker */
    double all   = m.message == PULL ? l->pull : m.message == ROWS ? l->rows : l->push;
    double bytes = all / s->n_shards;

    m.kind = stage;
    if (stage == FLY) {
        m.left = c->latency;
        return vec_push(&s->flying, m);
    }
    if (carries)
        m.left = s->o.costs.io_message + s->o.costs.io_byte * bytes;
    else
        m.left = c->network > 0 ? bytes / c->network * (here ? c->workers_per_host : 1) : 0;
    return sim_put(s, here ? m.worker : sim_owner_of_server(s, m.shard),
                   carries          ? CARRIER
                   : stage == LEAVE ? OUT
                                    : IN,
                   m);
}

static inline err_t sim_send_all(simulation *s, const sim_job *of, sim_message message)
{
    for (int k = 0; k < s->n_shards; k++) {
        sim_job m = {.message = message,
                     .worker  = of->worker,
                     .shard   = (of->worker + k) % s->n_shards,
                     .step    = of->step};
        TRY(sim_move(s, m, CARRY_OUT));
    }
    return OK;
}

/* ---- shards ---- */

/* Half of what a shard does for a worker's step answers its pull, half takes its push. */
static inline double sim_half(const simulation *s)
{
    const pace_costs *k = &s->o.costs;
    const pace_load  *l = &s->o.load;

    return 0.5 * (k->server_message +
                  (k->server_row * l->distinct + k->server_birth * l->births) / s->n_shards);
}

static inline err_t sim_pulled(simulation *s, sim_job job)
{
    sim_shard *h = &s->shards[job.shard];

    if (job.step - s->o.cluster.staleness > h->clock)
        return vec_push(&h->parked, job);
    job.kind = ANSWER;
    job.left = sim_half(s);
    return sim_put(s, sim_owner_of_shard(s, job.shard), THREAD, job);
}

static inline err_t sim_pushed(simulation *s, sim_job job)
{
    sim_shard *h = &s->shards[job.shard];

    if (++h->pushes[job.step % AHEAD] < s->o.cluster.workers)
        return OK;
    job.kind = UPDATE;
    job.left = sim_half(s) * s->o.cluster.workers;
    return sim_put(s, sim_owner_of_shard(s, job.shard), THREAD, job);
}

static inline err_t sim_updated(simulation *s, const sim_job *job)
{
    sim_shard *h = &s->shards[job->shard];
    size_t     n = h->parked.n;

    h->pushes[job->step % AHEAD] = 0;
    h->clock                     = job->step + 1;
    h->parked.n                  = 0;
    for (size_t i = 0; i < n; i++) /* whoever must wait longer takes a place before i */
        TRY(sim_pulled(s, h->parked.at[i]));
    return OK;
}

/* ---- workers ---- */

static inline double sim_handling(const simulation *s)
{
    return s->o.costs.worker_row * s->o.load.distinct + s->o.costs.worker_message * s->n_shards;
}

/* The worker asks for rows of the steps that may be under way. */
static inline err_t sim_ask(simulation *s, int w)
{
    sim_worker *x = &s->workers[w];

    for (; x->asked <= x->step + s->o.cluster.staleness; x->asked++)
        TRY(sim_put(
            s, w, THREAD,
            (sim_job){
                .kind = ASK, .worker = w, .step = x->asked, .left = sim_handling(s) / 2}));
    return OK;
}

static inline err_t sim_compute(simulation *s, int w)
{
    sim_worker *x = &s->workers[w];

    if (x->busy || x->rows[x->step % AHEAD] < s->n_shards || x->read <= x->step)
        return OK;
    double varied            = 1 + s->o.jitter * (2 * rng_uniform(&s->chance) - 1);
    x->busy                  = true;
    x->rows[x->step % AHEAD] = 0;
    TRY(sim_put(s, w, READER, (sim_job){.kind = READ, .worker = w, .left = s->o.load.reading}));
    return sim_put(s, w, THREAD,
                   (sim_job){.kind   = COMPUTE,
                             .worker = w,
                             .step   = x->step,
                             .left   = s->o.load.arithmetic * varied + sim_handling(s) / 2});
}

/* The slowest worker brings the sum of the gradients to all. */
static inline err_t sim_computed(simulation *s, const sim_job *job)
{
    const pace p = pace_of(&s->o.load, &s->o.cluster, &s->o.costs);

    TRY(sim_send_all(s, job, PUSH));
    if (++s->summed < s->o.cluster.workers)
        return OK;
    s->summed = 0;
    for (int w = 0; w < s->o.cluster.workers; w++)
        TRY(sim_put(
            s, w, THREAD,
            (sim_job){.kind = SUM, .worker = w, .left = p.part[PACE_WORKER] - p.compute}));
    return OK;
}

static inline err_t sim_summed(simulation *s, int w)
{
    s->workers[w].busy = false;
    s->workers[w].step++;
    TRY(sim_ask(s, w));
    return sim_compute(s, w);
}

/* ---- events ---- */

static inline err_t sim_got(simulation *s, const sim_job *m)
{
    if (m->message == PULL)
        return sim_pulled(s, *m);
    if (m->message == PUSH)
        return sim_pushed(s, *m);
    s->workers[m->worker].rows[m->step % AHEAD]++;
    return sim_compute(s, m->worker);
}

static inline err_t sim_done(simulation *s, sim_job job)
{
    switch (job.kind) {
    case ASK:
        return sim_send_all(s, &job, PULL);
    case ANSWER:
        job.message = ROWS;
        return sim_move(s, job, CARRY_OUT);
    case UPDATE:
        return sim_updated(s, &job);
    case READ:
        s->workers[job.worker].read++;
        return sim_compute(s, job.worker);
    case COMPUTE:
        return sim_computed(s, &job);
    case SUM:
        return sim_summed(s, job.worker);
    case CARRY_IN:
        return sim_got(s, &job);
    default:
        return sim_move(s, job, job.kind + 1);
    }
}

static inline sim_job *sim_first(sim_place *p)
{
    return p->first < p->jobs.n ? &p->jobs.at[p->first] : NULL;
}

static inline bool sim_needs_core(int place)
{
    return place % PLACES <= CARRIER;
}

/* How fast threads go: as many as have work share the cores. */
static inline double sim_pace_of_threads(const simulation *s)
{
    double cores = s->o.cluster.cores, working = 0;

    for (int i = 0; i < s->n_places; i++)
        working += sim_needs_core(i) && sim_first(&s->places[i]);
    return cores == 0 || working < cores ? 1 : cores / working / s->o.costs.crowding;
}

/* Let dt pass for a job; whether it is done. */
static inline bool sim_pass(sim_job *job, double dt)
{
    job->left -= dt;
    return job->left <= 1e-12;
}

/* Go on to the next time that a job is done, and see to what follows. */
static inline err_t sim_event(simulation *s)
{
    double threads = sim_pace_of_threads(s), dt = INFINITY;

    for (int i = 0; i < s->n_places; i++) {
        const sim_job *job = sim_first(&s->places[i]);
        if (job)
            dt = fmin(dt, job->left / (sim_needs_core(i) ? threads : 1));
    }
    for (size_t i = 0; i < s->flying.n; i++)
        dt = fmin(dt, s->flying.at[i].left);
    if (!isfinite(dt))
        return err_set(ERR_TIMEOUT, "the simulated cluster stands still after %g s", s->now);
    s->now += dt;
    s->done.n = 0;
    for (int i = 0; i < s->n_places; i++) {
        sim_job *job = sim_first(&s->places[i]);
        if (job && sim_pass(job, dt * (sim_needs_core(i) ? threads : 1))) {
            TRY(vec_push(&s->done, *job));
            s->places[i].first++;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < s->flying.n; i++) {
        if (sim_pass(&s->flying.at[i], dt))
            TRY(vec_push(&s->done, s->flying.at[i]));
        else
            s->flying.at[kept++] = s->flying.at[i];
    }
    s->flying.n = kept;
    for (size_t i = 0; i < s->done.n; i++)
        TRY(sim_done(s, s->done.at[i]));
    return OK;
}

/* ---- a run ---- */

static inline err_t sim_begin(simulation *s, const sim_options *o)
{
    int W = o->cluster.workers;

    *s          = (simulation){.o = *o, .chance = rng_named(o->seed, RNG_TEST, 0, 0)};
    s->n_shards = o->cluster.servers * o->cluster.shards;
    s->n_places = (W + s->n_shards) * PLACES;
    s->workers  = calloc((size_t)W, sizeof *s->workers);
    s->shards   = calloc((size_t)s->n_shards, sizeof *s->shards);
    s->places   = calloc((size_t)s->n_places, sizeof *s->places);
    if (!s->workers || !s->shards || !s->places)
        return err_memory((size_t)s->n_places * sizeof *s->places, "a simulated cluster");
    for (int w = 0; w < W; w++) {
        TRY(sim_ask(s, w));
        for (int i = 0; i < o->cluster.staleness + 3; i++) /* as deep as the pipeline */
            TRY(sim_put(s, w, READER,
                        (sim_job){.kind = READ, .worker = w, .left = o->load.reading}));
    }
    return OK;
}

static inline void sim_end(simulation *s)
{
    for (int i = 0; s->places && i < s->n_places; i++)
        vec_clear(&s->places[i].jobs);
    for (int k = 0; s->shards && k < s->n_shards; k++)
        vec_clear(&s->shards[k].parked);
    vec_clear(&s->flying);
    vec_clear(&s->done);
    free(s->workers);
    free(s->shards);
    free(s->places);
}

static inline err_t sim_until(simulation *s, int64_t step)
{
    while (s->workers[0].step < step)
        TRY(sim_event(s));
    return OK;
}

/* *step_s = seconds of a step, in the mean of the second half of `steps`. */
static inline err_t simulate(double *step_s, const sim_options *o, int steps)
{
    simulation s;
    double     half = 0;
    err_t      err  = sim_begin(&s, o);

    if (err == OK)
        err = sim_until(&s, steps / 2);
    half = s.now;
    if (err == OK)
        err = sim_until(&s, steps);
    *step_s = (s.now - half) / (steps - steps / 2);
    sim_end(&s);
    return err;
}

#endif
