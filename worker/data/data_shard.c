#include "worker/data/data_shard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK    1024 /* elements looked at together */
#define NAME_MAX (2 * CONFIG_NAME_MAX + 16)

/* ---- dtypes ---- */

#define BIT(type) (1U << (type))

enum {
    INTEGERS = BIT(DTYPE_U64) | BIT(DTYPE_I64) | BIT(DTYPE_U32) | BIT(DTYPE_I32),
    REALS    = BIT(DTYPE_F32) | BIT(DTYPE_F64),
    LABELS   = REALS | BIT(DTYPE_U8) | BIT(DTYPE_BOOL) | BIT(DTYPE_I64),
};

static const char *dtypes_text(unsigned types)
{
    return types == INTEGERS ? "U64, I64, U32 or I32"
           : types == REALS  ? "F32 or F64"
                             : "F32, F64, U8, BOOL or I64";
}

/* A number of a tensor of integers as people read it. */
static const char *integer_text(char text[24], const safetensors_tensor *t, uint64_t i)
{
    uint64_t value = safetensors_get_u64(t, i);

    if (t->type == DTYPE_I64 || t->type == DTYPE_I32)
        snprintf(text, 24, "%" PRId64, (int64_t)value);
    else
        snprintf(text, 24, "%" PRIu64, value);
    return text;
}

/* ---- finding tensors ---- */

static const char *join(char name[NAME_MAX], const char *first, const char *last)
{
    snprintf(name, NAME_MAX, "%s%s", first, last);
    return name;
}

static err_t check_type(const data_shard *d, const safetensors_tensor *t, unsigned types)
{
    if (types & BIT(t->type))
        return OK;
    return err_set(ERR_DATA, "%s: %s is of dtype %s, wanted %s", safetensors_path(d->file),
                   t->name, dtype_name(t->type), dtypes_text(types));
}

/* That t is a list of count elements, as the length of another tensor says. */
static err_t check_list(const data_shard *d, const safetensors_tensor *t, unsigned types,
                        uint64_t count, const char *other)
{
    TRY(check_type(d, t, types));
    if (t->n_dims != 1)
        return err_set(ERR_DATA, "%s: %s has %d dimensions, wanted 1",
                       safetensors_path(d->file), t->name, t->n_dims);
    if (t->count != count)
        return err_set(ERR_DATA, "%s: %s has %" PRIu64 " elements, but %s asks for %" PRIu64,
                       safetensors_path(d->file), t->name, t->count, other, count);
    return OK;
}

static err_t find_needed(const data_shard *d, const char *name, const char *feature,
                         const safetensors_tensor **t)
{
    *t = safetensors_find(d->file, name);
    if (*t)
        return OK;
    return err_set(ERR_DATA, "%s: no tensor %s, which feature %s needs",
                   safetensors_path(d->file), name, feature);
}

/* ---- values ---- */

/* Index of the first of n numbers that is below the one before it; n if none is. flip
 * turns the order of signed numbers into that of unsigned ones. */
static uint64_t first_decrease(const uint64_t *x, uint64_t n, uint64_t before, uint64_t flip)
{
    for (uint64_t i = 0; i < n; before = x[i++])
        if ((x[i] ^ flip) < (before ^ flip))
            return i;
    return n;
}

/* That t, rows+1 offsets, begins with 0 and never decreases; *end is its last one. */
static err_t check_offsets(const data_shard *d, const safetensors_tensor *t, uint64_t rows,
                           const char *other, uint64_t *end)
{
    uint64_t chunk[CHUNK];
    bool     has_sign = t->type == DTYPE_I64 || t->type == DTYPE_I32;
    char     low[24], high[24];

    TRY(check_list(d, t, INTEGERS, rows + 1, other));
    if (safetensors_get_u64(t, 0) != 0)
        return err_set(ERR_DATA, "%s: %s[0] is %s, wanted 0", safetensors_path(d->file),
                       t->name, integer_text(low, t, 0));
    *end = 0;
    for (uint64_t i = 0, n; i < t->count; i += n) {
        n = t->count - i < CHUNK ? t->count - i : CHUNK;
        safetensors_copy_u64(chunk, t, i, n);
        uint64_t bad = first_decrease(chunk, n, *end, has_sign ? UINT64_C(1) << 63 : 0);
        if (bad < n)
            return err_set(ERR_DATA, "%s: %s[%" PRIu64 "] = %s is below %s[%" PRIu64 "] = %s",
                           safetensors_path(d->file), t->name, i + bad,
                           integer_text(low, t, i + bad), t->name, i + bad - 1,
                           integer_text(high, t, i + bad - 1));
        *end = chunk[n - 1];
    }
    return OK;
}

static err_t check_labels(const data_shard *d)
{
    const safetensors_tensor *t = d->label;
    real                      chunk[CHUNK];

    for (uint64_t i = 0, n; i < t->count; i += n) {
        n = t->count - i < CHUNK ? t->count - i : CHUNK;
        safetensors_copy_real(chunk, t, i, n);
        for (uint64_t j = 0; j < n; j++)
            if (!(chunk[j] == 0 || chunk[j] == 1))
                return err_set(ERR_DATA, "%s: label[%" PRIu64 "] is %.9g, wanted 0 or 1",
                               safetensors_path(d->file), i + j,
                               safetensors_get_double(t, i + j));
    }
    return OK;
}

static err_t check_weights(const data_shard *d)
{
    const safetensors_tensor *t = d->weight;

    for (uint64_t i = 0; i < t->count; i++) {
        double weight = safetensors_get_double(t, i);
        if (!(weight >= 0 && isfinite((real)weight)))
            return err_set(ERR_DATA,
                           "%s: weight[%" PRIu64
                           "] is %.9g, wanted a finite number, not below 0",
                           safetensors_path(d->file), i, weight);
    }
    return OK;
}

/* ---- what the schema needs ---- */

/* Ids of a slot over rows rows (samples, or events of its sequence), as other says. Negatives
 * are needed where labels are. */
static err_t open_ids(data_shard *d, const schema *s, int slot, uint64_t rows,
                      const char *other, bool need_label)
{
    const schema_slot *wanted  = &s->slots[slot];
    const char        *feature = wanted->name;
    data_ids          *found   = &d->slots[slot];
    char               name[NAME_MAX];
    uint64_t           end = rows;

    if (wanted->sequence >= 0)
        feature = s->sequences[wanted->sequence].name;
    if (wanted->is_negative && !need_label && !safetensors_find(d->file, wanted->name))
        return OK;
    TRY(find_needed(d, wanted->name, feature, &found->ids));
    found->offsets = safetensors_find(d->file, join(name, wanted->name, ".offsets"));
    if (found->offsets && wanted->pool == POOL_NONE)
        return err_set(
            ERR_DATA,
            "%s: %s has offsets, a bag of ids, which needs `pool: sum` or `pool: mean` "
            "in the configuration",
            safetensors_path(d->file), wanted->name);
    if (found->offsets) {
        TRY(check_offsets(d, found->offsets, rows, other, &end));
        other = name;
    }
    return check_list(d, found->ids, INTEGERS, end, other);
}

static err_t open_sequence(data_shard *d, const schema *s, int sequence, const char *other,
                           bool need_label)
{
    const schema_sequence *wanted = &s->sequences[sequence];
    data_events           *found  = &d->sequences[sequence];
    char                   name[NAME_MAX], time[NAME_MAX];
    uint64_t               events;

    TRY(find_needed(d, join(name, wanted->name, ".offsets"), wanted->name, &found->offsets));
    TRY(check_offsets(d, found->offsets, d->samples, other, &events));
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].sequence == sequence && !s->slots[i].is_gap)
            TRY(open_ids(d, s, i, events, name, need_label));
    if (!wanted->timed)
        return OK;
    TRY(find_needed(d, join(time, wanted->name, ".time"), wanted->name, &found->time));
    return check_list(d, found->time, INTEGERS, events, name);
}

/* Numbers: [n], or [n, width]. */
static err_t open_float(data_shard *d, const schema *s, int i, const char *other)
{
    const schema_float       *wanted = &s->floats[i];
    const safetensors_tensor *t;

    TRY(find_needed(d, wanted->name, wanted->name, &t));
    TRY(check_type(d, t, REALS));
    if (t->n_dims != 1 && t->n_dims != 2)
        return err_set(ERR_DATA, "%s: %s has %d dimensions, wanted 1 or 2",
                       safetensors_path(d->file), t->name, t->n_dims);
    if (t->shape[0] != d->samples)
        return err_set(ERR_DATA, "%s: %s has %" PRIu64 " rows, but %s asks for %" PRIu64,
                       safetensors_path(d->file), t->name, t->shape[0], other, d->samples);
    uint64_t width = t->n_dims == 2 ? t->shape[1] : 1;
    if (width != (uint64_t)wanted->width)
        return err_set(ERR_DATA,
                       "%s: %s has %" PRIu64 " numbers per sample, but its `width` is %d",
                       safetensors_path(d->file), t->name, width, wanted->width);
    d->floats[i] = t;
    return OK;
}

/* The tensor whose length says how many samples there are; *extra is 1 for offsets. */
static const safetensors_tensor *find_counted(const data_shard *d, const schema *s,
                                              uint64_t *extra)
{
    const safetensors_tensor *t = d->label;
    char                      name[NAME_MAX];

    *extra = 0;
    for (int i = 0; !t && i < s->n_floats; i++)
        t = safetensors_find(d->file, s->floats[i].name);
    for (int i = 0; !t && i < s->n_slots; i++) {
        int         sequence = s->slots[i].sequence;
        const char *owner    = sequence < 0 ? s->slots[i].name : s->sequences[sequence].name;
        t                    = safetensors_find(d->file, join(name, owner, ".offsets"));
        *extra               = t ? 1 : 0;
        if (!t && sequence < 0)
            t = safetensors_find(d->file, owner);
    }
    return t;
}

/* label, or else the first feature, says how many samples there are. *other: its name. */
static err_t count_samples(data_shard *d, const schema *s, bool need_label, const char **other)
{
    uint64_t extra;

    d->label = safetensors_find(d->file, "label");
    if (!d->label && need_label)
        return err_set(ERR_DATA, "%s: no tensor label", safetensors_path(d->file));
    const safetensors_tensor *t = find_counted(d, s, &extra);
    if (!t)
        return err_set(ERR_DATA, "%s: no tensor of any feature", safetensors_path(d->file));
    if (t->n_dims < 1 || t->shape[0] < extra)
        return err_set(ERR_DATA, "%s: %s is not a list with %s", safetensors_path(d->file),
                       t->name, extra ? "a first offset" : "an element per sample");
    d->samples = t->shape[0] - extra;
    *other     = t->name;
    if (!d->label)
        return OK;
    TRY(check_list(d, t, LABELS, d->samples, *other));
    return check_labels(d);
}

/* Whose AUC a sample counts in: `group`, or else `user` where it is one id per sample. */
static err_t open_group(data_shard *d, const char *other)
{
    const safetensors_tensor *group = safetensors_find(d->file, "group");
    const safetensors_tensor *user  = safetensors_find(d->file, "user");

    if (group)
        TRY(check_list(d, group, INTEGERS, d->samples, other));
    else if (user && (INTEGERS & BIT(user->type)) && user->n_dims == 1 &&
             user->count == d->samples && !safetensors_find(d->file, "user.offsets"))
        group = user;
    d->group = group;
    return OK;
}

static err_t open_optional(data_shard *d, const char *other)
{
    d->time   = safetensors_find(d->file, "time");
    d->weight = safetensors_find(d->file, "weight");
    if (d->time)
        TRY(check_list(d, d->time, INTEGERS, d->samples, other));
    TRY(open_group(d, other));
    if (!d->weight)
        return OK;
    TRY(check_list(d, d->weight, REALS, d->samples, other));
    return check_weights(d);
}

err_t data_shard_open(data_shard *d, const schema *s, const char *path, bool need_label)
{
    safetensors *file;

    memset(d, 0, sizeof *d);
    TRY(safetensors_open(&file, path));
    return data_shard_use(d, s, file, need_label);
}

err_t data_shard_use(data_shard *d, const schema *s, safetensors *file, bool need_label)
{
    const char *other = "label";

    memset(d, 0, sizeof *d);
    d->file      = file;
    d->slots     = calloc((size_t)s->n_slots + 1, sizeof *d->slots);
    d->sequences = calloc((size_t)s->n_sequences + 1, sizeof *d->sequences);
    d->floats    = calloc((size_t)s->n_floats + 1, sizeof *d->floats);
    if (!d->slots || !d->sequences || !d->floats)
        return err_memory((size_t)s->n_slots * sizeof *d->slots, "the columns of a file");
    TRY(count_samples(d, s, need_label, &other));
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].sequence < 0)
            TRY(open_ids(d, s, i, d->samples, other, need_label));
    for (int i = 0; i < s->n_sequences; i++)
        TRY(open_sequence(d, s, i, other, need_label));
    for (int i = 0; i < s->n_floats; i++)
        TRY(open_float(d, s, i, other));
    return open_optional(d, other);
}

void data_shard_clear(data_shard *d)
{
    safetensors_close(&d->file);
    free(d->slots);
    free(d->sequences);
    free(d->floats);
    memset(d, 0, sizeof *d);
}
