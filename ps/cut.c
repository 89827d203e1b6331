#include "ps/cut.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/vec.h"
#include "ps/bucket_pack.h"
#include "ps/cut_writer.h"
#include "ps/row_fields.h"
#include "ps/snapshot_counters.h"
#include "ps/table_cut.h"

#define OFFSETS (HASH_BUCKETS + 1)

/* A table on its way into the file. */
typedef struct table_part {
    table    *table;
    table_cut was;
    uint64_t  rows, evicted;                                /* in the file */
    int       ids, count, touched, buckets;                 /* tensors of the file */
    int       evicted_ids, evicted_buckets;                 /* of a delta */
    int       n_fields;
    row_field fields[ROW_FIELDS_MOST];
    int       values[ROW_FIELDS_MOST];
    counters_tensors counters;
    uint64_t         row_offsets[OFFSETS], evicted_offsets[OFFSETS], waiting_offsets[OFFSETS];
} table_part;

/* What is done bucket by bucket, table by table. */
typedef enum { COUNTING, PACKING, WRITING } phase;

struct cut {
    cut_options options;
    int         n_tables;
    table_part *parts;
    phase       phase;
    int         table; /* that is counted or packed, and */
    uint32_t    bucket;
    uint64_t    done;    /* bytes */
    err_report  failure; /* of packing */

    safetensors_writer *file;   /* before the writer has it */
    cut_writer         *writer; /* from PACKING on */
    bucket_pack         pack;
    VEC(uint64_t) left;   /* ids that left a bucket */
    tally_entry *waiting; /* (n_waiting) */
    size_t       n_waiting;
};

/* ---- the file ---- */

static err_t declare_part(table_part *x, safetensors_writer *w, bool delta)
{
    const table *t = x->table;

    TRY(row_fields_declare(w, t, "ids", DTYPE_U64, x->rows, 0, &x->ids));
    TRY(row_fields_declare(w, t, "buckets", DTYPE_U64, OFFSETS, 0, &x->buckets));
    for (int i = 0; i < x->n_fields; i++) {
        uint64_t shape[2] = {x->rows, (uint64_t)x->fields[i].width};
        TRY(safetensors_declare(w, x->fields[i].name, x->fields[i].type,
                                x->fields[i].wide ? 2 : 1, shape, &x->values[i]));
    }
    TRY(row_fields_declare(w, t, "count", DTYPE_U32, x->rows, 0, &x->count));
    TRY(row_fields_declare(w, t, "touched", DTYPE_U32, x->rows, 0, &x->touched));
    if (delta) {
        TRY(row_fields_declare(w, t, "evicted", DTYPE_U64, x->evicted, 0, &x->evicted_ids));
        TRY(row_fields_declare(w, t, "evicted.buckets", DTYPE_U64, OFFSETS, 0,
                               &x->evicted_buckets));
    }
    return counters_declare(&x->counters, w, t, x->was.ids, x->was.calendar.days.n);
}

/* The rows of all tables are known: begin the file. */
static err_t open_file(cut *c)
{
    for (int t = 0; t < c->n_tables; t++)
        TRY(declare_part(&c->parts[t], c->file, c->options.delta));
    safetensors_writer *file = c->file;
    c->file                  = NULL;
    TRY(cut_writer_start(&c->writer, file, c->options.thread));
    c->phase = PACKING;
    c->table = 0;
    return OK;
}

/* ---- a bucket ---- */

static bucket_choice choice_of(const cut *c, const table_part *x)
{
    return (bucket_choice){.from  = c->options.delta ? (uint32_t)c->options.parent : 0,
                           .until = x->was.step,
                           .kept  = &x->was.kept};
}

/* The bucket's rows of the cut, row_bytes of each, in c->pack. */
static err_t fill(cut *c, const table_part *x, uint32_t bucket, size_t row_bytes)
{
    bucket_choice choice = choice_of(c, x);

    return bucket_pack_fill(&c->pack, x->table->rows, bucket, &choice, row_bytes);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool is_packed(const bucket_pack *p, uint64_t id)
{
    size_t low = 0, high = p->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->places[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->n && p->places[low].id == id;
}

/* The ids that left the bucket and are not among the rows of c->pack, ascending, in c->left. */
static err_t find_left(cut *c, const table_part *x, uint32_t bucket)
{
    const ledger_block *b = ledger_newest(&x->was.removed, bucket);
    size_t              n = 0;

    c->left.n = 0;
    for (; b; b = b->next)
        for (uint32_t i = 0; i < b->n; i++)
            TRY(vec_push(&c->left, ((const uint64_t *)b->records)[i]));
    if (c->left.n)
        qsort(c->left.at, c->left.n, sizeof *c->left.at, by_value);
    for (size_t i = 0; i < c->left.n; i++) {
        uint64_t id = c->left.at[i];
        if ((n == 0 || c->left.at[n - 1] != id) && !is_packed(&c->pack, id))
            c->left.at[n++] = id;
    }
    c->left.n = n;
    return OK;
}

/* What a delta has of a bucket. */
static err_t count_bucket(cut *c, table_part *x, uint32_t bucket)
{
    if (row_store_bucket_count(x->table->rows, bucket) ||
        ledger_newest(&x->was.kept, bucket)) {
        TRY(fill(c, x, bucket, sizeof(row)));
        x->rows += c->pack.n;
    } else {
        c->pack.n = 0;
    }
    TRY(find_left(c, x, bucket));
    x->evicted += c->left.n;
    return OK;
}

/* bytes from offset on of each row of c->pack. */
static err_t put_column(cut *c, cut_piece *p, int tensor, size_t offset, size_t bytes)
{
    void *to;

    TRY(cut_piece_add(p, tensor, c->pack.n * bytes, &to));
    bucket_pack_column(&c->pack, to, offset, bytes);
    return OK;
}

static err_t put_rows(cut *c, table_part *x, cut_piece *p)
{
    TRY(put_column(c, p, x->ids, offsetof(row, id), sizeof(row_id)));
    for (int i = 0; i < x->n_fields; i++)
        TRY(put_column(c, p, x->values[i],
                       offsetof(row, x) + (size_t)x->fields[i].offset * sizeof(real),
                       x->fields[i].bytes));
    TRY(put_column(c, p, x->count, offsetof(row, count), sizeof(uint32_t)));
    return put_column(c, p, x->touched, offsetof(row, touched), sizeof(uint32_t));
}

static err_t put_bytes(cut_piece *p, int tensor, const void *from, size_t bytes)
{
    void *to;

    if (bytes == 0)
        return OK;
    TRY(cut_piece_add(p, tensor, bytes, &to));
    memcpy(to, from, bytes);
    return OK;
}

static err_t put_counters(cut *c, table_part *x, cut_piece *p, uint32_t bucket)
{
    const table *t = x->table;
    void        *to;

    x->waiting_offsets[bucket + 1] = x->waiting_offsets[bucket];
    if (x->counters.ids >= 0) {
        size_t n;
        TRY(table_cut_waiting(&x->was, bucket, &c->waiting, &c->n_waiting, &n));
        TRY(cut_piece_add(p, x->counters.ids, n * sizeof c->waiting->id, &to));
        for (size_t i = 0; i < n; i++)
            memcpy((uint64_t *)to + i, &c->waiting[i].id, sizeof c->waiting->id);
        TRY(cut_piece_add(p, x->counters.count, n * sizeof c->waiting->count, &to));
        for (size_t i = 0; i < n; i++)
            memcpy((uint32_t *)to + i, &c->waiting[i].count, sizeof c->waiting->count);
        x->waiting_offsets[bucket + 1] += n;
    }
    if (x->counters.sketch >= 0 && bucket >= t->first_bucket && bucket < t->end_bucket) {
        TRY(cut_piece_add(p, x->counters.sketch, t->admission.sketch.bytes, &to));
        table_cut_cells(&x->was, bucket, to);
    }
    return OK;
}

static err_t pack_bucket(cut *c, table_part *x, cut_piece *p, uint32_t bucket)
{
    c->pack.n = 0;
    if (row_store_bucket_count(x->table->rows, bucket) || ledger_newest(&x->was.kept, bucket))
        TRY(fill(c, x, bucket, x->was.row_bytes));
    if (c->pack.n)
        TRY(put_rows(c, x, p));
    x->row_offsets[bucket + 1] = x->row_offsets[bucket] + c->pack.n;
    if (c->options.delta) {
        TRY(find_left(c, x, bucket));
        TRY(put_bytes(p, x->evicted_ids, c->left.at, c->left.n * sizeof *c->left.at));
        x->evicted_offsets[bucket + 1] = x->evicted_offsets[bucket] + c->left.n;
    }
    TRY(put_counters(c, x, p, bucket));
    table_cut_pack(&x->was, bucket);
    return OK;
}

/* What is told of a table when all of its buckets are packed. */
static err_t pack_end(const cut *c, const table_part *x, cut_piece *p)
{
    const sketch   *s       = &x->table->admission.sketch;
    const uint64_t  form[3] = {(uint64_t)s->hashes, (uint64_t)s->bits, s->cells};
    const calendar *days    = &x->was.calendar;

    if (x->row_offsets[HASH_BUCKETS] != x->rows)
        return err_set(ERR_FORMAT,
                       "table %s: %" PRIu64 " rows of the cut at step %" PRIu64
                       " are found, there were %" PRIu64,
                       x->table->config->name, x->row_offsets[HASH_BUCKETS], c->options.step,
                       x->rows);
    TRY(put_bytes(p, x->buckets, x->row_offsets, sizeof x->row_offsets));
    if (c->options.delta)
        TRY(put_bytes(p, x->evicted_buckets, x->evicted_offsets, sizeof x->evicted_offsets));
    if (x->counters.buckets >= 0)
        TRY(put_bytes(p, x->counters.buckets, x->waiting_offsets, sizeof x->waiting_offsets));
    if (x->counters.form >= 0)
        TRY(put_bytes(p, x->counters.form, form, sizeof form));
    if (x->counters.days >= 0)
        TRY(put_bytes(p, x->counters.days, days->days.at,
                      days->days.n * sizeof *days->days.at));
    return OK;
}

/* ---- a piece ---- */

/* The next bucket; false: the table has no more. */
static bool next_bucket(cut *c)
{
    if (++c->bucket < HASH_BUCKETS)
        return true;
    c->bucket = 0;
    c->table++;
    return false;
}

/* Look at some buckets of the tables that are still to be counted. */
static err_t count_some(cut *c)
{
    size_t seen = 0;

    for (int n = 0; n < c->options.piece_buckets && seen < CUT_PIECE_BYTES; n++) {
        if (c->table == c->n_tables)
            return open_file(c);
        table_part *x = &c->parts[c->table];
        TRY(count_bucket(c, x, c->bucket));
        seen += row_store_bucket_count(x->table->rows, c->bucket) * sizeof(row);
        next_bucket(c);
    }
    c->done += seen;
    return OK;
}

static err_t pack_some(cut *c, cut_piece *p)
{
    for (int n = 0; n < c->options.piece_buckets && p->data.n < CUT_PIECE_BYTES; n++) {
        if (c->table == c->n_tables)
            return OK;
        table_part *x = &c->parts[c->table];
        TRY(pack_bucket(c, x, p, c->bucket));
        if (!next_bucket(c))
            TRY(pack_end(c, x, p));
    }
    return OK;
}

/* Pack a piece and hand it over. */
static err_t write_some(cut *c)
{
    cut_piece *p;

    TRY(cut_writer_take(c->writer, &p));
    err_t err = pack_some(c, p);
    c->done += p->data.n;
    cut_writer_put(c->writer, p);
    if (err == OK && c->table == c->n_tables) {
        cut_writer_end(c->writer);
        c->phase = WRITING;
    }
    return err;
}

/* Give back what is kept of rows: nothing will be packed any more. */
static void end_tables(cut *c)
{
    for (int t = 0; t < c->n_tables; t++)
        table_cut_end(&c->parts[t].was, c->parts[t].table);
}

static bool has_failed(const cut *c)
{
    return c->failure.code != OK;
}

bool cut_advance(cut *c)
{
    if (has_failed(c) || c->phase == WRITING)
        return false;
    if (c->phase == PACKING && !cut_writer_has_room(c->writer)) {
        if (cut_writer_is_done(c->writer)) { /* it failed */
            end_tables(c);
            c->phase = WRITING;
        }
        return false;
    }
    err_keep(&c->failure, c->phase == COUNTING ? count_some(c) : write_some(c));
    if (has_failed(c) || c->phase == WRITING)
        end_tables(c);
    return !has_failed(c) && c->phase != WRITING;
}

bool cut_is_done(cut *c)
{
    return has_failed(c) || (c->phase == WRITING && cut_writer_is_done(c->writer));
}

/* ---- from beginning to end ---- */

static err_t begin_tables(cut *c, table *tables)
{
    for (int t = 0; t < c->n_tables; t++) {
        table_part *x = &c->parts[t];
        x->table      = &tables[t];
        x->n_fields   = row_fields_list(x->table, x->fields);
        TRY(table_cut_begin(&x->was, x->table, c->options.step));
        x->rows = c->options.delta ? 0 : x->was.rows;
    }
    return OK;
}

err_t cut_begin(cut **out, table *tables, int n_tables, const cut_options *options)
{
    char path[ROW_FIELDS_PATH];
    cut *c = calloc(1, sizeof *c);

    *out = NULL;
    if (!c)
        return err_memory(sizeof *c, "a checkpoint");
    c->options        = *options;
    c->options.folder = NULL; /* not needed any more */
    if (c->options.piece_buckets == 0)
        c->options.piece_buckets = CUT_PIECE_BUCKETS;
    c->n_tables       = n_tables;
    c->parts          = calloc((size_t)n_tables + 1, sizeof *c->parts);
    err_t err         = c->parts ? OK : err_memory(sizeof *c->parts, "a checkpoint's tables");
    if (!c->parts)
        c->n_tables = 0;
    row_fields_path(path, options->folder, options->shard, options->shards);
    if (err == OK)
        err = begin_tables(c, tables);
    if (err == OK)
        err = safetensors_create_later(&c->file, path);
    if (err == OK && options->compression)
        err = safetensors_compress(c->file, options->compression);
    if (err == OK && !options->delta)
        err = open_file(c);
    if (err != OK)
        cut_abandon(&c);
    *out = c;
    return err;
}

uint64_t cut_bytes_done(const cut *c)
{
    return c->done;
}

uint64_t cut_rows_packed(const cut *c)
{
    uint64_t rows = 0;

    for (int t = 0; t < c->n_tables; t++)
        rows += c->parts[t].rows;
    return rows;
}

void cut_abandon(cut **cut_)
{
    cut *c = *cut_;

    if (!c)
        return;
    for (int t = 0; t < c->n_tables; t++)
        if (c->parts[t].table)
            table_cut_end(&c->parts[t].was, c->parts[t].table);
    if (c->file)
        safetensors_abandon(&c->file);
    cut_writer_abandon(&c->writer);
    free(c->parts);
    bucket_pack_clear(&c->pack);
    vec_clear(&c->left);
    free(c->waiting);
    free(c);
    *cut_ = NULL;
}

err_t cut_finish(cut **cut_, safetensors_digest *digest)
{
    cut  *c   = *cut_;
    err_t err = err_give(&c->failure);

    if (err == OK)
        err = cut_writer_finish(&c->writer, digest);
    if (err != OK) { /* what is given up has errors of its own */
        err_report report;
        err_keep(&report, err);
        cut_abandon(cut_);
        return err_give(&report);
    }
    cut_abandon(cut_);
    return OK;
}
