/* table - the rows of one table in one shard, and what the configuration says of them.
 *
 * A row's first value depends on (seed, table, id) alone: a pull of an id without a row is
 * answered with that value and changes nothing; the row itself is born when the first step
 * with the id is applied, and counts as touched when that step began. An id that is not
 * admitted has no row: it is answered with zeros and its gradients are dropped.
 * admit.counter: dataset never admits those that occur in fewer than min_count samples of the
 * data set; where a running count or chance decides, a row is made by ps/applicants.h alone.
 *
 * The payload of a row, in reals:
 *
 *   0 .. state_at-1   dim weights: reals (precision: fp32), or bf16, two or more to a real
 *   state_at ..       the state of the update rule, as common/optim.h lays it out
 *
 * A weight is rounded to bf16 up or down by chance (common/bf16.h); the chance is the stream
 * (seed, RNG_ROUND, salt of the table + steps applied, that one included, id), of a row's
 * birth with 0 steps. */
#ifndef DIPS_PS_TABLE_H
#define DIPS_PS_TABLE_H

#include <stdbool.h>

#include "common/optim.h"
#include "common/schema.h"
#include "ps/admission.h"
#include "ps/calendar.h"
#include "ps/id_counts.h"
#include "ps/ledger.h"
#include "ps/row_store.h"

/* Stands for a row's number where the id is not admitted. */
#define ROW_REFUSED (UINT32_MAX - 1)

typedef struct table {
    const table_config *config; /* lent */
    uint64_t            salt, seed;
    uint64_t            births; /* family of the streams of first values */
    uint32_t            first_bucket, end_bucket; /* the shard's */
    row_store          *rows;
    id_counts           counts;
    uint64_t            clock;    /* steps applied */
    double              decay;    /* of a weight in a step: lr lambda; 0: none */
    powers              left;     /* (1 - decay)^steps */
    uint64_t            repeated; /* gradients dropped: their pull named the id before */
    optim               rule;
    admission           admission;
    uint32_t            most_rows; /* of a bucket (ps/eviction.h) */
    calendar            calendar; /* kept where evict.idle_days wants it */
    int                 state_at, reals; /* of a payload: in front of the rule's state; all */
    bool                exact; /* rows hold exact counts; else what was seen so far */
    bool                notes_removed; /* for deltas: */
    ledger              removed; /* ids (u64) whose rows left since the last cut began */
    struct table_cut   *cut; /* being written; NULL: none is (ps/table_cut.h); lent by it */
} table;

/* The reals of a payload by this configuration. */
int table_payload_reals(const table_config *c);

/* The table that s describes, with the buckets first .. end-1, empty; table_clear.
 * counts_file (NULL: none) is lent as long as the table lives. ERR_CONFIG where exact
 * counts are wanted and not there. */
MUST_CHECK err_t table_init(table *t, const schema_table *s, uint64_t seed,
                            const safetensors *counts_file, uint32_t first, uint32_t end);
void             table_clear(table *t);

/* From now on the table is as it is after `clock` steps, the last of which has or had the
 * learning rate lr (before the first step any will do). */
void table_set_clock(table *t, uint64_t clock, double lr);

/* What penalty: decay leaves, at the table's clock, of a weight of a row that was last touched
 * (row.touched) at this one; 1 where the table has another penalty. */
double table_decay_since(const table *t, uint32_t touched);

/* Note for deltas, from now on, which rows leave. */
MUST_CHECK err_t table_note_removed(table *t);

/* Remove all rows, set all counters of admission to zero, and forget the calendar. No cut is
 * under way. */
MUST_CHECK err_t table_empty(table *t);

/* Whether all ids belong to this shard's buckets. */
bool table_owns(const table *t, const uint64_t *ids, size_t n);

/* The first value of id's row. w (dim) */
void table_birth_value(const table *t, uint64_t id, real *w);

/* The weights that r holds, as reals; not yet decayed since it was touched. w (dim) */
void table_read_weights(const table *t, const row *r, real *w);

/* r's weights = w (dim), rounded by the chance of step where the table is bf16. step: the
 * steps applied when this is, that one included; 0: a birth. */
void table_write_weights(const table *t, row *r, const real *w, uint64_t step);

/* Bring r to the table's clock: decayed until now, and touched. */
void table_touch(const table *t, row *r);

/* The weights of ids as they are at the table's clock: values (n, dim). rows[i] = the number
 * of the row of ids[i]; ROW_NONE: it has none yet and got its birth value; ROW_REFUSED:
 * zeros. */
void table_gather(const table *t, const uint64_t *ids, size_t n, uint32_t *rows, real *values);

/* Make rows, at their birth values and touched at the table's clock, of those ids that have
 * none. rows[i] = the number of the row of ids[i], or ROW_REFUSED. An id may be there twice. */
MUST_CHECK err_t table_bear(table *t, const uint64_t *ids, size_t n, uint32_t *rows);

/* The same where table_gather told rows, at this clock or an earlier one, and no rows but
 * those of admitted ids were made since: only those that were ROW_NONE are looked for. */
MUST_CHECK err_t table_bear_missing(table *t, const uint64_t *ids, size_t n, uint32_t *rows);

/* Make rows, at their birth values, of n distinct ids that have none: they are admitted.
 * rows[i] = the number of the row of ids[i]. */
MUST_CHECK err_t table_admit(table *t, const uint64_t *ids, size_t n, uint32_t *rows);

#endif
