/* The plan in words and in JSON (launch/plan/plan.h). */
#include <jansson.h>

#include "launch/plan/plan.h"

typedef struct text {
    char at[32];
} text;

/* "12.6 GB", "1.25 GB" */
static text bytes_text(double bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    text                     t;
    int                      unit = 0;

    for (; bytes >= 999.95 && unit < 5; unit++)
        bytes /= 1000;
    snprintf(t.at, sizeof t.at, "%.*f %s",
             unit == 0       ? 0
             : bytes < 9.995 ? 2
                             : 1,
             bytes, units[unit]);
    return t;
}

/* "600,000,000" */
static text count_text(double count)
{
    char   digits[32];
    text   t  = {""};
    int    n  = snprintf(digits, sizeof digits, "%.0f", count);
    size_t at = 0;

    for (int i = 0; i < n && at + 2 < sizeof t.at; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            t.at[at++] = ',';
        t.at[at++] = digits[i];
    }
    return t;
}

static const char *plural(double n)
{
    return n == 1 ? "" : "s";
}

/* ---- the table for people ---- */

static void print_head(const plan *p, const char *source, FILE *to)
{
    const config *c = p->options.config;

    if (p->options.servers > 0)
        fprintf(to, "%s: %s ids on %d server%s", source, count_text((double)p->all.ids).at,
                p->options.servers, plural(p->options.servers));
    else
        fprintf(to, "%s: %s ids in worker 0's own process", source,
                count_text((double)p->all.ids).at);
    if (c->cluster.shards > 1)
        fprintf(to, " of %d shards", c->cluster.shards);
    fprintf(to, ", %d worker%s, %s samples a step\n", c->cluster.workers,
            plural(c->cluster.workers), count_text(c->train.batch).at);
    if (p->options.shared_out)
        fprintf(to, "(ids shared out over the tables %s)\n", p->options.shared_out);
}

/* "24 + 4 + 22.3 = 50.3"; of a few rows the overhead is that of an empty store. */
static void row_text(char *to, size_t size, const plan_table *one)
{
    if (one->overhead < 100)
        snprintf(to, size, "%.0f + %.0f + %.1f = %.1f", one->weights, one->state, one->overhead,
                 one->weights + one->state + one->overhead);
    else
        snprintf(to, size, "%.0f + %.0f + few rows", one->weights, one->state);
}

static void print_tables(const plan *p, FILE *to)
{
    fprintf(to, "\n%-12s %15s %5s %-5s %-16s %24s %10s %11s\n", "table", "rows", "dim", "",
            "rule", "bytes a row", "memory", "checkpoint");
    for (int t = 0; t < p->options.schema->n_tables; t++) {
        const table_config *c   = &p->options.config->tables[t];
        const plan_table   *one = &p->tables[t];
        char                row[48];
        row_text(row, sizeof row, one);
        fprintf(to, "%-12s %15s %5d %-5s %-16s %24s %10s %11s\n", c->name,
                count_text((double)one->rows).at, c->dim,
                c->precision == PRECISION_BF16 ? "bf16" : REAL_NAME,
                config_optimizer_name(c->optimizer.kind), row, bytes_text(one->memory).at,
                bytes_text(one->file).at);
    }
    for (int t = 0; t < p->options.schema->n_tables; t++)
        if (p->tables[t].rows < p->tables[t].ids)
            fprintf(to, "%-12s of %s ids, as many rows as evict.max_bytes allows\n",
                    p->options.config->tables[t].name, count_text((double)p->tables[t].ids).at);
    fprintf(to, "%-12s %15s %52s %10s %11s\n", "", count_text((double)p->all.rows).at,
            "(weights + state + overhead)", bytes_text(p->all.memory).at,
            bytes_text(p->all.file).at);
}

static void print_servers(const plan *p, FILE *to)
{
    const plan_options *o = &p->options;

    fprintf(to, "\neach server  %10s of memory: rows %s, messages %s", bytes_text(p->server).at,
            bytes_text(p->server_rows).at, bytes_text(p->server_messages).at);
    if (p->server_sketches > 0)
        fprintf(to, ", sketches %s", bytes_text(p->server_sketches).at);
    fprintf(to,
            "\n             %10s more, and the rows touched meanwhile, while a checkpoint is "
            "written\n",
            bytes_text(p->server_cut).at);
    if (p->all.counts > 0)
        fprintf(to,
                "             %10s of counts.safetensors mapped by all servers together (page "
                "cache)\n",
                bytes_text(p->all.counts).at);
    if (o->memory > 0 && p->servers_needed > 0)
        fprintf(to, "             %10.0f server%s of %s hold%s it\n", p->servers_needed,
                plural(p->servers_needed), bytes_text(o->memory).at,
                p->servers_needed == 1 ? "s" : "");
    else if (o->memory > 0)
        fprintf(to, "             no number of servers of %s holds it\n",
                bytes_text(o->memory).at);
    fprintf(to, "checkpoint   %10s: %s a shard, %s of dense weights; %s for the %d kept\n",
            bytes_text(p->checkpoint).at, bytes_text(p->shard_file).at,
            bytes_text(p->step.dense_file).at, bytes_text(p->kept).at,
            o->config->checkpoint.keep);
}

static void print_step(const plan *p, FILE *to)
{
    const rehearsal *r         = &p->step;
    double           looked_up = 0, distinct = 0;

    for (int t = 0; t < p->options.schema->n_tables; t++) {
        looked_up += r->tables[t].looked_up;
        distinct += r->tables[t].distinct;
    }
    fprintf(to, "\na step of each worker: %s samples, %s ids, %s distinct (%.2f, %s)\n",
            count_text(r->samples).at, count_text(looked_up).at, count_text(distinct).at,
            looked_up > 0 ? distinct / looked_up : 0,
            r->distinct_told ? "as told"
            : r->from_data   ? "of data.train"
                             : "at most: no data.train yet, no --distinct");
    fprintf(to, "  wire       %10s: pull %s, rows %s, push %s\n",
            bytes_text(r->pull + r->rows + r->push).at, bytes_text(r->pull).at,
            bytes_text(r->rows).at, bytes_text(r->push).at);
    fprintf(to, "  all-reduce %10s: %s dense weights\n", bytes_text(r->reduced).at,
            count_text(r->weights).at);
    fprintf(to, "  memory     %10s: %d steps of %s, dense %s, an evaluation %s\n",
            bytes_text(p->worker).at, p->options.config->train.staleness + 3,
            bytes_text(r->batch + r->work).at, bytes_text(r->dense).at,
            bytes_text(r->evaluation).at);
    if (!r->from_data)
        fprintf(to, "  (data.train is not there: sequences of max_len, bags of one id)\n");
}

/* How long a step takes, and what holds it up. */
static void print_pace(const plan *p, FILE *to)
{
    const pace *a = &p->pace;

    fprintf(to, "\na step will take %.3g ms, %s samples/s of %d worker%s: held up by %s;\n",
            a->step * 1e3, count_text(a->samples_per_s).at, p->options.config->cluster.workers,
            plural(p->options.config->cluster.workers), pace_part_name(a->largest));
    fprintf(to, "faster with %s\n", pace_advice(a));
    fprintf(
        to,
        "  worker     %7.3g ms: arithmetic %.3g, rows %.3g, sum of gradients %.3g; beside it "
        "reading %.3g, link %.3g\n",
        a->part[PACE_WORKER] * 1e3, p->step.arithmetic_s * 1e3, a->rows * 1e3,
        (a->part[PACE_WORKER] - a->compute) * 1e3, a->part[PACE_READER] * 1e3,
        a->part[PACE_WORKER_LINK] * 1e3);
    fprintf(to,
            "  server     %7.3g ms of a shard's thread; beside it messages %.3g, link %.3g\n",
            a->part[PACE_SHARD] * 1e3, a->part[PACE_CARRIER] * 1e3,
            a->part[PACE_SERVER_LINK] * 1e3);
    fprintf(to,
            "  in turn    %7.3g ms: rows asked for and answered %.3g, worker, update %.3g\n",
            (a->answers + a->part[PACE_WORKER] + a->updates) * 1e3, a->answers * 1e3,
            a->updates * 1e3);
    if (a->part[PACE_CORES] > 0)
        fprintf(to, "  all work   %7.3g ms of this machine's %d cores\n",
                a->part[PACE_CORES] * 1e3, p->options.cores);
}

static void print_times(const plan *p, FILE *to)
{
    const plan_options *o = &p->options;

    if (o->network > 0)
        fprintf(to,
                "\nat %s/s of network a step takes %.1f ms of a worker's link, %.1f ms of a "
                "server's\n",
                bytes_text(o->network).at, plan_worker_wire_s(p) * 1e3,
                plan_server_wire_s(p) * 1e3);
    if (o->samples_per_s > 0)
        fprintf(to, "at %s samples/s a step takes %.1f ms\n", count_text(o->samples_per_s).at,
                plan_step_s(p) * 1e3);
    if (o->disk > 0)
        fprintf(to, "at %s/s of disk a server writes a checkpoint in %.1f s%s\n",
                bytes_text(o->disk).at, plan_checkpoint_s(p),
                plan_checkpoint_s(p) > o->config->checkpoint.timeout
                    ? ", which is beyond checkpoint.timeout"
                    : "");
}

void plan_print(const plan *p, const char *source, FILE *to)
{
    print_head(p, source, to);
    print_tables(p, to);
    print_servers(p, to);
    print_step(p, to);
    print_pace(p, to);
    print_times(p, to);
}

/* ---- JSON ---- */

static json_t *whole(double x)
{
    return json_integer((json_int_t)(x + 0.5));
}

static json_t *json_of_table(const plan *p, int t)
{
    const plan_table *one = &p->tables[t];

    return json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:f, s:f}", "name",
                     p->options.config->tables[t].name, "ids", (json_int_t)one->ids, "rows",
                     (json_int_t)one->rows, "weight_bytes", one->weights, "state_bytes",
                     one->state, "overhead_bytes", one->overhead, "memory", whole(one->memory),
                     "checkpoint", whole(one->file), "counts", whole(one->counts), "sketch",
                     whole(one->sketch), "looked_up", p->step.tables[t].looked_up, "distinct",
                     p->step.tables[t].distinct);
}

static json_t *json_of_step(const plan *p)
{
    const rehearsal *r = &p->step;

    return json_pack("{s:f, s:o, s:o, s:o, s:o, s:o}", "samples", r->samples, "pull_bytes",
                     whole(r->pull), "rows_bytes", whole(r->rows), "push_bytes", whole(r->push),
                     "reduce_bytes", whole(r->reduced), "dense_weights", whole(r->weights));
}

static json_t *json_of_pace(const plan *p)
{
    const pace *a = &p->pace;

    return json_pack("{s:f, s:f, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "seconds",
                     a->step, "samples_per_s", a->samples_per_s, "held_up_by",
                     pace_part_name(a->largest), "arithmetic_s", p->step.arithmetic_s,
                     "worker_s", a->part[PACE_WORKER], "reading_s", a->part[PACE_READER],
                     "shard_s", a->part[PACE_SHARD], "messages_s", a->part[PACE_CARRIER],
                     "server_link_s", a->part[PACE_SERVER_LINK], "worker_link_s",
                     a->part[PACE_WORKER_LINK], "in_turn_s", a->part[PACE_CHAIN], "cores_s",
                     a->part[PACE_CORES]);
}

static void put_seconds(json_t *all, const char *key, double seconds)
{
    if (seconds > 0)
        json_object_set_new(all, key, json_real(seconds));
}

err_t plan_print_json(const plan *p, FILE *to)
{
    json_t *tables = json_array();

    for (int t = 0; t < p->options.schema->n_tables; t++)
        json_array_append_new(tables, json_of_table(p, t));
    json_t *all = json_pack(
        "{s:I, s:o, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "rows",
        (json_int_t)p->all.rows, "tables", tables, "servers", p->options.servers, "shards",
        p->options.config->cluster.shards, "workers", p->options.config->cluster.workers,
        "memory", whole(p->all.memory), "server_memory", whole(p->server), "server_checkpoint",
        whole(p->server_cut), "worker_memory", whole(p->worker), "counts", whole(p->all.counts),
        "checkpoint", whole(p->checkpoint), "shard_file", whole(p->shard_file), "step",
        json_of_step(p), "pace", json_of_pace(p));
    if (!all)
        return err_memory(4096, "the plan as JSON");
    if (p->servers_needed > 0)
        json_object_set_new(all, "servers_needed", whole(p->servers_needed));
    put_seconds(all, "worker_wire_s", plan_worker_wire_s(p));
    put_seconds(all, "server_wire_s", plan_server_wire_s(p));
    put_seconds(all, "step_s", plan_step_s(p));
    put_seconds(all, "checkpoint_s", plan_checkpoint_s(p));
    int failed = json_dumpf(all, to, JSON_COMPACT | JSON_REAL_PRECISION(10));
    json_decref(all);
    fputc('\n', to);
    return failed ? err_errno("writing the plan") : OK;
}
