/* A peer that has the run's key, and every message of an earlier life of the run, sends them
 * again while the run trains: nothing changes. So do messages of the run's own generation under
 * the name of a worker that there is not. */
#include <stdatomic.h>

#include "cluster.h"
#include "common/log.h"
#include "common/net_key.h"
#include "common/vec.h"
#include "tests/folder.h"

enum { SHARDS = 2, EARLIER = 1, NOW = 2, WAIT_MS = 20000, ROUNDS = 3 };

static const char tcp[] = "tcp://127.0.0.1:*";

/* ---- a tape of what workers say ---- */

typedef struct recorded {
    int         shard;
    wire_header header;
    net_message message;
} recorded;

typedef struct tape {
    VEC(recorded) at;
    uint64_t kinds; /* a bit each */
} tape;

/* A transport that keeps a copy of what goes over another one. */
typedef struct recorder {
    transport        wire;
    const transport *under;
    tape            *tape;
} recorder;

static err_t keep(tape *t, int to, const net_message *m)
{
    recorded copy = {.shard = to};

    TRY(wire_open(&copy.header, m));
    TRY(net_message_new(&copy.message, m->size));
    memcpy(copy.message.data, m->data, m->size);
    t->kinds |= UINT64_C(1) << copy.header.kind;
    return vec_push(&t->at, copy);
}

static err_t record_send(void *self, int to, net_message *m, int timeout_ms)
{
    recorder *r = self;

    TRY(keep(r->tape, to, m));
    return r->under->send(r->under->self, to, m, timeout_ms);
}

static err_t record_receive(void *self, int *from, net_message *m, int timeout_ms)
{
    recorder *r = self;

    return r->under->receive(r->under->self, from, m, timeout_ms);
}

static void clear_tape(tape *t)
{
    for (size_t i = 0; i < t->at.n; i++)
        net_message_clear(&t->at.at[i].message);
    vec_clear(&t->at);
}

/* ---- who sends it again ---- */

typedef struct replayer {
    const cluster *cluster;
    const net_key *key;
    tape          *tape;
    pthread_t      thread;
    atomic_bool    over;
    int64_t        sent;
    err_report     report;
} replayer;

/* As it was; or of the generation that lives, and of a worker that is none of the run's. */
static err_t send_again(replayer *r, const transport *t, const recorded *one, bool as_now)
{
    wire_header h = one->header;
    net_message m;

    TRY(net_message_new(&m, one->message.size));
    memcpy(m.data, one->message.data, m.size);
    if (as_now) {
        h.generation = NOW;
        h.sender     = h.kind == WIRE_BEGIN ? 1 : WORKERS + h.sender;
        net_message head;
        TRY(wire_encode_empty(&head, &h));
        memcpy(m.data, head.data, 24); /* all of the header but what the body makes it */
        net_message_clear(&head);
        wire_seal(&m);
    }
    r->sent++;
    return t->send(t->self, one->shard, &m, WAIT_MS);
}

static err_t replay(replayer *r)
{
    net      *n;
    net_link *link;
    err_t     err = OK;

    TRY(net_new_closed(&n, r->key));
    TRY(net_dial(&link, n, SHARDS, r->cluster->endpoints));
    const transport *t = net_link_transport(link);
    for (int round = 0; err == OK && (round < ROUNDS || !atomic_load(&r->over)); round++)
        for (size_t i = 0; err == OK && i < r->tape->at.n; i++)
            err = send_again(r, t, &r->tape->at.at[i], round % 2);
    net_link_close(&link);
    net_free(&n); /* when the last message has left */
    return err;
}

static void *run_replayer(void *self)
{
    replayer *r = self;

    err_keep(&r->report, replay(r));
    return NULL;
}

/* ---- the job ---- */

/* A worker of generation, whose words are kept on tape (NULL: are not). */
static void open_recorded(worker *w, recorder *r, cluster *c, int rank, uint32_t generation,
                          tape *t)
{
    *w = (worker){.cluster = c, .rank = rank};
    must(net_dial(&w->link, c->net, c->shards, c->endpoints));
    must(id_maker_new(&w->maker, c->schema, c->shards));
    *r                  = (recorder){.under = net_link_transport(w->link), .tape = t};
    r->wire             = (transport){r, SHARDS, record_send, record_receive};
    ps_client_options o = {.transport  = t ? &r->wire : r->under,
                           .clock      = clock_monotonic(),
                           .schema     = c->schema,
                           .generation = generation,
                           .worker     = rank,
                           .workers    = WORKERS,
                           .in_flight  = c->staleness + 1,
                           .values     = c->config->cluster.values,
                           .timeout_s  = 20};
    must(ps_client_new(&w->client, &o));
}

/* A life of the run, from the empty start to the end; the worker of rank 0 stays open. tapes:
 * of both workers, or NULL. */
static void live(cluster *c, uint32_t generation, tape *tapes, worker *zero, recorder *ears)
{
    worker one;

    open_recorded(zero, &ears[0], c, 0, generation, tapes);
    open_recorded(&one, &ears[1], c, 1, generation, tapes ? tapes + 1 : NULL);
    assert_int_equal(pthread_create(&one.thread, NULL, run_worker, &one), 0);
    run_worker(zero);
    pthread_join(one.thread, NULL);
    must(err_give(&zero->report));
    must(err_give(&one.report));
    close_worker(&one);
}

/* Everything else that a worker may say. */
static void say_the_rest(worker *w, const char *folder)
{
    uint64_t      ids[2] = {1, 2};
    id_set        sets[TABLES];
    manifest_file files[SHARDS];
    ps_stats      stats;

    must(make_sets(w, ids, 2, sets));
    must(ps_birth(w->client, STEPS, sets));
    must(ps_save_begin(w->client, STEPS, -1, folder));
    must(ps_save_end(w->client, files));
    must(ps_client_stats(w->client, &stats));
}

static void an_earlier_life_of_the_run_changes_nothing(void **unused)
{
    static state     peace, war;
    static const int kinds[] = {WIRE_BEGIN, WIRE_PULL, WIRE_PUSH, WIRE_READ,
                                WIRE_BIRTH, WIRE_SAVE, WIRE_STATS};
    char             folder[64];
    net_key          key;
    cluster          c;
    worker           zero;
    recorder         ears[WORKERS];
    tape             tapes[WORKERS] = {0}, all = {0};

    (void)unused;
    must(net_key_new(&key));
    folder_make(folder);
    open_cluster_for(&c, SHARDS, tcp, NULL, &key);
    live(&c, EARLIER, tapes, &zero, ears);
    must(read_all(&zero, STEPS, &peace));
    say_the_rest(&zero, folder);
    close_worker(&zero);
    for (int w = 0; w < WORKERS; w++) {
        for (size_t i = 0; i < tapes[w].at.n; i++)
            must(vec_push(&all.at, tapes[w].at.at[i]));
        all.kinds |= tapes[w].kinds;
        vec_clear(&tapes[w].at);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        assert_true(all.kinds >> kinds[i] & 1);
    folder_empty(folder);

    replayer enemy = {.cluster = &c, .key = &key, .tape = &all};
    worker   first;
    recorder ear;
    open_recorded(&first, &ear, &c, 0, NOW, NULL);
    must(ps_begin(first.client, NULL, 0)); /* from here on the earlier life is over */
    assert_int_equal(pthread_create(&enemy.thread, NULL, run_replayer, &enemy), 0);
    live(&c, NOW, NULL, &zero, ears);
    atomic_store(&enemy.over, true);
    pthread_join(enemy.thread, NULL);
    must(err_give(&enemy.report));
    assert_true(cluster_dropped(&zero, enemy.sent) >= enemy.sent); /* a worker may ask again, too */
    must(read_all(&zero, STEPS, &war));
    assert_memory_equal(&war, &peace, sizeof war);
    assert_int_equal(rmdir(folder), 0); /* no SAVE wrote anything */
    printf("%lld messages were sent again, of %zu\n", (long long)enemy.sent, all.at.n);
    close_worker(&first);
    close_worker(&zero);
    close_cluster(&c);
    clear_tape(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_earlier_life_of_the_run_changes_nothing),
    };
    log_threshold(LOG_ERROR); /* drops are meant here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
