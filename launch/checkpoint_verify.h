/* checkpoint_verify - is a checkpoint whole, and does it mean what it should?
 *
 * Beyond the sizes and hashes of the manifest: the tensors of each shard are those of the
 * tables' optimizers with one row for each id; bucket offsets never decrease; every id
 * belongs to its bucket and every bucket to its shard; ids ascend within a bucket; no row
 * was touched after the cut; counters of admission and days are of their shape, and the ids
 * that wait are in their buckets. A delta stands upon the checkpoint that it was made upon.
 * Of the dense weights: every state belongs to a weight. */
#ifndef DIPS_LAUNCH_CHECKPOINT_VERIFY_H
#define DIPS_LAUNCH_CHECKPOINT_VERIFY_H

#include <stdio.h>

#include "common/manifest.h"

/* The tensor TABLE.WHAT of file, or NULL. */
const safetensors_tensor *checkpoint_find(const safetensors *file, const char *table,
                                          const char *what);

/* Does a tensor called name belong to table? Then *what is what follows "TABLE.". */
bool checkpoint_belongs(const char *name, const char *table, const char **what);

/* Check the checkpoint in folder and tell what was checked, a line for each file (tell: NULL
 * where nobody listens). Of a delta the manifests of those that it stands upon are read, and
 * where parents is true their files are checked too. ERR_FORMAT names the first fault. */
MUST_CHECK err_t checkpoint_verify(const char *folder, bool parents, FILE *tell);

#endif
