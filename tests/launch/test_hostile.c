/* Peers that send rubbish to the shards' ports while a job trains: every bad message is
 * dropped and counted, memory stays bounded, and the job ends with the same bits. */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cluster.h"
#include "common/hash.h"

enum {
    SHARDS    = 2,
    LETTERS   = 4000,    /* bad messages of a hostile peer, at least */
    FLOOD     = 300,     /* messages of BYTES, as fast as they leave */
    BYTES     = 1 << 20, /* of one of them */
    STRANGERS = 40,      /* bare TCP connections to each port */
    WAIT_MS   = 20000,
    ROOM_MB   = 160, /* that the servers' memory may grow by under a flood of 600 MB */
};

static const char tcp[] = "tcp://127.0.0.1:*";

/* ---- the hostile process: no assertion here, it tells how many messages it sent ---- */

typedef struct hostile {
    int       pid;
    int       to, from; /* pipes */
    net      *net;
    net_link *link;
    rng       chance;
    char      endpoints[SHARDS][NET_ENDPOINT_MAX];
    int64_t   sent;
} hostile;

static uint32_t below(hostile *h, uint64_t n)
{
    return (uint32_t)rng_below(&h->chance, n);
}

static wire_header some_header(hostile *h, wire_kind kind)
{
    return (wire_header){kind, 1, below(h, WORKERS), below(h, STEPS)};
}

/* Well-formed; of an id of table plain that only shard `of` owns. */
static err_t make_pull(hostile *h, net_message *m, const wire_header *head, int tables, int of)
{
    uint64_t     salt = hash_table_salt("plain"), id = 0;
    wire_request r = {.version = head->step, .tables = tables};

    while (hash_shard_of_bucket(hash_bucket(hash_id(salt, id)), SHARDS) != of)
        id = ((uint64_t)below(h, 1 << 30) << 20) + below(h, 1 << 20);
    r.table[0] = (wire_ids){1, &id, NULL};
    for (int t = 1; t < tables; t++)
        r.table[t] = (wire_ids){0, &id, NULL};
    return wire_encode_request(m, head, &r);
}

/* One gradient for a step whose pull has more. */
static err_t make_push(net_message *m, const wire_header *head, precision_kind type)
{
    wire_push p = {.pulled_until = head->step + 1, .samples = 1e9, .finite = true};

    p.tables = TABLES;
    for (int t = 0; t < TABLES; t++)
        p.table[t] = (wire_values){.n = 1, .dim = DIM, .type = type};
    TRY(wire_prepare_push(m, head, &p));
    for (int t = 0; t < TABLES; t++)
        memset(type ? (void *)p.table[t].halves : (void *)p.table[t].values, 0x44,
               DIM * (type ? sizeof(uint16_t) : sizeof(real)));
    wire_seal(m);
    return OK;
}

static err_t make_garbage(hostile *h, net_message *m, size_t size)
{
    TRY(net_message_new(m, size));
    for (size_t i = 0; i < size; i++)
        m->data[i] = (unsigned char)rng_next(&h->chance);
    return OK;
}

/* m with other bytes: `size` of them, one bit of them flipped. */
static err_t spoil(hostile *h, net_message *m, size_t size, bool flip)
{
    net_message other;

    TRY(net_message_new(&other, size));
    memset(other.data, 0, size);
    memcpy(other.data, m->data, size < m->size ? size : m->size);
    if (flip)
        other.data[below(h, size)] ^= (unsigned char)(1 << below(h, 8));
    net_message_clear(m);
    *m = other;
    return OK;
}

/* A message to shard k that must be dropped, and counted once. */
static err_t make_bad(hostile *h, net_message *m, int k)
{
    wire_header pull = some_header(h, WIRE_PULL), push = some_header(h, WIRE_PUSH);

    switch (below(h, 10)) {
    case 0:
        return make_garbage(h, m, below(h, 2000));
    case 1: /* truncated */
        TRY(make_push(m, &push, PRECISION_FP32));
        return spoil(h, m, below(h, m->size), false);
    case 2: /* longer than it says */
        TRY(make_push(m, &push, PRECISION_FP32));
        return spoil(h, m, m->size + 1 + below(h, 100), false);
    case 3:
        TRY(make_pull(h, m, &pull, TABLES, k));
        return spoil(h, m, m->size, true);
    case 4: /* of another life of the job */
        pull.generation = below(h, 2) ? 0 : 2 + below(h, 1000);
        return make_pull(h, m, &pull, TABLES, k);
    case 5: /* fewer gradients than its pull has ids, if there is one */
        return make_push(m, &push, PRECISION_FP32);
    case 6:
        return make_push(m, &push, PRECISION_BF16);
    case 7: /* too few tables, too many */
        return make_pull(h, m, &pull, below(h, 2) ? 1 : TABLES + 1, k);
    case 8: /* the other shard's id */
        return make_pull(h, m, &pull, TABLES, SHARDS - 1 - k);
    default:
        pull.sender = WORKERS + below(h, 1000);
        return make_pull(h, m, &pull, TABLES, k);
    }
}

static err_t send_bad(hostile *h, int k, net_message *m)
{
    const transport *t = net_link_transport(h->link);

    TRY(t->send(t->self, k, m, WAIT_MS));
    h->sent++;
    return OK;
}

static err_t flood(hostile *h)
{
    for (int i = 0; i < FLOOD; i++)
        for (int k = 0; k < SHARDS; k++) {
            net_message m;
            TRY(net_message_new(&m, BYTES));
            memset(m.data, i, BYTES);
            TRY(send_bad(h, k, &m));
        }
    return OK;
}

/* Bytes to the port of endpoint that are no ZeroMQ, or that stop being so. */
static void be_strange(hostile *h, const char *endpoint)
{
    static const unsigned char greeting[64] = {0xff, [9] = 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    static const unsigned char endless[9]   = {0x02, 0x10}; /* a frame of 2^60 bytes */
    struct sockaddr_in         at           = {.sin_family = AF_INET};
    int                        s            = socket(AF_INET, SOCK_STREAM, 0);
    unsigned char              noise[512];
    ssize_t                    ignored = 0;

    at.sin_port        = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)rng_next(&h->chance);
    if (s >= 0 && connect(s, (struct sockaddr *)&at, sizeof at) == 0) {
        switch (below(h, 3)) {
        case 0:
            ignored += send(s, greeting, sizeof greeting, MSG_NOSIGNAL);
            ignored += send(s, endless, sizeof endless, MSG_NOSIGNAL);
            /* fall through */
        case 1:
            ignored += send(s, noise, sizeof noise, MSG_NOSIGNAL);
            break;
        default:
            ignored += send(s, greeting, below(h, sizeof greeting), MSG_NOSIGNAL);
            break;
        }
    }
    (void)ignored;
    if (s >= 0)
        close(s);
}

/* Send until the pipe says that the job is done, and LETTERS at least. */
static err_t harass(hostile *h)
{
    const char *there[SHARDS] = {h->endpoints[0], h->endpoints[1]};
    char        none;

    TRY(net_new(&h->net));
    TRY(net_dial(&h->link, h->net, SHARDS, there));
    for (int i = 0; i < LETTERS || read(h->to, &none, 1) < 0; i++) {
        net_message m;
        int         k = i % SHARDS;
        TRY(make_bad(h, &m, k));
        TRY(send_bad(h, k, &m));
        if (i < STRANGERS * SHARDS)
            be_strange(h, h->endpoints[k]);
        if (i == STRANGERS * SHARDS && write(h->from, "!", 1) != 1)
            return err_set(ERR_SYSTEM, "nobody listens");
    }
    TRY(flood(h));
    net_link_close(&h->link);
    net_free(&h->net); /* when the last message has left */
    return OK;
}

static int hostile_process(hostile *h)
{
    int64_t sent = -1;

    if (read(h->to, h->endpoints, sizeof h->endpoints) != sizeof h->endpoints ||
        fcntl(h->to, F_SETFL, O_NONBLOCK) != 0)
        return 1;
    if (harass(h) == OK)
        sent = h->sent;
    else
        fprintf(stderr, "hostile: %s\n", err_text());
    return write(h->from, &sent, sizeof sent) == sizeof sent ? 0 : 1;
}

/* Before there are threads. */
static void start_hostile(hostile *h, uint64_t seed)
{
    int down[2], up[2];

    *h = (hostile){.chance = rng_named(seed, RNG_TEST, 0, 0)};
    assert_int_equal(pipe(down), 0);
    assert_int_equal(pipe(up), 0);
    h->pid = fork();
    assert_true(h->pid >= 0);
    if (h->pid == 0) {
        close(down[1]);
        h->to   = down[0];
        h->from = up[1];
        _exit(hostile_process(h));
    }
    close(down[0]);
    close(up[1]);
    h->to   = down[1];
    h->from = up[0];
}

/* Tell the hostile process where the shards are, and wait until it is at work. */
static void let_loose(const hostile *h, const cluster *c)
{
    char endpoints[SHARDS][NET_ENDPOINT_MAX] = {{0}};

    for (int k = 0; k < SHARDS; k++)
        snprintf(endpoints[k], NET_ENDPOINT_MAX, "%s", c->endpoints[k]);
    assert_int_equal(write(h->to, endpoints, sizeof endpoints), sizeof endpoints);
    assert_int_equal(read(h->from, endpoints, 1), 1);
}

/* The job is done: no more new messages. How many were sent. */
static int64_t end_hostile(hostile *h)
{
    int64_t sent;
    int     status;

    close(h->to);
    assert_int_equal(read(h->from, &sent, sizeof sent), sizeof sent);
    assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
    assert_int_equal(status, 0);
    close(h->from);
    return sent;
}

/* ---- the job ---- */

static void rubbish_is_dropped_and_counted_and_changes_no_bit(void **unused)
{
    static state peace, war;
    hostile      enemy;
    cluster      c;
    worker       zero;

    (void)unused;
    start_hostile(&enemy, 1);
    train_and_read(&peace, SHARDS, 1, tcp, NULL);
    int before = resident_kb();
    open_cluster(&c, SHARDS, tcp);
    c.staleness = 1;
    let_loose(&enemy, &c);
    train_cluster(&c, &zero);
    int64_t sent = end_hostile(&enemy);
    assert_true(sent >= LETTERS + SHARDS * FLOOD);
    assert_int_equal(cluster_dropped(&zero, sent), sent);
    must(read_all(&zero, STEPS, &war));
    assert_memory_equal(&war, &peace, sizeof war);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed */
    assert_in_range(resident_kb(), 0, before + ROOM_MB * 1024);
#endif
    (void)before;
    close_worker(&zero);
    close_cluster(&c);
}

/* It asks for the same rows over and over and reads no answer; a worker is served on. */
static void who_asks_and_never_reads_loses_answers_alone(void **unused)
{
    enum { ASKED = 3000 };
    cluster  c;
    worker   deaf, zero;
    uint64_t ids[IDS];
    id_set   sets[TABLES];
    real    *rows[TABLES];

    (void)unused;
    open_cluster(&c, SHARDS, tcp);
    must(open_worker(&zero, &c, 0));
    must(open_worker(&deaf, &c, 1));
    must(ps_begin(zero.client, NULL, 0));
    for (uint64_t i = 0; i < IDS; i++)
        ids[i] = i;
    must(make_sets(&deaf, ids, IDS, sets));
    const transport *t = net_link_transport(deaf.link);
    for (int i = 0; i < ASKED; i++) {
        wire_header  h = {WIRE_READ, 1, 1, (uint64_t)i};
        wire_request r = {.tables = TABLES};
        net_message  m;
        for (int table = 0; table < TABLES; table++)
            r.table[table] =
                (wire_ids){(uint32_t)sets[table].shard_begin[1], sets[table].ids, NULL};
        must(wire_encode_request(&m, &h, &r));
        must(t->send(t->self, 0, &m, WAIT_MS));
    }
    for (int i = 0; i < 20; i++)
        must(ps_read(zero.client, 0, sets, rows));
    close_worker(&deaf);
    close_worker(&zero);
    close_cluster(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rubbish_is_dropped_and_counted_and_changes_no_bit),
        cmocka_unit_test(who_asks_and_never_reads_loses_answers_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
