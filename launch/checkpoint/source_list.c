/* Ids with columns, read from the files of all links of a chain. */
#include <stdlib.h>
#include <string.h>

#include "launch/checkpoint/source.h"

#define STRETCH_BYTES ((uint64_t)4 << 20) /* of rows that are fetched and let go together */

/* ---- opening ---- */

static err_t open_columns(source_part *p, const source_list *l, const char *prefix)
{
    for (int i = 0; i < l->form.n; i++) {
        const row_column *c = &l->form.at[i];
        char              name[TENSOR_NAME_MOST];
        row_form_tensor(name, l->table, prefix, c->what);
        TRY(safetensors_expect(&p->columns[i], p->at.file, name, c->type, c->wide ? 2 : 1,
                               (uint64_t[]){p->at.n, c->width}));
    }
    return OK;
}

static err_t open_part(source_part *p, const source_list *l, int link, int shard,
                       const char *prefix)
{
    const source *s = l->source;

    *p = (source_part){0};
    TRY(chain_part_open(&p->at, s->files[link][shard], l->table, prefix,
                        &s->manifest->first_bucket[shard], link > l->first && !*prefix));
    return open_columns(p, l, prefix);
}

/* The links from first on. */
static err_t open_parts(source_list *l, int first, const char *prefix)
{
    const source *s      = l->source;
    size_t        shards = (size_t)s->manifest->shards;

    l->first = first;
    l->parts = calloc((size_t)s->chain.n, sizeof *l->parts);
    if (!l->parts)
        return err_memory(sizeof *l->parts, "a table of a checkpoint");
    for (int i = first; i < s->chain.n; i++) {
        l->parts[i] = calloc(shards, sizeof *l->parts[i]);
        if (!l->parts[i])
            return err_memory(shards * sizeof *l->parts[i], "a table of a checkpoint");
        for (size_t k = 0; k < shards; k++)
            TRY(open_part(&l->parts[i][k], l, i, (int)k, prefix));
    }
    return OK;
}

static void begin(source_list *l, const source *s, int t)
{
    const char *table = s->manifest->tables[t].name;

    *l = (source_list){
        .source = s, .table = table, .bucket = {.salt = hash_table_salt(table)}, .shard = -1};
}

err_t source_rows(source_list *l, const source *s, int t)
{
    const manifest_table     *table  = &s->manifest->tables[t];
    dtype                     state  = row_form_real(s->manifest);
    const safetensors_tensor *weight = source_constant(s, t, "weight");

    begin(l, s, t);
    err_t err = row_form_of(&l->form, table, state,
                            weight && weight->type == DTYPE_BF16 ? DTYPE_BF16 : state);
    return err == OK ? open_parts(l, 0, "") : err_add(err, "%s", s->folder);
}

err_t source_waiting(source_list *l, const source *s, int t, bool *there)
{
    begin(l, s, t);
    *there = source_constant(s, t, "waiting.ids") != NULL;
    if (!*there)
        return OK;
    row_form_add(&l->form, "count", DTYPE_U32, false, 1);
    return open_parts(l, s->chain.n - 1, "waiting");
}

void source_list_close(source_list *l)
{
    for (int i = 0; l->parts && i < l->source->chain.n; i++)
        free(l->parts[i]);
    free(l->parts);
    vec_clear(&l->ids);
    chain_bucket_clear(&l->bucket);
    for (int i = 0; i < l->form.n; i++)
        free(l->columns[i]);
    *l = (source_list){0};
}

/* ---- pages ---- */

typedef void advise_function(const safetensors *file, const safetensors_tensor *t,
                             uint64_t first, uint64_t n);

static void advise(const source_list *l, const source_part *p, advise_function *f,
                   uint64_t first, uint64_t end)
{
    f(p->at.file, p->at.ids, first, end - first);
    for (int i = 0; i < l->form.n; i++)
        f(p->at.file, p->columns[i], first, end - first);
}

/* Rows of a stretch. */
static uint64_t stretch_of(const row_form *form)
{
    uint64_t bytes = sizeof(uint64_t);

    for (int i = 0; i < form->n; i++)
        bytes += form->at[i].bytes;
    return STRETCH_BYTES / bytes + 1;
}

/* The reading has come to row at: what is behind it is let go, the next stretch fetched. */
static void read_on(const source_list *l, source_part *p, uint64_t at)
{
    uint64_t stretch = stretch_of(&l->form);

    if (at < p->dropped) /* from the beginning again */
        p->dropped = p->fetched = at;
    if (at - p->dropped >= stretch) {
        advise(l, p, safetensors_drop, p->dropped, at);
        p->dropped = at;
    }
    if (at + stretch <= p->fetched || p->fetched == p->at.n)
        return;
    uint64_t from = p->fetched > at ? p->fetched : at;
    uint64_t end  = p->at.n - at < 2 * stretch ? p->at.n : at + 2 * stretch;
    if (end > from)
        advise(l, p, safetensors_fetch, from, end);
    p->fetched = end;
}

void source_list_leave(source_list *l)
{
    for (int i = l->first; l->shard >= 0 && i < l->source->chain.n; i++) {
        source_part *p = &l->parts[i][l->shard];
        advise(l, p, safetensors_drop, p->dropped, p->at.n);
        p->dropped = p->fetched = p->at.n;
    }
    l->shard = -1;
}

/* The reading has come to a bucket: of one shard's files at a time pages are held. */
static void come_to(source_list *l, uint32_t bucket)
{
    int shard = l->source->shard_of[bucket];

    if (l->shard != shard)
        source_list_leave(l);
    l->shard = shard;
}

/* ---- reading ---- */

static source_part *part_of(const source_list *l, int link, uint32_t bucket)
{
    return &l->parts[link][l->source->shard_of[bucket]];
}

/* A full checkpoint: columns are told where they lie. */
static err_t read_plain(source_list *l, bucket_rows *rows)
{
    come_to(l, rows->bucket);
    source_part *p     = part_of(l, l->first, rows->bucket);
    uint64_t     first = safetensors_get_u64(p->at.buckets, rows->bucket);
    uint64_t     n     = safetensors_get_u64(p->at.buckets, rows->bucket + 1) - first;

    read_on(l, p, first);
    TRY(vec_reserve(&l->ids, n));
    TRY(chain_part_ids(l->ids.at, &p->at, p->at.ids, l->bucket.salt, rows->bucket, first, n));
    rows->n   = n;
    rows->ids = l->ids.at;
    for (int i = 0; i < l->form.n; i++)
        rows->columns[i] = (const char *)p->columns[i]->data + first * l->form.at[i].bytes;
    return OK;
}

/* ---- chains ---- */

/* Which rows the bucket has at the chain's end, and where they stand. */
static err_t pick(source_list *l, uint32_t bucket)
{
    come_to(l, bucket);
    chain_bucket_begin(&l->bucket, bucket);
    for (int link = l->first; link < l->source->chain.n; link++) {
        source_part *p = part_of(l, link, bucket);
        uint64_t     first;
        TRY(chain_bucket_add(&l->bucket, link, &p->at, &first));
        read_on(l, p, first);
    }
    return OK;
}

static err_t gather(source_list *l, uint32_t bucket, int column)
{
    const chain_row_list *all   = &l->bucket.rows;
    size_t                bytes = l->form.at[column].bytes, need = all->n * bytes;

    if (need > l->capacities[column])
        TRY(vec_grow(&l->columns[column], &l->capacities[column], 1, need));
    for (size_t i = 0; i < all->n;) {
        const chain_row   *from = &all->at[i];
        const source_part *p    = part_of(l, from->link, bucket);
        size_t             n    = chain_bucket_run(&l->bucket, i);
        memcpy(l->columns[column] + i * bytes,
               (const char *)p->columns[column]->data + from->at * bytes, n * bytes);
        i += n;
    }
    return OK;
}

static err_t read_chain(source_list *l, bucket_rows *rows)
{
    const chain_row_list *all = &l->bucket.rows;

    TRY(pick(l, rows->bucket));
    TRY(vec_reserve(&l->ids, all->n));
    for (size_t i = 0; i < all->n; i++)
        l->ids.at[i] = all->at[i].id;
    rows->n   = all->n;
    rows->ids = l->ids.at;
    for (int i = 0; i < l->form.n; i++) {
        TRY(gather(l, rows->bucket, i));
        rows->columns[i] = l->columns[i];
    }
    return OK;
}

static bool is_plain(const source_list *l)
{
    return l->first == l->source->chain.n - 1;
}

err_t source_list_read(source_list *l, uint32_t bucket, bucket_rows *rows)
{
    *rows = (bucket_rows){.bucket = bucket};
    return is_plain(l) ? read_plain(l, rows) : read_chain(l, rows);
}

err_t source_list_count(source_list *l, uint32_t first, uint32_t end, uint64_t *n)
{
    *n = 0;
    for (uint32_t b = first; b < end; b++) {
        const source_part *p = part_of(l, l->first, b);
        if (is_plain(l)) {
            *n += safetensors_get_u64(p->at.buckets, b + 1) -
                  safetensors_get_u64(p->at.buckets, b);
            continue;
        }
        TRY(pick(l, b));
        *n += l->bucket.rows.n;
    }
    return OK;
}
