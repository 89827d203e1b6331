/* tsv_rows - lines of a table with a header, by the schema of a run.
 *
 *     label  user  goods  history.goods  history.time
 *     1      alice b7     b1|b2|b3       100|160|220
 *
 * The header names each column as a data shard names its tensor: label, weight, group,
 * time, a feature, SEQUENCE.COLUMN, SEQUENCE.time. A sequence or bag is a list in one
 * field; a bag within an event is a list within that list. An empty field is an empty
 * list; in a column of bags it is one empty bag where the other columns have one event.
 * Columns with other names are passed over. */
#ifndef DIPS_LAUNCH_PREPARE_TSV_ROWS_H
#define DIPS_LAUNCH_PREPARE_TSV_ROWS_H

#include "common/schema.h"
#include "common/vec.h"
#include "launch/prepare/field.h"

typedef struct tsv_format {
    const char *separator; /* of fields */
    const char *list;      /* of the elements of a list */
    const char *bag;       /* of the ids of one event */
    bool        quotes;    /* as in csv */
} tsv_format;

typedef enum {
    TSV_UNUSED,
    TSV_LABEL,
    TSV_WEIGHT,
    TSV_GROUP,
    TSV_TIME,
    TSV_SLOT,       /* number: of the schema's slot */
    TSV_FLOAT,      /* number: of the schema's float */
    TSV_EVENT_TIME, /* number: of the schema's sequence */
    TSV_ROLES
} tsv_role;

typedef struct tsv_column {
    tsv_role role;
    int      number;
} tsv_column;

/* What the columns of a file are. */
typedef struct tsv_plan {
    const schema *schema; /* lent */
    tsv_format    format; /* its strings are lent */
    bool          has[TSV_ROLES];
    VEC(tsv_column) columns; /* in the order of the file */
    VEC(field) fields;       /* scratch: of the line at hand */
} tsv_plan;

/* Read the header. ERR_FORMAT names a column that the schema needs and the file has not,
 * or has twice. tsv_plan_clear in any case. */
MUST_CHECK err_t tsv_plan_init(tsv_plan *plan, const schema *s, tsv_format format, char *header,
                               size_t n);
void             tsv_plan_clear(tsv_plan *plan);

/* The ids in one slot: of the sample, or of all events of its sequence. */
typedef struct tsv_ids {
    VEC(uint64_t) ids;
    VEC(field) texts;       /* of a table of strings: behind each id; lent by the line */
    VEC(uint64_t) lengths;  /* of a bag: ids of the sample, or of each event */
} tsv_ids;

typedef struct tsv_sequence {
    size_t events;
    bool   known; /* a column of it was read already, so all others must be as long */
    VEC(int64_t) time;
} tsv_sequence;

typedef VEC(float) tsv_floats;

typedef struct tsv_row {
    float         label, weight;
    uint64_t      group;
    int64_t       time;
    tsv_ids      *slots;     /* (n_slots) */
    tsv_floats   *floats;    /* (n_floats) */
    tsv_sequence *sequences; /* (n_sequences) */
} tsv_row;

/* An empty row for the schema; tsv_row_clear with the same one in any case. */
MUST_CHECK err_t tsv_row_init(tsv_row *row, const schema *s);
void             tsv_row_clear(tsv_row *row, const schema *s);

/* Parse a line, which may be rewritten. */
MUST_CHECK err_t tsv_parse(tsv_plan *plan, char *line, size_t n, tsv_row *row);

#endif
