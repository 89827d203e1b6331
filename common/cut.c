#include "common/cut.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/hash.h"

#define NAME_BYTES (CONFIG_NAME_MAX + 32)

/* The configuration of another version may have words that this program does not know. */
static config *parse_configuration(const saved_cut *c)
{
    const char *text   = c->manifest.configuration;
    config     *parsed = NULL;

    return config_parse(&parsed, c->folder, text, strlen(text), 0, NULL) == OK ? parsed : NULL;
}

err_t cut_open(saved_cut *c, const char *path)
{
    *c = (saved_cut){0};
    TRY(manifest_find(c->folder, path));
    TRY(manifest_read(&c->manifest, c->folder));
    if (c->manifest.parent.there)
        return err_set(ERR_FORMAT,
                       "%s is a delta upon step %" PRId64
                       ", and only a full checkpoint is read here: `dips checkpoint compact` makes "
                       "it one",
                       c->folder, c->manifest.parent.step);
    c->config = parse_configuration(c);
    return OK;
}

void cut_close(saved_cut *c)
{
    manifest_clear(&c->manifest);
    config_free(&c->config);
}

int cut_find_table(const saved_cut *c, const char *name)
{
    for (int i = 0; i < c->manifest.n_tables; i++)
        if (!strcmp(c->manifest.tables[i].name, name))
            return i;
    return -1;
}

/* ---- rows ---- */

static const char *tensor_name(char name[NAME_BYTES], const cut_rows *r, const char *what)
{
    snprintf(name, NAME_BYTES, "%.*s.%s", CONFIG_NAME_MAX - 1, r->table, what);
    return name;
}

const safetensors_tensor *cut_rows_find(const cut_rows *r, const char *what)
{
    char name[NAME_BYTES];

    return safetensors_find(r->file, tensor_name(name, r, what));
}

static err_t expect_list(const safetensors_tensor **out, const cut_rows *r, const char *what,
                         dtype type, uint64_t n)
{
    char name[NAME_BYTES];

    return safetensors_expect(out, r->file, tensor_name(name, r, what), type, 1, &n);
}

/* The weights may be of any floating type: that of the table, or of another build. */
static err_t find_weight(cut_rows *r)
{
    char name[NAME_BYTES];

    tensor_name(name, r, "weight");
    r->weight = safetensors_find(r->file, name);
    if (!r->weight)
        return err_set(ERR_FORMAT, "%s has no tensor %s", safetensors_path(r->file), name);
    dtype type = r->weight->type;
    if (type != DTYPE_F32 && type != DTYPE_BF16 && type != DTYPE_F64)
        return err_set(ERR_FORMAT, "%s: %s is %s, wanted F32, BF16 or F64",
                       safetensors_path(r->file), name, dtype_name(type));
    return safetensors_expect(&r->weight, r->file, name, type, 2,
                              (const uint64_t[]){r->n, (uint64_t)r->dim});
}

static err_t find_tensors(cut_rows *r)
{
    const safetensors_tensor *ids = cut_rows_find(r, "ids");

    r->n = ids && ids->n_dims == 1 ? ids->count : 0;
    TRY(expect_list(&r->ids, r, "ids", DTYPE_U64, r->n));
    TRY(expect_list(&r->count, r, "count", DTYPE_U32, r->n));
    TRY(expect_list(&r->touched, r, "touched", DTYPE_U32, r->n));
    TRY(expect_list(&r->buckets, r, "buckets", DTYPE_U64, HASH_BUCKETS + 1));
    return find_weight(r);
}

/* As the table was when its servers wrote it (ps/table.h, table_set_clock). */
double cut_decay(const config *c, int64_t step, const char *table)
{
    int64_t last = step > 0 ? step - 1 : 0;

    for (int t = 0; t < c->n_tables; t++) {
        const table_config *one = &c->tables[t];
        if (!strcmp(one->name, table) && one->penalty.kind == PENALTY_DECAY)
            return one->optimizer.lr * config_lr_factor(c, last) * one->penalty.lambda;
    }
    return 0;
}

static void find_decay(cut_rows *r, const saved_cut *c)
{
    if (c->config)
        r->decay = cut_decay(c->config, c->manifest.step, r->table);
    if (r->decay != 0)
        powers_init(&r->left, 1 - r->decay);
}

err_t cut_rows_open(cut_rows *r, const saved_cut *c, const char *table, int shard)
{
    char name[CONFIG_NAME_MAX], path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
    int  number = cut_find_table(c, table);

    *r = (cut_rows){.table = table, .clock = (uint64_t)c->manifest.step};
    if (number < 0)
        return err_set(ERR_FORMAT, "%s has no table %s", c->folder, table);
    r->dim = c->manifest.tables[number].dim;
    manifest_shard_name(name, shard, c->manifest.shards);
    snprintf(path, sizeof path, "%s/%s", c->folder, name);
    TRY(safetensors_open(&r->file, path));
    TRY(find_tensors(r));
    find_decay(r, c);
    return OK;
}

void cut_rows_close(cut_rows *r)
{
    safetensors_close(&r->file);
}

void cut_rows_weights(const cut_rows *r, uint64_t first, uint64_t n, real *w)
{
    size_t dim = (size_t)r->dim;

    safetensors_copy_real(w, r->weight, first * dim, n * dim);
    for (uint64_t i = 0; r->decay != 0 && i < n; i++) {
        uint64_t touched = safetensors_get_u64(r->touched, first + i);
        if (touched >= r->clock)
            continue;
        real left = (real)powers_of(&r->left, (uint32_t)(r->clock - touched));
        for (size_t d = 0; d < dim; d++)
            w[i * dim + d] *= left;
    }
}
