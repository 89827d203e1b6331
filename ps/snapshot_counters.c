#include "ps/snapshot_counters.h"

#include <inttypes.h>
#include <string.h>

#include "common/bucket_offsets.h"
#include "common/hash.h"
#include "ps/row_fields.h"

err_t counters_declare(counters_tensors *x, safetensors_writer *w, const table *t,
                       uint64_t waiting, uint64_t days)
{
    const sketch *s = &t->admission.sketch;

    *x = (counters_tensors){-1, -1, -1, -1, -1, -1};
    if (t->admission.waiting) {
        TRY(row_fields_declare(w, t, "waiting.ids", DTYPE_U64, waiting, 0, &x->ids));
        TRY(row_fields_declare(w, t, "waiting.buckets", DTYPE_U64, HASH_BUCKETS + 1, 0,
                               &x->buckets));
        TRY(row_fields_declare(w, t, "waiting.count", DTYPE_U32, waiting, 0, &x->count));
    }
    if (s->at) {
        TRY(row_fields_declare(w, t, "sketch.form", DTYPE_U64, 3, 0, &x->form));
        TRY(row_fields_declare(w, t, "sketch", DTYPE_U8, t->end_bucket - t->first_bucket,
                               s->bytes, &x->sketch));
    }
    if (t->config->evict.idle_days)
        TRY(row_fields_declare(w, t, "days", DTYPE_I64, days, 2, &x->days));
    return OK;
}

/* ---- reading ---- */

static err_t read_bucket(table *t, const safetensors *file, const safetensors_tensor *ids,
                         const safetensors_tensor *counts, uint32_t bucket, uint64_t first,
                         uint64_t end)
{
    uint64_t before = 0;

    for (uint64_t i = first; i < end; i++) {
        uint64_t id    = safetensors_get_u64(ids, i);
        uint32_t count = (uint32_t)safetensors_get_u64(counts, i);
        if (hash_bucket(hash_id(t->salt, id)) != bucket || (i > first && id <= before) ||
            !count)
            return err_set(ERR_FORMAT,
                           "%s: %s[%" PRIu64 "]: id %" PRIu64 " with count %u after id %" PRIu64
                           " in bucket %u",
                           safetensors_path(file), ids->name, i, id, count, before, bucket);
        before = id;
        TRY(tally_add(t->admission.waiting, id, count, &count));
    }
    return OK;
}

static err_t read_waiting(table *t, const safetensors *file, uint32_t first, uint32_t end)
{
    tensor_name               name;
    const safetensors_tensor *ids, *counts, *buckets;

    ids = safetensors_find(file, row_fields_name(name, t, "waiting.ids"));
    if (!ids)
        return OK;
    uint64_t n = ids->count;
    TRY(safetensors_expect(&ids, file, name, DTYPE_U64, 1, &n));
    TRY(safetensors_expect(&counts, file, row_fields_name(name, t, "waiting.count"), DTYPE_U32,
                           1, &n));
    TRY(bucket_offsets_expect(&buckets, file, row_fields_name(name, t, "waiting.buckets"), n,
                              first, end));
    for (uint32_t b = t->first_bucket; b < t->end_bucket; b++)
        TRY(read_bucket(t, file, ids, counts, b, safetensors_get_u64(buckets, b),
                        safetensors_get_u64(buckets, b + 1)));
    return OK;
}

static err_t read_sketch(table *t, const safetensors *file, uint32_t first, uint32_t end)
{
    tensor_name               name;
    const sketch             *s     = &t->admission.sketch;
    const safetensors_tensor *cells = safetensors_find(file, row_fields_name(name, t, "sketch")), *form;

    if (!cells)
        return OK;
    TRY(safetensors_expect(&form, file, row_fields_name(name, t, "sketch.form"), DTYPE_U64, 1,
                           &(uint64_t){3}));
    uint64_t k = safetensors_get_u64(form, 0), bits = safetensors_get_u64(form, 1),
             m = safetensors_get_u64(form, 2);
    if (k != (uint64_t)s->hashes || bits != (uint64_t)s->bits || m != s->cells)
        return err_set(ERR_CONFIG,
                       "%s: the sketch of table %s has %" PRIu64 " cells of %" PRIu64
                       " bits in a bucket and %" PRIu64 " of them an id; tables.%s.admit asks "
                       "for %" PRIu64 " of %d bits, %d an id: min_count, false_positive and "
                       "expected_ids must stay as they were",
                       safetensors_path(file), t->config->name, m, bits, k, t->config->name,
                       s->cells, s->bits, s->hashes);
    row_fields_name(name, t, "sketch");
    TRY(safetensors_expect(&cells, file, name, DTYPE_U8, 2,
                           (uint64_t[]){end - first, s->bytes}));
    for (uint32_t b = first; b < end; b++)
        if (b >= t->first_bucket && b < t->end_bucket)
            memcpy(sketch_bucket(s, b), (const char *)cells->data + (b - first) * s->bytes,
                   s->bytes);
    return OK;
}

static bool is_calendar(const safetensors_tensor *days)
{
    for (uint64_t i = 2; i < days->count; i++)
        if ((int64_t)safetensors_get_u64(days, i) <= (int64_t)safetensors_get_u64(days, i - 2))
            return false;
    return days->count < 2 || (int64_t)safetensors_get_u64(days, 1) >= 0;
}

/* The files of all shards have the same days; the first one that is read gives them. */
static err_t read_days(table *t, const safetensors *file)
{
    tensor_name               name;
    const safetensors_tensor *days = safetensors_find(file, row_fields_name(name, t, "days"));

    if (!days || t->calendar.days.n)
        return OK;
    TRY(safetensors_expect(&days, file, name, DTYPE_I64, 2, (uint64_t[]){days->count / 2, 2}));
    if (!is_calendar(days))
        return err_set(ERR_FORMAT, "%s: the days of %s, or their steps, do not ascend",
                       safetensors_path(file), name);
    for (uint64_t i = 0; i < days->count; i += 2) {
        calendar_day day = {(int64_t)safetensors_get_u64(days, i),
                            (int64_t)safetensors_get_u64(days, i + 1)};
        TRY(vec_push(&t->calendar.days, day));
    }
    return OK;
}

err_t counters_read(table *t, const safetensors *file, uint32_t first, uint32_t end)
{
    if (t->admission.waiting)
        TRY(read_waiting(t, file, first, end));
    if (t->admission.sketch.at)
        TRY(read_sketch(t, file, first, end));
    return t->config->evict.idle_days ? read_days(t, file) : OK;
}
