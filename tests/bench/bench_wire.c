/* bench_wire - keys/s of pull and push from a worker through the wire to a shard and back.
 *
 *     bench_wire [ROWS [SECONDS [SHARDS [KIND...]]]]        KIND: tcp curve ipc inproc
 *
 * SHARDS threads, one unless told, with ROWS rows of 16 (SGD), all born before anything is
 * timed, in a process of their own (inproc: of this one); random distinct ids, 1,000 to 100,000
 * a request, one and four requests in flight; SECONDS for each figure.
 *
 *   pull   from the request until its rows are in place
 *   push   from room for the first gradients until the shards say that all are applied
 *   step   a pull and a push, as a worker that trains with staleness 0 (3: four in flight)
 *
 * cpu: what the near and the far process worked for a key (inproc: all in the near one).
 * Beside each a bare echo of the same bytes with as many in flight (bare_echo.h), and a table
 * of the same rows that finds and updates them without any message; they take turns, many
 * times: rates are medians over the turns. alone: what the table works for a key. of: the
 * echo's work and the table's, as a share of ours; who carries and finds rows does no less. At
 * the end rows are compared with what the pushes must give. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "common/wire.h"
#include "far_side.h"
#include "ps/update.h"
#include "worker/ps_client.h"

enum {
    DIM         = 16,
    MOST_IDS    = 100000,
    MOST_FLIGHT = 4,
    GROUP       = 8, /* steps that are pulled, and then pushed, with several in flight */
    TURNS       = 9,
    MOST_TIMES  = 1 << 16,
    WAIT_MS     = 20000,
    CHECKED     = 1000000, /* rows compared at the end, at most */
};

static const char yaml[] = "tables:\n"
                           "  t: {dim: 16, init: {kind: zero}, optimizer: sgd, lr: 0.5}\n"
                           "features: {f: {table: t}}\n";

/* A table without a wire. */
typedef struct lone_table {
    table     table;
    uint32_t *rows;   /* (GROUP, MOST_IDS) */
    real     *values; /* (MOST_IDS, DIM) */
    arena     scratch;
} lone_table;

typedef struct bench {
    uint64_t   rows;
    double     seconds;
    int        shards;
    config    *config;
    schema    *schema;
    far_side   far;
    net       *net;
    net_link  *link, *echo;
    ps_client *client;
    lone_table alone;
    id_maker  *maker;
    rng        chance;
    int64_t    step;
    uint32_t  *pushes; /* (rows) of each id */
    arena      memory[GROUP];
    id_set     sets[GROUP];
} bench;

/* ---- the near side ---- */

static err_t open_alone(lone_table *a, const schema *s)
{
    a->rows   = malloc((size_t)GROUP * MOST_IDS * sizeof *a->rows);
    a->values = calloc((size_t)MOST_IDS * DIM, sizeof *a->values);
    if (!a->rows || !a->values)
        return err_memory((size_t)MOST_IDS * DIM * sizeof *a->values, "a table without a wire");
    TRY(table_init(&a->table, &s->tables[0], 1, NULL, 0, HASH_BUCKETS));
    table_set_clock(&a->table, 0, 0.5);
    return OK;
}

static void close_alone(lone_table *a)
{
    table_clear(&a->table);
    arena_clear(&a->scratch);
    free(a->rows);
    free(a->values);
    *a = (lone_table){0};
}

static err_t open_bench(bench *b, const char *kind)
{
    const char *shards[FAR_SHARDS], *echo = b->far.echo_at;

    b->step = 0;
    memset(b->pushes, 0, b->rows * sizeof *b->pushes);
    TRY(far_open(&b->far, kind, b->shards, b->config, b->schema));
    for (int k = 0; k < b->shards; k++)
        shards[k] = b->far.endpoints[k];
    b->net = b->far.net;
    if (b->far.pid)
        TRY(far_net(&b->net, &b->far));
    TRY(net_dial(&b->link, b->net, b->shards, shards));
    TRY(net_dial(&b->echo, b->net, 1, &echo));
    ps_client_options options = {.transport = net_link_transport(b->link),
                                 .clock     = clock_monotonic(),
                                 .schema    = b->schema,
                                 .workers   = 1,
                                 .in_flight = GROUP + MOST_FLIGHT,
                                 .timeout_s = WAIT_MS / 1000};
    TRY(ps_client_new(&b->client, &options));
    TRY(open_alone(&b->alone, b->schema));
    return ps_begin(b->client, NULL, 0);
}

static err_t close_bench(bench *b)
{
    close_alone(&b->alone);
    ps_client_free(&b->client);
    net_link_close(&b->link);
    net_link_close(&b->echo);
    if (b->far.pid)
        net_free(&b->net);
    return far_close(&b->far);
}

/* sets[i] = ids first .. first + n - 1, or n random ones (distinct, but for a few). */
static err_t make_set(bench *b, int i, uint64_t first, int n, bool random)
{
    arena          *a = &b->memory[i];
    uint64_t       *ids;
    const uint64_t *lists[1];
    const size_t    many[1] = {(size_t)n};

    arena_reset(a);
    TRY(arena_take(a, (size_t)n * sizeof *ids, &ids));
    for (int k = 0; k < n; k++)
        ids[k] = random ? rng_below(&b->chance, b->rows) : first + (uint64_t)k;
    lists[0] = ids;
    return id_maker_make_bare(b->maker, lists, many, a, &b->sets[i]);
}

/* The table is as big as it will be before anything is timed. */
static err_t bear_all(bench *b)
{
    for (uint64_t first = 0; first < b->rows; first += MOST_IDS) {
        uint64_t left = b->rows - first;
        TRY(make_set(b, 0, first, left < MOST_IDS ? (int)left : MOST_IDS, false));
        TRY(ps_birth(b->client, 0, &b->sets[0]));
        TRY(table_bear(&b->alone.table, b->sets[0].ids, (size_t)b->sets[0].n, b->alone.rows));
    }
    return OK;
}

/* Rows are -lr * pushes, exactly. *wrong: how many numbers are not. */
static err_t check_rows(bench *b, uint64_t *compared, uint64_t *wrong)
{
    uint64_t pieces = (b->rows + MOST_IDS - 1) / MOST_IDS;
    uint64_t stride = pieces * MOST_IDS > CHECKED ? pieces * MOST_IDS / CHECKED : 1;

    real *rows;

    *compared = *wrong = 0;
    for (uint64_t piece = 0; piece < pieces; piece += stride) {
        uint64_t first = piece * MOST_IDS, left = b->rows - first;
        id_set  *set = &b->sets[0];
        TRY(make_set(b, 0, first, left < MOST_IDS ? (int)left : MOST_IDS, false));
        TRY(ps_read(b->client, b->step, set, &rows));
        for (int i = 0; i < set->n * DIM; i++)
            *wrong += rows[i] != (real)-0.5 * (real)b->pushes[set->ids[i / DIM]];
        *compared += (uint64_t)set->n * DIM;
    }
    return OK;
}

/* ---- figures ---- */

/* One figure: keys/s of each turn, and seconds of each request. */
typedef struct figure {
    int    turns, n;
    double rate[TURNS], at[MOST_TIMES];
    double keys, total;      /* of this turn */
    double all_keys, cpu[2]; /* seconds that the near and the far process worked */
} figure;

static void figure_time(figure *f, int64_t since)
{
    if (f->n < MOST_TIMES)
        f->at[f->n++] = clock_seconds(clock_monotonic(), since);
}

/* The start of something timed. */
typedef struct mark {
    int64_t at;
    double  cpu[2];
} mark;

static mark mark_now(const bench *b)
{
    return (mark){.at  = now(),
                  .cpu = {cpu_seconds(0), b->far.pid ? cpu_seconds(b->far.pid) : 0}};
}

static void figure_add(figure *f, const bench *b, mark since, double keys)
{
    mark to = mark_now(b);

    f->total += (double)(to.at - since.at) * 1e-9;
    f->keys += keys;
    f->all_keys += keys;
    for (int i = 0; i < 2; i++)
        f->cpu[i] += to.cpu[i] - since.cpu[i];
}

static void figure_turn(figure *f)
{
    f->rate[f->turns++] = f->keys / f->total;
    f->keys = f->total = 0;
}

static double percentile(double *at, int n, double share)
{
    qsort(at, (size_t)n, sizeof *at, ascending);
    return n ? at[(int)(share * (n - 1))] : 0;
}

/* What is measured: this many ids a request, this many requests in flight. */
typedef struct setting {
    int n, flight;
} setting;

static int group_of(setting s)
{
    return s.flight == 1 ? 1 : GROUP;
}

/* ---- the client at work ---- */

/* Pull the steps b->step .. with `flight` at a time; all see the rows as they are now. */
static err_t pull_group(bench *b, setting s, figure *pull)
{
    int     group = group_of(s), asked = 0;
    double  keys  = 0;
    mark    begin = mark_now(b);
    int64_t since[GROUP];
    real   *rows;

    for (int i = 0; i < group; i++) {
        for (; asked < group && asked < i + s.flight; asked++) {
            since[asked] = now();
            TRY(ps_pull(b->client, b->step + asked, b->step, &b->sets[asked]));
        }
        TRY(ps_rows(b->client, b->step + i, &b->sets[i], &rows));
        figure_time(pull, since[i]);
        keys += b->sets[i].n;
    }
    figure_add(pull, b, begin, keys);
    return OK;
}

/* Push b->step, all gradients being g. */
static err_t push_one(bench *b, int i, int64_t pulled_until, real g)
{
    const ps_part part = {.samples = 1, .time = WIRE_NO_TIME, .finite = true};
    real         *gradients;

    TRY(ps_gradients(b->client, b->step, &b->sets[i], &gradients));
    for (int k = 0; g != 0 && k < b->sets[i].n; k++)
        for (int d = 0; d < DIM; d++) /* all numbers of a row at once */
            gradients[k * DIM + d] = g;
    return ps_push(b->client, b->step, pulled_until, &part, &b->sets[i]);
}

/* Push the steps of a group, and wait until they are applied. */
static err_t push_group(bench *b, setting s, figure *push)
{
    int      group = group_of(s);
    double   keys  = 0;
    mark     begin = mark_now(b);
    int64_t  until = b->step + group;
    ps_stats stats;

    for (int i = 0; i < group; i++, b->step++) {
        TRY(push_one(b, i, until, 1));
        keys += b->sets[i].n;
    }
    TRY(ps_client_stats(b->client, &stats));
    figure_time(push, begin.at);
    figure_add(push, b, begin, keys);
    return OK;
}

/* New ids for a group. */
static err_t draw_group(bench *b, setting s)
{
    for (int i = 0; i < group_of(s); i++)
        TRY(make_set(b, i, 0, s.n, true));
    return OK;
}

static void count_pushes(bench *b, setting s)
{
    for (int i = 0; i < group_of(s); i++)
        for (int k = 0; k < b->sets[i].n; k++)
            b->pushes[b->sets[i].ids[k]]++;
}

static err_t turn_client(bench *b, setting s, figure *pull, figure *push)
{
    while (pull->total < b->seconds / TURNS || push->total < b->seconds / TURNS) {
        TRY(draw_group(b, s));
        TRY(pull_group(b, s, pull));
        count_pushes(b, s);
        TRY(push_group(b, s, push));
    }
    figure_turn(pull);
    figure_turn(push);
    return OK;
}

/* Train a group of steps with staleness flight - 1; gradients are 0. */
static err_t step_group(bench *b, setting s, figure *step)
{
    int      group = group_of(s), asked = 0;
    double   keys  = 0;
    mark     begin = mark_now(b);
    int64_t  first = b->step, since[GROUP];
    real    *rows;
    ps_stats stats;

    for (int i = 0; i < group; i++, b->step++) {
        for (; asked < group && asked < i + s.flight; asked++) {
            int64_t version = first + asked - (s.flight - 1);
            since[asked]    = now();
            TRY(ps_pull(b->client, first + asked, version > first ? version : first,
                        &b->sets[asked]));
        }
        TRY(ps_rows(b->client, b->step, &b->sets[i], &rows));
        TRY(push_one(b, i, first + asked, 0));
        figure_time(step, since[i]);
        keys += b->sets[i].n;
    }
    TRY(ps_client_stats(b->client, &stats));
    figure_add(step, b, begin, keys);
    return OK;
}

static err_t turn_steps(bench *b, setting s, figure *step)
{
    while (step->total < b->seconds / TURNS) {
        TRY(draw_group(b, s));
        TRY(step_group(b, s, step));
    }
    figure_turn(step);
    return OK;
}

/* ---- the echo at work ---- */

typedef struct sizes {
    size_t ask, rows, push, small;
} sizes;

static sizes sizes_of(int n)
{
    const size_t head = WIRE_HEADER_BYTES + 24, keys = (size_t)n;

    return (sizes){.ask   = head + keys * (sizeof(uint64_t) + sizeof(uint32_t)),
                   .rows  = head + keys * DIM * sizeof(real),
                   .push  = head + keys * DIM * sizeof(real),
                   .small = head};
}

/* As pull_group (pull), push_group (push) or step_group (both). */
static err_t echo_group(const bench *b, setting s, bool pull, bool push, figure *f)
{
    const transport *t     = net_link_transport(b->echo);
    sizes            size  = sizes_of(s.n);
    int              group = group_of(s), asked = 0;
    mark             begin = mark_now(b);

    for (int i = 0; i < group; i++) {
        for (; pull && asked < group && asked < i + s.flight; asked++)
            TRY(echo_ask(t, size.ask, size.rows));
        if (pull)
            TRY(echo_hear(t, size.rows));
        if (push)
            TRY(echo_ask(t, size.push, 0));
    }
    if (push) {
        TRY(echo_ask(t, size.small, size.small));
        TRY(echo_hear(t, size.small));
    }
    figure_add(f, b, begin, (double)group * s.n);
    return OK;
}

static err_t turn_echo(const bench *b, setting s, bool pull, bool push, figure *f)
{
    while (f->total < b->seconds / TURNS)
        TRY(echo_group(b, s, pull, push, f));
    figure_turn(f);
    return OK;
}

/* ---- the table at work alone ---- */

/* Find the rows of a group of requests, and then update them. */
static err_t turn_alone(bench *b, setting s, figure *pull, figure *push)
{
    lone_table *a = &b->alone;

    TRY(draw_group(b, s));
    double begin = thread_seconds();
    for (int i = 0; i < group_of(s); i++)
        table_gather(&a->table, b->sets[i].ids, (size_t)b->sets[i].n, a->rows + i * MOST_IDS,
                     a->values);
    double found = thread_seconds();
    for (int i = 0; i < group_of(s); i++) {
        update_step step = {.step = (int64_t)a->table.clock, .samples = 1, .lr = 0.5};
        update_part part = {.n         = (size_t)b->sets[i].n,
                            .ids       = b->sets[i].ids,
                            .rows      = a->rows + i * MOST_IDS,
                            .gradients = a->values};
        TRY(update_apply(&a->table, &part, 1, &step, &a->scratch));
        arena_reset(&a->scratch);
        pull->all_keys += b->sets[i].n;
        push->all_keys += b->sets[i].n;
    }
    pull->cpu[0] += found - begin;
    push->cpu[0] += thread_seconds() - found;
    return OK;
}

/* ---- the table of figures ---- */

static double cpu_ns(const figure *f, int side)
{
    return f->cpu[side] / f->all_keys * 1e9;
}

static void print_line(const char *kind, const char *what, setting s, figure *ours,
                       figure *bare, double alone)
{
    double rate = percentile(ours->rate, ours->turns, 0.5);
    double echo = percentile(bare->rate, bare->turns, 0.5);
    double work = cpu_ns(ours, 0) + cpu_ns(ours, 1);

    printf(
        "%-6s %6d x %d %-4s %6.2f M/s  p50 %7.3f  p99 %7.3f ms  cpu %3.0f + %3.0f ns   "
        "echo %6.2f M/s  cpu %3.0f + %3.0f ns  share %3.0f %%   alone %3.0f ns  of %3.0f %%\n",
        kind, s.n, s.flight, what, rate * 1e-6, percentile(ours->at, ours->n, 0.5) * 1e3,
        percentile(ours->at, ours->n, 0.99) * 1e3, cpu_ns(ours, 0), cpu_ns(ours, 1),
        echo * 1e-6, cpu_ns(bare, 0), cpu_ns(bare, 1), 100 * rate / echo, alone,
        100 * (cpu_ns(bare, 0) + cpu_ns(bare, 1) + alone) / work);
    fflush(stdout);
}

static err_t bench_setting(bench *b, const char *kind, setting s)
{
    static const char *const what[] = {"pull", "push", "step"};
    static figure            ours[3], bare[3], alone[2];

    memset(ours, 0, sizeof ours);
    memset(bare, 0, sizeof bare);
    memset(alone, 0, sizeof alone);
    for (int turn = 0; turn < TURNS; turn++) {
        TRY(turn_client(b, s, &ours[0], &ours[1]));
        TRY(turn_steps(b, s, &ours[2]));
        TRY(turn_alone(b, s, &alone[0], &alone[1]));
        for (int i = 0; i < 3; i++)
            TRY(turn_echo(b, s, i != 1, i != 0, &bare[i]));
    }
    double found = cpu_ns(&alone[0], 0), updated = cpu_ns(&alone[1], 0);
    print_line(kind, what[0], s, &ours[0], &bare[0], found);
    print_line(kind, what[1], s, &ours[1], &bare[1], updated);
    print_line(kind, what[2], s, &ours[2], &bare[2], found + updated);
    return OK;
}

static err_t bench_kind(bench *b, const char *kind)
{
    static const int many[] = {1000, 10000, 50000, MOST_IDS};
    uint64_t         compared, wrong;

    TRY(open_bench(b, kind));
    TRY(bear_all(b));
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        for (int flight = 1; flight <= MOST_FLIGHT; flight += MOST_FLIGHT - 1)
            TRY(bench_setting(b, kind, (setting){many[i], flight}));
    TRY(check_rows(b, &compared, &wrong));
    printf("%-6s %lld steps; %llu of %llu numbers are wrong\n", kind, (long long)b->step,
           (unsigned long long)wrong, (unsigned long long)compared);
    TRY(close_bench(b));
    return wrong ? err_set(ERR_NUMERIC, "the rows are not what was pushed") : OK;
}

static err_t run(bench *b, int n_kinds, char **kinds)
{
    static char *all[] = {"tcp", "ipc", "inproc"};

    TRY(config_parse(&b->config, "bench.yaml", yaml, strlen(yaml), 0, NULL));
    TRY(schema_new(&b->schema, b->config));
    TRY(id_maker_new(&b->maker, b->schema, b->shards));
    b->chance = rng_named(1, RNG_TEST, 0, 0);
    b->pushes = calloc(b->rows, sizeof *b->pushes);
    if (!b->pushes)
        return err_memory(b->rows * sizeof *b->pushes, "the counts of pushes");
    print_machine();
    printf("%llu rows of %d, %s, shards: %d; ids a request x requests in flight\n",
           (unsigned long long)b->rows, DIM, REAL_NAME, b->shards);
    if (n_kinds == 0) {
        n_kinds = sizeof all / sizeof *all;
        kinds   = all;
    }
    for (int i = 0; i < n_kinds; i++)
        TRY(bench_kind(b, kinds[i]));
    return OK;
}

int main(int argc, char **argv)
{
    bench b = {.rows    = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000,
               .seconds = argc > 2 ? atof(argv[2]) : 0.5,
               .shards  = argc > 3 ? atoi(argv[3]) : 1};

    if (b.rows == 0 || b.seconds <= 0 || b.shards < 1 || b.shards > FAR_SHARDS) {
        fprintf(stderr, "usage: bench_wire [ROWS [SECONDS [SHARDS [KIND...]]]]\n");
        return 2;
    }
    if (run(&b, argc > 4 ? argc - 4 : 0, argv + 4) != OK) {
        fprintf(stderr, "bench_wire: %s\n", err_text());
        return 1;
    }
    id_maker_free(&b.maker);
    schema_free(&b.schema);
    config_free(&b.config);
    for (int i = 0; i < GROUP; i++)
        arena_clear(&b.memory[i]);
    free(b.pushes);
    return 0;
}
