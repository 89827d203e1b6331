#include "launch/known_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/safetensors.h"

typedef struct table_names {
    safetensors              *file; /* NULL: none */
    const safetensors_tensor *ids, *offsets, *bytes;
} table_names;

struct known_names {
    int         n;
    table_names tables[];
};

static err_t open_table(table_names *t, const char *path)
{
    TRY(safetensors_open(&t->file, path));
    t->ids     = safetensors_find(t->file, "ids");
    t->offsets = safetensors_find(t->file, "offsets");
    t->bytes   = safetensors_find(t->file, "bytes");
    if (t->ids && t->offsets && t->bytes && dtype_is_integer(t->ids->type) &&
        dtype_is_integer(t->offsets->type) && t->offsets->count == t->ids->count + 1 &&
        t->bytes->type == DTYPE_U8)
        return OK;
    return err_set(ERR_DATA, "%s: ids, offsets and bytes are not those of names", path);
}

err_t known_names_open(known_names **out, const schema *s, const char *folder)
{
    char         path[2 * CONFIG_PATH_MAX];
    known_names *n = calloc(1, sizeof *n + (size_t)s->n_tables * sizeof *n->tables);

    *out = n;
    if (!n)
        return err_memory(sizeof *n, "the names of ids");
    for (; n->n < s->n_tables; n->n++) {
        snprintf(path, sizeof path, "%s/names-%s.safetensors", folder,
                 s->tables[n->n].config->name);
        err_t err = access(path, R_OK) == 0 ? open_table(&n->tables[n->n], path) : OK;
        if (err != OK) {
            n->n++;
            known_names_free(out);
            return err;
        }
    }
    return OK;
}

void known_names_free(known_names **n)
{
    for (int t = 0; *n && t < (*n)->n; t++)
        safetensors_close(&(*n)->tables[t].file);
    free(*n);
    *n = NULL;
}

const char *known_names_find(const known_names *n, int table, uint64_t id, size_t *size)
{
    const table_names *t   = &n->tables[table];
    uint64_t           low = 0, high;

    if (!t->file)
        return NULL;
    for (high = t->ids->count; low < high;) {
        uint64_t middle = low + (high - low) / 2;
        if (safetensors_get_u64(t->ids, middle) < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == t->ids->count || safetensors_get_u64(t->ids, low) != id)
        return NULL;
    uint64_t begin = safetensors_get_u64(t->offsets, low);
    uint64_t end   = safetensors_get_u64(t->offsets, low + 1);
    if (begin > end || end > t->bytes->count)
        return NULL;
    *size = (size_t)(end - begin);
    return (const char *)t->bytes->data + begin;
}
