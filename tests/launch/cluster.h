/* cluster - server threads, and worker threads that pull and push over real sockets, in one
 * process. What the workers learn is planted, so that the rows are known. */
#ifndef DIPS_TESTS_LAUNCH_CLUSTER_H
#define DIPS_TESTS_LAUNCH_CLUSTER_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rng.h"
#include "ps/server.h"
#include "worker/ps_client.h"
#include "tests/must.h"

enum { WORKERS = 2, STEPS = 50, PART_IDS = 40, PART_SAMPLES = 4 };
enum { TABLES = 2, IDS = 300, DIM = 3 };

static const char yaml[] = "tables:\n"
                           "  plain: {dim: 3, init: {kind: zero}, optimizer: sgd, lr: 0.5}\n"
                           "  adaptive: {dim: 3, optimizer: rowwise_adagrad, lr: 0.1}\n"
                           "features: {a: {table: plain}, b: {table: adaptive}}\n";

/* All rows of both tables. */
typedef struct state {
    real rows[TABLES][IDS][DIM];
} state;

typedef struct cluster {
    char             *option; /* "key=value" over the configuration; NULL: none */
    config           *config;
    schema           *schema;
    net              *net;
    server           *servers[2];
    int               shards, staleness;
    const char       *endpoints[8];
    pthread_barrier_t begun;
} cluster;

/* ---- servers ---- */

/* As many shards on two servers as wanted (the first server has one). option as in cluster;
 * key: of who may speak, NULL: who likes. */
static inline void open_cluster_for(cluster *c, int shards, const char *endpoint, char *option,
                                    const net_key *key)
{
    *c = (cluster){.shards = shards, .option = option};
    must(config_parse(&c->config, "run.yaml", yaml, strlen(yaml), option != NULL, &c->option));
    must(schema_new(&c->schema, c->config));
    must(key ? net_new_closed(&c->net, key) : net_new(&c->net));
    for (int i = 0, first = 0; first < shards; i++) {
        server_options o = {.config      = c->config,
                            .schema      = c->schema,
                            .first_shard = first,
                            .shards_here = i ? shards - first : 1,
                            .shards      = shards,
                            .endpoint    = endpoint};
        must(server_start(&c->servers[i], c->net, &o));
        for (int k = 0; k < o.shards_here; k++)
            c->endpoints[first + k] = server_endpoint(c->servers[i], k);
        first += o.shards_here;
    }
    pthread_barrier_init(&c->begun, NULL, WORKERS);
}

static inline void open_cluster_with(cluster *c, int shards, const char *endpoint, char *option)
{
    open_cluster_for(c, shards, endpoint, option, NULL);
}

static inline void open_cluster(cluster *c, int shards, const char *endpoint)
{
    open_cluster_with(c, shards, endpoint, NULL);
}

static inline void close_cluster(cluster *c)
{
    for (int i = 0; i < 2; i++)
        if (c->servers[i])
            must(server_stop(&c->servers[i]));
    net_free(&c->net);
    schema_free(&c->schema);
    config_free(&c->config);
    pthread_barrier_destroy(&c->begun);
}

/* ---- a worker ---- */

typedef struct worker {
    cluster   *cluster;
    int        rank;
    pthread_t  thread;
    net_link  *link;
    ps_client *client;
    id_maker  *maker;
    arena      memory;
    err_report report;
} worker;

static inline err_t open_worker(worker *w, cluster *c, int rank)
{
    *w = (worker){.cluster = c, .rank = rank};
    TRY(net_dial(&w->link, c->net, c->shards, c->endpoints));
    TRY(id_maker_new(&w->maker, c->schema, c->shards));
    ps_client_options o = {.transport  = net_link_transport(w->link),
                           .clock      = clock_monotonic(),
                           .schema     = c->schema,
                           .generation = 1,
                           .worker     = rank,
                           .workers    = WORKERS,
                           .in_flight  = c->staleness + 1,
                           .values     = c->config->cluster.values,
                           .async      = c->config->train.mode == MODE_ASYNC,
                           .timeout_s  = 20};
    return ps_client_new(&w->client, &o);
}

static inline void close_worker(worker *w)
{
    ps_client_free(&w->client);
    id_maker_free(&w->maker);
    net_link_close(&w->link);
    arena_clear(&w->memory);
}

/* What the worker's part of a step consists of: ids and their gradients, multiples of
 * 1/8, so that sums and the plain table's rows are exact. */
static inline void draw_part(uint64_t ids[PART_IDS], real gradient[PART_IDS], int64_t step,
                             int rank)
{
    rng r = rng_named(5, RNG_TEST, (uint64_t)step, (uint64_t)rank);

    for (int i = 0; i < PART_IDS; i++) {
        uint64_t id = rng_below(&r, IDS);
        ids[i]      = id;
        gradient[i] = (real)((double)(id % 7) - 3 + (double)rank) / 8;
    }
}

static inline err_t make_sets(worker *w, const uint64_t *ids, size_t n, id_set *sets)
{
    const uint64_t *lists[TABLES] = {ids, ids};
    const size_t    many[TABLES]  = {n, n};

    return id_maker_make_bare(w->maker, lists, many, &w->memory, sets);
}

static inline err_t pull(worker *w, int64_t step, id_set *sets)
{
    uint64_t ids[PART_IDS];
    real     gradient[PART_IDS];
    int      staleness = w->cluster->staleness;

    draw_part(ids, gradient, step, w->rank);
    TRY(make_sets(w, ids, PART_IDS, sets));
    bool async = w->cluster->config->train.mode == MODE_ASYNC;
    return ps_pull(w->client, step, step > staleness && !async ? step - staleness : 0, sets);
}

/* Gradients scaled by the number of the table's column. */
static inline err_t push(worker *w, int64_t step, int64_t pulled_until, const id_set *sets)
{
    uint64_t ids[PART_IDS];
    real     gradient[PART_IDS], *gradients[TABLES];

    TRY(ps_gradients(w->client, step, sets, gradients));
    draw_part(ids, gradient, step, w->rank);
    for (int t = 0; t < TABLES; t++)
        for (int i = 0; i < sets[t].n; i++)
            for (int k = 0; k < PART_IDS; k++)
                for (int d = 0; sets[t].ids[i] == ids[k] && d < DIM; d++)
                    gradients[t][i * DIM + d] = gradient[k] * (real)(d + 1);
    return ps_push(w->client, step, pulled_until, &(ps_part){PART_SAMPLES, 0, true}, sets);
}

static inline err_t train(worker *w)
{
    id_set sets[STEPS][TABLES];
    real  *rows[TABLES];
    int    pulled = 0;

    for (int step = 0; step < STEPS; step++) {
        for (; pulled < STEPS && pulled <= step + w->cluster->staleness; pulled++)
            TRY(pull(w, pulled, sets[pulled]));
        TRY(ps_rows(w->client, step, sets[step], rows));
        TRY(push(w, step, pulled, sets[step]));
    }
    return OK;
}

/* Rows of all ids at version. */
static inline err_t read_all(worker *w, int64_t version, state *s)
{
    uint64_t ids[IDS];
    id_set   sets[TABLES];
    real    *rows[TABLES];

    for (int i = 0; i < IDS; i++)
        ids[i] = (uint64_t)i;
    TRY(make_sets(w, ids, IDS, sets));
    TRY(ps_read(w->client, version, sets, rows));
    for (int t = 0; t < TABLES; t++)
        for (int i = 0; i < sets[t].n; i++)
            memcpy(s->rows[t][sets[t].ids[i]], rows[t] + i * DIM, DIM * sizeof(real));
    return OK;
}

static inline void *run_worker(void *argument)
{
    worker *w   = argument;
    err_t   err = w->rank == 0 ? ps_begin(w->client, NULL, 0) : OK;

    pthread_barrier_wait(&w->cluster->begun);
    if (err == OK)
        err = train(w);
    err_keep(&w->report, err);
    return NULL;
}

/* ---- runs ---- */

/* Train from the empty start; the worker of rank 0 stays open. */
static inline void train_cluster(cluster *c, worker *zero)
{
    worker one;

    must(open_worker(zero, c, 0));
    must(open_worker(&one, c, 1));
    assert_int_equal(pthread_create(&one.thread, NULL, run_worker, &one), 0);
    run_worker(zero);
    pthread_join(one.thread, NULL);
    must(err_give(&zero->report));
    must(err_give(&one.report));
    close_worker(&one);
}

static inline void train_and_read(state *s, int shards, int staleness, const char *endpoint,
                                  char *option)
{
    cluster c;
    worker  zero;

    open_cluster_with(&c, shards, endpoint, option);
    c.staleness = staleness;
    train_cluster(&c, &zero);
    must(read_all(&zero, STEPS, s));
    close_worker(&zero);
    close_cluster(&c);
}

/* SGD on the plain table by hand: w -= lr * (sum of gradients) / samples. All numbers are
 * multiples of 1/128 and small, hence exact. */
static inline void plain_by_hand(real w[IDS][DIM])
{
    memset(w, 0, sizeof(real) * IDS * DIM);
    for (int64_t step = 0; step < STEPS; step++)
        for (int rank = 0; rank < WORKERS; rank++) {
            uint64_t ids[PART_IDS];
            real     gradient[PART_IDS];
            bool     seen[IDS] = {false};
            draw_part(ids, gradient, step, rank);
            for (int i = 0; i < PART_IDS; i++) {
                for (int d = 0; !seen[ids[i]] && d < DIM; d++)
                    w[ids[i]][d] -=
                        (real)0.5 * gradient[i] * (real)(d + 1) / (WORKERS * PART_SAMPLES);
                seen[ids[i]] = true;
            }
        }
}

static inline const char *abstract_endpoint(void)
{
    static char text[64];

    snprintf(text, sizeof text, "ipc://@dips-test-cluster-%d-%%d", (int)getpid());
    return text;
}

/* Messages that the shards dropped, when there are as many as sent, or after 20 s. */
static inline int64_t cluster_dropped(worker *w, int64_t sent)
{
    const clock_source *clock = clock_monotonic();
    int64_t             begin = clock_now(clock);
    ps_stats            stats = {0};

    do
        must(ps_client_stats(w->client, &stats));
    while ((int64_t)stats.dropped < sent && clock_seconds(clock, begin) < 20);
    return (int64_t)stats.dropped;
}

/* Memory of this process, in kB. */
static inline int resident_kb(void)
{
    char  line[256];
    int   kb = 0;
    FILE *f  = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %d", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

#endif
