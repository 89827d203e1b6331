/* tools - the sub-commands of `dips checkpoint`, and what they share. */
#ifndef DIPS_LAUNCH_CHECKPOINT_TOOLS_H
#define DIPS_LAUNCH_CHECKPOINT_TOOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/manifest.h"

err_t checkpoint_list(int argc, char **argv);
err_t checkpoint_inspect(int argc, char **argv);
err_t checkpoint_verify_command(int argc, char **argv);
err_t checkpoint_diff(int argc, char **argv);
err_t checkpoint_reshard(int argc, char **argv);
err_t checkpoint_compact(int argc, char **argv);
err_t checkpoint_export(int argc, char **argv);
err_t checkpoint_import(int argc, char **argv);

typedef struct tool_text {
    char at[48];
} tool_text;

/* "5.1 GB" */
tool_text tool_bytes(uint64_t bytes);

/* "12,345,678" */
tool_text tool_count(uint64_t n);

/* Whether dir is the folder of one checkpoint, rather than of several. */
bool tool_is_checkpoint(const char *dir);

/* All steps that dir holds, ascending, and where: dir, or its checkpoints/ where it is a run.
 * *steps is returned, free it. ERR_DATA where there are none. */
MUST_CHECK err_t tool_find_steps(int64_t **steps, int *n, char where[CONFIG_PATH_MAX],
                                 const char *dir);

/* Bytes of all files of m. */
uint64_t tool_total_bytes(const manifest *m);

/* Rows of m's tables in the shards' files in folder: rows[m->n_tables], and bytes of their
 * tensors, or NULL. The files' headers are read, no rows. */
MUST_CHECK err_t tool_count_rows(uint64_t *rows, uint64_t *bytes, const manifest *m,
                                 const char *folder);

/* "in 9.8 s (520.4 MB/s)": what took so long since the clock said so. */
tool_text tool_pace(uint64_t bytes, int64_t since);

#endif
