#include "ps/applicants.h"

#include "common/hash.h"
#include "ps/sample_count.h"
#include "ps/table_cut.h"

/* Each id of a step once: its place in all is looked up in slots, a table of twice the size
 * or more, filled by linear probing. */
typedef struct distinct {
    applicant *all;
    size_t     n;
    uint32_t  *slots; /* place in all, plus one; 0: empty */
    size_t     mask;
} distinct;

static err_t distinct_init(distinct *d, size_t most, arena *scratch)
{
    size_t slots = 16;

    while (slots < 2 * most)
        slots *= 2;
    *d = (distinct){.mask = slots - 1};
    TRY(arena_take(scratch, most * sizeof *d->all, &d->all));
    return arena_take_zero(scratch, slots * sizeof *d->slots, &d->slots);
}

static void distinct_add(distinct *d, uint64_t salt, uint64_t id, uint32_t samples)
{
    size_t slot = hash_id(salt, id) & d->mask;

    while (d->slots[slot] && d->all[d->slots[slot] - 1].id != id)
        slot = (slot + 1) & d->mask;
    if (d->slots[slot]) {
        applicant *x = &d->all[d->slots[slot] - 1];
        x->samples   = sample_count_add(x->samples, samples);
        return;
    }
    d->all[d->n++] = (applicant){id, samples};
    d->slots[slot] = (uint32_t)d->n;
}

/* The ids of the step whose gradients were dropped, and in how many samples each is; an id
 * whose worker does not tell that is in one of its samples. */
static err_t collect(distinct *d, const table *t, const update_part *parts, int n_parts,
                     size_t refused, arena *scratch)
{
    TRY(distinct_init(d, refused, scratch));
    for (int k = 0; k < n_parts; k++) {
        const update_part *p = &parts[k];
        for (size_t i = 0; i < p->n; i++)
            if (p->rows[i] == ROW_REFUSED)
                distinct_add(d, t->salt, p->ids[i], p->counts ? p->counts[i] : 1);
    }
    return OK;
}

/* Count those who have a row since; the others are moved to the front, *n of them. */
static err_t count_rows(const table *t, distinct *d, arena *scratch)
{
    uint64_t *ids;
    uint32_t *rows;
    size_t    n = 0;

    TRY(arena_take(scratch, d->n * sizeof *ids, &ids));
    TRY(arena_take(scratch, d->n * sizeof *rows, &rows));
    for (size_t i = 0; i < d->n; i++)
        ids[i] = d->all[i].id;
    row_store_find(t->rows, ids, d->n, rows);
    for (size_t i = 0; i < d->n; i++) {
        if (rows[i] == ROW_NONE) {
            d->all[n++] = d->all[i];
            continue;
        }
        row *r = row_store_at(t->rows, rows[i]);
        if (t->cut)
            TRY(table_cut_keep_row(t, r));
        if (!t->exact)
            r->count = sample_count_add(r->count, d->all[i].samples);
        table_touch(t, r);
    }
    d->n = n;
    return OK;
}

/* Rows for the first n, who are admitted. */
static err_t admit(table *t, const applicant *all, size_t n, arena *scratch)
{
    uint64_t *ids;
    uint32_t *rows;

    TRY(arena_take(scratch, n * sizeof *ids, &ids));
    TRY(arena_take(scratch, n * sizeof *rows, &rows));
    for (size_t i = 0; i < n; i++)
        ids[i] = all[i].id;
    TRY(table_admit(t, ids, n, rows));
    for (size_t i = 0; i < n; i++)
        if (!t->exact)
            row_store_at(t->rows, rows[i])->count = all[i].samples;
    return OK;
}

err_t applicants_apply(table *t, const update_part *parts, int n_parts, arena *scratch,
                       applicants_result *result)
{
    distinct d;
    size_t   refused = 0, admitted = 0;

    for (int k = 0; k < n_parts; k++)
        for (size_t i = 0; i < parts[k].n; i++)
            refused += parts[k].rows[i] == ROW_REFUSED;
    result->refused += refused;
    if (!refused || !admission_by_step(&t->config->admit))
        return OK;
    TRY(collect(&d, t, parts, n_parts, refused, scratch));
    TRY(count_rows(t, &d, scratch));
    if (t->cut)
        TRY(table_cut_keep_counters(t, d.all, d.n));
    TRY(admission_step(&t->admission, t->clock - 1, d.all, d.n, &admitted));
    result->admitted += admitted;
    return admit(t, d.all, admitted, scratch);
}
