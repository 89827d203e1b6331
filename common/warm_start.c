#include "common/warm_start.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool warm_start_wants(const config *c, const char *name)
{
    const config_names *only = &c->init.only;

    for (int i = 0; i < only->n; i++)
        if (fnmatch(only->at[i], name, 0) == 0)
            return true;
    return only->n == 0;
}

err_t warm_start_table(warm_table *out, const saved_cut *from, const config *c,
                       const table_config *table)
{
    int         number = saved_cut_find_table(from, table->name);
    const char *rule   = config_optimizer_name(table->optimizer.kind);

    *out = (warm_table){.there = number >= 0, .wanted = warm_start_wants(c, table->name)};
    if (!warm_table_taken(out))
        return OK;
    out->theirs = &from->manifest->tables[number];
    out->state  = !strcmp(out->theirs->optimizer, rule);
    if (out->theirs->dim == table->dim)
        return OK;
    return err_set(ERR_CONFIG,
                   "init.from: rows of table %s are %d wide in %s, tables.%s.dim is %d; "
                   "init.only can leave the table out",
                   table->name, out->theirs->dim, from->folder, table->name, table->dim);
}

bool warm_start_dense_state(const saved_cut *from, const config *c)
{
    return from->config && from->config->dense.kind == c->dense.kind;
}

err_t warm_start_check_patterns(const config *c, const saved_cut *from, int n,
                                const char *const *names)
{
    for (int i = 0; i < c->init.only.n; i++) {
        bool met = false;
        for (int k = 0; k < n && !met; k++)
            met = fnmatch(c->init.only.at[i], names[k], 0) == 0;
        if (!met)
            return err_set(ERR_CONFIG,
                           "init.only names '%s', which is no table or dense parameter that "
                           "both %s and this model have",
                           c->init.only.at[i], from->folder);
    }
    return OK;
}

err_t warm_start_settle(config *c)
{
    char  folder[CONFIG_PATH_MAX];
    err_t err = manifest_find(folder, c->init.from);

    if (err != OK)
        return err_add(err, "init.from");
    char *path = realpath(folder, NULL);
    if (!path)
        return err_errno("init.from: %s", folder);
    int length = snprintf(c->init.from, sizeof c->init.from, "%s", path);
    free(path);
    return length < CONFIG_PATH_MAX
               ? OK
               : err_set(ERR_CONFIG, "init.from: the path %s is too long", folder);
}
