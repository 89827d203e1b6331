#include "ps/id_counts.h"

#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/hash.h"

static uint64_t u64_at(const safetensors_tensor *t, uint64_t i)
{
    uint64_t x;

    memcpy(&x, (const char *)t->data + i * sizeof x, sizeof x);
    return x;
}

/* The tensor TABLE.part, which must be a list of n of type where it is there. */
static err_t find_part(const safetensors_tensor **out, const safetensors *file,
                       const char *table, const char *part, dtype type)
{
    char name[CONFIG_NAME_MAX + 16];

    snprintf(name, sizeof name, "%s.%s", table, part);
    *out = safetensors_find(file, name);
    if (!*out)
        return err_set(ERR_FORMAT, "%s: there is no tensor %s", safetensors_path(file), name);
    if ((*out)->type != type || (*out)->n_dims != 1)
        return err_set(ERR_FORMAT, "%s: %s is %s with %d dimensions, wanted a list of %s",
                       safetensors_path(file), name, dtype_name((*out)->type), (*out)->n_dims,
                       dtype_name(type));
    return OK;
}

static err_t check_offsets(const id_counts *c, const safetensors *file)
{
    if (c->count->count != c->ids->count)
        return err_set(ERR_FORMAT, "%s: %s has %ju entries for %ju ids", safetensors_path(file),
                       c->count->name, (uintmax_t)c->count->count, (uintmax_t)c->ids->count);
    if (c->buckets->count != HASH_BUCKETS + 1)
        return err_set(ERR_FORMAT, "%s: %s has %ju offsets, wanted %d", safetensors_path(file),
                       c->buckets->name, (uintmax_t)c->buckets->count, HASH_BUCKETS + 1);
    if (u64_at(c->buckets, 0) != 0 || u64_at(c->buckets, HASH_BUCKETS) != c->ids->count)
        return err_set(ERR_FORMAT, "%s: %s does not reach from 0 to the %ju ids",
                       safetensors_path(file), c->buckets->name, (uintmax_t)c->ids->count);
    for (uint32_t b = 0; b < HASH_BUCKETS; b++)
        if (u64_at(c->buckets, b) > u64_at(c->buckets, b + 1))
            return err_set(ERR_FORMAT, "%s: %s decreases behind bucket %u",
                           safetensors_path(file), c->buckets->name, b);
    return OK;
}

static err_t check_ids(const id_counts *c, const safetensors *file, uint64_t salt,
                       uint32_t bucket)
{
    uint64_t first = u64_at(c->buckets, bucket), end = u64_at(c->buckets, bucket + 1);

    for (uint64_t i = first; i < end; i++) {
        uint64_t id = u64_at(c->ids, i);
        if (hash_bucket(hash_id(salt, id)) != bucket)
            return err_set(ERR_FORMAT,
                           "%s: %s: id %ju stands in bucket %u, which is not its own",
                           safetensors_path(file), c->ids->name, (uintmax_t)id, bucket);
        if (i > first && u64_at(c->ids, i - 1) >= id)
            return err_set(ERR_FORMAT,
                           "%s: %s: id %ju of bucket %u is not above the one before",
                           safetensors_path(file), c->ids->name, (uintmax_t)id, bucket);
    }
    return OK;
}

err_t id_counts_init(id_counts *c, const safetensors *file, const char *table, uint64_t salt,
                     uint32_t first, uint32_t end)
{
    char name[CONFIG_NAME_MAX + 16];

    *c = (id_counts){0};
    snprintf(name, sizeof name, "%s.ids", table);
    if (!safetensors_find(file, name))
        return OK;
    id_counts found;
    TRY(find_part(&found.ids, file, table, "ids", DTYPE_U64));
    TRY(find_part(&found.count, file, table, "count", DTYPE_U32));
    TRY(find_part(&found.buckets, file, table, "buckets", DTYPE_U64));
    TRY(check_offsets(&found, file));
    for (uint32_t bucket = first; bucket < end; bucket++)
        TRY(check_ids(&found, file, salt, bucket));
    *c = found;
    return OK;
}

#define NEAR 8 /* ids of a cache line */

/* Where id would stand in low .. end-1 were the ids there spread evenly, as they mostly are
 * (numbers given in turn, hashes); its value lies between those of low and end-1. */
static uint64_t guess_of(const id_counts *c, uint64_t low, uint64_t end, uint64_t id)
{
    uint64_t first = u64_at(c->ids, low), last = u64_at(c->ids, end - 1);

    return low +
           (uint64_t)((double)(id - first) / (double)(last - first) * (double)(end - 1 - low));
}

/* Whether id lies in the bucket's range, behind its first one. */
static bool within(const id_counts *c, uint64_t low, uint64_t end, uint64_t id)
{
    return low < end && id > u64_at(c->ids, low) && id <= u64_at(c->ids, end - 1);
}

void id_counts_prefetch(const id_counts *c, uint32_t bucket, uint64_t id)
{
    uint64_t low = u64_at(c->buckets, bucket), end = u64_at(c->buckets, bucket + 1);

    if (!within(c, low, end, id))
        return;
    uint64_t guess = guess_of(c, low, end, id);
    __builtin_prefetch((const char *)c->ids->data + guess * sizeof(uint64_t));
    __builtin_prefetch((const char *)c->count->data + guess * sizeof(uint32_t));
}

/* The only place of low .. end where id can be. From the guess on by steps that double until
 * they have passed it, then by halves. */
static uint64_t place_of(const id_counts *c, uint64_t low, uint64_t end, uint64_t id)
{
    if (!within(c, low, end, id))
        return low;
    uint64_t below = low, at = end - 1; /* the id at `below` is below id, that at `at` is not */
    uint64_t guess = guess_of(c, low, end, id), step = NEAR;
    if (u64_at(c->ids, guess) < id) {
        for (below = guess; at - below > step && u64_at(c->ids, below + step) < id; step *= 2)
            below += step;
        at = at - below > step ? below + step : at;
    } else {
        for (at = guess; at - below > step && u64_at(c->ids, at - step) >= id; step *= 2)
            at -= step;
        below = at - below > step ? at - step : below;
    }
    while (at - below > 1) {
        uint64_t middle = below + (at - below) / 2;
        if (u64_at(c->ids, middle) < id)
            below = middle;
        else
            at = middle;
    }
    return at;
}

uint32_t id_counts_find(const id_counts *c, uint32_t bucket, uint64_t id)
{
    uint64_t end = u64_at(c->buckets, bucket + 1);
    uint64_t at  = place_of(c, u64_at(c->buckets, bucket), end, id);

    if (at == end || u64_at(c->ids, at) != id)
        return 0;
    return (uint32_t)safetensors_get_u64(c->count, at);
}
