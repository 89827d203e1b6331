/* pace - how long a step takes on workers and servers, and what holds it up.
 *
 * A step keeps several things busy, each for its own time: a worker's computing thread, its
 * reading thread, a shard's thread, the thread that carries a server's messages, the links of
 * their hosts. Where rows are asked for in time (pipelined, async) these work beside one
 * another and the busiest sets the pace; a worker that waits for its rows (sync) goes through
 * them one after the other. With W workers of U distinct ids each on S servers of k shards,
 * a latency of L and a bandwidth of b:
 *
 *   compute  = arithmetic + worker_row U + worker_message S k
 *   reduce   = 2 (W-1) sum_message + 2 (W-1)/W dense (sum_byte + 1/b) + 2 L
 *   shard    = W (server_message + server_row U/(S k) + server_birth new/(S k))
 *   carrier  = W (3 io_message k + io_byte bytes/S)
 *   link     = W max(pull + push, rows)/S / b        of a server; a worker's likewise
 *   chain    = (L + answers) + compute + max(reduce, L + updates)
 *   step     = max(compute + reduce, reading, shard, carrier, links, chain/(staleness + 1))
 *
 * where answers and updates are the halves of the servers' part: all workers ask at once, and
 * a step is applied when all have pushed. On one machine, whose cores they share, it is no less
 * than all CPU time of a step by the number of cores; and that time is `crowding` times what it
 * is with a core to spare, since caches and memory are shared too. */
#ifndef DIPS_LAUNCH_PLAN_PACE_H
#define DIPS_LAUNCH_PLAN_PACE_H

/* What one worker's part of a step takes: seconds of CPU, ids, bytes. */
typedef struct pace_load {
    double samples;
    double arithmetic;       /* forward, backward, update of dense weights */
    double reading;          /* of the reading thread */
    double distinct, births; /* ids; those of them that have no row yet */
    double pull, rows, push; /* of messages, of all shards together */
    double dense;            /* of gradients that are summed */
} pace_load;

typedef struct pace_cluster {
    int    workers, servers, shards; /* shards: of each server */
    int    staleness;                /* 0: sync */
    double network, latency;         /* bytes/s of a link, 0: no matter; seconds */
    int    workers_per_host;         /* who share a link */
    double cores; /* of the one machine that all run on; 0: each thread has its own */
} pace_cluster;

/* Seconds of CPU. */
typedef struct pace_costs {
    double worker_row;     /* an id asked for, its row at hand, its gradient checked and sent */
    double worker_message; /* a pull, its answer and a push */
    double server_row;     /* a row found, answered and updated */
    double server_birth;   /* and more, where there was none */
    double server_message; /* a pull and a push */
    double io_message, io_byte;   /* of the thread that carries messages, at either end */
    double sum_message, sum_byte; /* of the sum over workers: to each of them, and back */
    double crowding; /* no unit: by what work grows where all cores of a machine are at it */
} pace_costs;

/* As fitted on a virtual core of Sapphire Rapids (tests/bench/scaling.py). */
extern const pace_costs pace_usual_costs;

typedef enum {
    PACE_WORKER, /* compute + reduce */
    PACE_READER,
    PACE_SHARD,
    PACE_CARRIER,
    PACE_SERVER_LINK,
    PACE_WORKER_LINK,
    PACE_CHAIN,
    PACE_CORES,
    PACE_PARTS
} pace_part;

typedef struct pace {
    double    part[PACE_PARTS]; /* seconds of a step */
    double    compute, reduce;  /* of PACE_WORKER */
    double    rows;             /* of compute: ids, rows, messages */
    double    answers, updates; /* of PACE_CHAIN */
    double    step;             /* seconds; the largest part */
    pace_part largest;
    double    samples_per_s; /* of all workers */
} pace;

pace pace_of(const pace_load *load, const pace_cluster *cluster, const pace_costs *costs);

/* "the workers' arithmetic", and what to change where that part is the largest. */
const char *pace_part_name(pace_part part);
const char *pace_advice(const pace *p);

#endif
