#include "launch/prepare/sorter.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/vec.h"
#include "launch/prepare/spill.h"

#define MERGE_BUFFER_LEAST (64 << 10) /* bytes a run is read by */
#define MERGE_RUNS_MOST    512        /* runs merged at a time */

/* A sorted piece of the spill, and how far it is read. */
typedef struct run {
    uint64_t begin, end; /* bytes of the spill */
    uint64_t next;       /* byte of the spill to read next */
    char    *buffer;     /* capacity bytes; records [at, filled) are there */
    size_t   capacity, filled, at;
} run;

struct sorter {
    size_t       size;
    sorter_order order;
    size_t       memory;
    const char  *folder;
    VEC(char) records; /* not spilled yet */
    spill file;
    VEC(run) runs;
    VEC(uint32_t) heap; /* runs that have a record, least one first */
    bool   reading;
    bool   advance;  /* the first record of heap[0] was lent */
    size_t position; /* in records, where nothing was spilled */
};

err_t sorter_new(sorter **out, size_t size, sorter_order order, size_t memory,
                 const char *folder)
{
    sorter *s = calloc(1, sizeof *s);

    *out = s;
    if (!s)
        return err_memory(sizeof *s, "a sorter");
    s->size   = size;
    s->order  = order;
    s->memory = memory;
    s->folder = folder;
    return OK;
}

void sorter_free(sorter **s)
{
    if (!*s)
        return;
    for (size_t i = 0; i < (*s)->runs.n; i++)
        free((*s)->runs.at[i].buffer);
    vec_clear(&(*s)->records);
    vec_clear(&(*s)->runs);
    vec_clear(&(*s)->heap);
    spill_close(&(*s)->file);
    free(*s);
    *s = NULL;
}

static void sort_records(sorter *s)
{
    if (s->records.n > 0)
        qsort(s->records.at, s->records.n / s->size, s->size, s->order);
}

static err_t spill_records(sorter *s)
{
    if (!s->file.open)
        TRY(spill_open(&s->file, s->folder));
    sort_records(s);
    run r = {.begin = s->file.bytes, .end = s->file.bytes + s->records.n};
    TRY(spill_append(&s->file, s->records.at, s->records.n));
    s->records.n = 0;
    return vec_push(&s->runs, r);
}

/* Half of the memory holds records: qsort takes as much again for itself. */
err_t sorter_push(sorter *s, const void *record)
{
    if (s->records.n >= s->size && s->records.n + s->size > s->memory / 2)
        TRY(spill_records(s));
    TRY(vec_reserve(&s->records, s->records.n + s->size));
    memcpy(s->records.at + s->records.n, record, s->size);
    s->records.n += s->size;
    return OK;
}

/* ---- merging: a heap of runs, by their first unread record ---- */

static const char *first_record(const run *r)
{
    return r->buffer + r->at;
}

/* Equal records stand in the order of their runs, which is that of their pushes. */
static bool is_before(const sorter *s, uint32_t a, uint32_t b)
{
    int c = s->order(first_record(&s->runs.at[a]), first_record(&s->runs.at[b]));
    return c < 0 || (c == 0 && a < b);
}

static void sift_down(sorter *s, size_t i)
{
    uint32_t *heap = s->heap.at;

    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < s->heap.n; child++)
            if (is_before(s, heap[child], heap[least]))
                least = child;
        if (least == i)
            return;
        uint32_t moved = heap[i];
        heap[i]        = heap[least];
        heap[least]    = moved;
        i              = least;
    }
}

/* Read the next piece of r; filled is 0 at its end. */
static err_t refill(const sorter *s, run *r)
{
    uint64_t left = r->end - r->next;

    r->at     = 0;
    r->filled = left < r->capacity ? (size_t)left : r->capacity;
    if (r->filled > 0)
        TRY(spill_read(&s->file, r->next, r->buffer, r->filled));
    r->next += r->filled;
    return OK;
}

/* Begin to merge the runs first .. end-1. */
static err_t begin_merge(sorter *s, size_t first, size_t end)
{
    size_t capacity = s->memory / (end - first) / s->size * s->size;

    if (capacity < s->size)
        capacity = s->size;
    for (size_t i = first; i < end; i++) {
        run *r = &s->runs.at[i];
        if (!r->buffer && !(r->buffer = malloc(capacity)))
            return err_memory(capacity, "merging sorted runs");
        r->capacity = capacity;
        r->next     = r->begin;
        TRY(refill(s, r));
        TRY(vec_push(&s->heap, (uint32_t)i));
    }
    for (size_t i = s->heap.n; i-- > 0;)
        sift_down(s, i);
    s->advance = false;
    return OK;
}

static err_t next_merged(sorter *s, const void **record)
{
    *record = NULL;
    if (s->advance) {
        run *r = &s->runs.at[s->heap.at[0]];
        r->at += s->size;
        if (r->at == r->filled)
            TRY(refill(s, r));
        if (r->filled == 0)
            s->heap.at[0] = s->heap.at[--s->heap.n];
        sift_down(s, 0);
    }
    s->advance = s->heap.n > 0;
    if (s->advance)
        *record = first_record(&s->runs.at[s->heap.at[0]]);
    return OK;
}

/* Merge the runs first .. end-1 into a new one at the end of the spill. */
static err_t merge_runs(sorter *s, size_t first, size_t end, run *merged)
{
    const void *record;

    *merged = (run){.begin = s->file.bytes};
    TRY(begin_merge(s, first, end));
    for (;;) {
        TRY(next_merged(s, &record));
        if (!record)
            break;
        if (s->records.n > 0 && s->records.n + s->size > s->memory / 2) {
            TRY(spill_append(&s->file, s->records.at, s->records.n));
            s->records.n = 0;
        }
        TRY(vec_reserve(&s->records, s->records.n + s->size));
        memcpy(s->records.at + s->records.n, record, s->size);
        s->records.n += s->size;
    }
    TRY(spill_append(&s->file, s->records.at, s->records.n));
    s->records.n = 0;
    merged->end  = s->file.bytes;
    return OK;
}

/* Replace each most neighbouring runs by one: their order stays that of their pushes. */
static err_t merge_pass(sorter *s, size_t most)
{
    size_t n = 0;

    for (size_t first = 0; first < s->runs.n; first += most) {
        size_t end = first + most < s->runs.n ? first + most : s->runs.n;
        run    merged;
        TRY(merge_runs(s, first, end, &merged));
        for (size_t i = first; i < end; i++) {
            free(s->runs.at[i].buffer);
            s->runs.at[i].buffer = NULL;
        }
        s->runs.at[n++] = merged;
    }
    s->runs.n = n;
    return OK;
}

static size_t runs_at_a_time(const sorter *s)
{
    size_t n = s->memory / MERGE_BUFFER_LEAST;
    return n < 16 ? 16 : n > MERGE_RUNS_MOST ? MERGE_RUNS_MOST : n;
}

static err_t end_pushing(sorter *s)
{
    s->reading = true;
    if (s->runs.n == 0) {
        sort_records(s);
        return OK;
    }
    if (s->records.n > 0)
        TRY(spill_records(s));
    while (s->runs.n > runs_at_a_time(s))
        TRY(merge_pass(s, runs_at_a_time(s)));
    vec_clear(&s->records);
    return OK;
}

err_t sorter_rewind(sorter *s)
{
    if (!s->reading)
        TRY(end_pushing(s));
    s->position = 0;
    s->heap.n   = 0;
    return s->runs.n > 0 ? begin_merge(s, 0, s->runs.n) : OK;
}

err_t sorter_next(sorter *s, const void **record)
{
    if (s->runs.n > 0)
        return next_merged(s, record);
    bool there = s->position < s->records.n;
    *record    = there ? s->records.at + s->position : NULL;
    s->position += there ? s->size : 0;
    return OK;
}
