#include "common/chain_rows.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/bucket_offsets.h"
#include "common/hash.h"

const char *chain_tensor_name(char name[CHAIN_NAME_MAX], const char *table, const char *prefix,
                              const char *what)
{
    snprintf(name, CHAIN_NAME_MAX, "%s.%s%s%s", table, prefix, *prefix ? "." : "", what);
    return name;
}

/* ---- the lists of a file ---- */

/* The ids called T.PREFIX.WHAT; none where there is no such list. */
static err_t expect_ids(const safetensors_tensor **out, const chain_part *p, const char *table,
                        const char *prefix, const char *what, uint64_t *n)
{
    char name[CHAIN_NAME_MAX];

    *out = safetensors_find(p->file, chain_tensor_name(name, table, prefix, what));
    *n   = *out && (*out)->n_dims == 1 ? (*out)->count : 0;
    return safetensors_expect(out, p->file, name, DTYPE_U64, 1, n);
}

static err_t expect_buckets(const safetensors_tensor **out, const chain_part *p,
                            const char *table, const char *prefix, uint64_t n,
                            const uint32_t first[2])
{
    char name[CHAIN_NAME_MAX];

    return bucket_offsets_expect(
        out, p->file, chain_tensor_name(name, table, prefix, "buckets"), n, first[0], first[1]);
}

err_t chain_part_open(chain_part *p, const safetensors *file, const char *table,
                      const char *prefix, const uint32_t first[2], bool delta)
{
    uint64_t gone;

    *p = (chain_part){.file = file};
    TRY(expect_ids(&p->ids, p, table, prefix, "ids", &p->n));
    TRY(expect_buckets(&p->buckets, p, table, prefix, p->n, first));
    if (!delta)
        return OK;
    TRY(expect_ids(&p->evicted, p, table, "", "evicted", &gone));
    return expect_buckets(&p->evicted_buckets, p, table, "evicted", gone, first);
}

err_t chain_part_ids(uint64_t *ids, const chain_part *p, const safetensors_tensor *t,
                     uint64_t salt, uint32_t bucket, uint64_t first, uint64_t n)
{
    safetensors_copy_u64(ids, t, first, n);
    for (uint64_t i = 0; i < n; i++) {
        if (hash_bucket(hash_id(salt, ids[i])) != bucket)
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

/* ---- a bucket, link by link ---- */

void chain_bucket_clear(chain_bucket *b)
{
    vec_clear(&b->rows);
    vec_clear(&b->merged);
    vec_clear(&b->ids);
    vec_clear(&b->evicted);
}

void chain_bucket_begin(chain_bucket *b, uint32_t bucket)
{
    b->bucket = bucket;
    b->rows.n = 0;
}

/* The bucket's elements of t, as their offsets say; *first: of them. */
static err_t read_ids(chain_id_list *ids, const chain_bucket *b, const chain_part *p,
                      const safetensors_tensor *t, const safetensors_tensor *buckets,
                      uint64_t *first)
{
    *first     = safetensors_get_u64(buckets, b->bucket);
    uint64_t n = safetensors_get_u64(buckets, b->bucket + 1) - *first;

    TRY(vec_reserve(ids, n));
    ids->n = n;
    return chain_part_ids(ids->at, p, t, b->salt, b->bucket, *first, n);
}

/* rows = rows without the evicted ones, and with those of ids, which stand at first and behind
 * it in link, in place of their equals or beside the others. */
static err_t merge(chain_bucket *b, int link, uint64_t first)
{
    size_t i = 0, k = 0, e = 0;

    TRY(vec_reserve(&b->merged, b->rows.n + b->ids.n));
    chain_row_list out = b->merged;
    out.n              = 0;
    while (i < b->rows.n || k < b->ids.n) {
        bool old = k == b->ids.n || (i < b->rows.n && b->rows.at[i].id < b->ids.at[k]);
        if (!old) {
            i += i < b->rows.n && b->rows.at[i].id == b->ids.at[k];
            out.at[out.n++] = (chain_row){b->ids.at[k], first + k, link};
            k++;
            continue;
        }
        uint64_t id = b->rows.at[i].id;
        while (e < b->evicted.n && b->evicted.at[e] < id)
            e++;
        if (e == b->evicted.n || b->evicted.at[e] != id)
            out.at[out.n++] = b->rows.at[i];
        i++;
    }
    b->merged = b->rows;
    b->rows   = out;
    return OK;
}

err_t chain_bucket_add(chain_bucket *b, int link, const chain_part *p, uint64_t *first)
{
    uint64_t gone;

    TRY(read_ids(&b->ids, b, p, p->ids, p->buckets, first));
    b->evicted.n = 0;
    if (p->evicted)
        TRY(read_ids(&b->evicted, b, p, p->evicted, p->evicted_buckets, &gone));
    return merge(b, link, *first);
}

size_t chain_bucket_run(const chain_bucket *b, size_t i)
{
    const chain_row *row = &b->rows.at[i];
    size_t           n   = 1;

    while (i + n < b->rows.n && row[n].link == row->link && row[n].at == row->at + n)
        n++;
    return n;
}
