#include "launch/checkpoint/row_form.h"

#include <stdio.h>
#include <string.h>

dtype row_form_real(const manifest *m)
{
    return !strcmp(m->real, "double") ? DTYPE_F64 : DTYPE_F32;
}

const optim_part *row_form_parts(const char *name, int *n)
{
    for (int kind = OPTIMIZER_SGD; kind <= OPTIMIZER_FTRL; kind++)
        if (!strcmp(config_optimizer_name((optimizer_kind)kind), name))
            return optim_parts((optimizer_kind)kind, n);
    return NULL;
}

void row_form_add(row_form *f, const char *what, dtype type, bool wide, uint64_t width)
{
    row_column *c = &f->at[f->n++];

    *c = (row_column){
        .type = type, .wide = wide, .width = width, .bytes = width * dtype_size(type)};
    snprintf(c->what, sizeof c->what, "%s", what);
}

err_t row_form_of(row_form *f, const manifest_table *table, dtype state, dtype weight)
{
    int               n;
    const optim_part *parts = row_form_parts(table->optimizer, &n);
    uint64_t          dim   = (uint64_t)table->dim;

    *f = (row_form){0};
    if (!parts)
        return err_set(ERR_FORMAT, "table %s has the optimizer '%s', which is unknown",
                       table->name, table->optimizer);
    row_form_add(f, "weight", weight, true, dim);
    for (int i = 0; i < n; i++) {
        char what[32];
        snprintf(what, sizeof what, "@%s", parts[i].name);
        row_form_add(f, what, state, parts[i].wide, parts[i].wide ? dim : 1);
    }
    row_form_add(f, "count", DTYPE_U32, false, 1);
    row_form_add(f, "touched", DTYPE_U32, false, 1);
    return OK;
}

int row_form_find(const row_form *f, const char *what)
{
    for (int i = 0; i < f->n; i++)
        if (!strcmp(f->at[i].what, what))
            return i;
    return -1;
}

void row_form_tensor(char name[TENSOR_NAME_MOST], const char *table, const char *prefix,
                     const char *what)
{
    snprintf(name, TENSOR_NAME_MOST, "%s.%s%s%s", table, prefix, *prefix ? "." : "", what);
}
