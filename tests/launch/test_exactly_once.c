/* Real sockets, server threads and worker threads, and 5 % each of all messages lost, doubled
 * and late: the last cut has the bits of a run on a clean wire. (What a simulation shows of
 * every interleaving: test_simulation.c.) */
#include <pthread.h>

#include "lossy.h"
#include "plain_worker.h"

#include "common/log.h"
#include "ps/server.h"

enum { STEPS = 600, WORKERS = 2, SHARDS = 2 };

typedef struct member {
    pthread_barrier_t *barrier;
    const plain_run   *run;
    net               *net;
    const char *const *endpoints;
    double             share;
    int                rank;
    pthread_t          thread;
    plain_worker       worker;
    lossy              wire;
    ps_traffic         traffic;
} member;

static err_t meet(void *self)
{
    pthread_barrier_wait(((member *)self)->barrier);
    return OK;
}

static err_t work(void *self)
{
    (void)self;
    return OK;
}

static err_t take_part(member *m, net_link **link)
{
    TRY(net_dial(link, m->net, SHARDS, m->endpoints));
    lossy_open(&m->wire, net_link_transport(*link), m->share, (uint64_t)m->rank);
    ps_client_options o = {.transport            = &m->wire.wire,
                           .clock                = clock_monotonic(),
                           .generation           = 1,
                           .timeout_s            = 30,
                           .checkpoint_timeout_s = 30,
                           .repeat_s             = 0.004};
    TRY(plain_open(&m->worker, m->run, m->rank, o));
    m->worker.meet = meet;
    m->worker.work = work;
    m->worker.self = m;
    TRY(plain_train(&m->worker));
    m->traffic = ps_client_traffic(m->worker.client);
    return OK;
}

/* The others would wait for who fails: the program ends. */
static void *run_member(void *self)
{
    member   *m    = self;
    net_link *link = NULL;

    if (take_part(m, &link) != OK) {
        printf("worker %d: %s\n", m->rank, err_text());
        fflush(stdout);
        _exit(1);
    }
    plain_close(&m->worker);
    lossy_close(&m->wire);
    net_link_close(&link);
    return NULL;
}

static void train(const plain_run *run, double share, const char *endpoint)
{
    member            members[WORKERS];
    pthread_barrier_t barrier;
    net              *n;
    server           *shards;
    const char       *endpoints[SHARDS];
    server_options    o = {.config      = run->config,
                           .schema      = run->schema,
                           .shards_here = SHARDS,
                           .shards      = SHARDS,
                           .endpoint    = endpoint};

    must(net_new(&n));
    must(server_start(&shards, n, &o));
    for (int k = 0; k < SHARDS; k++)
        endpoints[k] = server_endpoint(shards, k);
    pthread_barrier_init(&barrier, NULL, WORKERS);
    for (int i = 0; i < WORKERS; i++) {
        members[i] = (member){.barrier   = &barrier,
                              .run       = run,
                              .net       = n,
                              .endpoints = endpoints,
                              .share     = share,
                              .rank      = i};
        assert_int_equal(pthread_create(&members[i].thread, NULL, run_member, &members[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        member *m = &members[i];
        pthread_join(m->thread, NULL);
        if (share == 0)
            continue;
        printf(
            "worker %d: of %llu messages %llu lost, %llu twice, %llu late; %llu sent again\n",
            i, (unsigned long long)m->wire.messages, (unsigned long long)m->wire.lost,
            (unsigned long long)m->wire.twice, (unsigned long long)m->wire.late,
            (unsigned long long)m->traffic.repeated);
        assert_true(m->wire.lost > 0 && m->wire.twice > 0 && m->wire.late > 0);
        assert_true(m->traffic.repeated > 0);
    }
    must(server_stop(&shards));
    net_free(&n);
    pthread_barrier_destroy(&barrier);
}

static void compare(int staleness, const char *endpoint)
{
    char      clean[64], bad[64];
    config   *c;
    schema   *s;
    plain_run run = {.seed      = 11 + (uint64_t)staleness,
                     .steps     = STEPS,
                     .workers   = WORKERS,
                     .shards    = SHARDS,
                     .staleness = staleness,
                     .cut_every = 200};

    must(config_parse(&c, "run.yaml", plain_yaml, strlen(plain_yaml), 0, NULL));
    must(schema_new(&s, c));
    run.config = c;
    run.schema = s;
    folder_make_in_memory(clean);
    folder_make_in_memory(bad);
    run.folder = clean;
    train(&run, 0, endpoint);
    run.folder = bad;
    train(&run, 0.05, endpoint);
    assert_true(plain_equal(&run, clean, bad));
    folder_remove(clean);
    folder_remove(bad);
    schema_free(&s);
    config_free(&c);
}

static void a_bad_wire_changes_no_bit_in_sync(void **unused)
{
    (void)unused;
    compare(0, "tcp://127.0.0.1:*");
}

static void a_bad_wire_changes_no_bit_pipelined(void **unused)
{
    (void)unused;
    compare(2, "inproc://shard-%d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_wire_changes_no_bit_in_sync),
        cmocka_unit_test(a_bad_wire_changes_no_bit_pipelined),
    };
    log_threshold(LOG_ERROR); /* drops are meant here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
