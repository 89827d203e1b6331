/* contest - rows of categorical fields, as contests of click prediction have them.
 *
 * Every value of every field becomes an id of one table, `value`: the hash of "FIELD=text", so
 * that the same text means something else in another field, and an empty one is a value like
 * any other. names-value has the strings. */
#ifndef DIPS_LAUNCH_PREPARE_CONTEST_H
#define DIPS_LAUNCH_PREPARE_CONTEST_H

#include "launch/prepare/names.h"
#include "launch/prepare/output.h"
#include "launch/prepare/raw_lines.h"

#define CONTEST_TABLES 1
extern const char *const contest_tables[CONTEST_TABLES];

/* What reading a contest's file needs. */
typedef struct contest {
    const char   *in;
    double        test_part; /* of the samples, drawn */
    uint64_t      seed;
    bad_lines     bad;
    output       *out;
    names        *names;
    shard_writer *to; /* the split of the sample at hand */
    uint64_t      samples;
} contest;

/* Draw the split of the next sample: c->to. */
MUST_CHECK err_t contest_begin_sample(contest *c);

/* Write the value of a field. */
MUST_CHECK err_t contest_write(contest *c, int column, const char *name, field text);

/* 0 or 1. */
MUST_CHECK err_t contest_label(field f, float *label);

/* Read all lines of c->in by parse(self, ...) into o->out. */
MUST_CHECK err_t contest_run(contest *c, const prepare_options *o, const shard_column *columns,
                             int n_columns,
                             err_t (*parse)(void *self, char *line, size_t n, uint64_t number),
                             void *self);

#endif
