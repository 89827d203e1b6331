/* row_form - which tensors the rows of a table are, and the rows of one bucket.
 *
 * The tools of `dips checkpoint` carry rows from file to file a bucket at a time: ids that
 * ascend, and beside them a column for each further tensor (ps/snapshot.h draws them). What a
 * column's bytes mean is of no matter to most of them. */
#ifndef DIPS_LAUNCH_CHECKPOINT_ROW_FORM_H
#define DIPS_LAUNCH_CHECKPOINT_ROW_FORM_H

#include "common/manifest.h"
#include "common/optim.h"

#define COLUMNS_MOST     12
#define TENSOR_NAME_MOST (CONFIG_NAME_MAX + 48)

typedef struct row_column {
    char     what[32]; /* T.WHAT is its tensor: "weight", "@sum", "count", "touched" */
    dtype    type;
    bool     wide;  /* [r, width]; else [r] */
    uint64_t width; /* numbers of a row */
    size_t   bytes; /* of a row */
} row_column;

typedef struct row_form {
    int        n;
    row_column at[COLUMNS_MOST];
} row_form;

/* The rows of one bucket. All is lent by who tells them, until he tells the next. */
typedef struct bucket_rows {
    uint32_t        bucket;
    size_t          n;
    const uint64_t *ids;                   /* (n) ascending */
    const void     *columns[COLUMNS_MOST]; /* (n, bytes) of each column; at any alignment */
} bucket_rows;

/* The dtype of reals in the files of the build that wrote m. */
dtype row_form_real(const manifest *m);

/* The parts of the state of the rule called name, or NULL. */
const optim_part *row_form_parts(const char *name, int *n);

void row_form_add(row_form *f, const char *what, dtype type, bool wide, uint64_t width);

/* The columns of table's rows in the order in which a checkpoint declares them: weight, state,
 * count, touched. ERR_FORMAT where the table's optimizer is unknown. */
MUST_CHECK err_t row_form_of(row_form *f, const manifest_table *table, dtype state,
                             dtype weight);

/* The column called what, or -1. */
int row_form_find(const row_form *f, const char *what);

/* "T.WHAT", or "T.PREFIX.WHAT" */
void row_form_tensor(char name[TENSOR_NAME_MOST], const char *table, const char *prefix,
                     const char *what);

#endif
