/* keeper - a plain model of who has a row, beside shards that do the same.
 *
 * The model is an array of all ids: has it a row, its count, last step and weights, and how
 * often it was seen without a row. Random steps go to both, each pull's values are compared,
 * and from time to time every id's whole state. Gradients are multiples of 1/64, so that
 * their sums do not depend on order. */
#ifndef DIPS_TESTS_PS_KEEPER_H
#define DIPS_TESTS_PS_KEEPER_H

#include "harness.h"

enum { KEEPER_DIM = 2, KEEPER_IDS = 20000, KEEPER_MOST = 64, KEEPER_WORKERS = 2, SEED = 5 };

#define LEARNING_RATE 0.5
#define SAMPLES       4

/* What of table t is put to the test; 0: nothing. */
typedef struct keeper_options {
    const char *yaml; /* of table t, besides dim and optimizer */
    int         staleness;
    uint32_t    min_count;
    bool        exact, sketch;
    double      probability;
    uint32_t    buckets; /* that have ids, equally far from each other; 0: all */
    int64_t     idle_steps, idle_days;
    double      min_norm;
    int64_t     max_bytes;
} keeper_options;

/* An id, and its row if it has one. */
typedef struct person {
    uint64_t id;
    uint32_t bucket;
    bool     row;
    uint32_t count, touched, waiting;
    real     w[KEEPER_DIM], born[KEEPER_DIM];
    real     g[KEEPER_DIM]; /* of the step being applied */
    uint32_t samples, refused;
    int      held; /* tickets that name its row */
} person;

/* A worker's pull: places of the ids, and which had a row. */
typedef struct pulled {
    need     need;
    uint64_t ids[KEEPER_MOST];
    uint32_t counts[KEEPER_MOST];
    uint32_t who[KEEPER_MOST];
    bool     row[KEEPER_MOST];
} pulled;

typedef struct keeper {
    keeper_options o;
    world         *w;
    person        *people;
    uint32_t      *bucket_first; /* (HASH_BUCKETS+1) people stand by bucket, then id */
    uint64_t      *seen;         /* (people) stamps: an id is pulled once by a worker's step */
    int64_t       *day;          /* of each step so far */
    uint64_t       clock, stamp;
    rng            chance;
    pulled         ring[KEEPER_WORKERS][CONFIG_STALENESS_MAX + 1];
    uint64_t       refused, admitted, evicted; /* since the world is new */
    uint32_t       limit;                      /* rows of a bucket by max_bytes; 0: any */
    uint64_t       rows, most_rows;
} keeper;

static inline int by_bucket(const void *a, const void *b)
{
    const person *x = a, *y = b;
    if (x->bucket != y->bucket)
        return x->bucket < y->bucket ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static inline world *keeper_world(const keeper_options *o, int shards)
{
    char yaml[512];

    snprintf(yaml, sizeof yaml,
             "tables: {t: {dim: %d, optimizer: sgd, lr: %g, init: {scale: 1}%s%s}}\n"
             "features: {t: {table: t}}\ntrain: {seed: %d%s}\n"
             "checkpoint: {delta_every: 1 steps}\n",
             KEEPER_DIM, LEARNING_RATE, *o->yaml ? ", " : "", o->yaml, SEED,
             o->staleness ? ", mode: pipelined, staleness: 4" : "");
    return world_new(yaml, shards, NULL);
}

static inline keeper *keeper_new(const keeper_options *o, int shards, uint64_t steps)
{
    keeper *k       = calloc(1, sizeof *k);
    k->o            = *o;
    k->w            = keeper_world(o, shards);
    k->people       = calloc(KEEPER_IDS, sizeof *k->people);
    k->bucket_first = calloc(HASH_BUCKETS + 1, sizeof *k->bucket_first);
    k->seen         = calloc(KEEPER_IDS, sizeof *k->seen);
    k->day          = calloc(steps + 1, sizeof *k->day);
    k->limit        = o->max_bytes ? eviction_most_rows(o->max_bytes, KEEPER_DIM) : 0;
    k->chance       = rng_named(77, RNG_TEST, 0, 0);
    for (uint64_t n = 0, i = 0; n < KEEPER_IDS; i++) {
        uint64_t id     = i % 2 ? i << 16 : UINT64_MAX - i;
        uint32_t bucket = hash_bucket(hash_id(k->w->schema->tables[0].salt, id));
        if (o->buckets && bucket % (HASH_BUCKETS / o->buckets))
            continue;
        person *p = &k->people[n++];
        p->id     = id;
        p->bucket = bucket;
        table_birth_value(&k->w->shards[0]->tables[0], p->id, p->born);
    }
    qsort(k->people, KEEPER_IDS, sizeof *k->people, by_bucket);
    for (uint32_t b = 0, i = 0; b <= HASH_BUCKETS; b++) {
        while (i < KEEPER_IDS && k->people[i].bucket < b)
            i++;
        k->bucket_first[b] = i;
    }
    world_begin(k->w, KEEPER_WORKERS, NULL, 0);
    return k;
}

static inline void keeper_free(keeper *k)
{
    world_free(k->w);
    free(k->people);
    free(k->bucket_first);
    free(k->seen);
    free(k->day);
    free(k);
}

/* ---- pulls ---- */

static inline bool keeper_by_step(const keeper *k)
{
    return k->o.exact || k->o.sketch || k->o.probability > 0;
}

/* Some ids are in many steps, most in few. */
static inline void keeper_pull(keeper *k, int worker, uint64_t step, uint64_t version)
{
    pulled *p = &k->ring[worker][step % (CONFIG_STALENESS_MAX + 1)];
    real    x[KEEPER_MOST * KEEPER_DIM], *at[] = {x};

    k->stamp++;
    p->need = (need){0, p->ids, p->counts};
    for (int i = 0; i < KEEPER_MOST; i++) {
        double   u   = rng_uniform(&k->chance);
        uint32_t who = (uint32_t)(u * u * u * KEEPER_IDS) * 7919 % KEEPER_IDS;
        if (k->seen[who] == k->stamp)
            continue;
        k->seen[who]           = k->stamp;
        p->who[p->need.n]      = who;
        p->ids[p->need.n]      = k->people[who].id;
        p->counts[p->need.n++] = 1 + (uint32_t)rng_below(&k->chance, 3);
    }
    ask(k->w, WIRE_PULL, worker, step, version, &p->need);
    deliver_all(k->w);
    take_rows(k->w, worker, step, &p->need, at);
    for (uint32_t i = 0; i < p->need.n; i++) {
        person    *who              = &k->people[p->who[i]];
        const real none[KEEPER_DIM] = {0};
        assert_memory_equal(x + i * KEEPER_DIM,
                            who->row            ? who->w
                            : keeper_by_step(k) ? none
                                                : who->born,
                            sizeof none);
        p->row[i] = who->row;
        who->held += who->row;
    }
}

/* ---- a step in the model ---- */

static inline void keeper_bear(keeper *k, person *p, uint32_t count)
{
    p->row   = true;
    p->count = count;
    memcpy(p->w, p->born, sizeof p->w);
    k->rows++;
}

static inline void keeper_evict(keeper *k, person *p)
{
    p->row = false;
    k->rows--;
    k->evicted++;
}

/* How many samples had the id where it is admitted now; 0: it is not. A sketch forgets
 * nothing; cells of it end at what does not yet admit. */
static inline uint32_t keeper_admits(const keeper *k, person *p, uint64_t step)
{
    if (k->o.probability > 0) {
        rng r = rng_named(SEED, RNG_ADMIT, k->w->schema->tables[0].salt + step, p->id);
        return rng_uniform(&r) < k->o.probability ? p->refused : 0;
    }
    p->waiting += p->refused;
    uint32_t count = p->waiting;
    if (count < k->o.min_count)
        return 0;
    p->waiting = k->o.sketch ? k->o.min_count - 1 : 0;
    return count;
}

static inline void keeper_apply_to(keeper *k, person *p, uint64_t step)
{
    if (p->samples && !p->row)
        keeper_bear(k, p, 0);
    if (p->samples) {
        for (int d = 0; d < KEEPER_DIM; d++)
            p->w[d] -= (real)LEARNING_RATE * (p->g[d] / (KEEPER_WORKERS * SAMPLES));
        p->count += p->samples;
    }
    if (p->refused && p->row) {
        p->count += p->refused;
    } else if (p->refused) {
        uint32_t count = keeper_admits(k, p, step);
        if (count) {
            keeper_bear(k, p, count);
            k->admitted++;
        }
    }
    if (p->row && (p->samples || p->refused))
        p->touched = (uint32_t)step + 1;
    p->samples = p->refused = 0;
    memset(p->g, 0, sizeof p->g);
}

static inline void keeper_sweep(keeper *k, uint64_t step)
{
    uint32_t b = (uint32_t)(step % HASH_BUCKETS);

    for (uint32_t i = k->bucket_first[b]; i < k->bucket_first[b + 1]; i++) {
        person *p       = &k->people[i];
        double  squares = 0;
        for (int d = 0; d < KEEPER_DIM; d++)
            squares += (double)p->w[d] * (double)p->w[d];
        if (p->row && !p->held &&
            ((k->o.idle_steps && (int64_t)(step + 1 - p->touched) >= k->o.idle_steps) ||
             (k->o.idle_days && k->day[step] - k->day[p->touched - 1] > k->o.idle_days) ||
             squares < k->o.min_norm * k->o.min_norm))
            keeper_evict(k, p);
    }
}

/* One after the other the row that was touched longest ago leaves. */
static inline void keeper_shed(keeper *k, uint32_t b)
{
    uint32_t rows = 0;

    for (uint32_t i = k->bucket_first[b]; i < k->bucket_first[b + 1]; i++)
        rows += k->people[i].row;
    if (rows <= k->limit)
        return;
    while (rows-- > k->limit - k->limit / 64) {
        person *oldest = NULL;
        for (uint32_t i = k->bucket_first[b]; i < k->bucket_first[b + 1]; i++) {
            person *p = &k->people[i];
            if (p->row && !p->held && (!oldest || p->touched < oldest->touched))
                oldest = p;
        }
        if (!oldest)
            return;
        keeper_evict(k, oldest);
    }
}

static inline void keeper_apply(keeper *k, uint64_t step)
{
    for (int worker = 0; worker < KEEPER_WORKERS; worker++) {
        pulled *p = &k->ring[worker][step % (CONFIG_STALENESS_MAX + 1)];
        for (uint32_t i = 0; i < p->need.n; i++) {
            person *who = &k->people[p->who[i]];
            who->held -= p->row[i];
            if (!p->row[i] && keeper_by_step(k)) {
                who->refused += p->counts[i];
                k->refused++;
            } else {
                who->samples += p->counts[i];
            }
        }
    }
    for (int worker = 0; worker < KEEPER_WORKERS; worker++) {
        pulled *p = &k->ring[worker][step % (CONFIG_STALENESS_MAX + 1)];
        for (uint32_t i = 0; i < p->need.n; i++)
            if (k->people[p->who[i]].samples || k->people[p->who[i]].refused)
                keeper_apply_to(k, &k->people[p->who[i]], step);
    }
    keeper_sweep(k, step);
    for (int worker = 0; k->limit && worker < KEEPER_WORKERS; worker++) {
        pulled *p = &k->ring[worker][step % (CONFIG_STALENESS_MAX + 1)];
        for (uint32_t i = 0; i < p->need.n; i++)
            keeper_shed(k, k->people[p->who[i]].bucket);
    }
    if (k->rows > k->most_rows)
        k->most_rows = k->rows;
}

/* ---- both ---- */

static inline void keeper_push(keeper *k, int worker, uint64_t step, uint64_t until)
{
    pulled *p = &k->ring[worker][step % (CONFIG_STALENESS_MAX + 1)];
    real    g[KEEPER_MOST * KEEPER_DIM], *gs[] = {g};

    for (uint32_t i = 0; i < p->need.n; i++)
        for (int d = 0; d < KEEPER_DIM; d++) {
            real x                          = ((real)rng_below(&k->chance, 64) - 32) / 64;
            g[i * KEEPER_DIM + (uint32_t)d] = x;
            if (p->row[i] || !keeper_by_step(k))
                k->people[p->who[i]].g[d] += x;
        }
    push(k->w, worker, step, until, SAMPLES, true, &p->need, gs);
}

/* Run to the step `to`, a drain point, from another. A day has 64 steps or so. */
static inline void keeper_run(keeper *k, uint64_t to)
{
    uint64_t from = k->clock, next = k->clock, stale = (uint64_t)k->o.staleness;

    for (; k->clock < to; k->clock++) {
        uint64_t step = k->clock;
        for (; next < to && next <= step + stale; next++)
            for (int worker = 0; worker < KEEPER_WORKERS; worker++)
                keeper_pull(k, worker, next, next > from + stale ? next - stale : from);
        int64_t time = ((int64_t)step * 1350 - 5000000) + (int64_t)rng_below(&k->chance, 5000);
        int64_t day  = time / 86400 - (time % 86400 < 0);
        k->day[step] = step && k->day[step - 1] > day ? k->day[step - 1] : day;
        for (int worker = KEEPER_WORKERS; worker-- > 0;) { /* now one has the latest, now another */
            k->w->time = time - 100000 * ((worker + (int)step) % KEEPER_WORKERS);
            keeper_push(k, worker, step, next);
        }
        deliver_all(k->w);
        keeper_apply(k, step);
    }
}

/* Every id, in every shard. */
static inline void keeper_compare(const keeper *k)
{
    uint64_t refused = 0, admitted = 0, evicted = 0;

    assert_int_equal(rows_held_by_all(k->w, 0), k->rows);
    for (int i = 0; i < KEEPER_IDS; i++) {
        const person *p = &k->people[i];
        const row    *r = row_of(k->w, 0, p->id);
        assert_true(!r == !p->row);
        if (!r)
            continue;
        assert_int_equal(r->count, p->count);
        assert_int_equal(r->touched, p->touched);
        assert_memory_equal(r->x, p->w, sizeof p->w);
    }
    for (int i = 0; i < k->w->n_shards; i++) {
        refused += k->w->shards[i]->refused;
        admitted += k->w->shards[i]->admitted;
        evicted += k->w->shards[i]->evicted;
    }
    assert_int_equal(refused, k->refused);
    assert_int_equal(admitted, k->admitted);
    assert_int_equal(evicted, k->evicted);
    assert_int_equal(dropped_by_all(k->w), 0);
}

/* Go on in a new world of so many shards, from a checkpoint. */
static inline void keeper_move(keeper *k, int shards)
{
    world *next = keeper_world(&k->o, shards);

    world_save(k->w, inside("cut"), k->clock);
    world_free(k->w);
    k->w       = next;
    k->refused = k->admitted = k->evicted = 0;
    world_begin(next, KEEPER_WORKERS, inside("cut"), k->clock);
}

/* Steps that end in the same state as the model's, compared on the way, in worlds that
 * come and go. */
static inline void keeper_keep(const keeper_options *o, uint64_t steps)
{
    static const int shards[] = {1, 3, 8, 2};

    keeper *k = keeper_new(o, 2, steps);
    for (int i = 0; i < 4; i++) {
        keeper_run(k, steps * (uint64_t)(i * 2 + 1) / 8);
        keeper_compare(k);
        keeper_move(k, shards[i]);
        keeper_run(k, steps * (uint64_t)(i * 2 + 2) / 8);
        keeper_compare(k);
    }
    if (k->limit)
        assert_true(k->most_rows <=
                    (uint64_t)(o->buckets ? o->buckets : HASH_BUCKETS) * k->limit +
                        KEEPER_MOST * KEEPER_WORKERS * (uint64_t)o->staleness);
    assert_true(k->evicted + k->admitted > 0);
    keeper_free(k);
}

#endif
