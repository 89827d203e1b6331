#include "ps/table_cut.h"

#include <string.h>

#include "common/clones.h"
#include "common/hash.h"
#include "common/vec.h"

#define AHEAD       16  /* rows between a prefetch and its use */
#define CACHE_LINE  64
#define PIECE       128 /* ids looked up at a time */
#define HASHES_MOST 64  /* cells of an id */

static err_t copy_days(calendar *to, const calendar *from)
{
    TRY(vec_reserve(&to->days, from->days.n));
    for (size_t i = 0; i < from->days.n; i++)
        to->days.at[to->days.n++] = from->days.at[i];
    return OK;
}

err_t table_cut_begin(table_cut *c, table *t, uint64_t step)
{
    *c = (table_cut){.table     = t,
                     .step      = (uint32_t)step,
                     .row_bytes = sizeof(row) + (size_t)t->reals * sizeof(real),
                     .rows      = row_store_count(t->rows)};
    if (t->admission.waiting) {
        c->ids = tally_ids(t->admission.waiting);
        TRY(ledger_init(&c->waiting, sizeof(kept_count)));
    }
    if (t->admission.sketch.at)
        TRY(ledger_init(&c->cells, sizeof(kept_cell)));
    TRY(ledger_init(&c->kept, c->row_bytes));
    TRY(copy_days(&c->calendar, &t->calendar));
    c->removed = t->removed;
    t->removed = (ledger){0};
    if (t->notes_removed)
        TRY(ledger_init(&t->removed, sizeof(uint64_t)));
    t->cut = c;
    return OK;
}

void table_cut_end(table_cut *c, table *t)
{
    t->cut = NULL;
    ledger_clear(&c->kept);
    ledger_clear(&c->waiting);
    ledger_clear(&c->cells);
    ledger_clear(&c->removed);
    calendar_clear(&c->calendar);
}

void table_cut_pack(table_cut *c, uint32_t bucket)
{
    ledger_drop(&c->kept, bucket);
    ledger_drop(&c->waiting, bucket);
    ledger_drop(&c->cells, bucket);
    ledger_drop(&c->removed, bucket);
    c->packed = bucket + 1;
}

/* ---- rows ---- */

/* Whether a row is to be kept before it changes, and in which bucket. */
static bool is_wanted(const table *t, const row *r, uint32_t *bucket)
{
    if (r->touched > t->cut->step)
        return false;
    *bucket = hash_bucket(hash_id(t->salt, r->id));
    return *bucket >= t->cut->packed;
}

err_t table_cut_keep_row(const table *t, const row *r)
{
    table_cut *c = t->cut;
    uint32_t   bucket;
    void      *image;

    if (!is_wanted(t, r, &bucket))
        return OK;
    TRY(ledger_add(&c->kept, bucket, &image));
    memcpy(image, r, c->row_bytes);
    return OK;
}

/* A row that is near by now will soon be kept: where its image goes is to be near by then. */
INLINE void fetch_place(const table *t, uint32_t number)
{
    uint32_t bucket;

    if (number < ROW_REFUSED && is_wanted(t, row_store_at(t->rows, number), &bucket))
        ledger_prefetch(&t->cut->kept, bucket);
}

/* All of a row: what changes it next needs it, too. */
INLINE void fetch_row(const table *t, uint32_t number)
{
    if (number < ROW_REFUSED)
        for (size_t i = 0; i < t->cut->row_bytes; i += CACHE_LINE)
            __builtin_prefetch((const char *)row_store_at(t->rows, number) + i);
}

/* Rows by their numbers. Two workers may name one, which then is kept twice: they are equal. */
static err_t keep_numbers(const table *t, const uint32_t *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i + 2 * AHEAD < n)
            fetch_row(t, rows[i + 2 * AHEAD]);
        if (i + AHEAD < n)
            fetch_place(t, rows[i + AHEAD]);
        if (rows[i] < ROW_REFUSED)
            TRY(table_cut_keep_row(t, row_store_at(t->rows, rows[i])));
    }
    return OK;
}

static err_t keep_ids(const table *t, const uint64_t *ids, size_t n)
{
    uint32_t rows[PIECE];

    row_store_find(t->rows, ids, n, rows);
    return keep_numbers(t, rows, n);
}

/* The rows, made since the pull, of ids that had none then: n is small. */
static err_t keep_missing(const table *t, const update_part *p)
{
    uint64_t ids[PIECE];
    size_t   n = 0;

    for (size_t i = 0; i < p->n; i++) {
        if (p->rows[i] != ROW_NONE)
            continue;
        ids[n++] = p->ids[i];
        if (n == PIECE) {
            TRY(keep_ids(t, ids, n));
            n = 0;
        }
    }
    return n ? keep_ids(t, ids, n) : OK;
}

err_t table_cut_keep_parts(const table *t, const update_part *parts, int n_parts)
{
    for (int k = 0; k < n_parts; k++) {
        TRY(keep_numbers(t, parts[k].rows, parts[k].n));
        TRY(keep_missing(t, &parts[k]));
    }
    return OK;
}

/* ---- counters ---- */

static err_t keep_count(const table *t, uint32_t bucket, uint64_t id)
{
    void *record;

    TRY(ledger_add(&t->cut->waiting, bucket, &record));
    *(kept_count *)record = (kept_count){id, tally_get(t->admission.waiting, id)};
    return OK;
}

static err_t keep_cells(const table *t, uint32_t bucket, uint64_t hash)
{
    const sketch *s = &t->admission.sketch;
    uint32_t      places[HASHES_MOST];
    int           n = sketch_places(s, hash, places, HASHES_MOST);

    for (int i = 0; i < n; i++) {
        void *record;
        TRY(ledger_add(&t->cut->cells, bucket, &record));
        *(kept_cell *)record = (kept_cell){places[i], sketch_bucket(s, bucket)[places[i]]};
    }
    return OK;
}

err_t table_cut_keep_counters(const table *t, const applicant *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t hash   = hash_id(t->salt, all[i].id);
        uint32_t bucket = hash_bucket(hash);
        if (bucket < t->cut->packed)
            continue;
        if (t->admission.waiting)
            TRY(keep_count(t, bucket, all[i].id));
        if (t->admission.sketch.at)
            TRY(keep_cells(t, bucket, hash));
    }
    return OK;
}

/* ---- as it was ---- */

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const tally_entry *)a)->id, y = ((const tally_entry *)b)->id;
    return (x > y) - (x < y);
}

/* Among the first n entries, ascending, that of id; or NULL. */
static tally_entry *find_entry(tally_entry *entries, size_t n, uint64_t id)
{
    const tally_entry key = {id, 0};

    return n ? bsearch(&key, entries, n, sizeof *entries, by_id) : NULL;
}

/* Undo what was done to the counters since: entries as they are, and room for all that were
 * kept. Ids that are not there any more come behind the first n, once each. */
static size_t undo_counts(const ledger_block *kept, tally_entry *entries, size_t n)
{
    size_t all = n;

    for (; kept; kept = kept->next)
        for (uint32_t i = kept->n; i-- > 0;) { /* the newest first: the oldest has the last word */
            const kept_count *was = (const kept_count *)kept->records + i;
            tally_entry      *now = find_entry(entries, n, was->id);
            for (size_t k = n; !now && k < all; k++)
                now = entries[k].id == was->id ? &entries[k] : NULL;
            if (!now)
                entries[(now = &entries[all++]) - entries].id = was->id;
            now->count = was->count;
        }
    return all;
}

err_t table_cut_waiting(const table_cut *c, uint32_t bucket, tally_entry **entries,
                        size_t *capacity, size_t *n)
{
    size_t kept = ledger_count(&c->waiting, bucket), all, left = 0;

    TRY(tally_bucket(c->table->admission.waiting, bucket, entries, capacity, n));
    if (kept == 0)
        return OK;
    if (*capacity < *n + kept)
        TRY(vec_grow(entries, capacity, sizeof **entries, *n + kept));
    all = undo_counts(ledger_newest(&c->waiting, bucket), *entries, *n);
    for (size_t i = 0; i < all; i++)
        if ((*entries)[i].count)
            (*entries)[left++] = (*entries)[i];
    *n = left;
    if (left)
        qsort(*entries, left, sizeof **entries, by_id);
    return OK;
}

void table_cut_cells(const table_cut *c, uint32_t bucket, uint8_t *to)
{
    const sketch       *s    = &c->table->admission.sketch;
    const ledger_block *kept = ledger_newest(&c->cells, bucket);

    memcpy(to, sketch_bucket(s, bucket), s->bytes);
    for (; kept; kept = kept->next)
        for (uint32_t i = kept->n; i-- > 0;) {
            const kept_cell *was = (const kept_cell *)kept->records + i;
            to[was->place]       = was->byte;
        }
}
