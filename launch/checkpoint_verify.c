#include "launch/checkpoint_verify.h"

#include <inttypes.h>
#include <string.h>

#include "common/bucket_offsets.h"
#include "common/hash.h"
#include "common/manifest_chain.h"
#include "launch/checkpoint/row_form.h"

#define NAME_MOST (CONFIG_NAME_MAX + 32)
#define PIECE     1024 /* ids looked at in one go */

bool checkpoint_belongs(const char *name, const char *table, const char **what)
{
    size_t length = strlen(table);

    if (strncmp(name, table, length) != 0 || name[length] != '.')
        return false;
    *what = name + length + 1;
    return true;
}

const safetensors_tensor *checkpoint_find(const safetensors *file, const char *table,
                                          const char *what)
{
    char name[NAME_MOST];

    snprintf(name, sizeof name, "%s.%s", table, what);
    return safetensors_find(file, name);
}

/* ---- one table of one shard ---- */

/* A table's place while it is checked. */
typedef struct place {
    const manifest       *m;
    const safetensors    *file;
    const manifest_table *table;
    uint64_t              salt, rows;
    uint32_t              first_bucket, end_bucket; /* of the shard */
} place;

/* The tensor TABLE.WHAT is there, with a row for each id: [rows], or [rows, dim]. */
static err_t check_tensor(const place *p, const char *what, dtype type, bool wide)
{
    const safetensors_tensor *t    = checkpoint_find(p->file, p->table->name, what);
    const char               *path = safetensors_path(p->file), *table = p->table->name;
    uint64_t                  dim = (uint64_t)p->table->dim;

    if (!t)
        return err_set(ERR_FORMAT, "%s: tensor %s.%s is missing", path, table, what);
    if (t->type != type && !(wide && t->type == DTYPE_BF16 && !strcmp(what, "weight")))
        return err_set(ERR_FORMAT, "%s: tensor %s is %s, wanted %s", path, t->name,
                       dtype_name(t->type), dtype_name(type));
    if (t->n_dims != (wide ? 2 : 1))
        return err_set(ERR_FORMAT, "%s: tensor %s has %d dimensions, wanted %d", path, t->name,
                       t->n_dims, wide ? 2 : 1);
    if (t->shape[0] != p->rows)
        return err_set(ERR_FORMAT,
                       "%s: tensor %s has %" PRIu64 " rows, there are %" PRIu64 " ids", path,
                       t->name, t->shape[0], p->rows);
    if (wide && t->shape[1] != dim)
        return err_set(ERR_FORMAT,
                       "%s: tensor %s has rows of %" PRIu64 ", the table's dim is %" PRIu64,
                       path, t->name, t->shape[1], dim);
    return OK;
}

static err_t check_tensors(place *p)
{
    const manifest_table     *table = p->table;
    const safetensors_tensor *ids   = checkpoint_find(p->file, table->name, "ids");
    int                       n_parts;
    const optim_part         *parts = row_form_parts(table->optimizer, &n_parts);

    if (!parts)
        return err_set(ERR_FORMAT, "%s: table %s has the optimizer '%s', which is unknown",
                       safetensors_path(p->file), table->name, table->optimizer);
    p->rows = ids && ids->n_dims == 1 ? ids->count : 0;
    TRY(check_tensor(p, "ids", DTYPE_U64, false));
    TRY(check_tensor(p, "count", DTYPE_U32, false));
    TRY(check_tensor(p, "touched", DTYPE_U32, false));
    TRY(check_tensor(p, "weight", row_form_real(p->m), true));
    for (int i = 0; i < n_parts; i++) {
        char what[32];
        snprintf(what, sizeof what, "@%s", parts[i].name);
        TRY(check_tensor(p, what, row_form_real(p->m), parts[i].wide));
    }
    return OK;
}

/* Ids begin .. end-1 of bucket hash there and ascend. */
static err_t check_bucket(const place *p, const safetensors_tensor *t, uint32_t bucket,
                          uint64_t begin, uint64_t end)
{
    uint64_t before = 0, ids[PIECE];

    for (uint64_t at = begin; at < end; at += PIECE) {
        uint64_t n = end - at < PIECE ? end - at : PIECE;
        safetensors_copy_u64(ids, t, at, n);
        for (uint64_t i = 0; i < n; i++) {
            if (hash_bucket(hash_id(p->salt, ids[i])) != bucket)
                return err_set(ERR_FORMAT,
                               "%s: %s[%" PRIu64 "] is %" PRIu64
                               ", which does not belong to bucket %u",
                               safetensors_path(p->file), t->name, at + i, ids[i], bucket);
            if (at + i > begin && ids[i] <= before)
                return err_set(ERR_FORMAT, "%s: %s[%" PRIu64 "] is %" PRIu64 " after %" PRIu64,
                               safetensors_path(p->file), t->name, at + i, ids[i], before);
            before = ids[i];
        }
    }
    return OK;
}

/* touched is the last step that updated a row, plus one: at most the cut, and of the rows of a
 * delta not before its parent. */
static err_t check_touched(const place *p)
{
    const safetensors_tensor *t     = checkpoint_find(p->file, p->table->name, "touched");
    uint64_t                  least = p->m->parent.there ? (uint64_t)p->m->parent.step : 0;

    for (uint64_t i = 0; i < p->rows; i++) {
        uint64_t at = safetensors_get_u64(t, i);
        if (at > (uint64_t)p->m->step)
            return err_set(ERR_FORMAT,
                           "%s: %s[%" PRIu64 "] is %" PRIu64 ", after the cut at step %" PRId64,
                           safetensors_path(p->file), t->name, i, at, p->m->step);
        if (at < least)
            return err_set(ERR_FORMAT,
                           "%s: %s[%" PRIu64 "] is %" PRIu64
                           ", before the step %" PRIu64 " that the delta stands upon",
                           safetensors_path(p->file), t->name, i, at, least);
    }
    return OK;
}

/* The ids that stand under one name are where the offsets under another say. */
static err_t check_ids(const place *p, const char *ids, const char *buckets)
{
    const safetensors_tensor *of = checkpoint_find(p->file, p->table->name, ids), *t;
    char                      name[TENSOR_NAME_MOST];

    row_form_tensor(name, p->table->name, "", buckets);
    TRY(bucket_offsets_expect(&t, p->file, name, of->count, p->first_bucket, p->end_bucket));
    for (uint32_t b = p->first_bucket; b < p->end_bucket; b++)
        TRY(check_bucket(p, of, b, safetensors_get_u64(t, b), safetensors_get_u64(t, b + 1)));
    return OK;
}

/* What a tensor that may be missing is, where it is there. */
static err_t check_optional(const place *p, const char *what, dtype type, int n_dims,
                            const uint64_t *shape)
{
    const safetensors_tensor *t = checkpoint_find(p->file, p->table->name, what);

    return t ? safetensors_expect(&t, p->file, t->name, type, n_dims, shape) : OK;
}

/* Counters of admission and the calendar of eviction (ps/snapshot_counters.h). */
static err_t check_counters(const place *p)
{
    const char               *table   = p->table->name;
    const safetensors_tensor *sketch  = checkpoint_find(p->file, table, "sketch");
    const safetensors_tensor *days    = checkpoint_find(p->file, table, "days");
    const safetensors_tensor *waiting = checkpoint_find(p->file, table, "waiting.ids");
    uint64_t                  n       = waiting ? waiting->count : 0;
    uint64_t                  buckets = p->end_bucket - p->first_bucket;

    TRY(check_optional(p, "sketch", DTYPE_U8, 2,
                       (uint64_t[]){buckets, sketch ? sketch->shape[1] : 0}));
    TRY(check_optional(p, "days", DTYPE_I64, 2, (uint64_t[]){days ? days->count / 2 : 0, 2}));
    TRY(check_optional(p, "waiting.ids", DTYPE_U64, 1, &n));
    TRY(check_optional(p, "waiting.count", DTYPE_U32, 1, &n));
    return waiting ? check_ids(p, "waiting.ids", "waiting.buckets") : OK;
}

/* The ids that left since the parent; a full checkpoint knows of none. */
static err_t check_evicted(const place *p)
{
    const char               *table = p->table->name;
    const safetensors_tensor *t     = checkpoint_find(p->file, table, "evicted");

    if (!p->m->parent.there)
        return t ? err_set(ERR_FORMAT, "%s: tensor %s is a delta's, and this is a full one",
                           safetensors_path(p->file), t->name)
                 : OK;
    if (!t)
        return err_set(ERR_FORMAT, "%s: tensor %s.evicted is missing",
                       safetensors_path(p->file), table);
    TRY(safetensors_expect(&t, p->file, t->name, DTYPE_U64, 1, &(uint64_t){t->count}));
    return check_ids(p, "evicted", "evicted.buckets");
}

static err_t check_table(place *p)
{
    TRY(check_tensors(p));
    TRY(check_ids(p, "ids", "buckets"));
    TRY(check_evicted(p));
    TRY(check_counters(p));
    return check_touched(p);
}

/* ---- files ---- */

/* Every tensor of a shard belongs to a table. */
static err_t check_names(const manifest *m, const safetensors *file)
{
    const char *what;

    for (int i = 0; i < safetensors_count(file); i++) {
        const char *name  = safetensors_at(file, i)->name;
        bool        known = false;
        for (int t = 0; t < m->n_tables; t++)
            known |= checkpoint_belongs(name, m->tables[t].name, &what);
        if (!known)
            return err_set(ERR_FORMAT, "%s: tensor %.64s belongs to no table",
                           safetensors_path(file), name);
    }
    return OK;
}

/* *rows: of all tables together. */
static err_t check_shard(const manifest *m, const safetensors *file, int shard, uint64_t *rows)
{
    *rows = 0;
    TRY(check_names(m, file));
    for (int t = 0; t < m->n_tables; t++) {
        place p = {.m            = m,
                   .file         = file,
                   .table        = &m->tables[t],
                   .salt         = hash_table_salt(m->tables[t].name),
                   .first_bucket = m->first_bucket[shard],
                   .end_bucket   = m->first_bucket[shard + 1]};
        TRY(check_table(&p));
        *rows += p.rows;
    }
    return OK;
}

/* Every tensor is real, and every NAME@PART stands beside a NAME of its shape, or holds
 * one number for all of it. */
static err_t check_dense(const manifest *m, const safetensors *file)
{
    for (int i = 0; i < safetensors_count(file); i++) {
        const safetensors_tensor *t  = safetensors_at(file, i), *weight;
        const char               *at = strchr(t->name, '@');
        char                      name[2 * NAME_MOST];
        if (t->type != row_form_real(m))
            return err_set(ERR_FORMAT, "%s: tensor %.64s is %s; the checkpoint is of %s",
                           safetensors_path(file), t->name, dtype_name(t->type), m->real);
        if (!at)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(at - t->name), t->name);
        weight = safetensors_find(file, name);
        if (!weight || (t->count != 1 && t->count != weight->count))
            return err_set(ERR_FORMAT, "%s: tensor %.64s is no state of a weight '%.64s'",
                           safetensors_path(file), t->name, name);
    }
    return OK;
}

/* rows: of a shard; else NULL. */
static void tell_file(FILE *to, const char *name, int tensors, const uint64_t *rows)
{
    fprintf(to, "  %-32s size, hash, %d tensors", name, tensors);
    if (rows)
        fprintf(to, ", %" PRIu64 " rows in their buckets", *rows);
    fprintf(to, "\n");
}

/* role: the number of a shard; or m->shards, the dense weights. */
static err_t check_file(const manifest *m, const char *folder, int role, FILE *tell)
{
    char         name[CONFIG_NAME_MAX] = "dense.safetensors";
    char         path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
    safetensors *file;
    uint64_t     rows = 0;

    if (role < m->shards)
        manifest_shard_name(name, role, m->shards);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    TRY(safetensors_open(&file, path));
    err_t err = role < m->shards ? check_shard(m, file, role, &rows) : check_dense(m, file);
    if (err == OK && tell)
        tell_file(tell, name, safetensors_count(file), role < m->shards ? &rows : NULL);
    safetensors_close(&file);
    return err;
}

static err_t check_files(const manifest *m, const char *folder, FILE *tell)
{
    TRY(manifest_verify(m, folder));
    TRY(check_file(m, folder, m->shards, tell));
    for (int shard = 0; shard < m->shards; shard++)
        TRY(check_file(m, folder, shard, tell));
    return OK;
}

static void tell_manifest(FILE *to, const manifest *m, const char *folder)
{
    fprintf(to, "%s\n  %-32s step %" PRId64, folder, "manifest.json", m->step);
    if (m->parent.there)
        fprintf(to, ", a delta of step %" PRId64, m->parent.step);
    fprintf(to, ", %d tables, %d files\n", m->n_tables, m->n_files);
}

err_t checkpoint_verify(const char *folder, bool parents, FILE *tell)
{
    manifest_chain c;
    err_t          err = manifest_chain_read(&c, folder);

    for (int i = parents ? 0 : c.n - 1; err == OK && i < c.n; i++) {
        const manifest_link *link = &c.links[i];
        if (tell)
            tell_manifest(tell, &link->manifest, link->folder);
        err = check_files(&link->manifest, link->folder, tell);
    }
    manifest_chain_clear(&c);
    return err;
}
