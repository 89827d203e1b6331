/* target - a checkpoint in the making: it is there whole or not at all.
 *
 *     target_begin(&t, "out", false, &manifest);     what the manifest is to say
 *     for each shard:
 *         safetensors_create(&w, path of target_shard)
 *         list_declare(&x, w, ...) for each table, then list_add(&x, w, rows) bucket by bucket
 *         safetensors_finish(&w, digest of target_shard)
 *     target_copy_dense(&t, folder), or a file written at target_dense
 *     target_finish(&t, NULL) */
#ifndef DIPS_LAUNCH_CHECKPOINT_TARGET_H
#define DIPS_LAUNCH_CHECKPOINT_TARGET_H

#include "common/hash.h"
#include "common/new_folder.h"
#include "launch/checkpoint/row_form.h"

#define FILE_PATH_MOST (CONFIG_PATH_MAX + CONFIG_NAME_MAX)

typedef struct target {
    new_folder folder;
    bool       replacing;
    manifest   manifest; /* owned; its list of files is filled as they are written */
} target;

/* Begin the checkpoint that will be the folder path, and that says what m does, shards and
 * their first buckets among it (NULL: as this program places them). m is caller's. Where
 * replacing, it will take the place of the one at path. */
MUST_CHECK err_t target_begin(target *t, const char *path, bool replacing, const manifest *m);

/* Where the file of a shard, or that of the dense weights, is written, and where its digest
 * goes. */
safetensors_digest *target_shard(target *t, int shard, char path[FILE_PATH_MOST]);
safetensors_digest *target_dense(target *t, char path[FILE_PATH_MOST]);

/* The dense weights are those of the checkpoint in folder, byte for byte. */
MUST_CHECK err_t target_copy_dense(target *t, const char *folder);

/* Write the manifest (s: manifest_write), and give the folder its name. */
MUST_CHECK err_t target_finish(target *t, const schema *s);

/* Remove what was written. A cleared t is left as it is. */
void target_abandon(target *t);

/* ---- ids with columns ---- */

typedef struct list_writer {
    const row_form *form;                                /* lent */
    int             ids, buckets, columns[COLUMNS_MOST]; /* tensors */
    uint32_t        next; /* bucket whose offset is to be written */
    uint64_t        written;
} list_writer;

/* Declare the tensors of n ids of table: T.ids, or T.PREFIX.ids, and so on. */
MUST_CHECK err_t list_declare(list_writer *x, safetensors_writer *w, const char *table,
                              const char *prefix, const row_form *form, uint64_t n);

/* The rows of the next bucket that has some. */
MUST_CHECK err_t list_add(list_writer *x, safetensors_writer *w, const bucket_rows *rows);

/* There are no more. */
MUST_CHECK err_t list_end(list_writer *x, safetensors_writer *w);

#endif
