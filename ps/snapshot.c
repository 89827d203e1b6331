#include "ps/snapshot.h"

#include <inttypes.h>
#include <string.h>

#include "common/bucket_offsets.h"
#include "common/hash.h"
#include "ps/cut.h"
#include "ps/row_fields.h"
#include "ps/snapshot_counters.h"

#define PIECE   1024 /* rows read at a time */
#define STRETCH ((uint64_t)1 << 18) /* rows of a file that are fetched and let go together */

/* ---- writing ---- */

err_t snapshot_write(const char *folder, int shard, int shards, table *tables, int n_tables,
                     safetensors_digest *digest)
{
    const cut_options options = {.folder = folder,
                                 .shard  = shard,
                                 .shards = shards,
                                 .step   = UINT32_MAX}; /* all rows, whatever touched them */
    cut              *c;

    TRY(cut_begin(&c, tables, n_tables, &options));
    while (cut_advance(c))
        ;
    return cut_finish(&c, digest);
}

/* ---- reading ---- */

/* A checkpoint as its files are read. */
typedef struct source {
    const char     *folder;
    uint64_t        step; /* of the cut */
    int             shards;
    const uint32_t *first_bucket; /* (shards + 1) */
    bool            delta;        /* rows take the place of those that are there */
    uint64_t        parent;       /* step of what it stands upon */
    bool            last;         /* no delta stands upon it: counters are its */
    pulse           pulse;
} source;

/* A table's tensors in a file. */
typedef struct table_reader {
    table                    *table;
    const source             *from;
    const safetensors        *file;
    const safetensors_tensor *ids, *count, *touched, *buckets;
    const safetensors_tensor *evicted, *evicted_buckets; /* of a delta */
    int                       n_fields;
    row_field                     fields[ROW_FIELDS_MOST];
    const safetensors_tensor *values[ROW_FIELDS_MOST];
} table_reader;

static err_t find_list(const safetensors_tensor **out, const table_reader *x, const char *what,
                       dtype type, uint64_t n)
{
    tensor_name name;

    row_fields_name(name, x->table, what);
    return safetensors_expect(out, x->file, name, type, 1, &n);
}

/* The tensor T.WHAT, ids of any number. */
static err_t find_ids(const safetensors_tensor **out, const table_reader *x, const char *what)
{
    tensor_name name;

    row_fields_name(name, x->table, what);
    const safetensors_tensor *ids = safetensors_find(x->file, name);
    return find_list(out, x, what, DTYPE_U64, ids && ids->n_dims == 1 ? ids->count : 0);
}

/* Where the ids of each bucket begin: the shard of the file has first .. end-1. */
static err_t find_buckets(const safetensors_tensor **out, const table_reader *x,
                          const char *what, uint64_t n, uint32_t first, uint32_t end)
{
    tensor_name name;

    row_fields_name(name, x->table, what);
    return bucket_offsets_expect(out, x->file, name, n, first, end);
}

static err_t find_tensors(table_reader *x, uint32_t first, uint32_t end)
{
    TRY(find_ids(&x->ids, x, "ids"));
    uint64_t rows = x->ids->count;
    if (x->from->delta) {
        TRY(find_ids(&x->evicted, x, "evicted"));
        TRY(find_buckets(&x->evicted_buckets, x, "evicted.buckets", x->evicted->count, first,
                         end));
    }
    TRY(find_list(&x->count, x, "count", DTYPE_U32, rows));
    TRY(find_list(&x->touched, x, "touched", DTYPE_U32, rows));
    TRY(find_buckets(&x->buckets, x, "buckets", rows, first, end));
    x->n_fields = row_fields_list(x->table, x->fields);
    for (int i = 0; i < x->n_fields; i++) {
        uint64_t shape[2] = {rows, (uint64_t)x->fields[i].width};
        TRY(safetensors_expect(&x->values[i], x->file, x->fields[i].name, x->fields[i].type,
                               x->fields[i].wide ? 2 : 1, shape));
    }
    return OK;
}

static err_t read_row(const table_reader *x, uint64_t from, row *r)
{
    r->count   = (uint32_t)safetensors_get_u64(x->count, from);
    r->touched = (uint32_t)safetensors_get_u64(x->touched, from);
    for (int i = 0; i < x->n_fields; i++) {
        size_t bytes = x->fields[i].bytes;
        memcpy(r->x + x->fields[i].offset, (const char *)x->values[i]->data + from * bytes,
               bytes);
    }
    if (r->touched > x->from->step)
        return err_set(ERR_FORMAT, "%s: %s[%" PRIu64 "] is %u, after the cut at step %" PRIu64,
                       safetensors_path(x->file), x->touched->name, from, r->touched,
                       x->from->step);
    if (x->from->delta && r->touched < x->from->parent)
        return err_set(ERR_FORMAT,
                       "%s: %s[%" PRIu64 "] is %u, before the parent's step %" PRIu64,
                       safetensors_path(x->file), x->touched->name, from, r->touched,
                       x->from->parent);
    return OK;
}

/* n ids from the first on, which must belong to bucket. */
static err_t read_ids(uint64_t *ids, const table_reader *x, const safetensors_tensor *from,
                      uint32_t bucket, uint64_t first, uint64_t n)
{
    safetensors_copy_u64(ids, from, first, n);
    for (uint64_t i = 0; i < n; i++)
        if (hash_bucket(hash_id(x->table->salt, ids[i])) != bucket)
            return err_set(ERR_FORMAT,
                           "%s: %s: id %" PRIu64 " stands in bucket %u, which is not its own",
                           safetensors_path(x->file), from->name, ids[i], bucket);
    return OK;
}

/* Rows for n ids of bucket, which stand in the file from the first on: new ones, but where a
 * delta has the same id. */
static err_t insert_rows(const table_reader *x, uint32_t bucket, const uint64_t *ids,
                         uint64_t first, uint64_t n, uint32_t *rows)
{
    row_store *store = x->table->rows;
    uint64_t   held  = row_store_count(store);
    bool       twice = false;

    TRY(row_store_insert(store, ids, n, rows));
    if (x->from->delta) {
        if (first > safetensors_get_u64(x->buckets, bucket))
            twice = ids[0] <= safetensors_get_u64(x->ids, first - 1);
        for (uint64_t i = 1; i < n; i++)
            twice |= ids[i] <= ids[i - 1];
    } else {
        twice = row_store_count(store) != held + n;
    }
    return twice ? err_set(ERR_FORMAT, "%s: %s: bucket %u holds an id twice%s",
                           safetensors_path(x->file), x->ids->name, bucket,
                           x->from->delta ? ", or not by id" : "")
                 : OK;
}

/* Rows first .. first + n - 1 of the file, n <= PIECE, which belong to bucket. */
static err_t read_piece(const table_reader *x, uint32_t bucket, uint64_t first, uint64_t n)
{
    uint64_t ids[PIECE];
    uint32_t rows[PIECE];

    TRY(read_ids(ids, x, x->ids, bucket, first, n));
    TRY(insert_rows(x, bucket, ids, first, n, rows));
    for (uint64_t i = 0; i < n; i++)
        TRY(read_row(x, first + i, row_store_at(x->table->rows, rows[i])));
    return OK;
}

/* Remove the rows of n ids that a delta says have left. */
static err_t remove_piece(const table_reader *x, uint32_t bucket, uint64_t first, uint64_t n)
{
    uint64_t ids[PIECE];
    uint32_t number;

    TRY(read_ids(ids, x, x->evicted, bucket, first, n));
    for (uint64_t i = 0; i < n; i++) {
        row_store_find(x->table->rows, &ids[i], 1, &number);
        if (number != ROW_NONE)
            row_store_remove(x->table->rows, number);
    }
    return OK;
}

/* Of the buckets begin .. stop-1. */
static err_t remove_evicted(const table_reader *x, uint32_t begin, uint32_t stop)
{
    if (!x->from->delta)
        return OK;
    for (uint32_t bucket = begin; bucket < stop; bucket++) {
        pulse_beat(&x->from->pulse);
        uint64_t at   = safetensors_get_u64(x->evicted_buckets, bucket);
        uint64_t last = safetensors_get_u64(x->evicted_buckets, bucket + 1);
        for (; at < last; at += PIECE)
            TRY(remove_piece(x, bucket, at, last - at < PIECE ? last - at : PIECE));
    }
    return OK;
}

typedef void advise_function(const safetensors *file, const safetensors_tensor *t,
                             uint64_t first, uint64_t n);

/* Say of rows first .. end-1 of the file that they are soon to be read, or were. */
static void advise_rows(const table_reader *x, advise_function *advise, uint64_t first,
                        uint64_t end)
{
    advise(x->file, x->ids, first, end - first);
    advise(x->file, x->count, first, end - first);
    advise(x->file, x->touched, first, end - first);
    for (int i = 0; i < x->n_fields; i++)
        advise(x->file, x->values[i], first, end - first);
}

/* The file's rows begin .. end-1 as they are read: a stretch is fetched while the one before
 * it is read, and the map lets go of it when it was. */
typedef struct stretch {
    uint64_t begin, fetched, end;
} stretch;

static void read_on(const table_reader *x, stretch *s, uint64_t at)
{
    while (s->fetched < s->end && s->fetched < at + STRETCH) {
        uint64_t next = s->fetched + STRETCH < s->end ? s->fetched + STRETCH : s->end;
        advise_rows(x, safetensors_fetch, s->fetched, next);
        s->fetched = next;
    }
    if (at - s->begin < STRETCH && at < s->end)
        return;
    advise_rows(x, safetensors_drop, s->begin, at);
    s->begin = at;
}

static err_t read_bucket(const table_reader *x, uint32_t bucket)
{
    uint64_t at   = safetensors_get_u64(x->buckets, bucket);
    uint64_t last = safetensors_get_u64(x->buckets, bucket + 1);

    if (last - at > ROW_MOST)
        return err_set(ERR_FORMAT, "%s: %s: bucket %u has %" PRIu64 " rows",
                       safetensors_path(x->file), x->buckets->name, bucket, last - at);
    if (!x->from->delta)
        TRY(row_store_reserve(x->table->rows, bucket, (uint32_t)(last - at)));
    for (; at < last; at += PIECE)
        TRY(read_piece(x, bucket, at, last - at < PIECE ? last - at : PIECE));
    return OK;
}

static err_t read_table(table_reader *x, uint32_t first, uint32_t end)
{
    const table *t     = x->table;
    uint32_t     begin = first > t->first_bucket ? first : t->first_bucket;
    uint32_t     stop  = end < t->end_bucket ? end : t->end_bucket;

    TRY(find_tensors(x, first, end));
    TRY(remove_evicted(x, begin, stop));
    stretch s = {.begin = safetensors_get_u64(x->buckets, begin),
                 .end   = safetensors_get_u64(x->buckets, stop)};
    s.fetched = s.begin;
    for (uint32_t bucket = begin; bucket < stop; bucket++) {
        pulse_beat(&x->from->pulse);
        read_on(x, &s, safetensors_get_u64(x->buckets, bucket));
        TRY(read_bucket(x, bucket));
    }
    read_on(x, &s, s.end);
    return x->from->last ? counters_read(x->table, x->file, first, end) : OK;
}

/* The rows that belong to the tables in the file of a shard, which owned the buckets first ..
 * end-1. */
static err_t read_file(const source *from, int shard, uint32_t first, uint32_t end,
                       table *tables, int n_tables)
{
    char         path[ROW_FIELDS_PATH];
    safetensors *file;
    err_t        err = OK;

    row_fields_path(path, from->folder, shard, from->shards);
    TRY(safetensors_open(&file, path));
    for (int t = 0; err == OK && t < n_tables; t++) {
        table_reader x = {.table = &tables[t], .from = from, .file = file};
        err            = read_table(&x, first, end);
    }
    safetensors_close(&file);
    return err;
}

static err_t read_source(const source *from, table *tables, int n_tables)
{
    for (int shard = 0; n_tables && shard < from->shards; shard++) {
        uint32_t first = from->first_bucket[shard], end = from->first_bucket[shard + 1];
        if (first < tables->end_bucket && end > tables->first_bucket)
            TRY(read_file(from, shard, first, end, tables, n_tables));
    }
    return OK;
}

err_t snapshot_read(const char *folder, uint64_t step, int shards, const uint32_t *first_bucket,
                    table *tables, int n_tables)
{
    const source from = {.folder       = folder,
                         .step         = step,
                         .shards       = shards,
                         .first_bucket = first_bucket,
                         .last         = true};

    return read_source(&from, tables, n_tables);
}

err_t snapshot_read_chain(const manifest_chain *chain, table *tables, int n_tables,
                          const pulse *p)
{
    for (int i = 0; i < chain->n; i++) {
        const manifest *m    = &chain->links[i].manifest;
        const source    from = {.folder       = chain->links[i].folder,
                                .step         = (uint64_t)m->step,
                                .shards       = m->shards,
                                .first_bucket = m->first_bucket,
                                .delta        = m->parent.there,
                                .parent       = (uint64_t)m->parent.step,
                                .last         = i == chain->n - 1,
                                .pulse        = *p};
        TRY(read_source(&from, tables, n_tables));
    }
    return OK;
}
