/* output - the folder that a `dips prepare` command fills.
 *
 * Everything is written into DIR/.partial first and moved up when all of it is there, so
 * that a run that fails or is interrupted leaves DIR as it was. Holds the data shards
 * of each split, counts.safetensors unless --no-counts, and what the command adds. */
#ifndef DIPS_LAUNCH_PREPARE_OUTPUT_H
#define DIPS_LAUNCH_PREPARE_OUTPUT_H

#include "launch/prepare/options.h"
#include "launch/prepare/shard_writer.h"

typedef struct output output;

/* Begin to fill o->out. Columns that hold ids name one of the tables, whose counts are
 * kept; all of them are lent. ERR_USAGE where DIR holds prepared data and may not be
 * overwritten. output_finish or output_abandon. */
MUST_CHECK err_t output_open(output **out, const prepare_options *o, const char *const *tables,
                             int n_tables, const shard_column *columns, int n_columns);

/* Where files may be added, temporary ones too; lent. */
const char *output_folder(const output *out);

/* A share of --memory that a reader may use to sort what it reads. */
size_t output_memory(const output *out);

/* The shards of split (lent, "train"), made at the first call; only "train" is counted. */
MUST_CHECK err_t output_split(output *out, const char *split, shard_writer **w);

/* Write what is left, the counts last, move all of it into DIR, print a line that
 * says what is there, free. On failure nothing of it stays. */
MUST_CHECK err_t output_finish(output **out);

/* Remove what was written and free. *out may be NULL. */
void output_abandon(output **out);

#endif
