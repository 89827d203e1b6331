/* import_table - the rows of a table from arrays of another program, by bucket and id.
 *
 *   ids      [n] of any integer type; missing: row i is id i
 *   weight   [n, dim] (or [n] where dim is 1) of any floating type
 *   @PART    the state of the table's optimizer (common/optim.h); missing: it begins anew
 *   count    [n]; missing: those of data.counts where the run has exact counts, else 0
 *   touched  [n], at most the step of the checkpoint; missing: that step
 *
 * Ids may stand in any order; their places, 16 bytes an id, are what is held in memory. */
#ifndef DIPS_LAUNCH_CHECKPOINT_IMPORT_TABLE_H
#define DIPS_LAUNCH_CHECKPOINT_IMPORT_TABLE_H

#include "common/config.h"
#include "launch/checkpoint/row_form.h"
#include "launch/checkpoint/sheet.h"
#include "ps/id_counts.h"

typedef struct import_place {
    uint64_t id, at;
} import_place;

typedef struct import_table {
    const table_config       *config; /* lent */
    uint64_t                  salt, seed, n;
    uint32_t                  step;
    row_form                  form;
    const safetensors_tensor *ids, *sources[COLUMNS_MOST]; /* of each column; or NULL */
    id_counts                 counts;                      /* all zero: there are none */
    import_place             *places;                      /* (n) by bucket; owned */
    uint64_t                 *buckets;                     /* (HASH_BUCKETS + 1) */
    uint64_t                 *row_ids;
    char                     *columns[COLUMNS_MOST];
    size_t                    room, rooms[COLUMNS_MOST];
    char                      missing[256]; /* "without @sum, touched"; "" */
} import_table;

/* Take table's arrays from r (NULL: it has no rows). counts (NULL: none) is the file of
 * data.counts. All is lent while t is open. ERR_FORMAT names an array of another shape.
 * import_table_close, after a failure too. */
MUST_CHECK err_t import_table_open(import_table *t, const table_config *table,
                                   const sheet_reader *r, const safetensors *counts,
                                   uint64_t seed, uint32_t step);
void             import_table_close(import_table *t);

/* The rows of a bucket. ERR_DATA names an id that is there twice. */
MUST_CHECK err_t import_table_read(import_table *t, uint32_t bucket, bucket_rows *rows);

#endif
