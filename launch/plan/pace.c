#include "launch/plan/pace.h"

#include <math.h>

#include "common/real.h"

/* Up to here gradients are summed in one round (common/comm_reduce.c), of which each carries all. */
#define SMALL_SUM (4096.0 * sizeof(real))

const pace_costs pace_usual_costs = {
    .worker_row     = 50e-9,
    .worker_message = 30e-6,
    .server_row     = 170e-9,
    .server_birth   = 370e-9,
    .server_message = 125e-6,
    .io_message     = 29e-6,
    .io_byte        = 0.25e-9,
    .sum_message    = 10e-6,
    .sum_byte       = 0.7e-9,
    .crowding       = 1.19,
};

static double per_second(double bytes, double rate)
{
    return rate > 0 ? bytes / rate : 0;
}

/* The wider direction of a link: links carry both at once. */
static double wider(const pace_load *l)
{
    return fmax(l->pull + l->push, l->rows);
}

/* Dense gradients travel twice: to who sums a part of them, and back. */
static double sum_bytes(const pace_load *l, const pace_cluster *c)
{
    double others = c->workers - 1;

    return l->dense <= SMALL_SUM ? others * l->dense : 2 * others / c->workers * l->dense;
}

static int sum_rounds(const pace_load *l, const pace_cluster *c)
{
    return c->workers == 1 ? 0 : l->dense <= SMALL_SUM ? 1 : 2;
}

static void add_worker(pace *p, const pace_load *l, const pace_cluster *c, const pace_costs *k)
{
    p->rows    = k->worker_row * l->distinct + k->worker_message * c->servers * c->shards;
    p->compute = l->arithmetic + p->rows;
    p->reduce =
        k->sum_message * sum_rounds(l, c) * (c->workers - 1) + k->sum_byte * sum_bytes(l, c);
    p->part[PACE_READER] = l->reading;
    p->part[PACE_WORKER] = p->compute + p->reduce +
                           per_second(sum_bytes(l, c) * c->workers_per_host, c->network) +
                           sum_rounds(l, c) * c->latency;
    p->part[PACE_WORKER_LINK] =
        per_second((wider(l) + sum_bytes(l, c)) * c->workers_per_host, c->network);
}

static void add_server(pace *p, const pace_load *l, const pace_cluster *c, const pace_costs *k)
{
    double shards = c->servers * c->shards, bytes = l->pull + l->rows + l->push;

    p->part[PACE_SHARD] =
        c->workers * (k->server_message + k->server_row * l->distinct / shards +
                      k->server_birth * l->births / shards);
    p->part[PACE_CARRIER] =
        c->workers * (3 * k->io_message * c->shards + k->io_byte * bytes / c->servers);
    p->part[PACE_SERVER_LINK] = per_second(wider(l) * c->workers / c->servers, c->network);
}

/* Half of what a server does answers pulls, half takes pushes; of what it does at a time the
 * longest counts. */
static double half_of_server(const pace *p, double bytes, const pace_load *l)
{
    double share = bytes / (l->pull + l->rows + l->push);
    double link  = p->part[PACE_SERVER_LINK] * bytes / wider(l);

    return fmax(p->part[PACE_SHARD] / 2, fmax(p->part[PACE_CARRIER] * share, link));
}

static void add_chain(pace *p, const pace_load *l, const pace_cluster *c, const pace_costs *k)
{
    double at_worker =
        (l->pull + l->rows + l->push) * k->io_byte + 3 * k->io_message * c->servers * c->shards;
    double reduce = p->part[PACE_WORKER] - p->compute;

    p->answers = 2 * c->latency + half_of_server(p, l->rows, l) + at_worker / 2;
    p->updates = c->latency + half_of_server(p, l->push, l) + at_worker / 2;
    p->part[PACE_CHAIN] =
        (p->answers + p->compute + fmax(reduce, p->updates)) / (c->staleness + 1);
}

/* All CPU time of a step: both ends carry messages. */
static void add_cores(pace *p, const pace_load *l, const pace_cluster *c, const pace_costs *k)
{
    double carriers = 2 * p->part[PACE_CARRIER] * c->servers;
    double all      = c->workers * (p->compute + p->reduce + l->reading) +
                 c->servers * c->shards * p->part[PACE_SHARD] + carriers;

    p->part[PACE_CORES] = c->cores > 0 ? all * k->crowding / c->cores : 0;
}

pace pace_of(const pace_load *load, const pace_cluster *cluster, const pace_costs *costs)
{
    pace p = {.step = 0};

    add_worker(&p, load, cluster, costs);
    add_server(&p, load, cluster, costs);
    add_chain(&p, load, cluster, costs);
    add_cores(&p, load, cluster, costs);
    for (int i = 0; i < PACE_PARTS; i++)
        if (p.part[i] > p.step) {
            p.step    = p.part[i];
            p.largest = (pace_part)i;
        }
    p.samples_per_s = load->samples * cluster->workers / p.step;
    return p;
}

const char *pace_part_name(pace_part part)
{
    static const char *const names[PACE_PARTS] = {
        [PACE_WORKER]      = "the worker's computing thread",
        [PACE_READER]      = "the worker's reading thread",
        [PACE_SHARD]       = "a shard's thread",
        [PACE_CARRIER]     = "a server's messages",
        [PACE_SERVER_LINK] = "a server's link",
        [PACE_WORKER_LINK] = "a worker's link",
        [PACE_CHAIN]       = "waiting for one another",
        [PACE_CORES]       = "this machine's cores",
    };
    return names[part];
}

const char *pace_advice(const pace *p)
{
    static const char *const advice[PACE_PARTS] = {
        [PACE_WORKER]      = "more workers",
        [PACE_READER]      = "more workers",
        [PACE_SHARD]       = "more cluster.servers, or cluster.shards of each",
        [PACE_CARRIER]     = "more cluster.servers",
        [PACE_SERVER_LINK] = "more cluster.servers, or cluster.values: bf16",
        [PACE_WORKER_LINK] = "fewer workers on a host, or cluster.values: bf16",
        [PACE_CHAIN]       = "train.mode: pipelined, or more train.staleness",
        [PACE_CORES]       = "more machines",
    };

    if (p->largest == PACE_WORKER && p->part[PACE_WORKER] - p->compute > p->compute)
        return "a larger train.batch: the sum of dense gradients takes longer than arithmetic";
    return advice[p->largest];
}
