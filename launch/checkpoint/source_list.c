/* Ids with columns, read from the files of all links of a chain. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bucket_offsets.h"
#include "launch/checkpoint/source.h"

#define STRETCH_BYTES ((uint64_t)4 << 20) /* of rows that are fetched and let go together */

/* ---- opening ---- */

static err_t expect(const safetensors_tensor **out, const safetensors *file, const char *table,
                    const char *prefix, const char *what, dtype type, uint64_t n)
{
    char name[TENSOR_NAME_MOST];

    row_form_tensor(name, table, prefix, what);
    return safetensors_expect(out, file, name, type, 1, &n);
}

/* The number of elements of a list that may be missing; 0 then. */
static uint64_t length_of(const safetensors *file, const char *table, const char *prefix,
                          const char *what)
{
    char name[TENSOR_NAME_MOST];

    row_form_tensor(name, table, prefix, what);
    const safetensors_tensor *t = safetensors_find(file, name);
    return t && t->n_dims == 1 ? t->count : 0;
}

/* Where the ids of each bucket begin: the shard of the file has first[0] .. first[1]-1. */
static err_t expect_buckets(const safetensors_tensor **out, const source_part *p,
                            const char *table, const char *prefix, uint64_t n,
                            const uint32_t first[2])
{
    char name[TENSOR_NAME_MOST];

    row_form_tensor(name, table, prefix, "buckets");
    return bucket_offsets_expect(out, p->file, name, n, first[0], first[1]);
}

static err_t open_columns(source_part *p, const source_list *l, const char *prefix)
{
    for (int i = 0; i < l->form.n; i++) {
        const row_column *c = &l->form.at[i];
        char              name[TENSOR_NAME_MOST];
        row_form_tensor(name, l->table, prefix, c->what);
        TRY(safetensors_expect(&p->columns[i], p->file, name, c->type, c->wide ? 2 : 1,
                               (uint64_t[]){p->n, c->width}));
    }
    return OK;
}

/* The ids that left since the parent. */
static err_t open_evicted(source_part *p, const source_list *l, const uint32_t first[2])
{
    uint64_t n = length_of(p->file, l->table, "", "evicted");

    TRY(expect(&p->evicted, p->file, l->table, "", "evicted", DTYPE_U64, n));
    return expect_buckets(&p->evicted_buckets, p, l->table, "evicted", n, first);
}

static err_t open_part(source_part *p, const source_list *l, int link, int shard,
                       const char *prefix)
{
    const source   *s     = l->source;
    const uint32_t *first = &s->manifest->first_bucket[shard];

    *p   = (source_part){.file = s->files[link][shard]};
    p->n = length_of(p->file, l->table, prefix, "ids");
    TRY(expect(&p->ids, p->file, l->table, prefix, "ids", DTYPE_U64, p->n));
    TRY(expect_buckets(&p->buckets, p, l->table, prefix, p->n, first));
    if (link > l->first && !*prefix)
        TRY(open_evicted(p, l, first));
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

    *l =
        (source_list){.source = s, .table = table, .salt = hash_table_salt(table), .shard = -1};
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
    vec_clear(&l->evicted);
    vec_clear(&l->picks);
    vec_clear(&l->merged);
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
    f(p->file, p->ids, first, end - first);
    for (int i = 0; i < l->form.n; i++)
        f(p->file, p->columns[i], first, end - first);
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
    if (at + stretch <= p->fetched || p->fetched == p->n)
        return;
    uint64_t from = p->fetched > at ? p->fetched : at;
    uint64_t end  = p->n - at < 2 * stretch ? p->n : at + 2 * stretch;
    if (end > from)
        advise(l, p, safetensors_fetch, from, end);
    p->fetched = end;
}

void source_list_leave(source_list *l)
{
    for (int i = l->first; l->shard >= 0 && i < l->source->chain.n; i++) {
        source_part *p = &l->parts[i][l->shard];
        advise(l, p, safetensors_drop, p->dropped, p->n);
        p->dropped = p->fetched = p->n;
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

/* ids[n] = elements first .. first+n-1 of t, which must ascend and belong to bucket. */
static err_t read_ids(const source_list *l, const source_part *p, const safetensors_tensor *t,
                      uint32_t bucket, uint64_t first, uint64_t n, uint64_t *ids)
{
    safetensors_copy_u64(ids, t, first, n);
    for (uint64_t i = 0; i < n; i++) {
        if (hash_bucket(hash_id(l->salt, ids[i])) != bucket)
            return err_set(ERR_FORMAT,
                           "%s: %s[%" PRIu64 "] is %" PRIu64
                           ", which does not belong to bucket %u",
                           safetensors_path(p->file), t->name, first + i, ids[i], bucket);
        if (i > 0 && ids[i] <= ids[i - 1])
            return err_set(ERR_FORMAT, "%s: %s[%" PRIu64 "] is %" PRIu64 " after %" PRIu64,
                           safetensors_path(p->file), t->name, first + i, ids[i], ids[i - 1]);
    }
    return OK;
}

/* A full checkpoint: columns are told where they lie. */
static err_t read_plain(source_list *l, bucket_rows *rows)
{
    come_to(l, rows->bucket);
    source_part *p     = part_of(l, l->first, rows->bucket);
    uint64_t     first = safetensors_get_u64(p->buckets, rows->bucket);
    uint64_t     n     = safetensors_get_u64(p->buckets, rows->bucket + 1) - first;

    read_on(l, p, first);
    TRY(vec_reserve(&l->ids, n));
    TRY(read_ids(l, p, p->ids, rows->bucket, first, n, l->ids.at));
    rows->n   = n;
    rows->ids = l->ids.at;
    for (int i = 0; i < l->form.n; i++)
        rows->columns[i] = (const char *)p->columns[i]->data + first * l->form.at[i].bytes;
    return OK;
}

/* ---- chains ---- */

/* Elements of t that belong to bucket, as their offsets say, into ids; *first: of them. */
static err_t read_bucket_ids(source_list *l, const source_part *p, const safetensors_tensor *t,
                             const safetensors_tensor *buckets, uint32_t bucket, id_list *ids,
                             uint64_t *first)
{
    *first     = safetensors_get_u64(buckets, bucket);
    uint64_t n = safetensors_get_u64(buckets, bucket + 1) - *first;

    TRY(vec_reserve(ids, n));
    ids->n = n;
    return read_ids(l, p, t, bucket, *first, n, ids->at);
}

/* picks = picks without the ids of l->evicted, and with those of l->ids, which stand at first
 * and behind it in a link, in place of their equals or beside the others. */
static err_t merge(source_list *l, int link, uint64_t first)
{
    size_t i = 0, k = 0, e = 0;

    TRY(vec_reserve(&l->merged, l->picks.n + l->ids.n));
    source_picks out = l->merged;
    out.n            = 0;
    while (i < l->picks.n || k < l->ids.n) {
        bool old = k == l->ids.n || (i < l->picks.n && l->picks.at[i].id < l->ids.at[k]);
        if (!old) {
            i += i < l->picks.n && l->picks.at[i].id == l->ids.at[k];
            out.at[out.n++] = (source_pick){l->ids.at[k], first + k, link};
            k++;
            continue;
        }
        uint64_t id = l->picks.at[i].id;
        while (e < l->evicted.n && l->evicted.at[e] < id)
            e++;
        if (e == l->evicted.n || l->evicted.at[e] != id)
            out.at[out.n++] = l->picks.at[i];
        i++;
    }
    l->merged = l->picks;
    l->picks  = out;
    return OK;
}

/* Which rows the bucket has at the chain's end, and where they stand. */
static err_t pick(source_list *l, uint32_t bucket)
{
    come_to(l, bucket);
    l->picks.n = 0;
    for (int link = l->first; link < l->source->chain.n; link++) {
        source_part *p = part_of(l, link, bucket);
        uint64_t     first, none;
        TRY(read_bucket_ids(l, p, p->ids, p->buckets, bucket, &l->ids, &first));
        read_on(l, p, first);
        l->evicted.n = 0;
        if (p->evicted)
            TRY(read_bucket_ids(l, p, p->evicted, p->evicted_buckets, bucket, &l->evicted,
                                &none));
        TRY(merge(l, link, first));
    }
    return OK;
}

/* How many picks from i on stand side by side in one file. */
static size_t run_length(const source_picks *p, size_t i)
{
    size_t n = 1;

    while (i + n < p->n && p->at[i + n].link == p->at[i].link &&
           p->at[i + n].at == p->at[i].at + n)
        n++;
    return n;
}

static err_t gather(source_list *l, uint32_t bucket, int column)
{
    size_t bytes = l->form.at[column].bytes, need = l->picks.n * bytes;

    if (need > l->capacities[column])
        TRY(vec_grow(&l->columns[column], &l->capacities[column], 1, need));
    for (size_t i = 0; i < l->picks.n;) {
        const source_pick *from = &l->picks.at[i];
        const source_part *p    = part_of(l, from->link, bucket);
        size_t             n    = run_length(&l->picks, i);
        memcpy(l->columns[column] + i * bytes,
               (const char *)p->columns[column]->data + from->at * bytes, n * bytes);
        i += n;
    }
    return OK;
}

static err_t read_chain(source_list *l, bucket_rows *rows)
{
    TRY(pick(l, rows->bucket));
    TRY(vec_reserve(&l->ids, l->picks.n));
    for (size_t i = 0; i < l->picks.n; i++)
        l->ids.at[i] = l->picks.at[i].id;
    rows->n   = l->picks.n;
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
            *n += safetensors_get_u64(p->buckets, b + 1) - safetensors_get_u64(p->buckets, b);
            continue;
        }
        TRY(pick(l, b));
        *n += l->picks.n;
    }
    return OK;
}
