#include "launch/plan/plan.h"

#include <math.h>

#include "common/hash.h"
#include "common/optim.h"
#include "ps/admission.h"
#include "ps/cut_writer.h"
#include "ps/eviction.h"
#include "ps/row_store.h"
#include "ps/table.h"

/* Memory of a process before it holds anything: code, heap, ZeroMQ, and with Open MPI. */
#define SERVER_BYTES 14e6
#define WORKER_BYTES 45e6

/* Of each table in each shard: the last huge pages of its rows and of its index are half
 * empty in the mean. */
#define TABLE_BYTES (2.0 * (1 << 20))

/* Of a checkpoint's file: an entry of the header for each tensor of a table, of which
 * there are ids, weight, count, touched and buckets besides the parts of the state. */
#define TENSOR_ENTRY 110.0
#define TENSORS      5
#define NUMBERS      (sizeof(uint64_t) + 2 * sizeof(uint32_t)) /* id, count, touched */

/* id and count of counts.safetensors */
#define COUNT_BYTES (sizeof(uint64_t) + sizeof(uint32_t))

/* What the messages of a step take in a server, per byte of them: a push stays until all
 * are there, its pull's reply until it is sent, and the update sums gradients once more. */
#define MESSAGE_COPIES 2.0

static int shards_of(const plan_options *o)
{
    return (o->servers > 0 ? o->servers : 1) * o->config->cluster.shards;
}

/* Shards own whole buckets, so that the fullest has a few more than its part. */
static double largest_share(int shards)
{
    return ceil((double)HASH_BUCKETS / shards) / HASH_BUCKETS;
}

/* ---- rows ---- */

/* Rows that a table of ids may have: each bucket has its part of evict.max_bytes. */
static uint64_t rows_of(const table_config *c, uint64_t ids, int reals)
{
    int64_t  bytes = c->evict.max_bytes;
    uint64_t most  = bytes ? (uint64_t)eviction_most_rows(bytes, reals) * HASH_BUCKETS : ids;

    return most < ids ? most : ids;
}

/* Bytes of the sketch of all buckets together; 0 where there is none. What an exact counter
 * takes depends on how many ids will wait. */
static err_t sketch_bytes(const table_config *c, double *bytes)
{
    admission of_a_bucket;

    *bytes = 0;
    if (c->admit.counter != COUNTER_SKETCH || !admission_by_step(&c->admit))
        return OK;
    TRY(admission_init(&of_a_bucket, &c->admit, 0, 0, 0, 1));
    *bytes = (double)admission_bytes(&of_a_bucket) * HASH_BUCKETS;
    admission_clear(&of_a_bucket);
    return OK;
}

static err_t plan_table_of(plan_table *p, const plan_options *o, int t)
{
    const table_config *c      = &o->config->tables[t];
    size_t              dim    = (size_t)c->dim;
    size_t              weight = c->precision == PRECISION_BF16 ? 2 : sizeof(real);
    size_t              state  = optim_state_size(c->optimizer.kind, dim);
    int                 reals  = table_payload_reals(c);
    int                 parts;

    *p = (plan_table){.ids     = o->ids[t],
                      .rows    = rows_of(c, o->ids[t], reals),
                      .weights = (double)(dim * weight),
                      .state   = (double)(state * sizeof(real))};
    if (p->rows > ROW_MOST)
        return err_set(ERR_CONFIG,
                       "tables.%s would have %ju rows; a table holds %u at most, on however many "
                       "servers (evict.max_bytes bounds it, and so does admission)",
                       c->name, (uintmax_t)p->rows, ROW_MOST);
    optim_parts(c->optimizer.kind, &parts);
    TRY(sketch_bytes(c, &p->sketch));
    p->memory   = p->rows ? (double)row_store_plan_bytes(p->rows, reals) : 0;
    p->overhead = p->rows ? p->memory / (double)p->rows - p->weights - p->state : 0;
    p->file     = (double)p->rows * (NUMBERS + p->weights + p->state) + p->sketch +
              shards_of(o) *
                  ((HASH_BUCKETS + 1.0) * sizeof(uint64_t) + TENSOR_ENTRY * (TENSORS + parts));
    if (config_needs_counts(c))
        p->counts = (double)p->ids * COUNT_BYTES;
    return OK;
}

static void add_table(plan_table *all, const plan_table *one)
{
    all->ids += one->ids;
    all->rows += one->rows;
    all->memory += one->memory;
    all->file += one->file;
    all->counts += one->counts;
    all->sketch += one->sketch;
}

/* ---- processes ---- */

static void plan_servers(plan *p)
{
    const plan_options *o       = &p->options;
    int                 servers = o->servers > 0 ? o->servers : 1;
    double              tickets = o->config->train.staleness + 1;
    double flight = p->step.push + tickets * (p->step.pull + p->step.rows); /* of a worker */
    double fixed = SERVER_BYTES + TABLE_BYTES * o->schema->n_tables * o->config->cluster.shards;

    p->largest         = largest_share(shards_of(o));
    p->server_rows     = p->all.memory * p->largest * o->config->cluster.shards;
    p->server_messages = MESSAGE_COPIES * flight * o->config->cluster.workers / servers;
    p->server_sketches = p->all.sketch * p->largest * o->config->cluster.shards;
    p->server          = p->server_rows + p->server_sketches + p->server_messages + fixed;
    double room        = o->memory - fixed;
    if (room > 0)
        p->servers_needed =
            ceil((p->all.memory + p->all.sketch + p->server_messages * servers) / room);
}

/* The pipeline keeps staleness + 3 batches, and a step works in the memory of its own. Rows
 * are in the client and on their way, as are gradients; the table that finds distinct ids
 * has two entries of 16 bytes and 20 more for each, in powers of two. */
static void plan_worker(plan *p)
{
    const rehearsal *r     = &p->step;
    double           depth = p->options.config->train.staleness + 3, ids = 0;

    for (int t = 0; t < p->options.schema->n_tables; t++)
        ids += r->tables[t].distinct;
    p->worker = WORKER_BYTES + r->dense + depth * (r->batch + r->work) + 3 * r->rows +
                2 * r->push + 1.5 * (2 * 16 + 20) * ids + r->evaluation;
}

static void plan_checkpoint(plan *p)
{
    p->shard_file = p->all.file * p->largest;
    p->checkpoint = p->all.file + p->step.dense_file;
    p->kept       = p->checkpoint * p->options.config->checkpoint.keep;
    p->server_cut =
        fmin(p->shard_file, (double)CUT_WRITER_BYTES) * p->options.config->cluster.shards;
}

/* Servers inside worker 0's process are reached without a wire. */
static void plan_pace(plan *p)
{
    const plan_options *o = &p->options;
    const rehearsal    *r = &p->step;
    pace_costs          k = pace_usual_costs;
    pace_load           l = {.samples    = r->samples,
                             .arithmetic = r->arithmetic_s,
                             .reading    = r->reading_s,
                             .pull       = r->pull,
                             .rows       = r->rows,
                             .push       = r->push,
                             .dense      = r->reduced};
    const pace_cluster  c = {.workers   = o->config->cluster.workers,
                             .servers   = o->servers > 0 ? o->servers : 1,
                             .shards    = o->config->cluster.shards,
                             .staleness = o->config->train.staleness,
                             .network   = o->network,
                             .latency   = o->latency,
                             .cores     = o->cores,
                             .workers_per_host =
                                o->workers_per_host > 0 ? o->workers_per_host : 1};

    for (int t = 0; t < o->schema->n_tables; t++)
        l.distinct += r->tables[t].distinct;
    l.births = l.distinct * o->births;
    if (o->servers == 0)
        k.io_message = k.io_byte = 0;
    p->pace = pace_of(&l, &c, &k);
}

err_t plan_make(plan *p, const plan_options *options, double distinct)
{
    const rehearsal_options rehearsed = {.config   = options->config,
                                         .schema   = options->schema,
                                         .shards   = shards_of(options),
                                         .workers  = options->config->cluster.workers,
                                         .distinct = distinct};

    *p = (plan){.options = *options};
    TRY(rehearsal_do(&p->step, &rehearsed));
    for (int t = 0; t < options->schema->n_tables; t++) {
        TRY(plan_table_of(&p->tables[t], options, t));
        add_table(&p->all, &p->tables[t]);
    }
    plan_servers(p);
    plan_worker(p);
    plan_checkpoint(p);
    plan_pace(p);
    return OK;
}

/* ---- time ---- */

static double seconds(double bytes, double rate)
{
    return rate > 0 ? bytes / rate : 0;
}

/* The wider direction of a worker's link: links carry both at once. */
static double busier(const rehearsal *r)
{
    double out = r->pull + r->push;
    return out > r->rows ? out : r->rows;
}

double plan_worker_wire_s(const plan *p)
{
    return seconds(busier(&p->step), p->options.network);
}

double plan_server_wire_s(const plan *p)
{
    int servers = p->options.servers > 0 ? p->options.servers : 1;
    return seconds(busier(&p->step) * p->options.config->cluster.workers / servers,
                   p->options.network);
}

double plan_step_s(const plan *p)
{
    return seconds(p->options.config->train.batch, p->options.samples_per_s);
}

double plan_checkpoint_s(const plan *p)
{
    int servers = p->options.servers > 0 ? p->options.servers : 1;
    return seconds(p->all.file / servers, p->options.disk);
}
