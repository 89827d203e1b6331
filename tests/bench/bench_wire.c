/* bench_wire - keys/s of pull and push from a worker through the wire to a shard and back.
 *
 *     bench_wire [ROWS [SECONDS]]
 *
 * One shard with ROWS rows of 16 (SGD), random distinct ids, over each kind of endpoint;
 * SECONDS for each figure. A pull is timed until its rows are in place, a push until the
 * shard says that it has applied it. Beside it a bare echo of the same bytes: the asker
 * writes as many bytes as the request has, the other side as many as the answer has, and
 * nobody looks at them. At the end all rows are compared with what the pushes must give. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/rng.h"
#include "common/wire.h"
#include "ps/server.h"
#include "worker/ps_client.h"

enum { DIM = 16, MOST_IDS = 50000, MOST_TIMES = 1 << 20, WAIT_MS = 20000 };

static const char yaml[] = "tables:\n"
                           "  t: {dim: 16, init: {kind: zero}, optimizer: sgd, lr: 0.5}\n"
                           "features: {f: {table: t}}\n";

typedef struct bench {
    uint64_t   rows;
    double     seconds;
    config    *config;
    schema    *schema;
    net       *server_net, *worker_net; /* the same one for inproc */
    server    *server;
    net_link  *link;
    ps_client *client;
    id_maker  *maker;
    arena      memory;
    rng        chance;
    int64_t    step;
    uint32_t  *pushes; /* (rows) of each id */
} bench;

/* Seconds of each request, and the keys of all of them. */
typedef struct times {
    int    n;
    double keys, total, at[MOST_TIMES];
} times;

static void times_add(times *t, int64_t since, int keys)
{
    double seconds = clock_seconds(clock_monotonic(), since);

    t->total += seconds;
    t->keys += keys;
    if (t->n < MOST_TIMES)
        t->at[t->n++] = seconds;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile_ms(times *t, double share)
{
    qsort(t->at, (size_t)t->n, sizeof *t->at, ascending);
    return t->at[(int)(share * (t->n - 1))] * 1e3;
}

/* ---- the shard and its client ---- */

static err_t open_bench(bench *b, const char *endpoint)
{
    bool           inproc = !strncmp(endpoint, "inproc:", 7);
    server_options so     = {.config      = b->config,
                             .schema      = b->schema,
                             .shards_here = 1,
                             .shards      = 1,
                             .endpoint    = endpoint};

    b->step = 0;
    memset(b->pushes, 0, b->rows * sizeof *b->pushes);
    TRY(net_new(&b->server_net));
    b->worker_net = b->server_net;
    if (!inproc)
        TRY(net_new(&b->worker_net));
    TRY(server_start(&b->server, b->server_net, &so));
    const char *there = server_endpoint(b->server, 0);
    TRY(net_dial(&b->link, b->worker_net, 1, &there));
    ps_client_options co = {.transport = net_link_transport(b->link),
                            .clock     = clock_monotonic(),
                            .schema    = b->schema,
                            .workers   = 1,
                            .in_flight = 1,
                            .timeout_s = WAIT_MS / 1000};
    TRY(ps_client_new(&b->client, &co));
    return ps_begin(b->client, NULL, 0);
}

static err_t close_bench(bench *b)
{
    ps_client_free(&b->client);
    net_link_close(&b->link);
    err_t err = server_stop(&b->server);
    if (b->worker_net != b->server_net)
        net_free(&b->worker_net);
    net_free(&b->server_net);
    return err;
}

/* ids first .. first + n - 1, or n random ones (n distinct, but for a few). */
static err_t make_set(bench *b, uint64_t first, int n, bool random, id_set *set, real **rows)
{
    uint64_t       *ids;
    const uint64_t *lists[1];
    const size_t    many[1] = {(size_t)n};

    arena_reset(&b->memory);
    TRY(arena_take(&b->memory, (size_t)n * sizeof *ids, &ids));
    for (int i = 0; i < n; i++)
        ids[i] = random ? rng_below(&b->chance, b->rows) : first + (uint64_t)i;
    lists[0] = ids;
    TRY(id_maker_make_bare(b->maker, lists, many, &b->memory, set));
    return arena_take(&b->memory, (size_t)n * DIM * sizeof **rows, rows);
}

/* The table is as big as it will be before anything is timed. */
static err_t bear_all(bench *b)
{
    for (uint64_t first = 0; first < b->rows; first += MOST_IDS) {
        uint64_t left = b->rows - first;
        id_set   set;
        real    *rows;
        TRY(make_set(b, first, left < MOST_IDS ? (int)left : MOST_IDS, false, &set, &rows));
        TRY(ps_birth(b->client, 0, &set));
    }
    return OK;
}

/* Pull and push n ids, gradients all 1, for b->seconds of each. */
static err_t time_client(bench *b, int n, times *pull, times *push)
{
    while (pull->total < b->seconds || push->total < b->seconds) {
        id_set   set;
        real    *rows;
        ps_stats stats;
        TRY(make_set(b, 0, n, true, &set, &rows));
        int64_t since = clock_now(clock_monotonic());
        TRY(ps_pull(b->client, b->step, b->step, &set));
        TRY(ps_rows(b->client, b->step, &set, &rows));
        times_add(pull, since, set.n);
        for (int i = 0; i < set.n * DIM; i++)
            rows[i] = 1;
        for (int i = 0; i < set.n; i++)
            b->pushes[set.ids[i]]++;
        since = clock_now(clock_monotonic());
        TRY(ps_push(b->client, b->step, b->step + 1, &(ps_part){1, 0, true}, &set, &rows));
        TRY(ps_client_stats(b->client, &stats));
        times_add(push, since, set.n);
        b->step++;
    }
    return OK;
}

/* Rows are -lr * pushes, exactly. *wrong: how many are not. */
static err_t check_rows(bench *b, uint64_t *wrong)
{
    *wrong = 0;
    for (uint64_t first = 0; first < b->rows; first += MOST_IDS) {
        uint64_t left = b->rows - first;
        id_set   set;
        real    *rows;
        TRY(make_set(b, first, left < MOST_IDS ? (int)left : MOST_IDS, false, &set, &rows));
        TRY(ps_read(b->client, b->step, &set, &rows));
        for (int i = 0; i < set.n; i++)
            for (int d = 0; d < DIM; d++)
                *wrong += rows[i * DIM + d] != (real)-0.5 * (real)b->pushes[set.ids[i]];
    }
    return OK;
}

/* ---- the bare echo ---- */

typedef struct echo {
    net          *nets[2];
    net_listener *listener;
    net_link     *link;
    pthread_t     thread;
    atomic_bool   stop;
    err_report    report;
} echo;

static err_t new_bytes(net_message *m, size_t size)
{
    TRY(net_message_new(m, size));
    memset(m->data, 1, size);
    return OK;
}

/* Answer each message by as many bytes as its first eight say. */
static err_t serve_echo(echo *e)
{
    while (!atomic_load(&e->stop)) {
        uint64_t    peer, size;
        net_message m = {0};
        TRY(net_listener_receive(e->listener, &peer, &m, 100));
        if (!m.data)
            continue;
        memcpy(&size, m.data, sizeof size);
        net_message_clear(&m);
        TRY(new_bytes(&m, size));
        TRY(net_listener_send(e->listener, peer, &m, WAIT_MS));
    }
    return OK;
}

static void *run_echo(void *argument)
{
    echo *e = argument;

    err_keep(&e->report, serve_echo(e));
    return NULL;
}

/* Ask for `down` bytes with `up` bytes; both stand for n keys. */
static err_t time_echo(const echo *e, int n, size_t up, uint64_t down, double seconds, times *t)
{
    const transport *link = net_link_transport(e->link);

    while (t->total < seconds) {
        net_message m     = {0};
        int64_t     since = clock_now(clock_monotonic());
        int         from;
        TRY(new_bytes(&m, up));
        memcpy(m.data, &down, sizeof down);
        TRY(link->send(link->self, 0, &m, WAIT_MS));
        TRY(link->receive(link->self, &from, &m, WAIT_MS));
        if (m.size != down)
            return err_set(ERR_TIMEOUT, "no echo");
        net_message_clear(&m);
        times_add(t, since, n);
    }
    return OK;
}

static err_t open_echo(echo *e, const char *endpoint)
{
    TRY(net_new(&e->nets[0]));
    e->nets[1] = e->nets[0];
    if (strncmp(endpoint, "inproc:", 7) != 0)
        TRY(net_new(&e->nets[1]));
    TRY(net_listen(&e->listener, e->nets[0], endpoint));
    const char *there = net_listener_endpoint(e->listener);
    TRY(net_dial(&e->link, e->nets[1], 1, &there));
    if (pthread_create(&e->thread, NULL, run_echo, e) != 0)
        return err_set(ERR_SYSTEM, "no thread");
    return OK;
}

static err_t close_echo(echo *e)
{
    atomic_store(&e->stop, true);
    pthread_join(e->thread, NULL);
    net_link_close(&e->link);
    net_listener_close(&e->listener);
    if (e->nets[1] != e->nets[0])
        net_free(&e->nets[1]);
    net_free(&e->nets[0]);
    return err_give(&e->report);
}

/* ---- the table ---- */

static void print_line(const char *kind, const char *what, int n, times *t, times *bare)
{
    double ours = t->keys / t->total, theirs = bare->keys / bare->total;

    printf("%-7s %6d  %-4s  %6.2f M keys/s  p50 %7.3f ms  p99 %7.3f ms   echo %6.2f M keys/s  "
           "share %3.0f %%\n",
           kind, n, what, ours * 1e-6, percentile_ms(t, 0.5), percentile_ms(t, 0.99),
           theirs * 1e-6, 100 * ours / theirs);
    fflush(stdout);
}

/* Client and echo take turns request size by request size, so that both see the same
 * machine. */
static err_t bench_size(bench *b, echo *e, const char *kind, int n)
{
    static times pull, push, bare_pull, bare_push;
    const size_t head = WIRE_HEADER_BYTES + 24;
    const size_t keys = (size_t)n * (sizeof(uint64_t) + sizeof(uint32_t));
    const size_t body = (size_t)n * DIM * sizeof(real);

    pull = push = bare_pull = bare_push = (times){0};
    TRY(time_client(b, n, &pull, &push));
    TRY(time_echo(e, n, head + keys, head + body, b->seconds, &bare_pull));
    TRY(time_echo(e, n, head + body, head, b->seconds, &bare_push));
    print_line(kind, "pull", n, &pull, &bare_pull);
    print_line(kind, "push", n, &push, &bare_push);
    return OK;
}

static err_t bench_kind(bench *b, const char *kind, const char *endpoint, const char *echo_at)
{
    static const int sizes[] = {1000, 10000, MOST_IDS};
    echo             e       = {0};
    uint64_t         wrong   = 0;

    TRY(open_bench(b, endpoint));
    TRY(open_echo(&e, echo_at));
    TRY(bear_all(b));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        TRY(bench_size(b, &e, kind, sizes[i]));
    TRY(check_rows(b, &wrong));
    printf("%-7s %lld steps; %llu of %llu numbers are wrong\n", kind, (long long)b->step,
           (unsigned long long)wrong, (unsigned long long)(b->rows * DIM));
    TRY(close_echo(&e));
    TRY(close_bench(b));
    return wrong ? err_set(ERR_NUMERIC, "the rows are not what was pushed") : OK;
}

static void print_machine(void)
{
    char  line[256], *model = NULL;
    FILE *f = fopen("/proc/cpuinfo", "r");

    while (f && !model && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10) && (model = strchr(line, ':')))
            model[strcspn(model, "\n")] = 0;
    printf("%ld x%s\n", sysconf(_SC_NPROCESSORS_ONLN), model ? model + 1 : " unknown");
    if (f)
        fclose(f);
}

static err_t run(bench *b)
{
    char ipc[2][64];

    snprintf(ipc[0], sizeof ipc[0], "ipc://@dips-bench-wire-%d", (int)getpid());
    snprintf(ipc[1], sizeof ipc[1], "ipc://@dips-bench-echo-%d", (int)getpid());
    TRY(config_parse(&b->config, "bench.yaml", yaml, strlen(yaml), 0, NULL));
    TRY(schema_new(&b->schema, b->config));
    TRY(id_maker_new(&b->maker, b->schema, 1));
    b->chance = rng_named(1, RNG_TEST, 0, 0);
    b->pushes = calloc(b->rows, sizeof *b->pushes);
    if (!b->pushes)
        return err_memory(b->rows * sizeof *b->pushes, "the counts of pushes");
    print_machine();
    printf("%llu rows of %d, %s\n", (unsigned long long)b->rows, DIM, REAL_NAME);
    TRY(bench_kind(b, "inproc", "inproc://bench", "inproc://echo"));
    TRY(bench_kind(b, "ipc", ipc[0], ipc[1]));
    return bench_kind(b, "tcp", "tcp://127.0.0.1:*", "tcp://127.0.0.1:*");
}

int main(int argc, char **argv)
{
    bench b = {.rows    = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000,
               .seconds = argc > 2 ? atof(argv[2]) : 0.5};

    if (b.rows == 0 || b.seconds <= 0) {
        fprintf(stderr, "usage: bench_wire [ROWS [SECONDS]]\n");
        return 2;
    }
    if (run(&b) != OK) {
        fprintf(stderr, "bench_wire: %s\n", err_text());
        return 1;
    }
    id_maker_free(&b.maker);
    schema_free(&b.schema);
    config_free(&b.config);
    arena_clear(&b.memory);
    free(b.pushes);
    return 0;
}
