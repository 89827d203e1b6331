#include "ps/table.h"

#include <string.h>

#include "common/bf16.h"
#include "common/clones.h"
#include "common/hash.h"
#include "common/rng.h"
#include "ps/birth.h"
#include "ps/gradient.h"

#define PIECE  128 /* ids found and copied at a time, while their rows are in the cache */
#define STRIDE 16  /* row numbers looked at together */

/* Whether the configuration speaks of exact counts, and where. */
static const char *wish_for_counts(const table_config *c)
{
    if (c->penalty.kind == PENALTY_MINIBATCH_AWARE && c->penalty.count == COUNT_EXACT)
        return "penalty.count: exact";
    if (c->admit.min_count > 1 && c->admit.counter == COUNTER_DATASET)
        return "admit.min_count";
    return NULL;
}

static err_t find_counts(table *t, const safetensors *file)
{
    const char *wish = wish_for_counts(t->config);

    if (file)
        TRY(id_counts_init(&t->counts, file, t->config->name, t->salt, t->first_bucket,
                           t->end_bucket));
    if (wish && !t->counts.ids)
        return err_set(
            ERR_CONFIG,
            "tables.%s.%s needs the number of samples of each id: %s%s has no %s.ids "
            "(dips prepare writes it; data.counts names the file)",
            t->config->name, wish, file ? "" : "there is no counts.safetensors; ",
            file ? safetensors_path(file) : "the run", t->config->name);
    t->exact = t->counts.ids && t->config->penalty.count == COUNT_EXACT;
    return OK;
}

static int weight_reals(const table_config *c)
{
    size_t weight = c->precision == PRECISION_BF16 ? sizeof(uint16_t) : sizeof(real);

    return (int)(((size_t)c->dim * weight + sizeof(real) - 1) / sizeof(real));
}

int table_payload_reals(const table_config *c)
{
    return weight_reals(c) + (int)optim_state_size(c->optimizer.kind, (size_t)c->dim);
}

err_t table_init(table *t, const schema_table *s, uint64_t seed, const safetensors *counts_file,
                 uint32_t first, uint32_t end)
{
    const table_config *c = s->config;

    *t = (table){.config       = c,
                 .salt         = s->salt,
                 .seed         = seed,
                 .births       = rng_family(seed, RNG_BIRTH, s->salt),
                 .first_bucket = first,
                 .end_bucket   = end,
                 .state_at     = weight_reals(c),
                 .reals        = table_payload_reals(c)};
    optim_init(&t->rule, &c->optimizer);
    TRY(find_counts(t, counts_file));
    err_t err = admission_init(&t->admission, &c->admit, t->salt, seed, first, end);
    if (err != OK)
        return err_add(err, "tables.%s.admit", c->name);
    return row_store_new(&t->rows, t->salt, t->reals);
}

void table_clear(table *t)
{
    row_store_free(&t->rows);
    admission_clear(&t->admission);
    calendar_clear(&t->calendar);
    ledger_clear(&t->removed);
}

err_t table_note_removed(table *t)
{
    t->notes_removed = true;
    ledger_clear(&t->removed);
    return ledger_init(&t->removed, sizeof(uint64_t));
}

err_t table_empty(table *t)
{
    row_store_clear(t->rows);
    calendar_clear(&t->calendar);
    for (uint32_t b = 0; b < HASH_BUCKETS; b++)
        ledger_drop(&t->removed, b);
    return admission_reset(&t->admission);
}

bool table_owns(const table *t, const uint64_t *ids, size_t n)
{
    bool all = true;

    if (t->first_bucket == 0 && t->end_bucket == HASH_BUCKETS)
        return true;
    for (size_t i = 0; i < n; i++) {
        uint32_t bucket = hash_bucket(hash_id(t->salt, ids[i]));
        all &= bucket >= t->first_bucket && bucket < t->end_bucket;
    }
    return all;
}

void table_set_clock(table *t, uint64_t clock, double lr)
{
    const penalty_config *p     = &t->config->penalty;
    double                decay = p->kind == PENALTY_DECAY ? lr * p->lambda : 0;

    t->clock = clock;
    if (decay != t->decay)
        powers_init(&t->left, 1 - decay);
    t->decay = decay;
}

double table_decay_since(const table *t, uint32_t touched)
{
    return t->decay != 0 && t->clock > touched
               ? powers_of(&t->left, (uint32_t)(t->clock - touched))
               : 1;
}

/* ---- weights ---- */

void table_read_weights(const table *t, const row *r, real *w)
{
    size_t dim = (size_t)t->config->dim;

    if (t->config->precision == PRECISION_FP32)
        memcpy(w, r->x, dim * sizeof *w);
    else
        bf16_widen(w, (const void *)r->x, dim);
}

void table_write_weights(const table *t, row *r, const real *w, uint64_t step)
{
    size_t dim = (size_t)t->config->dim;

    if (t->config->precision == PRECISION_FP32)
        memcpy(r->x, w, dim * sizeof *w);
    else
        bf16_round((void *)r->x, w, rng_named(t->seed, RNG_ROUND, t->salt + step, r->id), dim);
}

void table_touch(const table *t, row *r)
{
    real w[CONFIG_DIM_MAX];

    if (t->decay != 0 && r->touched != t->clock) {
        table_read_weights(t, r, w);
        weights_scale(w, (real)table_decay_since(t, r->touched), (size_t)t->config->dim);
        table_write_weights(t, r, w, t->clock);
    }
    r->touched = (uint32_t)t->clock;
}

void table_birth_value(const table *t, uint64_t id, real *w)
{
    const table_config *c   = t->config;
    size_t              dim = (size_t)c->dim;

    birth_value(c->init, c->init_scale, rng_member(t->births, id), w, dim);
    if (c->precision == PRECISION_BF16) { /* what the row will hold */
        uint16_t half[CONFIG_DIM_MAX];
        bf16_round(half, w, rng_named(t->seed, RNG_ROUND, t->salt, id), dim);
        bf16_widen(w, half, dim);
    }
}

static uint32_t exact_count(const table *t, uint64_t id)
{
    return t->counts.ids ? id_counts_find(&t->counts, hash_bucket(hash_id(t->salt, id)), id)
                         : 0;
}

/* Whether an id without a row gets one as soon as a step has it. */
static bool admitted(const table *t, uint64_t id)
{
    const admit_config *c = &t->config->admit;

    if (admission_by_step(c))
        return false;
    return c->min_count <= 1 || exact_count(t, id) >= c->min_count;
}

static uint32_t gather_one(const table *t, uint64_t id, uint32_t number, real *w)
{
    size_t dim = (size_t)t->config->dim;

    if (number != ROW_NONE) {
        const row *r = row_store_at(t->rows, number);
        table_read_weights(t, r, w);
        if (t->decay != 0)
            weights_scale(w, (real)table_decay_since(t, r->touched), dim);
        return number;
    }
    if (admitted(t, id)) {
        table_birth_value(t, id, w);
        return ROW_NONE;
    }
    memset(w, 0, dim * sizeof *w);
    return ROW_REFUSED;
}

/* Whether any of STRIDE rows is ROW_NONE. */
INLINE bool any_missing(const uint32_t *rows)
{
    uint32_t any = 0;

    for (size_t i = 0; i < STRIDE; i++)
        any |= rows[i] == ROW_NONE;
    return any;
}

/* The first of rows i .. n-1 that is ROW_NONE, or n: mostly there is none. */
static size_t next_missing(const uint32_t *rows, size_t i, size_t n)
{
    while (n - i >= STRIDE && !any_missing(rows + i))
        i += STRIDE;
    while (i < n && rows[i] != ROW_NONE)
        i++;
    return i;
}

/* Rows of floats are copied as they are found. */
static void gather_plain(const table *t, const uint64_t *ids, size_t n, uint32_t *rows,
                         real *values)
{
    size_t dim = (size_t)t->config->dim;

    row_store_gather(t->rows, ids, n, rows, values, dim);
    for (size_t i = next_missing(rows, 0, n); i < n; i = next_missing(rows, i + 1, n))
        rows[i] = gather_one(t, ids[i], ROW_NONE, values + i * dim);
}

void table_gather(const table *t, const uint64_t *ids, size_t n, uint32_t *rows, real *values)
{
    size_t dim = (size_t)t->config->dim;

    if (t->config->precision == PRECISION_FP32 && t->decay == 0) {
        gather_plain(t, ids, n, rows, values);
        return;
    }
    for (size_t first = 0; first < n; first += PIECE) {
        size_t end = n - first < PIECE ? n : first + PIECE;
        row_store_find(t->rows, ids + first, end - first, rows + first);
        for (size_t i = first; i < end; i++)
            rows[i] = gather_one(t, ids[i], rows[i], values + i * dim);
    }
}

/* r is new: its state is zero, as the rule wants it at first. */
static void bear_one(const table *t, uint64_t id, row *r)
{
    real w[CONFIG_DIM_MAX];

    table_birth_value(t, id, w);
    table_write_weights(t, r, w, 0);
    r->count   = t->exact ? exact_count(t, id) : 0;
    r->touched = (uint32_t)t->clock;
}

/* Rows for ids[0 .. n-1] that had none when this step's pull came: n is small. What was made
 * since is told by touched. Before the first step it is not, but there a row is what it was
 * born as, and is born the same once more. */
static err_t bear_piece(table *t, const uint64_t *ids, size_t n, uint32_t *rows)
{
    for (size_t i = 0; t->exact && i < n; i++)
        id_counts_prefetch(&t->counts, hash_bucket(hash_id(t->salt, ids[i])), ids[i]);
    TRY(row_store_insert(t->rows, ids, n, rows));
    for (size_t i = 0; i < n; i++) {
        row *r = row_store_at(t->rows, rows[i]);
        if (r->touched == 0)
            bear_one(t, ids[i], r);
    }
    return OK;
}

/* Ids without a row, PIECE at most, and where they stand in the request. */
typedef struct missing {
    size_t   n, at[PIECE];
    uint64_t ids[PIECE];
} missing;

static err_t bear_all(table *t, missing *m, uint32_t *rows)
{
    uint32_t born[PIECE];

    TRY(bear_piece(t, m->ids, m->n, born));
    for (size_t i = 0; i < m->n; i++)
        rows[m->at[i]] = born[i];
    m->n = 0;
    return OK;
}

err_t table_bear_missing(table *t, const uint64_t *ids, size_t n, uint32_t *rows)
{
    missing m;

    m.n = 0;
    for (size_t i = next_missing(rows, 0, n); i < n; i = next_missing(rows, i + 1, n)) {
        m.at[m.n]    = i;
        m.ids[m.n++] = ids[i];
        if (m.n == PIECE)
            TRY(bear_all(t, &m, rows));
    }
    return bear_all(t, &m, rows);
}

err_t table_bear(table *t, const uint64_t *ids, size_t n, uint32_t *rows)
{
    for (size_t first = 0; first < n; first += PIECE) {
        size_t end = n - first < PIECE ? n : first + PIECE;
        row_store_find(t->rows, ids + first, end - first, rows + first);
        for (size_t i = first; i < end; i++)
            if (rows[i] == ROW_NONE && !admitted(t, ids[i]))
                rows[i] = ROW_REFUSED;
        TRY(table_bear_missing(t, ids + first, end - first, rows + first));
    }
    return OK;
}

err_t table_admit(table *t, const uint64_t *ids, size_t n, uint32_t *rows)
{
    for (size_t first = 0; first < n; first += PIECE)
        TRY(bear_piece(t, ids + first, n - first < PIECE ? n - first : PIECE, rows + first));
    return OK;
}
