/* Opening a checkpoint and those that it stands upon. The reading of lists is source_list.c's.
 */
#include "launch/checkpoint/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which tensors there may be ---- */

static bool is_one_of(const char *what, const char *const *names)
{
    while (*names && strcmp(what, *names) != 0)
        names++;
    return *names != NULL;
}

/* Whether TABLE.WHAT is one that these tools carry. */
static bool is_known(const char *what, const manifest_table *table)
{
    static const char *const names[] = {
        "ids",    "buckets",     "weight", "count", "touched", "evicted", "evicted.buckets",
        "sketch", "sketch.form", "days",   NULL};
    int               n     = 0;
    const optim_part *parts = row_form_parts(table->optimizer, &n);

    for (int i = 0; what[0] == '@' && i < n; i++)
        if (!strcmp(what + 1, parts[i].name))
            return true;
    return !strncmp(what, "waiting.", 8) || is_one_of(what, names);
}

/* What is not known would be lost on the way. */
static err_t check_names(const manifest *m, const safetensors *file)
{
    for (int i = 0; i < safetensors_count(file); i++) {
        const char *name  = safetensors_at(file, i)->name;
        bool        known = false;
        for (int t = 0; t < m->n_tables && !known; t++) {
            size_t length = strlen(m->tables[t].name);
            known         = !strncmp(name, m->tables[t].name, length) && name[length] == '.' &&
                    is_known(name + length + 1, &m->tables[t]);
        }
        if (!known)
            return err_set(ERR_FORMAT, "%s: tensor %.64s is nothing that this program knows",
                           safetensors_path(file), name);
    }
    return OK;
}

/* ---- opening ---- */

static err_t open_link(source *s, int link)
{
    const manifest *m = &s->chain.links[link].manifest;

    s->files[link] = calloc((size_t)m->shards, sizeof *s->files[link]);
    if (!s->files[link])
        return err_memory((size_t)m->shards * sizeof **s->files, "a checkpoint's files");
    for (int i = 0; i < m->n_files; i++)
        s->bytes += m->files[i].digest.bytes;
    for (int k = 0; k < m->shards; k++) {
        char name[CONFIG_NAME_MAX], path[CONFIG_PATH_MAX + CONFIG_NAME_MAX];
        manifest_shard_name(name, k, m->shards);
        snprintf(path, sizeof path, "%s/%s", s->chain.links[link].folder, name);
        TRY(safetensors_open(&s->files[link][k], path));
        TRY(check_names(m, s->files[link][k]));
    }
    return OK;
}

static void map_buckets(source *s)
{
    const manifest *m = s->manifest;

    for (int k = 0; k < m->shards; k++)
        for (uint32_t b = m->first_bucket[k]; b < m->first_bucket[k + 1]; b++)
            s->shard_of[b] = (uint16_t)k;
}

err_t source_open(source *s, const char *path)
{
    char folder[CONFIG_PATH_MAX];

    *s = (source){0};
    TRY(manifest_find(folder, path));
    TRY(manifest_chain_read(&s->chain, folder));
    TRY(manifest_chain_verify(&s->chain));
    s->manifest = &manifest_chain_end(&s->chain)->manifest;
    s->folder   = manifest_chain_end(&s->chain)->folder;
    map_buckets(s);
    s->files = calloc((size_t)s->chain.n, sizeof *s->files);
    if (!s->files)
        return err_memory((size_t)s->chain.n * sizeof *s->files, "a checkpoint's files");
    for (int i = 0; i < s->chain.n; i++)
        TRY(open_link(s, i));
    return OK;
}

void source_close(source *s)
{
    for (int i = 0; s->files && i < s->chain.n; i++) {
        for (int k = 0; s->files[i] && k < s->manifest->shards; k++)
            safetensors_close(&s->files[i][k]);
        free(s->files[i]);
    }
    free(s->files);
    manifest_chain_clear(&s->chain);
    *s = (source){0};
}

int source_find_table(const source *s, const char *name)
{
    for (int i = 0; i < s->manifest->n_tables; i++)
        if (!strcmp(s->manifest->tables[i].name, name))
            return i;
    return -1;
}

/* ---- what there is besides lists: whole in each link ---- */

const safetensors_tensor *source_constant(const source *s, int t, const char *what)
{
    char name[TENSOR_NAME_MOST];

    row_form_tensor(name, s->manifest->tables[t].name, "", what);
    return safetensors_find(s->files[s->chain.n - 1][0], name);
}

err_t source_sketch(const source *s, int t, uint32_t bucket, const void **at, uint64_t *bytes)
{
    int                shard = s->shard_of[bucket];
    const uint32_t    *first = &s->manifest->first_bucket[shard];
    const safetensors *file  = s->files[s->chain.n - 1][shard];
    char               name[TENSOR_NAME_MOST];

    *at = NULL;
    row_form_tensor(name, s->manifest->tables[t].name, "", "sketch");
    const safetensors_tensor *sketch = safetensors_find(file, name);
    if (!sketch)
        return OK;
    uint64_t shape[2] = {first[1] - first[0], sketch->n_dims == 2 ? sketch->shape[1] : 0};
    TRY(safetensors_expect(&sketch, file, name, DTYPE_U8, 2, shape));
    *bytes = shape[1];
    *at    = (const char *)sketch->data + (bucket - first[0]) * shape[1];
    return OK;
}
