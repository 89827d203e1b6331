/* differ - in what two checkpoints differ, found bucket by bucket.
 *
 * In what shards the rows lie is of no matter. Two numbers are the same where their bits are,
 * or where a tolerance is given and they are no further apart; integers have no tolerance. */
#ifndef DIPS_LAUNCH_CHECKPOINT_DIFFER_H
#define DIPS_LAUNCH_CHECKPOINT_DIFFER_H

#include "launch/checkpoint/source.h"

/* What differs of one tensor, or of one column of a table's rows. */
typedef struct tensor_difference {
    char     name[2 * CONFIG_NAME_MAX];
    char     form[112]; /* where dtypes or shapes differ: "F32 [80, 40] against F32 [80, 36]" */
    bool     only_a, only_b;
    uint64_t compared;  /* rows of a column, numbers of a tensor, buckets of a sketch */
    uint64_t different; /* of those */
    double   largest;   /* |a - b|; NaN where one is */
} tensor_difference;

static inline bool tensor_differs(const tensor_difference *t)
{
    return t->only_a || t->only_b || *t->form || t->different > 0;
}

typedef struct table_difference {
    char     name[CONFIG_NAME_MAX];
    bool     only_a, only_b;            /* the table itself; its rows are not counted then */
    uint64_t rows_a, rows_b, rows_both; /* only in A, only in B, in both */
    uint64_t different;                 /* of those in both */
    VEC(tensor_difference) columns;     /* of rows, then of what else the table has */
} table_difference;

typedef struct field_difference {
    const char *name;
    char        a[64], b[64];
    bool        counts; /* else it is told, but the checkpoints are equal nevertheless */
} field_difference;

typedef struct difference {
    VEC(field_difference) fields; /* of the manifests: those that differ */
    VEC(table_difference) tables; /* all */
    VEC(tensor_difference) dense; /* those that differ */
    uint64_t dense_compared;      /* tensors in both */
    bool     any;                 /* something that counts differs */
} difference;

/* Compare; difference_clear, after a failure too. */
MUST_CHECK err_t difference_find(difference *d, const source *a, const source *b,
                                 double tolerance);
void             difference_clear(difference *d);

#endif
