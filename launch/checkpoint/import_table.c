#include "launch/checkpoint/import_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bf16.h"
#include "common/hash.h"
#include "common/vec.h"

/* ---- the arrays ---- */

static void miss(import_table *t, const char *what)
{
    size_t n = strlen(t->missing);

    snprintf(t->missing + n, sizeof t->missing - n, "%s%.40s", n ? ", " : "without ", what);
}

static err_t refuse(const import_table *t, const sheet_reader *r, const safetensors_tensor *a,
                    const row_column *c)
{
    return err_set(ERR_FORMAT,
                   "%s: %s has %" PRIu64 " numbers of %s in %d dimensions; for %" PRIu64
                   " ids of table %s [%" PRIu64 "%s%.0" PRIu64 "] is wanted",
                   r->path, a->name, a->count, dtype_name(a->type), a->n_dims, t->n,
                   t->config->name, t->n, c->wide ? ", " : "", c->wide ? c->width : 0);
}

/* Numbers of a column: the first size is that of ids, the others make the width. */
static bool fits(const import_table *t, const safetensors_tensor *a, const row_column *c)
{
    return a->n_dims >= 1 && a->shape[0] == t->n && a->count == t->n * c->width &&
           (dtype_is_integer(c->type) ? dtype_is_integer(a->type) && a->type != DTYPE_BOOL
                                      : !dtype_is_integer(a->type));
}

static err_t find_columns(import_table *t, const sheet_reader *r)
{
    for (int i = 0; i < t->form.n; i++) {
        const row_column         *c = &t->form.at[i];
        const safetensors_tensor *a = sheet_find(r, c->what);
        t->sources[i]               = a;
        if (!a)
            miss(t, c->what);
        else if (!fits(t, a, c))
            return refuse(t, r, a, c);
    }
    return OK;
}

static err_t find_ids(import_table *t, const sheet_reader *r)
{
    const safetensors_tensor *weight = sheet_find(r, "weight");

    t->ids = sheet_find(r, "ids");
    if (!weight)
        return err_set(ERR_FORMAT, "%s: there is no array 'weight'", r->path);
    t->n = weight->n_dims > 0 ? weight->shape[0] : 0;
    if (t->ids && (t->ids->n_dims != 1 || !dtype_is_integer(t->ids->type)))
        return err_set(ERR_FORMAT, "%s: 'ids' is no list of whole numbers", r->path);
    if (t->ids)
        t->n = t->ids->count;
    else
        miss(t, "ids (row i is id i)");
    return OK;
}

static uint64_t id_at(const import_table *t, uint64_t i)
{
    return t->ids ? safetensors_get_u64(t->ids, i) : i;
}

static uint32_t bucket_of(const import_table *t, uint64_t id)
{
    return hash_bucket(hash_id(t->salt, id));
}

/* A counting sort of ids by bucket: how many each has, then each to its place. */
static err_t sort_places(import_table *t)
{
    t->buckets = calloc(HASH_BUCKETS + 2, sizeof *t->buckets);
    t->places  = malloc((t->n + 1) * sizeof *t->places);
    if (!t->buckets || !t->places)
        return err_memory(t->n * sizeof *t->places, "the places of ids");
    for (uint64_t i = 0; i < t->n; i++)
        t->buckets[bucket_of(t, id_at(t, i)) + 2]++;
    for (uint32_t b = 2; b <= HASH_BUCKETS + 1; b++)
        t->buckets[b] += t->buckets[b - 1];
    for (uint64_t i = 0; i < t->n;
         i++) { /* [b + 1] goes from where b begins to where it ends */
        uint64_t id                                   = id_at(t, i);
        t->places[t->buckets[bucket_of(t, id) + 1]++] = (import_place){id, i};
    }
    return OK;
}

/* The rows as this run keeps them. */
static err_t make_form(import_table *t)
{
    manifest_table table = {.dim = t->config->dim};

    snprintf(table.name, sizeof table.name, "%s", t->config->name);
    snprintf(table.optimizer, sizeof table.optimizer, "%s",
             config_optimizer_name(t->config->optimizer.kind));
    return row_form_of(&t->form, &table, DTYPE_REAL,
                       t->config->precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_REAL);
}

err_t import_table_open(import_table *t, const table_config *table, const sheet_reader *r,
                        const safetensors *counts, uint64_t seed, uint32_t step)
{
    *t = (import_table){
        .config = table, .salt = hash_table_salt(table->name), .seed = seed, .step = step};
    TRY(make_form(t));
    if (r) {
        TRY(find_ids(t, r));
        TRY(find_columns(t, r));
    }
    if (counts && table->penalty.count == COUNT_EXACT)
        TRY(id_counts_init(&t->counts, counts, table->name, t->salt, 0, HASH_BUCKETS));
    return sort_places(t);
}

void import_table_close(import_table *t)
{
    free(t->places);
    free(t->buckets);
    free(t->row_ids);
    for (int i = 0; i < t->form.n; i++)
        free(t->columns[i]);
    *t = (import_table){0};
}

/* ---- rows ---- */

static int compare_places(const void *a, const void *b)
{
    uint64_t x = ((const import_place *)a)->id, y = ((const import_place *)b)->id;
    return x < y ? -1 : x > y;
}

/* Reals of array row `at`, or zeros, in the type of the column. */
static err_t fill_reals(const import_table *t, int i, const import_place *p, void *to)
{
    const row_column         *c    = &t->form.at[i];
    const safetensors_tensor *from = t->sources[i];
    real                      x[CONFIG_DIM_MAX];

    memset(x, 0, c->width * sizeof *x);
    if (from)
        safetensors_copy_real(x, from, p->at * c->width, c->width);
    for (uint64_t d = 0; d < c->width; d++)
        if (!isfinite(x[d]))
            return err_set(ERR_NUMERIC, "table %s: %s of id %" PRIu64 " is not finite",
                           t->config->name, c->what, p->id);
    if (c->type == DTYPE_BF16) /* as at a row's birth (ps/table.h) */
        bf16_round(to, x, rng_named(t->seed, RNG_ROUND, t->salt, p->id), c->width);
    else
        memcpy(to, x, c->bytes);
    return OK;
}

static uint32_t number_of(const import_table *t, int i, const import_place *p, bool touched)
{
    if (t->sources[i]) {
        uint64_t x    = safetensors_get_u64(t->sources[i], p->at);
        uint64_t most = touched ? t->step : UINT32_MAX;
        return (uint32_t)(x < most ? x : most);
    }
    if (touched)
        return t->step;
    return t->counts.ids ? id_counts_find(&t->counts, bucket_of(t, p->id), p->id) : 0;
}

static err_t fill_column(import_table *t, int i, const import_place *places, size_t n)
{
    const row_column *c = &t->form.at[i];

    if (n * c->bytes > t->rooms[i])
        TRY(vec_grow(&t->columns[i], &t->rooms[i], 1, n * c->bytes));
    for (size_t k = 0; k < n; k++) {
        char *to = t->columns[i] + k * c->bytes;
        if (c->type != DTYPE_U32) {
            TRY(fill_reals(t, i, &places[k], to));
            continue;
        }
        uint32_t x = number_of(t, i, &places[k], !strcmp(c->what, "touched"));
        memcpy(to, &x, sizeof x);
    }
    return OK;
}

err_t import_table_read(import_table *t, uint32_t bucket, bucket_rows *rows)
{
    uint64_t      first  = t->buckets[bucket];
    size_t        n      = t->buckets[bucket + 1] - first;
    import_place *places = t->places + first;

    *rows = (bucket_rows){.bucket = bucket, .n = n};
    qsort(places, n, sizeof *places, compare_places);
    if (n > t->room)
        TRY(vec_grow(&t->row_ids, &t->room, sizeof *t->row_ids, n));
    for (size_t k = 0; k < n; k++) {
        t->row_ids[k] = places[k].id;
        if (k > 0 && places[k].id == places[k - 1].id)
            return err_set(ERR_DATA, "table %s: the id %" PRIu64 " is there twice",
                           t->config->name, places[k].id);
    }
    rows->ids = t->row_ids;
    for (int i = 0; i < t->form.n; i++) {
        TRY(fill_column(t, i, places, n));
        rows->columns[i] = t->columns[i];
    }
    return OK;
}
