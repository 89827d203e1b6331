#include "worker/first_dense.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/graph.h"
#include "worker/models/model.h"

static bool every(const void *self, const char *name)
{
    (void)self, (void)name;
    return true;
}

static void count(int *n, char first[160], const char *name)
{
    if (++*n == 1)
        snprintf(first, 160, "%s", name);
}

/* Tensors NAME or NAME@PART of the file whose NAME this model does not have. */
static err_t count_unknown(first_dense *out, const dense *d, const char *path)
{
    safetensors *file;

    TRY(safetensors_open(&file, path));
    for (int i = 0; i < safetensors_count(file); i++) {
        const char *full = safetensors_at(file, i)->name;
        char        name[160];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(full, "@"), full);
        if (!dense_find(d, name))
            count(&out->unknown, out->name_unknown, name);
    }
    safetensors_close(&file);
    return OK;
}

static err_t take(first_dense *out, dense *d, const char *from)
{
    int           n     = dense_count(d);
    dense_taking *taken = calloc((size_t)n + 1, sizeof *taken);
    err_t         err =
        taken ? dense_take(d, from, true, every, NULL, taken) : err_memory((size_t)n, "a list");

    for (int i = 0; err == OK && i < n; i++) {
        const char *name = dense_at(d, i)->name;
        if (taken[i] == DENSE_TAKEN)
            out->taken++;
        else if (taken[i] == DENSE_TAKEN_ANEW)
            count(&out->anew, out->name_anew, name);
        else
            count(&out->missing, out->name_missing, name);
    }
    free(taken);
    return err == OK ? count_unknown(out, d, from) : err;
}

static err_t build(dense **d, graph **g, const config *c, const schema *s)
{
    TRY(dense_new(d, c));
    TRY(graph_new(g, c, s, *d));
    TRY(model_build(*g, c));
    return dense_seal(*d, c->train.seed);
}

err_t first_dense_write(first_dense *out, const config *c, const schema *s, const char *from,
                        const char *path, safetensors_digest *digest)
{
    dense *d   = NULL;
    graph *g   = NULL;
    err_t  err = build(&d, &g, c, s);

    *out = (first_dense){0};
    if (err == OK && from)
        err = take(out, d, from);
    else if (err == OK && dense_count(d) > 0) {
        out->missing = dense_count(d);
        snprintf(out->name_missing, sizeof out->name_missing, "%s", dense_at(d, 0)->name);
    }
    if (err == OK)
        err = dense_save(d, path, digest);
    graph_free(&g);
    dense_free(&d);
    return err;
}
