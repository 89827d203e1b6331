/* table_cut - a table as it was at a cut, while its rows go on changing.
 *
 * A cut is packed bucket by bucket, from 0 on, between the steps that follow it. Of a bucket
 * that is not packed yet, what is about to change is kept as it was:
 *
 *   rows      all of a row, before a step touches it or it leaves. A row that no step after the
 *             cut has touched says so itself: row.touched is at most the cut's step; all others
 *             in the store were touched or born later, and those that belong to the cut are
 *             kept. So nobody has to remember what is kept. (Every change of a row touches it:
 *             ps/update.h, ps/applicants.h.)
 *   waiting   an id's counter, before it counts or is forgotten; the oldest says how it was
 *   cells     bytes of the sketch, likewise
 *
 * and given back when the bucket is packed; memory grows by what is touched meanwhile. The days
 * of the calendar are few, and copied. With no cut under way this costs a branch a step. */
#ifndef DIPS_PS_TABLE_CUT_H
#define DIPS_PS_TABLE_CUT_H

#include "ps/ledger.h"
#include "ps/table.h"
#include "ps/update.h"

/* What is kept of a counter of an id that waits. */
typedef struct kept_count {
    uint64_t id;
    uint32_t count; /* 0: it had none */
} kept_count;

/* A byte of a bucket of the sketch. */
typedef struct kept_cell {
    uint32_t place;
    uint8_t  byte;
} kept_cell;

typedef struct table_cut {
    const table *table;
    uint32_t     step;      /* of the cut */
    uint32_t     packed;    /* buckets below are packed */
    size_t       row_bytes; /* all of a row */
    uint64_t     rows;      /* at the cut */
    uint64_t     ids;       /* that waited */
    ledger       kept;      /* rows */
    ledger       waiting, cells;
    ledger       removed; /* ids whose rows left since the cut before */
    calendar     calendar;
} table_cut;

/* The cut of t at step, at which it stands; from now on t->cut is it. table_cut_end. */
MUST_CHECK err_t table_cut_begin(table_cut *c, table *t, uint64_t step);

/* Give back what is kept; t->cut is NULL again. All zero: nothing happens. */
void table_cut_end(table_cut *c, table *t);

/* The bucket is packed: what is kept of it goes. */
void table_cut_pack(table_cut *c, uint32_t bucket);

/* ---- before a change; t->cut is there ---- */

/* The rows of a step: those that the parts name by number, and those of their other ids that
 * have one. */
MUST_CHECK err_t table_cut_keep_parts(const table *t, const update_part *parts, int n_parts);

MUST_CHECK err_t table_cut_keep_row(const table *t, const row *r);

/* The counters of applicants (ps/admission.h). */
MUST_CHECK err_t table_cut_keep_counters(const table *t, const applicant *all, size_t n);

/* ---- as it was ---- */

/* The ids of bucket that waited, ascending, as tally_bucket gives them now. */
MUST_CHECK err_t table_cut_waiting(const table_cut *c, uint32_t bucket, tally_entry **entries,
                                   size_t *capacity, size_t *n);

/* The bytes of bucket of the sketch, copied to `to`. */
void table_cut_cells(const table_cut *c, uint32_t bucket, uint8_t *to);

#endif
