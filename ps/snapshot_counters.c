#include "ps/snapshot_counters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

typedef char tensor_name[CONFIG_NAME_MAX + 32];

static const char *name_of(tensor_name name, const table *t, const char *what)
{
    snprintf(name, sizeof(tensor_name), "%s.%s", t->config->name, what);
    return name;
}

/* ---- writing ---- */

static err_t declare(const counters_writer *x, safetensors_writer *w, const char *what,
                     dtype type, uint64_t n, uint64_t width, int *tensor)
{
    tensor_name name;

    return safetensors_declare(w, name_of(name, x->table, what), type, width ? 2 : 1,
                               (uint64_t[]){n, width}, tensor);
}

err_t counters_declare(counters_writer *x, safetensors_writer *w, const table *t)
{
    const admission *a = &t->admission;

    *x = (counters_writer){t, -1, -1, -1, -1, -1, -1};
    if (a->waiting) {
        TRY(declare(x, w, "waiting.ids", DTYPE_U64, tally_ids(a->waiting), 0, &x->ids));
        TRY(declare(x, w, "waiting.buckets", DTYPE_U64, HASH_BUCKETS + 1, 0, &x->buckets));
        TRY(declare(x, w, "waiting.count", DTYPE_U32, tally_ids(a->waiting), 0, &x->count));
    }
    if (a->sketch.at) {
        TRY(declare(x, w, "sketch.form", DTYPE_U64, 3, 0, &x->form));
        TRY(declare(x, w, "sketch", DTYPE_U8, t->end_bucket - t->first_bucket, a->sketch.bytes,
                    &x->sketch));
    }
    if (t->config->evict.idle_days)
        TRY(declare(x, w, "days", DTYPE_I64, t->calendar.days.n, 2, &x->days));
    return OK;
}

static err_t write_bucket(const counters_writer *x, safetensors_writer *w,
                          const tally_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        TRY(safetensors_append(w, x->ids, &entries[i].id, sizeof entries[i].id));
        TRY(safetensors_append(w, x->count, &entries[i].count, sizeof entries[i].count));
    }
    return OK;
}

static err_t write_waiting(const counters_writer *x, safetensors_writer *w)
{
    tally_entry *entries  = NULL;
    size_t       capacity = 0, n;
    uint64_t     written  = 0;
    err_t        err      = safetensors_append(w, x->buckets, &written, sizeof written);

    for (uint32_t b = 0; err == OK && b < HASH_BUCKETS; b++) {
        err = tally_bucket(x->table->admission.waiting, b, &entries, &capacity, &n);
        if (err == OK)
            err = write_bucket(x, w, entries, n);
        written += err == OK ? n : 0;
        if (err == OK)
            err = safetensors_append(w, x->buckets, &written, sizeof written);
    }
    free(entries);
    return err;
}

static err_t write_sketch(const counters_writer *x, safetensors_writer *w)
{
    const sketch *s       = &x->table->admission.sketch;
    uint64_t      form[3] = {(uint64_t)s->hashes, (uint64_t)s->bits, s->cells};

    TRY(safetensors_append(w, x->form, form, sizeof form));
    for (uint32_t b = s->first; b < s->end; b++)
        TRY(safetensors_append(w, x->sketch, sketch_bucket(s, b), s->bytes));
    return OK;
}

err_t counters_write(const counters_writer *x, safetensors_writer *w)
{
    const calendar *c = &x->table->calendar;

    if (x->ids >= 0)
        TRY(write_waiting(x, w));
    if (x->sketch >= 0)
        TRY(write_sketch(x, w));
    for (size_t i = 0; x->days >= 0 && i < c->days.n; i++)
        TRY(safetensors_append(w, x->days, &c->days.at[i], sizeof c->days.at[i]));
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

    ids = safetensors_find(file, name_of(name, t, "waiting.ids"));
    if (!ids)
        return OK;
    uint64_t n = ids->count, before = 0;
    TRY(safetensors_expect(&ids, file, name, DTYPE_U64, 1, &n));
    TRY(safetensors_expect(&counts, file, name_of(name, t, "waiting.count"), DTYPE_U32, 1, &n));
    TRY(safetensors_expect(&buckets, file, name_of(name, t, "waiting.buckets"), DTYPE_U64, 1,
                           &(uint64_t){HASH_BUCKETS + 1}));
    for (uint32_t b = 0; b <= HASH_BUCKETS; b++) {
        uint64_t here = safetensors_get_u64(buckets, b);
        bool     own  = b > first && b <= end; /* ids may stand in front of here */
        if (here < before || here > n || (!own && here != before) ||
            (b == HASH_BUCKETS && here != n))
            return err_set(ERR_FORMAT,
                           "%s: %s[%u] is %" PRIu64 " after %" PRIu64 "; there are %" PRIu64
                           " ids",
                           safetensors_path(file), name, b, here, before, n);
        if (b > t->first_bucket && b <= t->end_bucket)
            TRY(read_bucket(t, file, ids, counts, b - 1, before, here));
        before = here;
    }
    return OK;
}

static err_t read_sketch(table *t, const safetensors *file, uint32_t first, uint32_t end)
{
    tensor_name               name;
    const sketch             *s     = &t->admission.sketch;
    const safetensors_tensor *cells = safetensors_find(file, name_of(name, t, "sketch")), *form;

    if (!cells)
        return OK;
    TRY(safetensors_expect(&form, file, name_of(name, t, "sketch.form"), DTYPE_U64, 1,
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
    name_of(name, t, "sketch");
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
    const safetensors_tensor *days = safetensors_find(file, name_of(name, t, "days"));

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
