#include "launch/checkpoint/rewrite.h"

#include <stdlib.h>

#include "launch/checkpoint/target.h"

/* A table on its way: what is read of it, and its tensors in the file being written. */
typedef struct passage {
    int                       table;
    source_list               rows, waiting;
    bool                      waits;       /* there are ids that wait */
    const safetensors_tensor *form, *days; /* constants; or NULL */
    list_writer               rows_out, waiting_out;
    int                       sketch_out, form_out, days_out;
} passage;

/* ---- declaring ---- */

static err_t declare_list(list_writer *x, safetensors_writer *w, source_list *l,
                          const char *prefix, uint32_t first, uint32_t end, uint64_t *n)
{
    TRY(source_list_count(l, first, end, n));
    return list_declare(x, w, l->table, prefix, &l->form, *n);
}

static err_t declare_constant(int *out, safetensors_writer *w, const safetensors_tensor *t)
{
    return t ? safetensors_declare(w, t->name, t->type, t->n_dims, t->shape, out) : OK;
}

static err_t declare_sketch(passage *p, safetensors_writer *w, const source *s, uint32_t first,
                            uint32_t end)
{
    char        name[TENSOR_NAME_MOST];
    const void *at;
    uint64_t    bytes;

    TRY(source_sketch(s, p->table, 0, &at, &bytes));
    if (!at)
        return OK;
    row_form_tensor(name, p->rows.table, "", "sketch");
    return safetensors_declare(w, name, DTYPE_U8, 2, (uint64_t[]){end - first, bytes},
                               &p->sketch_out);
}

/* In the order of ps/snapshot.c, so that the file is the same. */
static err_t declare(passage *p, safetensors_writer *w, const source *s, uint32_t first,
                     uint32_t end, rewritten *done)
{
    uint64_t n;

    TRY(declare_list(&p->rows_out, w, &p->rows, "", first, end, &n));
    done->rows += n;
    if (p->waits)
        TRY(declare_list(&p->waiting_out, w, &p->waiting, "waiting", first, end, &n));
    TRY(declare_constant(&p->form_out, w, p->form));
    TRY(declare_sketch(p, w, s, first, end));
    return declare_constant(&p->days_out, w, p->days);
}

/* ---- copying ---- */

static err_t copy_list(list_writer *x, safetensors_writer *w, source_list *l, uint32_t first,
                       uint32_t end)
{
    bucket_rows rows;

    for (uint32_t b = first; b < end; b++) {
        TRY(source_list_read(l, b, &rows));
        if (rows.n > 0)
            TRY(list_add(x, w, &rows));
    }
    source_list_leave(l);
    return list_end(x, w);
}

static err_t copy_sketch(const passage *p, safetensors_writer *w, const source *s,
                         uint32_t first, uint32_t end)
{
    const void *at;
    uint64_t    bytes;

    for (uint32_t b = first; b < end; b++) {
        TRY(source_sketch(s, p->table, b, &at, &bytes));
        if (!at)
            return OK;
        TRY(safetensors_append(w, p->sketch_out, at, bytes));
    }
    return OK;
}

static err_t copy(passage *p, safetensors_writer *w, const source *s, uint32_t first,
                  uint32_t end)
{
    TRY(copy_list(&p->rows_out, w, &p->rows, first, end));
    if (p->waits)
        TRY(copy_list(&p->waiting_out, w, &p->waiting, first, end));
    if (p->form)
        TRY(safetensors_append(w, p->form_out, p->form->data, p->form->bytes));
    TRY(copy_sketch(p, w, s, first, end));
    return p->days ? safetensors_append(w, p->days_out, p->days->data, p->days->bytes) : OK;
}

/* ---- files ---- */

static err_t open_passage(passage *p, const source *s, int t)
{
    p->table = t;
    TRY(source_rows(&p->rows, s, t));
    TRY(source_waiting(&p->waiting, s, t, &p->waits));
    p->form = source_constant(s, t, "sketch.form");
    p->days = source_constant(s, t, "days");
    return OK;
}

static err_t fill_shard(passage *all, safetensors_writer *w, const source *s, uint32_t first,
                        uint32_t end, rewritten *done)
{
    for (int t = 0; t < s->manifest->n_tables; t++)
        TRY(declare(&all[t], w, s, first, end, done));
    for (int t = 0; t < s->manifest->n_tables; t++)
        TRY(copy(&all[t], w, s, first, end));
    return OK;
}

static err_t write_shard(passage *all, target *to, const source *s, int shard, rewritten *done)
{
    char                path[FILE_PATH_MOST];
    const uint32_t     *first  = &to->manifest.first_bucket[shard];
    safetensors_digest *digest = target_shard(to, shard, path);
    safetensors_writer *w;

    TRY(safetensors_create(&w, path));
    err_t err = fill_shard(all, w, s, first[0], first[1], done);
    if (err != OK) {
        safetensors_abandon(&w);
        return err;
    }
    TRY(safetensors_finish(&w, digest));
    done->bytes += digest->bytes;
    return OK;
}

static err_t write_files(passage *all, target *to, const source *s, rewritten *done)
{
    for (int t = 0; t < s->manifest->n_tables; t++)
        TRY(open_passage(&all[t], s, t));
    for (int k = 0; k < to->manifest.shards; k++)
        TRY(write_shard(all, to, s, k, done));
    TRY(target_copy_dense(to, s->folder));
    done->bytes += to->manifest.files[to->manifest.shards].digest.bytes;
    return OK;
}

static err_t fill(target *to, const source *s, rewritten *done)
{
    size_t   n   = (size_t)s->manifest->n_tables;
    passage *all = calloc(n + 1, sizeof *all);
    err_t    err = all ? write_files(all, to, s, done) : err_memory(n * sizeof *all, "tables");

    for (size_t t = 0; all && t < n; t++) {
        source_list_close(&all[t].rows);
        source_list_close(&all[t].waiting);
    }
    free(all);
    return err;
}

err_t rewrite_checkpoint(const source *s, const char *path, bool replacing, int shards,
                         rewritten *done)
{
    target   to;
    manifest m = *s->manifest; /* what it points to is lent */

    *done    = (rewritten){0};
    m.parent = (manifest_parent){0};
    if (shards > 0) {
        m.shards       = shards;
        m.first_bucket = NULL;
    }
    TRY(target_begin(&to, path, replacing, &m));
    err_t err = fill(&to, s, done);
    if (err == OK)
        return target_finish(&to, NULL);
    target_abandon(&to);
    return err;
}
