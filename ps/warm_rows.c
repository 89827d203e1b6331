#include "ps/warm_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/hash.h"
#include "common/warm_start.h"

#define PIECE      256 /* rows at a time */
#define PARTS_MOST 8   /* of a rule's state */

/* A table on its way from the file of one shard. */
typedef struct taking {
    table       *table;
    saved_rows   rows;
    int          n_parts; /* of the state that is taken */
    saved_column parts[PARTS_MOST];
    real        *w; /* (PIECE, dim) */
    const pulse *pulse;
} taking;

static err_t open_state(taking *x)
{
    const table_config *c = x->table->config;
    int                 n;
    const optim_part   *parts = optim_parts(c->optimizer.kind, &n);

    for (; x->n_parts < n; x->n_parts++) {
        const optim_part *part = &parts[x->n_parts];
        char              name[CONFIG_NAME_MAX];
        snprintf(name, sizeof name, "@%s", part->name);
        err_t err = saved_column_open(&x->parts[x->n_parts], &x->rows, name,
                                      part->wide ? (uint64_t)c->dim : 1);
        if (err != OK) {
            saved_column_close(&x->parts[x->n_parts]);
            return err;
        }
    }
    return OK;
}

/* Row `from` of the cut, whose weights are w, into r. */
static void take_row(const taking *x, row *r, uint64_t from, const real *w)
{
    const table *t     = x->table;
    real        *state = r->x + t->state_at;

    table_write_weights(t, r, w, 0);
    if (!t->exact)
        r->count = saved_rows_count(&x->rows, from);
    for (int i = 0; i < x->n_parts; i++) {
        saved_column_read(&x->parts[i], &x->rows, from, state);
        state += x->parts[i].width;
    }
}

/* Rows first .. first+n-1, n <= PIECE. */
static err_t take_piece(const taking *x, uint64_t first, size_t n)
{
    table   *t   = x->table;
    size_t   dim = (size_t)t->config->dim;
    uint64_t ids[PIECE];
    uint32_t rows[PIECE];

    saved_rows_ids(&x->rows, first, n, ids);
    if (!table_owns(t, ids, n))
        return err_set(ERR_FORMAT, "%s: an id stands in a bucket that is not its own",
                       safetensors_path(x->rows.files[x->rows.links - 1]));
    if (admission_by_step(&t->config->admit)) /* its counters had admitted them */
        TRY(table_admit(t, ids, n, rows));
    else
        TRY(table_bear(t, ids, n, rows));
    saved_rows_weights(&x->rows, first, n, x->w);
    for (size_t i = 0; i < n; i++)
        if (rows[i] != ROW_REFUSED)
            take_row(x, row_store_at(t->rows, rows[i]), first + i, x->w + i * dim);
    return OK;
}

static err_t take_rows(const taking *x)
{
    uint64_t n = x->rows.n;

    for (uint64_t first = 0; first < n; first += PIECE) {
        pulse_beat(x->pulse);
        TRY(take_piece(x, first, n - first < PIECE ? (size_t)(n - first) : PIECE));
    }
    return OK;
}

/* Those that shard k of the cut had in the table's buckets. */
static err_t take_table(table *t, const saved_cut *from, int k, bool state, const pulse *p)
{
    taking x = {.table = t, .pulse = p};
    err_t  err =
        saved_rows_open(&x.rows, from, t->config->name, k, t->first_bucket, t->end_bucket);

    if (err == OK && state)
        err = open_state(&x);
    x.w = err == OK ? malloc(PIECE * (size_t)t->config->dim * sizeof *x.w) : NULL;
    if (err == OK && !x.w)
        err = err_memory(PIECE * (size_t)t->config->dim * sizeof *x.w, "rows to begin with");
    if (err == OK)
        err = take_rows(&x);
    free(x.w);
    while (x.n_parts > 0)
        saved_column_close(&x.parts[--x.n_parts]);
    saved_rows_close(&x.rows);
    return err;
}

/* Whether shard k of the cut had one of the table's buckets. */
static bool overlaps(const table *t, const saved_cut *from, int k)
{
    const uint32_t *first = from->manifest->first_bucket;

    return first[k] < t->end_bucket && first[k + 1] > t->first_bucket;
}

static err_t take_tables(const saved_cut *from, const config *c, table *tables, int n_tables,
                         const pulse *p)
{
    for (int t = 0; t < n_tables; t++) {
        warm_table w;
        TRY(warm_start_table(&w, from, c, tables[t].config));
        for (int k = 0; warm_table_taken(&w) && k < from->manifest->shards; k++)
            if (overlaps(&tables[t], from, k))
                TRY(take_table(&tables[t], from, k, w.state, p));
    }
    return OK;
}

err_t warm_rows_read(const config *c, table *tables, int n_tables, const pulse *p)
{
    saved_cut from;
    err_t     err = saved_cut_open(&from, c->init.from);

    if (err == OK)
        err = take_tables(&from, c, tables, n_tables, p);
    saved_cut_close(&from);
    return err == OK ? OK : err_add(err, "init.from");
}
