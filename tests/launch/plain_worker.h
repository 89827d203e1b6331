/* plain_worker - a worker without a model, for tests of what lies between workers and shards.
 *
 * Its gradients are planted noise on the rows that it saw, so that a row of a wrong version,
 * a gradient lost or counted twice shows in the bits of every later cut. Ids are drawn by
 * (seed, step, rank); now and then a part is empty or a gradient not finite. Cuts, which are
 * drain points, fall on random steps; some of them may be deltas. How workers wait for each
 * other, and for how long they compute, is the test's. */
#ifndef DIPS_TESTS_LAUNCH_PLAIN_WORKER_H
#define DIPS_TESTS_LAUNCH_PLAIN_WORKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/hash.h"
#include "common/manifest_chain.h"
#include "common/rng.h"
#include "common/safetensors.h"
#include "tests/folder.h"
#include "tests/must.h"
#include "worker/ps_client.h"

enum { PLAIN_STEP_S = 20000 }; /* of the data's time */
enum { PLAIN_TABLES = 3, PLAIN_SHARDS_MOST = 4, PLAIN_WORKERS_MOST = 3, PLAIN_AHEAD = 4 };
enum { PLAIN_IDS_MOST = 40, PLAIN_UNIVERSE = 300, PLAIN_SWEPT = 32 };

/* Rows of every fate: some have to earn their place, and all may leave: those that are short,
 * or too many for their bucket; those of days gone by; those that no step touches. */
static const char plain_yaml[] =
    "tables:\n"
    "  plain: {dim: 3, init: {kind: zero}, optimizer: sgd, lr: 0.5,\n"
    "          evict: {min_norm: 0.3, max_bytes: 1000000}}\n"
    "  earned: {dim: 2, optimizer: adam, lr: 0.1, admit: {min_count: 3, counter: exact},\n"
    "           penalty: {kind: minibatch_aware, lambda: 0.1, count: running},\n"
    "           evict: {idle_days: 1}}\n"
    "  leaving: {dim: 1, optimizer: rowwise_adagrad, lr: 0.2, evict: {idle_steps: 5},\n"
    "            admit: {min_count: 2, counter: sketch, expected_ids: 500}}\n"
    "features: {a: {table: plain}, b: {table: earned}, c: {table: leaving}}\n"
    "checkpoint: {delta_every: 5 steps}\n";

/* Under async, where bits depend on what arrives when: sums that are exact in any order. */
static const char plain_exact_yaml[] =
    "tables:\n"
    "  plain: {dim: 3, init: {kind: zero}, optimizer: sgd, lr: 0.5}\n"
    "  other: {dim: 2, init: {kind: zero}, optimizer: sgd, lr: 0.25}\n"
    "  third: {dim: 1, init: {kind: zero}, optimizer: sgd, lr: 1}\n"
    "features: {a: {table: plain}, b: {table: other}, c: {table: third}}\n"
    "train: {mode: async}\n"
    "checkpoint: {delta_every: 5 steps}\n";

/* What a run is; its workers agree on it. */
typedef struct plain_run {
    const config *config;
    const schema *schema;
    uint64_t      seed;
    int64_t       steps;
    int           workers, shards, staleness;
    int           cut_every;  /* steps, in the mean */
    int           full_every; /* cuts, in the mean; the others are deltas. 0, 1: all are full */
    int           keep;       /* checkpoints; 0: two */
    const char   *folder;     /* of its checkpoints */
} plain_run;

typedef struct plain_worker {
    const plain_run *run;
    int              rank;
    ps_client       *client;
    id_maker        *maker;
    arena            memory[PLAIN_AHEAD];
    id_set           sets[PLAIN_AHEAD][PLAIN_TABLES];
    uint64_t         universe[PLAIN_TABLES][PLAIN_UNIVERSE]; /* ids */
    arena            looking;  /* of a READ */
    uint64_t         seen;     /* all rows at the last drain point, hashed */
    uint64_t         evicted;  /* rows, since the last BEGIN, then */
    int64_t          saving;   /* worker 0: the cut that is being written; -1: none is */
    int64_t          base;     /* the last one before it; -1: none */
    manifest_parent  parent;   /* of the cut that is being written */
    err_t (*meet)(void *self); /* all workers are here: what a reduction waits for */
    err_t (*work)(void *self); /* the step's arithmetic takes its time */
    void *self;
} plain_worker;

/* Chance of a step: what for, and of whom. */
enum { PLAIN_CUT, PLAIN_PART, PLAIN_NOISE, PLAIN_PARTS_ROOM = 16 };

/* Of whom, of PLAIN_CUT: whether there is one, and whether it is full. */
enum { PLAIN_IS_CUT, PLAIN_IS_FULL };

static inline bool plain_is_exact(const plain_run *run)
{
    return run->config->train.mode == MODE_ASYNC;
}

static inline rng plain_chance(const plain_run *run, int what, int64_t step, uint64_t whose)
{
    uint64_t seed = hash_mix(run->seed + (uint64_t)what * UINT64_C(0x9e3779b97f4a7c15));

    return rng_named(seed, RNG_TEST, (uint64_t)step, whose);
}

/* The first drain point after step. */
static inline int64_t plain_drain(const plain_run *run, int64_t step)
{
    while (++step < run->steps) {
        rng r = plain_chance(run, PLAIN_CUT, step, PLAIN_IS_CUT);
        if (rng_below(&r, (uint64_t)run->cut_every) == 0)
            break;
    }
    return step;
}

/* Half of a table's ids lie in the buckets that a sweep of the first steps looks at
 * (ps/eviction.h), the others anywhere. */
static inline void plain_found(plain_worker *w)
{
    for (int t = 0; t < PLAIN_TABLES; t++) {
        uint64_t salt = hash_table_salt(w->run->schema->tables[t].config->name), id = 0;
        for (int i = 0; i < PLAIN_UNIVERSE; i++, id++) {
            while (i % 2 == 0 && hash_bucket(hash_id(salt, id)) >= PLAIN_SWEPT)
                id++;
            w->universe[t][i] = id;
        }
    }
}

/* ---- a step ---- */

static inline err_t plain_draw(plain_worker *w, int64_t step)
{
    const plain_run *run  = w->run;
    rng              r    = plain_chance(run, PLAIN_PART, step, (uint64_t)w->rank);
    arena           *a    = &w->memory[step % PLAIN_AHEAD];
    id_set          *sets = w->sets[step % PLAIN_AHEAD];
    uint64_t         ids[PLAIN_TABLES][PLAIN_IDS_MOST];
    const uint64_t  *lists[PLAIN_TABLES];
    size_t           many[PLAIN_TABLES];

    arena_reset(a);
    for (int t = 0; t < PLAIN_TABLES; t++) {
        lists[t] = ids[t];
        many[t]  = rng_below(&r, 8) ? rng_below(&r, PLAIN_IDS_MOST) : 0;
        for (size_t i = 0; i < many[t]; i++)
            ids[t][i] = w->universe[t][rng_below(&r, rng_below(&r, PLAIN_UNIVERSE) + 1)];
    }
    TRY(id_maker_make_bare(w->maker, lists, many, a, sets));
    for (int t = 0; t < PLAIN_TABLES; t++)
        for (int i = 0; i < sets[t].n; i++)
            sets[t].samples[i] = 1 + (uint32_t)rng_below(&r, 3);
    return OK;
}

static inline void plain_fill(const plain_worker *w, int64_t step, const id_set *sets,
                              real *const *rows, real *const *gradients)
{
    for (int t = 0; t < PLAIN_TABLES; t++) {
        int dim = w->run->schema->tables[t].config->dim;
        for (int i = 0; i < sets[t].n; i++) {
            rng r = plain_chance(w->run, PLAIN_NOISE + t, step,
                                 sets[t].ids[i] * PLAIN_WORKERS_MOST + (uint64_t)w->rank);
            for (int at = i * dim; at < (i + 1) * dim; at++)
                gradients[t][at] = plain_is_exact(w->run)
                                       ? (real)rng_below(&r, 9) / 8 - (real)0.5
                                       : rows[t][at] / 4 + (real)(2 * rng_uniform(&r) - 1);
        }
    }
}

static inline err_t plain_step(plain_worker *w, int64_t step, int64_t pulled_until)
{
    const id_set *sets = w->sets[step % PLAIN_AHEAD];
    rng           r    = plain_chance(w->run, PLAIN_PART, step, PLAIN_PARTS_ROOM);
    ps_part       part = {.samples = 2 + w->rank,
                          .time    = PLAIN_STEP_S * step,
                          .finite  = (int)rng_below(&r, 20) != w->rank};
    real         *rows[PLAIN_TABLES], *gradients[PLAIN_TABLES];

    if (plain_is_exact(w->run))
        part = (ps_part){.samples = 2, .finite = true};
    TRY(ps_rows(w->client, step, sets, rows));
    TRY(w->work(w->self));
    TRY(ps_gradients(w->client, step, sets, gradients));
    plain_fill(w, step, sets, rows, gradients);
    TRY(ps_push(w->client, step, pulled_until, &part, sets));
    return w->meet(w->self);
}

/* From one drain point to the next. */
static inline err_t plain_stretch(plain_worker *w, int64_t first, int64_t drain)
{
    const int  staleness = w->run->staleness;
    const bool async     = plain_is_exact(w->run);

    for (int64_t step = first, pulled = first; step < drain; step++) {
        for (; pulled < drain && pulled <= step + staleness; pulled++) {
            int64_t sees = async ? first : pulled - staleness;
            TRY(plain_draw(w, pulled));
            TRY(ps_pull(w->client, pulled, sees > first ? sees : first,
                        w->sets[pulled % PLAIN_AHEAD]));
        }
        TRY(plain_step(w, step, pulled));
    }
    return ps_drain(w->client, drain);
}

/* ---- drain points ---- */

/* Ids of all tables, made anew in w->looking. */
static inline err_t plain_all(plain_worker *w, size_t first, size_t n, id_set *sets)
{
    const uint64_t *lists[PLAIN_TABLES];
    size_t          many[PLAIN_TABLES];

    for (int t = 0; t < PLAIN_TABLES; t++) {
        lists[t] = w->universe[t] + first;
        many[t]  = n;
    }
    arena_reset(&w->looking);
    return id_maker_make_bare(w->maker, lists, many, &w->looking, sets);
}

/* What an evaluation does. */
static inline err_t plain_look(plain_worker *w, int64_t version)
{
    id_set   sets[PLAIN_TABLES];
    real    *rows[PLAIN_TABLES];
    ps_stats stats;

    TRY(plain_all(w, 0, PLAIN_UNIVERSE, sets));
    TRY(ps_read(w->client, version, sets, rows));
    w->seen = 0;
    for (int t = 0; t < PLAIN_TABLES; t++) {
        int dim = w->run->schema->tables[t].config->dim;
        w->seen =
            hash_mix(w->seen + hash_bytes(rows[t], (size_t)(sets[t].n * dim) * sizeof(real)));
    }
    TRY(ps_client_stats(w->client, &stats));
    w->evicted = stats.evicted;
    return OK;
}

/* Each worker sees to it that some ids have rows from the start. */
static inline err_t plain_bear(plain_worker *w)
{
    id_set sets[PLAIN_TABLES];

    TRY(plain_all(w, (size_t)w->rank * 10, 15, sets));
    TRY(ps_birth(w->client, 0, sets));
    return w->meet(w->self);
}

/* The cut that is being written is done: make a checkpoint of it. */
static inline err_t plain_finish(plain_worker *w)
{
    const plain_run    *run = w->run;
    manifest_file       files[PLAIN_SHARDS_MOST + 1];
    char                folder[CONFIG_PATH_MAX], path[CONFIG_PATH_MAX + 32], nothing[] = "";
    safetensors_writer *dense;
    manifest            m = {.step          = w->saving,
                             .parent        = w->parent,
                             .seed          = run->seed,
                             .shards        = run->shards,
                             .schema_hash   = run->schema->hash,
                             .real          = REAL_NAME,
                             .configuration = nothing,
                             .n_files       = run->shards + 1,
                             .files         = files};

    if (w->saving < 0)
        return OK;
    TRY(ps_save_end(w->client, files));
    manifest_folder(folder, run->folder, w->saving);
    snprintf(files[run->shards].name, sizeof files->name, "dense.safetensors");
    snprintf(path, sizeof path, "%s/dense.safetensors", folder);
    TRY(safetensors_create(&dense, path));
    TRY(safetensors_finish(&dense, &files[run->shards].digest));
    TRY(manifest_write(folder, &m, run->schema));
    w->base   = w->saving;
    w->saving = -1;
    return manifest_keep(run->folder, run->keep ? run->keep : 2);
}

/* What the cut at step stands upon: drawn by its step, so that a run that returns writes the
 * same again. */
static inline err_t plain_find_parent(plain_worker *w, int64_t step)
{
    rng      r = plain_chance(w->run, PLAIN_CUT, step, PLAIN_IS_FULL);
    char     folder[CONFIG_PATH_MAX];
    manifest m;

    w->parent = (manifest_parent){0};
    if (w->base < 0 || w->run->full_every <= 1 ||
        rng_below(&r, (uint64_t)w->run->full_every) == 0)
        return OK;
    manifest_folder(folder, w->run->folder, w->base);
    TRY(manifest_read(&m, folder));
    w->parent = (manifest_parent){true, w->base, m.xxh3};
    manifest_clear(&m);
    return OK;
}

static inline err_t plain_write(plain_worker *w, int64_t step)
{
    char folder[CONFIG_PATH_MAX];

    TRY(plain_finish(w));
    TRY(plain_find_parent(w, step));
    manifest_folder(folder, w->run->folder, step);
    TRY(manifest_begin(folder));
    TRY(ps_save_begin(w->client, step, w->parent.there ? w->parent.step : -1, folder));
    w->saving = step;
    return step == w->run->steps ? plain_finish(w) : OK;
}

/* Worker 0 has the cut written while training goes on; the others wait until it has begun. */
static inline err_t plain_save(plain_worker *w, int64_t step)
{
    if (w->rank == 0)
        TRY(plain_write(w, step));
    return w->meet(w->self);
}

/* ---- a worker ---- */

/* o: transport, clock, generation, timeouts and check; the rest is filled in. */
static inline err_t plain_open(plain_worker *w, const plain_run *run, int rank,
                               ps_client_options o)
{
    *w          = (plain_worker){.run = run, .rank = rank, .saving = -1, .base = -1};
    o.schema    = run->schema;
    o.worker    = rank;
    o.workers   = run->workers;
    o.in_flight = run->staleness + 1;
    o.values    = run->config->cluster.values;
    o.async     = run->config->train.mode == MODE_ASYNC;
    plain_found(w);
    TRY(id_maker_new(&w->maker, run->schema, run->shards));
    return ps_client_new(&w->client, &o);
}

static inline void plain_close(plain_worker *w)
{
    ps_client_free(&w->client);
    id_maker_free(&w->maker);
    for (int i = 0; i < PLAIN_AHEAD; i++)
        arena_clear(&w->memory[i]);
    arena_clear(&w->looking);
}

/* Train to the end from the newest cut, or from the empty start. */
static inline err_t plain_train(plain_worker *w)
{
    char    folder[CONFIG_PATH_MAX];
    int64_t step;

    TRY(manifest_newest(&step, w->run->folder));
    TRY(w->meet(w->self)); /* before anybody writes the next one */
    manifest_folder(folder, w->run->folder, step);
    w->base = step;
    if (w->rank == 0)
        TRY(ps_begin(w->client, step < 0 ? NULL : folder, step < 0 ? 0 : step));
    TRY(w->meet(w->self));
    if (step < 0)
        TRY(plain_bear(w));
    for (step = step < 0 ? 0 : step; step < w->run->steps;) {
        int64_t drain = plain_drain(w->run, step);
        TRY(plain_stretch(w, step, drain));
        TRY(plain_look(w, drain));
        TRY(plain_save(w, drain));
        step = drain;
    }
    return OK;
}

/* ---- runs ---- */

/* Whether the last cuts of two runs are the same to the bit. */
static inline bool plain_equal(const plain_run *run, const char *a, const char *b)
{
    const char *folders[] = {a, b};
    manifest    m[2];
    bool        equal = true;

    for (int i = 0; i < 2; i++) {
        char folder[CONFIG_PATH_MAX];
        manifest_folder(folder, folders[i], run->steps);
        must(manifest_read(&m[i], folder));
        must(manifest_verify(&m[i], folder));
    }
    for (int i = 0; i <= run->shards; i++)
        equal &= m[0].files[i].digest.bytes == m[1].files[i].digest.bytes &&
                 m[0].files[i].digest.xxh3 == m[1].files[i].digest.xxh3;
    manifest_clear(&m[0]);
    manifest_clear(&m[1]);
    return equal;
}

#endif
