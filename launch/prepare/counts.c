#include "launch/prepare/counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/safetensors.h"
#include "launch/prepare/sorter.h"

#define MAP_LEAST   64
#define WRITE_PIECE 4096 /* ids written at a time */

/* A slot of the map; count 0: empty. */
typedef struct tally {
    uint64_t id;
    uint32_t count;
    uint32_t sample; /* the last one that was counted; low 32 bits */
} tally;

/* What the sorter orders. */
typedef struct entry {
    uint64_t id;
    uint32_t bucket, count;
} entry;

typedef struct table_counts {
    const char *name;
    uint64_t    salt;
    tally      *map; /* open addressing, linear probing */
    size_t      capacity, n;
    sorter     *spilled;
    uint64_t    buckets[HASH_BUCKETS + 1]; /* known after the first pass over spilled */
    int         ids, count, offsets;       /* tensors of the file */
} table_counts;

struct counts {
    int           n_tables;
    table_counts *tables;
    size_t        memory; /* of all maps */
    uint32_t      sample; /* number of the sample at hand, low 32 bits; from 1 on */
};

static int by_bucket_then_id(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    if (x->bucket != y->bucket)
        return x->bucket < y->bucket ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

err_t counts_new(counts **out, const char *const *tables, int n_tables, size_t memory,
                 const char *folder)
{
    counts *c = calloc(1, sizeof *c);

    *out = c;
    if (!c || !(c->tables = calloc((size_t)n_tables, sizeof *c->tables)))
        return err_memory((size_t)n_tables * sizeof *c->tables, "counts");
    c->n_tables = n_tables;
    c->memory   = memory / 2;
    c->sample   = 1;
    for (int t = 0; t < n_tables; t++) {
        table_counts *table = &c->tables[t];
        table->name         = tables[t];
        table->salt         = hash_table_salt(tables[t]);
        TRY(sorter_new(&table->spilled, sizeof(entry), by_bucket_then_id,
                       memory / 2 / (size_t)n_tables, folder));
    }
    return OK;
}

void counts_free(counts **c)
{
    if (!*c)
        return;
    for (int t = 0; t < (*c)->n_tables; t++) {
        free((*c)->tables[t].map);
        sorter_free(&(*c)->tables[t].spilled);
    }
    free((*c)->tables);
    free(*c);
    *c = NULL;
}

/* The slot of id, or the empty one where it belongs. */
static tally *find_slot(const table_counts *t, uint64_t id)
{
    size_t mask = t->capacity - 1;
    size_t i    = (size_t)hash_id(t->salt, id) & mask;

    while (t->map[i].count > 0 && t->map[i].id != id)
        i = (i + 1) & mask;
    return &t->map[i];
}

static err_t grow(table_counts *t)
{
    size_t old_capacity = t->capacity;
    tally *old          = t->map;
    size_t capacity     = old_capacity ? 2 * old_capacity : MAP_LEAST;
    tally *map          = calloc(capacity, sizeof *map);

    if (!map)
        return err_memory(capacity * sizeof *map, "counts of ids");
    t->map      = map;
    t->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].count > 0)
            *find_slot(t, old[i].id) = old[i];
    free(old);
    return OK;
}

err_t counts_see(counts *c, int table, const uint64_t *ids, size_t n)
{
    table_counts *t = &c->tables[table];

    for (size_t i = 0; i < n; i++) {
        if (t->n >= t->capacity / 4 * 3)
            TRY(grow(t));
        tally *slot = find_slot(t, ids[i]);
        if (slot->count > 0 && slot->sample == c->sample)
            continue;
        t->n += slot->count == 0;
        slot->id     = ids[i];
        slot->sample = c->sample;
        slot->count += slot->count < UINT32_MAX;
    }
    return OK;
}

/* Hand the map of t to its sorter. */
static err_t empty_map(table_counts *t)
{
    for (size_t i = 0; i < t->capacity; i++) {
        const tally *slot = &t->map[i];
        entry e = {slot->id, hash_bucket(hash_id(t->salt, slot->id)), slot->count};
        if (slot->count > 0)
            TRY(sorter_push(t->spilled, &e));
    }
    if (t->n > 0)
        memset(t->map, 0, t->capacity * sizeof *t->map);
    t->n = 0;
    return OK;
}

static size_t bytes_of_maps(const counts *c)
{
    size_t bytes = 0;

    for (int t = 0; t < c->n_tables; t++)
        bytes += c->tables[t].capacity * sizeof(tally);
    return bytes;
}

/* A map that would soon have to grow beyond the memory is emptied instead. */
err_t counts_end_sample(counts *c)
{
    for (int i = 0; i < c->n_tables; i++) {
        table_counts *t = &c->tables[i];
        if (t->n > t->capacity / 2 &&
            bytes_of_maps(c) + 2 * t->capacity * sizeof(tally) > c->memory)
            TRY(empty_map(t));
    }
    if (++c->sample == 0) /* all 32 bits were used: none may be taken for another */
        for (int t = 0; t < c->n_tables; t++)
            TRY(empty_map(&c->tables[t]));
    return OK;
}

/* ---- writing ---- */

/* The sum of the next entries that have one id; false after the last one. *ahead is the
 * sorter's next record before and after. */
static err_t next_sum(table_counts *t, const entry **ahead, entry *sum, bool *there)
{
    *there = *ahead != NULL;
    if (!*there)
        return OK;
    *sum           = **ahead;
    uint64_t total = 0;
    while (*ahead && (*ahead)->id == sum->id) {
        const void *next;
        total += (*ahead)->count;
        TRY(sorter_next(t->spilled, &next));
        *ahead = next;
    }
    sum->count = total < UINT32_MAX ? (uint32_t)total : UINT32_MAX;
    return OK;
}

static err_t first_entry(table_counts *t, const entry **ahead)
{
    const void *record;

    TRY(sorter_rewind(t->spilled));
    TRY(sorter_next(t->spilled, &record));
    *ahead = record;
    return OK;
}

/* First pass: how many ids each bucket has. */
static err_t measure(table_counts *t)
{
    const entry *ahead;
    entry        sum;
    bool         there;

    TRY(empty_map(t));
    free(t->map);
    t->map      = NULL;
    t->capacity = 0;
    TRY(first_entry(t, &ahead));
    for (;;) {
        TRY(next_sum(t, &ahead, &sum, &there));
        if (!there)
            break;
        t->buckets[sum.bucket + 1]++;
    }
    for (int b = 0; b < HASH_BUCKETS; b++)
        t->buckets[b + 1] += t->buckets[b];
    return OK;
}

static err_t declare(safetensors_writer *w, table_counts *t)
{
    const uint64_t n = t->buckets[HASH_BUCKETS], offsets = HASH_BUCKETS + 1;
    char           name[256];

    snprintf(name, sizeof name, "%s.ids", t->name);
    TRY(safetensors_declare(w, name, DTYPE_U64, 1, &n, &t->ids));
    snprintf(name, sizeof name, "%s.count", t->name);
    TRY(safetensors_declare(w, name, DTYPE_U32, 1, &n, &t->count));
    snprintf(name, sizeof name, "%s.buckets", t->name);
    return safetensors_declare(w, name, DTYPE_U64, 1, &offsets, &t->offsets);
}

/* Second pass: the ids and their counts. */
static err_t append(safetensors_writer *w, table_counts *t)
{
    uint64_t     ids[WRITE_PIECE];
    uint32_t     count[WRITE_PIECE];
    const entry *ahead;
    entry        sum;
    size_t       n     = 0;
    bool         there = true;

    TRY(safetensors_append(w, t->offsets, t->buckets, sizeof t->buckets));
    TRY(first_entry(t, &ahead));
    while (there) {
        TRY(next_sum(t, &ahead, &sum, &there));
        if (there) {
            ids[n]     = sum.id;
            count[n++] = sum.count;
        }
        if (n == WRITE_PIECE || !there) {
            TRY(safetensors_append(w, t->ids, ids, n * sizeof *ids));
            TRY(safetensors_append(w, t->count, count, n * sizeof *count));
            n = 0;
        }
    }
    return OK;
}

static err_t write_tables(counts *c, safetensors_writer *w)
{
    for (int t = 0; t < c->n_tables; t++) {
        TRY(measure(&c->tables[t]));
        TRY(declare(w, &c->tables[t]));
    }
    for (int t = 0; t < c->n_tables; t++)
        TRY(append(w, &c->tables[t]));
    return OK;
}

err_t counts_write(counts *c, const char *path)
{
    safetensors_writer *w;

    TRY(safetensors_create(&w, path));
    err_t err = write_tables(c, w);
    if (err != OK) {
        safetensors_abandon(&w);
        return err;
    }
    return safetensors_finish(&w, NULL);
}
