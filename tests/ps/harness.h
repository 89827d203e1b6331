/* harness - a run in one thread: N shards, and workers that speak wire.h to them.
 *
 * Messages go through a queue, so that a test says when, how often and in which order
 * they arrive; answers are kept per asker until the test takes them. What the workers
 * compute is up to the test. */
#ifndef DIPS_TESTS_PS_HARNESS_H
#define DIPS_TESTS_PS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/hash.h"
#include "common/log.h"
#include "common/manifest.h"
#include "common/optim.h"
#include "common/rng.h"
#include "common/vec.h"
#include "common/wire.h"
#include "ps/shard.h"
#include "ps/snapshot.h"
#include "ps/state.h"
#include "tests/must.h"
#include "tests/room.h"

#define SHARDS_MOST 8

/* A message on its way, to a shard or from one. Workers' peers are their numbers + 1. */
typedef struct letter {
    int         shard;
    uint64_t    peer;
    net_message message;
} letter;

typedef VEC(letter) letters;

typedef struct world {
    config  *config;
    schema  *schema;
    int      n_shards, workers;
    uint32_t generation;
    uint64_t question; /* of the last READ */
    int64_t  time;     /* of the samples of each PUSH; WIRE_NO_TIME: none */
    shard   *shards[SHARDS_MOST];
    struct world_shard {
        struct world *world;
        int           index;
    } selves[SHARDS_MOST];
    letters questions, answers;
} world;

/* The ids that a worker needs of a table for a step, distinct; counts may be NULL. */
typedef struct need {
    uint32_t        n;
    const uint64_t *ids;
    const uint32_t *counts;
} need;

/* ---- a world ---- */

static inline err_t harness_send(void *self, uint64_t peer, net_message *m)
{
    struct world_shard *from = self;
    letter              l    = {from->index, peer, *m};

    *m = (net_message){0};
    return vec_push(&from->world->answers, l);
}

static inline world *world_new(const char *yaml, int n_shards, const char *counts)
{
    world *w = calloc(1, sizeof *w);

    must(config_parse(&w->config, "run.yaml", yaml, strlen(yaml), 0, NULL));
    must(schema_new(&w->schema, w->config));
    w->n_shards = n_shards;
    w->time     = WIRE_NO_TIME;
    for (int i = 0; i < n_shards; i++) {
        w->selves[i]          = (struct world_shard){w, i};
        shard_options options = {.config = w->config,
                                 .schema = w->schema,
                                 .index  = i,
                                 .shards = n_shards,
                                 .counts = counts,
                                 .send   = harness_send,
                                 .self   = &w->selves[i]};
        must(shard_new(&w->shards[i], &options));
    }
    return w;
}

static inline void letters_clear(letters *l)
{
    for (size_t i = 0; i < l->n; i++)
        net_message_clear(&l->at[i].message);
    vec_clear(l);
}

static inline void world_free(world *w)
{
    for (int i = 0; i < w->n_shards; i++)
        shard_free(&w->shards[i]);
    letters_clear(&w->questions);
    letters_clear(&w->answers);
    schema_free(&w->schema);
    config_free(&w->config);
    free(w);
}

/* ---- the post ---- */

static inline void post(world *w, int to, int worker, net_message m)
{
    letter l = {to, (uint64_t)worker + 1, m};
    must(vec_push(&w->questions, l));
}

static inline void hand_in(world *w, int to, uint64_t peer, const net_message *m)
{
    net_message copy;

    must(net_message_new(&copy, m->size));
    memcpy(copy.data, m->data, m->size);
    must(shard_handle(w->shards[to], peer, &copy));
}

/* Deliver the i-th letter of the queue, `times` times. */
static inline void deliver(world *w, size_t i, int times)
{
    letter l = w->questions.at[i];

    w->questions.at[i] = w->questions.at[--w->questions.n];
    while (times--)
        hand_in(w, l.shard, l.peer, &l.message);
    net_message_clear(&l.message);
}

/* All of them in the order of posting. */
static inline void deliver_all(world *w)
{
    for (size_t i = 0; i < w->questions.n; i++) {
        letter *l = &w->questions.at[i];
        hand_in(w, l->shard, l->peer, &l->message);
        net_message_clear(&l->message);
    }
    w->questions.n = 0;
}

/* Take shard's answer of kind to worker's question step; false: there is none yet. */
static inline bool take_answer(world *w, int from, int worker, wire_kind kind, uint64_t step,
                               net_message *m)
{
    for (size_t i = 0; i < w->answers.n; i++) {
        letter     *l = &w->answers.at[i];
        wire_header h;
        must(wire_open(&h, &l->message));
        if (l->shard != from || l->peer != (uint64_t)worker + 1 || h.kind != kind ||
            h.step != step || h.generation != w->generation)
            continue;
        *m = l->message;
        *l = w->answers.at[--w->answers.n];
        return true;
    }
    return false;
}

static inline void expect_answer(world *w, int from, int worker, wire_kind kind, uint64_t step,
                                 net_message *m)
{
    if (!take_answer(w, from, worker, kind, step, m))
        fail_msg("shard %d did not answer worker %d with %s", from, worker,
                 wire_kind_name(kind));
}

/* ---- what workers say ---- */

static inline wire_header head(const world *w, wire_kind kind, int worker, uint64_t step)
{
    return (wire_header){kind, w->generation, (uint32_t)worker, step};
}

/* Begin a run of workers on all shards, from folder (NULL: empty) at step. */
static inline void world_begin(world *w, int workers, const char *folder, uint64_t step)
{
    w->generation++;
    w->workers    = workers;
    wire_header h = head(w, WIRE_BEGIN, 0, step);
    wire_begin  b = {.workers    = (uint32_t)workers,
                     .real_bytes = sizeof(real),
                     .path       = folder,
                     .path_bytes = folder ? (uint32_t)strlen(folder) : 0};
    for (int i = 0; i < w->n_shards; i++) {
        net_message m;
        must(wire_encode_begin(&m, &h, &b));
        post(w, i, 0, m);
    }
    deliver_all(w);
    for (int i = 0; i < w->n_shards; i++) {
        net_message m;
        expect_answer(w, i, 0, WIRE_DONE, step, &m);
        net_message_clear(&m);
    }
}

static inline int owner_of(const world *w, int t, uint64_t id)
{
    return hash_shard_of_bucket(hash_bucket(hash_id(w->schema->tables[t].salt, id)),
                                w->n_shards);
}

/* needs (one per table) as the request to one shard: which[t][i] is the place in needs[t]
 * of its i-th id. */
typedef struct part_of_needs {
    wire_request request;
    uint64_t    *ids[WIRE_MAX_TABLES];
    uint32_t    *counts[WIRE_MAX_TABLES], *which[WIRE_MAX_TABLES];
} part_of_needs;

static inline void split(part_of_needs *p, const world *w, int to, const need *needs)
{
    memset(p, 0, sizeof *p);
    p->request.tables = w->schema->n_tables;
    for (int t = 0; t < p->request.tables; t++) {
        wire_ids *out = &p->request.table[t];
        size_t    n   = needs[t].n + 1;
        p->ids[t]     = malloc(n * sizeof *p->ids[t]);
        p->counts[t]  = malloc(n * sizeof *p->counts[t]);
        p->which[t]   = malloc(n * sizeof *p->which[t]);
        for (uint32_t i = 0; i < needs[t].n; i++) {
            if (owner_of(w, t, needs[t].ids[i]) != to)
                continue;
            p->ids[t][out->n]    = needs[t].ids[i];
            p->counts[t][out->n] = needs[t].counts ? needs[t].counts[i] : 0;
            p->which[t][out->n]  = i;
            out->n++;
        }
        out->ids    = p->ids[t];
        out->counts = needs[t].counts ? p->counts[t] : NULL;
    }
}

static inline void split_clear(part_of_needs *p)
{
    for (int t = 0; t < p->request.tables; t++) {
        free(p->ids[t]);
        free(p->counts[t]);
        free(p->which[t]);
    }
}

/* Post a PULL, READ or BIRTH to every shard. */
static inline void ask(world *w, wire_kind kind, int worker, uint64_t step, uint64_t version,
                       const need *needs)
{
    wire_header h = head(w, kind, worker, step);

    for (int i = 0; i < w->n_shards; i++) {
        part_of_needs p;
        net_message   m;
        split(&p, w, i, needs);
        p.request.version = version;
        must(wire_encode_request(&m, &h, &p.request));
        split_clear(&p);
        post(w, i, worker, m);
    }
}

/* Take the answers of all shards to worker's question step: rows[t] (n, dim). */
static inline void take_rows(world *w, int worker, uint64_t step, const need *needs,
                             real *const *rows)
{
    for (int i = 0; i < w->n_shards; i++) {
        part_of_needs p;
        net_message   m;
        wire_rows     r;
        expect_answer(w, i, worker, WIRE_ROWS, step, &m);
        must(wire_decode_rows(&r, &m));
        split(&p, w, i, needs);
        assert_int_equal(r.tables, p.request.tables);
        for (int t = 0; t < r.tables; t++) {
            size_t dim = (size_t)w->schema->tables[t].config->dim;
            assert_int_equal(r.table[t].n, p.request.table[t].n);
            assert_int_equal(r.table[t].dim, dim);
            for (uint32_t k = 0; k < r.table[t].n; k++)
                memcpy(rows[t] + p.which[t][k] * dim, r.table[t].values + k * dim,
                       dim * sizeof(real));
        }
        split_clear(&p);
        net_message_clear(&m);
    }
}

/* Post the gradients[t] (n, dim) of needs to every shard. */
static inline void push(world *w, int worker, uint64_t step, uint64_t pulled_until,
                        double samples, bool finite, const need *needs, real *const *gradients)
{
    wire_header h = head(w, WIRE_PUSH, worker, step);

    for (int i = 0; i < w->n_shards; i++) {
        part_of_needs p;
        net_message   m;
        wire_push     out = {.pulled_until = pulled_until,
                             .samples      = samples,
                             .time         = w->time,
                             .finite       = finite};
        split(&p, w, i, needs);
        out.tables = p.request.tables;
        for (int t = 0; t < out.tables; t++)
            out.table[t] = (wire_values){.n   = p.request.table[t].n,
                                         .dim = (uint32_t)w->schema->tables[t].config->dim};
        must(wire_prepare_push(&m, &h, &out));
        for (int t = 0; t < out.tables; t++)
            for (uint32_t k = 0; k < out.table[t].n; k++)
                memcpy(out.table[t].values + k * out.table[t].dim,
                       gradients[t] + p.which[t][k] * out.table[t].dim,
                       out.table[t].dim * sizeof(real));
        wire_seal(&m);
        split_clear(&p);
        post(w, i, worker, m);
    }
}

/* The rows of needs as they are at version, by READ. */
static inline void read_rows(world *w, uint64_t version, const need *needs, real *const *rows)
{
    w->question++;
    ask(w, WIRE_READ, 0, w->question, version, needs);
    deliver_all(w);
    take_rows(w, 0, w->question, needs, rows);
}

/* The row itself, where it lies; NULL: there is none. */
static inline const row *row_of(const world *w, int t, uint64_t id)
{
    const row_store *s = w->shards[owner_of(w, t, id)]->tables[t].rows;
    uint32_t         number;

    row_store_find(s, &id, 1, &number);
    return number == ROW_NONE ? NULL : row_store_at(s, number);
}

static inline uint64_t rows_held_by_all(const world *w, int t)
{
    uint64_t rows = 0;

    for (int i = 0; i < w->n_shards; i++)
        rows += row_store_count(w->shards[i]->tables[t].rows);
    return rows;
}

static inline uint64_t dropped_by_all(const world *w)
{
    uint64_t dropped = 0;

    for (int i = 0; i < w->n_shards; i++)
        dropped += w->shards[i]->dropped;
    return dropped;
}

/* ---- files ---- */

static inline int counted_by_bucket(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b; /* hash's bucket, id, count */
    if (x[0] != y[0])
        return x[0] < y[0] ? -1 : 1;
    return (x[1] > y[1]) - (x[1] < y[1]);
}

/* A counts.safetensors at path for table `of`: counts[i] samples with ids[i]. */
static inline void write_counts(const char *path, const char *of, const uint64_t *ids,
                                const uint32_t *counts, size_t n)
{
    const char         *parts[] = {"ids", "buckets", "count"};
    dtype               types[] = {DTYPE_U64, DTYPE_U64, DTYPE_U32};
    uint64_t            sizes[] = {n, HASH_BUCKETS + 1, n}, bucket = 0, i = 0;
    int                 tensors[3];
    safetensors_writer *w;
    uint64_t(*all)[3] = malloc((n + 1) * sizeof *all);

    must(safetensors_create(&w, path));
    for (int k = 0; k < 3; k++) {
        char name[CONFIG_NAME_MAX + 16];
        snprintf(name, sizeof name, "%s.%s", of, parts[k]);
        must(safetensors_declare(w, name, types[k], 1, &sizes[k], &tensors[k]));
    }
    for (size_t k = 0; k < n; k++) {
        all[k][0] = hash_bucket(hash_id(hash_table_salt(of), ids[k]));
        all[k][1] = ids[k];
        all[k][2] = counts[k];
    }
    qsort(all, n, sizeof *all, counted_by_bucket);
    for (size_t k = 0; k < n; k++) {
        must(safetensors_append(w, tensors[0], &all[k][1], 8));
        must(safetensors_append(w, tensors[2], &(uint32_t){(uint32_t)all[k][2]}, 4));
    }
    for (; bucket <= HASH_BUCKETS; bucket++) {
        while (i < n && all[i][0] < bucket)
            i++;
        must(safetensors_append(w, tensors[1], &i, 8));
    }
    must(safetensors_finish(&w, NULL));
    free(all);
}

/* ---- cuts ---- */

#define FULL UINT64_MAX /* a parent's step: there is none */

/* Ask all shards for the cut at step, at which they stand; a delta upon the cut at parent, or
 * FULL. folder is made anew. */
static inline void world_ask_save(world *w, const char *folder, uint64_t step, uint64_t parent)
{
    wire_header h = head(w, WIRE_SAVE, 0, step);
    wire_text   t = {.status = parent == FULL ? 0 : (uint32_t)parent + 1,
                     .text   = folder,
                     .bytes  = (uint32_t)strlen(folder)};

    must(manifest_begin(folder));
    for (int i = 0; i < w->n_shards; i++) {
        net_message m;
        must(wire_encode_text(&m, &h, &t));
        post(w, i, 0, m);
    }
    deliver_all(w);
}

/* What the shards have answered, and the manifest; a parent lies in the room. */
static inline void world_take_saved(world *w, const char *folder, uint64_t step,
                                    uint64_t parent)
{
    manifest_file       files[SHARDS_MOST + 1];
    char                path[CONFIG_PATH_MAX];
    manifest            m = {.step          = (int64_t)step,
                             .shards        = w->n_shards,
                             .schema_hash   = w->schema->hash,
                             .real          = REAL_NAME,
                             .configuration = (char[]){""},
                             .n_files       = w->n_shards + 1,
                             .files         = files};
    safetensors_writer *dense;

    for (int i = 0; i < w->n_shards; i++) {
        net_message message;
        wire_saved  saved;
        expect_answer(w, i, 0, WIRE_SAVED, step, &message);
        must(wire_decode_saved(&saved, &message));
        net_message_clear(&message);
        manifest_shard_name(files[i].name, i, w->n_shards);
        files[i].digest = (safetensors_digest){saved.bytes, saved.xxh3};
    }
    if (parent != FULL) {
        manifest p;
        manifest_folder(path, room, (int64_t)parent);
        must(manifest_read(&p, path));
        m.parent = (manifest_parent){true, p.step, p.xxh3};
        manifest_clear(&p);
    }
    snprintf(path, sizeof path, "%s/dense.safetensors", folder);
    snprintf(files[w->n_shards].name, sizeof files->name, "dense.safetensors");
    must(safetensors_create(&dense, path));
    must(safetensors_finish(&dense, &files[w->n_shards].digest));
    must(manifest_write(folder, &m, w->schema));
    must(manifest_verify(&m, folder));
}

/* Save the cut at step, all shards and a manifest, into folder (made anew). */
static inline void world_save(world *w, const char *folder, uint64_t step)
{
    world_ask_save(w, folder, step, FULL);
    world_take_saved(w, folder, step, FULL);
}

#endif
