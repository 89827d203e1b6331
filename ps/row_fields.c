#include "ps/row_fields.h"

#include <stdio.h>

#include "common/manifest.h"
#include "common/optim.h"

int row_fields_list(const table *t, row_field fields[ROW_FIELDS_MOST])
{
    const table_config *c = t->config;
    int                 n_parts, n = 0, offset = t->state_at;
    const optim_part   *parts = optim_parts(c->optimizer.kind, &n_parts);

    fields[n] = (row_field){.type  = c->precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_REAL,
                            .width = c->dim,
                            .wide  = true};
    snprintf(fields[n++].name, sizeof fields->name, "%s.weight", c->name);
    for (int i = 0; i < n_parts; i++) {
        fields[n] = (row_field){.type   = DTYPE_REAL,
                                .offset = offset,
                                .width  = parts[i].wide ? c->dim : 1,
                                .wide   = parts[i].wide};
        snprintf(fields[n].name, sizeof fields[n].name, "%s.@%s", c->name, parts[i].name);
        offset += fields[n++].width;
    }
    for (int i = 0; i < n; i++)
        fields[i].bytes = (size_t)fields[i].width * dtype_size(fields[i].type);
    return n;
}

const char *row_fields_name(tensor_name name, const table *t, const char *what)
{
    snprintf(name, sizeof(tensor_name), "%s.%s", t->config->name, what);
    return name;
}

err_t row_fields_declare(safetensors_writer *w, const table *t, const char *what, dtype type,
                         uint64_t n, uint64_t width, int *tensor)
{
    tensor_name name;

    return safetensors_declare(w, row_fields_name(name, t, what), type, width ? 2 : 1,
                               (uint64_t[]){n, width}, tensor);
}

void row_fields_path(char path[ROW_FIELDS_PATH], const char *folder, int shard, int shards)
{
    char name[CONFIG_NAME_MAX];

    manifest_shard_name(name, shard, shards);
    snprintf(path, ROW_FIELDS_PATH, "%.*s/%s", CONFIG_PATH_MAX - 1, folder, name);
}
