#include "ps/warm_rows.h"

#include <inttypes.h>
#include <string.h>

#include "common/hash.h"
#include "common/warm_start.h"

#define PIECE      256 /* rows at a time */
#define PARTS_MOST 8   /* of a rule's state */

/* A table on its way from the file of one shard. */
typedef struct taking {
    table                    *table;
    const cut_rows           *rows;
    int                       n_parts; /* of the state that is taken */
    const safetensors_tensor *parts[PARTS_MOST];
    size_t                    widths[PARTS_MOST];
    real                     *w; /* (PIECE, dim) */
    const pulse              *pulse;
} taking;

static err_t find_state(taking *x)
{
    const table_config *c = x->table->config;
    int                 n;
    const optim_part   *parts = optim_parts(c->optimizer.kind, &n);

    for (int i = 0; i < n; i++) {
        char name[CONFIG_NAME_MAX];
        x->widths[i] = parts[i].wide ? (size_t)c->dim : 1;
        snprintf(name, sizeof name, "@%s", parts[i].name);
        x->parts[i] = cut_rows_find(x->rows, name);
        if (!x->parts[i] || x->parts[i]->count != x->rows->n * x->widths[i])
            return err_set(ERR_FORMAT, "%s: %s.%s is missing or of another size",
                           safetensors_path(x->rows->file), c->name, name);
    }
    x->n_parts = n;
    return OK;
}

/* Row `from` of the file, whose weights are w, into r. */
static void take_row(const taking *x, row *r, uint64_t from, const real *w)
{
    const table *t     = x->table;
    real        *state = r->x + t->state_at;

    table_write_weights(t, r, w, 0);
    if (!t->exact)
        r->count = (uint32_t)safetensors_get_u64(x->rows->count, from);
    for (int i = 0; i < x->n_parts; i++) {
        safetensors_copy_real(state, x->parts[i], from * x->widths[i], x->widths[i]);
        state += x->widths[i];
    }
}

/* Rows first .. first+n-1 of the file, n <= PIECE. */
static err_t take_piece(const taking *x, uint64_t first, size_t n)
{
    table   *t   = x->table;
    size_t   dim = (size_t)t->config->dim;
    uint64_t ids[PIECE];
    uint32_t rows[PIECE];

    safetensors_copy_u64(ids, x->rows->ids, first, n);
    if (!table_owns(t, ids, n))
        return err_set(ERR_FORMAT, "%s: %s: an id stands in a bucket that is not its own",
                       safetensors_path(x->rows->file), x->rows->ids->name);
    if (admission_by_step(&t->config->admit)) /* its counters had admitted them */
        TRY(table_admit(t, ids, n, rows));
    else
        TRY(table_bear(t, ids, n, rows));
    cut_rows_weights(x->rows, first, n, x->w);
    for (size_t i = 0; i < n; i++)
        if (rows[i] != ROW_REFUSED)
            take_row(x, row_store_at(t->rows, rows[i]), first + i, x->w + i * dim);
    return OK;
}

/* The table's own buckets of the file. */
static err_t take_rows(const taking *x)
{
    const table *t     = x->table;
    uint64_t     first = safetensors_get_u64(x->rows->buckets, t->first_bucket);
    uint64_t     end   = safetensors_get_u64(x->rows->buckets, t->end_bucket);

    if (first > end || end > x->rows->n)
        return err_set(ERR_FORMAT, "%s: %s does not ascend to %" PRIu64,
                       safetensors_path(x->rows->file), x->rows->buckets->name, x->rows->n);
    for (; first < end; first += PIECE) {
        pulse_beat(x->pulse);
        TRY(take_piece(x, first, end - first < PIECE ? (size_t)(end - first) : PIECE));
    }
    return OK;
}

static err_t take_table(table *t, const saved_cut *from, int shard, bool state, const pulse *p)
{
    cut_rows rows;
    taking   x = {.table = t, .rows = &rows, .pulse = p};

    err_t err = cut_rows_open(&rows, from, t->config->name, shard);
    if (err == OK && state)
        err = find_state(&x);
    x.w = err == OK ? malloc(PIECE * (size_t)t->config->dim * sizeof *x.w) : NULL;
    if (err == OK && !x.w)
        err = err_memory(PIECE * (size_t)t->config->dim * sizeof *x.w, "rows to begin with");
    if (err == OK)
        err = take_rows(&x);
    free(x.w);
    cut_rows_close(&rows);
    return err;
}

/* Whether shard k of the cut had one of the table's buckets. */
static bool overlaps(const table *t, const saved_cut *from, int k)
{
    const uint32_t *first = from->manifest.first_bucket;

    return first[k] < t->end_bucket && first[k + 1] > t->first_bucket;
}

static err_t take_tables(const saved_cut *from, const config *c, table *tables, int n_tables,
                         const pulse *p)
{
    for (int t = 0; t < n_tables; t++) {
        warm_table w;
        TRY(warm_start_table(&w, from, c, tables[t].config));
        for (int k = 0; warm_table_taken(&w) && k < from->manifest.shards; k++)
            if (overlaps(&tables[t], from, k))
                TRY(take_table(&tables[t], from, k, w.state, p));
    }
    return OK;
}

err_t warm_rows_read(const config *c, table *tables, int n_tables, const pulse *p)
{
    saved_cut from;
    err_t     err = cut_open(&from, c->init.from);

    if (err == OK)
        err = take_tables(&from, c, tables, n_tables, p);
    cut_close(&from);
    return err == OK ? OK : err_add(err, "init.from");
}
