#include "ps/eviction.h"

#include <math.h>
#include <stdlib.h>

#include "common/hash.h"
#include "ps/table_cut.h"

#define HYSTERESIS 64 /* a bucket sheds this part of its rows below the limit */
#define BIRTHS     64 /* a step bears at most this part of the rows of all full buckets */

/* Rows that the row store has room for in each bucket, less what a step brings before rows
 * are shed. */
#define BUCKET_MOST (ROW_MOST / HASH_BUCKETS / 64 * 63)

/* A row that may leave. */
typedef struct leaver {
    uint64_t id;
    uint32_t touched, number;
} leaver;

/* One table's eviction after one step. */
typedef struct eviction {
    table    *table;
    uint32_t  swept;       /* bucket; HASH_BUCKETS: none */
    int64_t   idle_until;  /* rows of which only steps below it know are idle */
    uint32_t  most, fewer; /* rows of a bucket: when it sheds, and what it sheds to */
    uint8_t  *looked_at;   /* (HASH_BUCKETS) */
    uint32_t *held;        /* rows of those buckets that must stay, ascending */
    size_t    n_held;
    leaver   *leavers; /* room for all rows of a bucket */
    uint64_t  evicted;
} eviction;

bool eviction_wanted(const evict_config *c)
{
    return c->idle_steps > 0 || c->idle_days > 0 || c->min_norm > 0 || c->max_bytes > 0;
}

static bool sweeps(const evict_config *c)
{
    return c->idle_steps > 0 || c->idle_days > 0 || c->min_norm > 0;
}

/* Rows that a bucket may have had for a moment: a step bears its rows before others leave. In
 * the mean they are a part of the bucket's, and Poisson's law says what they are elsewhere. */
static uint32_t fullest(uint32_t most)
{
    double births = (double)most / BIRTHS;

    return most + (uint32_t)ceil(births + 4 * sqrt(births));
}

uint32_t eviction_most_rows(int64_t max_bytes, int reals)
{
    uint32_t low = 0, high = BUCKET_MOST; /* the answer is at least low, below high */

    while (high - low > 1) { /* twice as many while they fit: the work is in proportion to them */
        uint32_t half   = low + (high - low) / 2;
        uint32_t middle = 2 * low + 1 < half ? 2 * low + 1 : half;
        if (row_store_full_bytes(fullest(middle), reals) <= (uint64_t)max_bytes)
            low = middle;
        else
            high = middle;
    }
    return low;
}

err_t eviction_init(table *t)
{
    const table_config *c = t->config;

    t->most_rows = UINT32_MAX;
    if (c->evict.max_bytes == 0)
        return OK;
    t->most_rows = eviction_most_rows(c->evict.max_bytes, t->reals);
    if (t->most_rows > 0)
        return OK;
    return err_set(
        ERR_CONFIG,
        "tables.%s.evict.max_bytes is %lld, wanted %llu or more: a row in each of %d "
        "buckets",
        c->name, (long long)c->evict.max_bytes,
        (unsigned long long)row_store_full_bytes(fullest(1), t->reals), HASH_BUCKETS);
}

/* ---- rows that are held ---- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The held rows of the buckets that are looked at. */
static err_t find_held(eviction *e, const eviction_hold *holds, int n_holds, arena *scratch)
{
    size_t most = 0;

    for (int k = 0; k < n_holds; k++)
        most += holds[k].n;
    TRY(arena_take(scratch, most * sizeof *e->held, &e->held));
    for (int k = 0; k < n_holds; k++)
        for (size_t i = 0; i < holds[k].n; i++) {
            uint32_t number = holds[k].rows[i];
            if (e->looked_at[hash_bucket(hash_id(e->table->salt, holds[k].ids[i]))] &&
                number != ROW_NONE && number != ROW_REFUSED)
                e->held[e->n_held++] = number;
        }
    if (e->n_held)
        qsort(e->held, e->n_held, sizeof *e->held, by_number);
    return OK;
}

static bool is_held(const eviction *e, uint32_t number)
{
    return e->n_held && bsearch(&number, e->held, e->n_held, sizeof *e->held, by_number);
}

/* ---- a bucket's rows ---- */

/* All rows of bucket that are not held, in e->leavers. */
static size_t list_rows(eviction *e, uint32_t bucket)
{
    const row_store *rows   = e->table->rows;
    uint32_t         cursor = 0, number;
    size_t           n      = 0;

    while (row_store_next(rows, bucket, &cursor, &number)) {
        const row *r = row_store_at(rows, number);
        if (!is_held(e, number))
            e->leavers[n++] = (leaver){r->id, r->touched, number};
    }
    return n;
}

/* What a cut under way, and a delta to come, want to know of one that leaves. */
static err_t note(const eviction *e, const leaver *x)
{
    table *t = e->table;
    void  *id;

    if (t->cut)
        TRY(table_cut_keep_row(t, row_store_at(t->rows, x->number)));
    if (!t->notes_removed)
        return OK;
    TRY(ledger_add(&t->removed, hash_bucket(hash_id(t->salt, x->id)), &id));
    *(uint64_t *)id = x->id;
    return OK;
}

static err_t evict(eviction *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        TRY(note(e, &e->leavers[i]));
        row_store_remove(e->table->rows, e->leavers[i].number);
    }
    e->evicted += n;
    return OK;
}

/* ---- sweep ---- */

static bool is_short(const table *t, const row *r)
{
    real   w[CONFIG_DIM_MAX];
    double squares = 0, least = t->config->evict.min_norm;

    if (least == 0)
        return false;
    table_read_weights(t, r, w);
    least /= table_decay_since(t, r->touched);
    for (int d = 0; d < t->config->dim; d++)
        squares += (double)w[d] * (double)w[d];
    return squares < least * least;
}

static bool leaves(const eviction *e, const leaver *x)
{
    const evict_config *c = &e->table->config->evict;

    return (c->idle_steps > 0 && (int64_t)(e->table->clock - x->touched) >= c->idle_steps) ||
           (e->idle_until > 0 && (int64_t)x->touched <= e->idle_until) ||
           is_short(e->table, row_store_at(e->table->rows, x->number));
}

static err_t sweep(eviction *e, uint32_t bucket)
{
    size_t n = list_rows(e, bucket), leaving = 0;

    for (size_t i = 0; i < n; i++)
        if (leaves(e, &e->leavers[i]))
            e->leavers[leaving++] = e->leavers[i];
    return evict(e, leaving);
}

/* ---- shed ---- */

static bool before(const leaver *a, const leaver *b)
{
    return a->touched != b->touched ? a->touched < b->touched : a->id < b->id;
}

static void swap(leaver *a, leaver *b)
{
    leaver x = *a;
    *a       = *b;
    *b       = x;
}

/* Put those before x[0] in front of it: x[0] stands in its place then, which is returned. */
static size_t divide(leaver *x, size_t n)
{
    size_t place = 0;

    for (size_t i = 1; i < n; i++)
        if (before(&x[i], &x[0]))
            swap(&x[i], &x[++place]);
    swap(&x[0], &x[place]);
    return place;
}

/* Bring the first k of n to the front, in any order: Hoare's quickselect. The pivot is one
 * that no order of ids can foresee, so the work is linear in n. */
static void select_first(leaver *x, size_t n, size_t k)
{
    while (k > 0 && k < n) {
        swap(&x[0], &x[hash_mix(n ^ x[n / 2].id) % n]);
        size_t place = divide(x, n);
        if (k <= place) {
            n = place;
        } else {
            x += place + 1;
            n -= place + 1;
            k -= place + 1;
        }
    }
}

static err_t shed(eviction *e, uint32_t bucket)
{
    uint64_t rows = row_store_bucket_count(e->table->rows, bucket);

    if (rows <= e->most)
        return OK;
    size_t n       = list_rows(e, bucket);
    size_t leaving = rows - e->fewer < n ? (size_t)(rows - e->fewer) : n;
    select_first(e->leavers, n, leaving);
    return evict(e, leaving);
}

/* ---- a step ---- */

/* Which buckets are looked at; *largest: the most rows that one of them has, 0 where there
 * is nothing to look at. */
static void choose_buckets(eviction *e, size_t *largest)
{
    const table *t = e->table;

    *largest = 0;
    for (uint32_t b = t->first_bucket; b < t->end_bucket; b++) {
        uint32_t rows   = row_store_bucket_count(t->rows, b);
        e->looked_at[b] = rows && (b == e->swept || rows > e->most);
        if (e->looked_at[b] && rows > *largest)
            *largest = rows;
    }
}

err_t eviction_apply(table *t, const eviction_hold *holds, int n_holds, arena *scratch,
                     uint64_t *evicted)
{
    const evict_config *c       = &t->config->evict;
    uint32_t            turn    = (uint32_t)((t->clock - 1) % HASH_BUCKETS);
    uint32_t            most    = t->most_rows;
    size_t              largest = 0;
    eviction            e       = {.table      = t,
                                   .swept      = sweeps(c) ? turn : HASH_BUCKETS,
                                   .idle_until = calendar_idle(&t->calendar, c->idle_days),
                                   .most       = most,
                                   .fewer      = most - most / HYSTERESIS};

    if (!eviction_wanted(c))
        return OK;
    TRY(arena_take_zero(scratch, HASH_BUCKETS, &e.looked_at));
    choose_buckets(&e, &largest);
    if (largest == 0)
        return OK;
    TRY(arena_take(scratch, largest * sizeof *e.leavers, &e.leavers));
    TRY(find_held(&e, holds, n_holds, scratch));
    for (uint32_t b = t->first_bucket; b < t->end_bucket; b++) {
        if (!e.looked_at[b])
            continue;
        if (b == e.swept)
            TRY(sweep(&e, b));
        TRY(shed(&e, b));
    }
    *evicted += e.evicted;
    return OK;
}
