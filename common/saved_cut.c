#include "common/saved_cut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

#define LINK_SHIFT 48 /* of the link in a place */

/* The configuration of another version may have words that this program does not know. */
static config *parse_configuration(const saved_cut *c)
{
    const char *text   = c->manifest->configuration;
    config     *parsed = NULL;

    return config_parse(&parsed, c->folder, text, strlen(text), 0, NULL) == OK ? parsed : NULL;
}

err_t saved_cut_open(saved_cut *c, const char *path)
{
    char folder[CONFIG_PATH_MAX];

    *c = (saved_cut){0};
    TRY(manifest_find(folder, path));
    TRY(manifest_chain_read(&c->chain, folder));
    c->manifest = &manifest_chain_end(&c->chain)->manifest;
    c->folder   = manifest_chain_end(&c->chain)->folder;
    c->config   = parse_configuration(c);
    return OK;
}

void saved_cut_close(saved_cut *c)
{
    manifest_chain_clear(&c->chain);
    config_free(&c->config);
}

int saved_cut_find_table(const saved_cut *c, const char *name)
{
    for (int i = 0; i < c->manifest->n_tables; i++)
        if (!strcmp(c->manifest->tables[i].name, name))
            return i;
    return -1;
}

/* As the table was when its servers wrote it (ps/table.h, table_set_clock). */
double saved_cut_decay(const config *c, int64_t step, const char *table)
{
    int64_t last = step > 0 ? step - 1 : 0;

    for (int t = 0; t < c->n_tables; t++) {
        const table_config *one = &c->tables[t];
        if (!strcmp(one->name, table) && one->penalty.kind == PENALTY_DECAY)
            return one->optimizer.lr * config_lr_factor(c, last) * one->penalty.lambda;
    }
    return 0;
}

/* ---- columns ---- */

/* Weights and state may be of any floating type: that of the table, or of another build. */
static err_t find_column(const safetensors_tensor **out, const chain_part *p, const char *name,
                         uint64_t width)
{
    const safetensors_tensor *t = safetensors_find(p->file, name);

    if (t && t->count == p->n * width && t->n_dims > 0 && t->shape[0] == p->n) {
        *out = t;
        return OK;
    }
    return err_set(ERR_FORMAT, "%s: %s is missing or of another size",
                   safetensors_path(p->file), name);
}

err_t saved_column_open(saved_column *c, const saved_rows *r, const char *what, uint64_t width)
{
    char name[CHAIN_NAME_MAX];

    *c = (saved_column){.width = width, .at = calloc((size_t)r->links, sizeof *c->at)};
    if (!c->at)
        return err_memory((size_t)r->links * sizeof *c->at, "a table of a checkpoint");
    chain_tensor_name(name, r->table, "", what);
    for (int i = 0; i < r->links; i++)
        TRY(find_column(&c->at[i], &r->parts[i], name, width));
    return OK;
}

void saved_column_close(saved_column *c)
{
    free(c->at);
    *c = (saved_column){0};
}

/* Where a row stands: in which link's file, and which element it is there. */
typedef struct place {
    int      link;
    uint64_t at;
} place;

static place place_of(const saved_rows *r, uint64_t row)
{
    if (!r->places)
        return (place){0, r->base + row};
    return (place){(int)(r->places[row] >> LINK_SHIFT),
                   r->places[row] & ((UINT64_C(1) << LINK_SHIFT) - 1)};
}

/* How many of n rows, from row on, stand side by side in one file. */
static uint64_t run_of(const saved_rows *r, uint64_t row, uint64_t n)
{
    uint64_t run = r->places ? 1 : n;

    while (run < n && r->places[row + run] == r->places[row] + run)
        run++;
    return run;
}

void saved_column_read(const saved_column *c, const saved_rows *r, uint64_t row, real *x)
{
    place p = place_of(r, row);

    safetensors_copy_real(x, c->at[p.link], p.at * c->width, c->width);
}

/* A whole number below 2^32, whatever it is kept as. */
static uint32_t whole_at(const saved_column *c, const saved_rows *r, uint64_t row)
{
    place p = place_of(r, row);

    return (uint32_t)safetensors_get_u64(c->at[p.link], p.at);
}

/* Real numbers, or (whole) U32. */
static err_t expect_type(const safetensors *file, const safetensors_tensor *t, bool whole)
{
    bool good = whole ? t->type == DTYPE_U32
                      : t->type == DTYPE_F32 || t->type == DTYPE_BF16 || t->type == DTYPE_F64;

    return good ? OK
                : err_set(ERR_FORMAT, "%s: %s is %s, wanted %s", safetensors_path(file),
                          t->name, dtype_name(t->type), whole ? "U32" : "F32, BF16 or F64");
}

static err_t open_columns(saved_rows *r)
{
    TRY(saved_column_open(&r->weight, r, "weight", (uint64_t)r->dim));
    TRY(saved_column_open(&r->count, r, "count", 1));
    TRY(saved_column_open(&r->touched, r, "touched", 1));
    for (int i = 0; i < r->links; i++) {
        const safetensors *file = r->files[i];
        TRY(expect_type(file, r->weight.at[i], false));
        TRY(expect_type(file, r->count.at[i], true));
        TRY(expect_type(file, r->touched.at[i], true));
    }
    return OK;
}

/* ---- rows ---- */

static err_t open_file(saved_rows *r, const manifest_link *link, int i, int shard)
{
    char            name[CONFIG_NAME_MAX], path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
    const manifest *m = &link->manifest;

    manifest_shard_name(name, shard, m->shards);
    snprintf(path, sizeof path, "%s/%s", link->folder, name);
    TRY(safetensors_open(&r->files[i], path));
    return chain_part_open(&r->parts[i], r->files[i], r->table, "", &m->first_bucket[shard],
                           m->parent.there);
}

static err_t open_files(saved_rows *r, const saved_cut *c, int shard)
{
    r->files  = calloc((size_t)r->links, sizeof *r->files);
    r->parts  = calloc((size_t)r->links, sizeof *r->parts);
    r->begins = calloc(HASH_BUCKETS + 1, sizeof *r->begins);
    if (!r->files || !r->parts || !r->begins)
        return err_memory((HASH_BUCKETS + 1) * sizeof *r->begins, "a table of a checkpoint");
    for (int i = 0; i < r->links; i++)
        TRY(open_file(r, &c->chain.links[i], i, shard));
    return OK;
}

/* A full checkpoint's rows are numbered as they stand there. */
static void number_rows(saved_rows *r, uint32_t first, uint32_t end)
{
    const safetensors_tensor *buckets = r->parts[0].buckets;
    uint64_t                  last    = safetensors_get_u64(buckets, end);

    r->base = safetensors_get_u64(buckets, first);
    r->n    = last - r->base;
    for (uint32_t b = first; b <= HASH_BUCKETS; b++)
        r->begins[b] = (b < end ? safetensors_get_u64(buckets, b) : last) - r->base;
}

/* Those of a chain bucket by bucket; *room: of places. */
static err_t pick_bucket(saved_rows *r, chain_bucket *b, uint32_t bucket, size_t *room)
{
    uint64_t first;

    chain_bucket_begin(b, bucket);
    for (int link = 0; link < r->links; link++)
        TRY(chain_bucket_add(b, link, &r->parts[link], &first));
    if (r->n + b->rows.n > *room)
        TRY(vec_grow(&r->places, room, sizeof *r->places, r->n + b->rows.n));
    for (size_t i = 0; i < b->rows.n; i++)
        r->places[r->n++] = (uint64_t)b->rows.at[i].link << LINK_SHIFT | b->rows.at[i].at;
    return OK;
}

static err_t pick_rows(saved_rows *r, uint32_t first, uint32_t end)
{
    chain_bucket b    = {.salt = hash_table_salt(r->table)};
    size_t       room = 0;
    err_t        err  = vec_grow(&r->places, &room, sizeof *r->places, 1);

    for (uint32_t i = 0; err == OK && i <= HASH_BUCKETS; i++) {
        r->begins[i] = r->n;
        if (i >= first && i < end)
            err = pick_bucket(r, &b, i, &room);
    }
    chain_bucket_clear(&b);
    return err;
}

static void find_decay(saved_rows *r, const saved_cut *c)
{
    if (c->config)
        r->decay = saved_cut_decay(c->config, c->manifest->step, r->table);
    if (r->decay != 0)
        powers_init(&r->left, 1 - r->decay);
}

err_t saved_rows_open(saved_rows *r, const saved_cut *c, const char *table, int k,
                      uint32_t first, uint32_t end)
{
    int number = saved_cut_find_table(c, table);

    *r =
        (saved_rows){.table = table, .links = c->chain.n, .clock = (uint64_t)c->manifest->step};
    if (number < 0)
        return err_set(ERR_FORMAT, "%s has no table %s", c->folder, table);
    if (r->links > 1 << (64 - LINK_SHIFT))
        return err_set(ERR_FORMAT, "%s: a chain of %d checkpoints", c->folder, r->links);
    r->dim = c->manifest->tables[number].dim;
    TRY(open_files(r, c, k));
    TRY(open_columns(r));
    find_decay(r, c);
    if (r->links > 1)
        return pick_rows(r, first, end);
    number_rows(r, first, end);
    return OK;
}

void saved_rows_close(saved_rows *r)
{
    saved_column_close(&r->weight);
    saved_column_close(&r->count);
    saved_column_close(&r->touched);
    for (int i = 0; r->files && i < r->links; i++)
        safetensors_close(&r->files[i]);
    free(r->files);
    free(r->parts);
    free(r->places);
    free(r->begins);
    *r = (saved_rows){0};
}

static uint64_t id_at(const saved_rows *r, uint64_t row)
{
    place p = place_of(r, row);

    return safetensors_get_u64(r->parts[p.link].ids, p.at);
}

/* A bucket has its rows by id. */
bool saved_rows_find(const saved_rows *r, uint64_t id, uint64_t *row)
{
    uint32_t bucket = hash_bucket(hash_id(hash_table_salt(r->table), id));
    uint64_t low = r->begins[bucket], high = r->begins[bucket + 1], end = high;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (id_at(r, middle) < id)
            low = middle + 1;
        else
            high = middle;
    }
    *row = low;
    return low < end && id_at(r, low) == id;
}

void saved_rows_ids(const saved_rows *r, uint64_t first, uint64_t n, uint64_t *ids)
{
    for (uint64_t i = 0, run; i < n; i += run) {
        place p = place_of(r, first + i);
        run     = run_of(r, first + i, n - i);
        safetensors_copy_u64(ids + i, r->parts[p.link].ids, p.at, run);
    }
}

void saved_rows_weights(const saved_rows *r, uint64_t first, uint64_t n, real *w)
{
    size_t dim = (size_t)r->dim;

    for (uint64_t i = 0, run; i < n; i += run) {
        place p = place_of(r, first + i);
        run     = run_of(r, first + i, n - i);
        safetensors_copy_real(w + i * dim, r->weight.at[p.link], p.at * dim, run * dim);
    }
    for (uint64_t i = 0; r->decay != 0 && i < n; i++) {
        uint64_t touched = whole_at(&r->touched, r, first + i);
        if (touched >= r->clock)
            continue;
        real left = (real)powers_of(&r->left, (uint32_t)(r->clock - touched));
        for (size_t d = 0; d < dim; d++)
            w[i * dim + d] *= left;
    }
}

uint32_t saved_rows_count(const saved_rows *r, uint64_t row)
{
    return whole_at(&r->count, r, row);
}
