/* manifest - a checkpoint folder: which files it consists of and how far it reaches.
 *
 *   checkpoints/step-000000001200/
 *       dense.safetensors
 *       shard-0003-of-0008.safetensors      (ps/snapshot.h draws it)
 *       manifest.json                       written last: the checkpoint exists with it
 *
 * Whatever else lies in checkpoints/ (folders without a manifest, temporary files) is
 * an attempt that was cut off; it is ignored and cleaned. */
#ifndef DIPS_COMMON_MANIFEST_H
#define DIPS_COMMON_MANIFEST_H

#include <stdint.h>

#include "common/config.h"
#include "common/safetensors.h"
#include "common/schema.h"

#define MANIFEST_FORMAT 1

typedef struct manifest_file {
    char               name[CONFIG_NAME_MAX]; /* within the folder */
    safetensors_digest digest;
} manifest_file;

typedef struct manifest {
    int64_t        step;      /* the cut: state after exactly the first step steps */
    int64_t        bad_steps; /* skipped so far because of a gradient that was not finite */
    uint64_t       seed;
    int            shards;
    uint64_t       schema_hash;
    char           real[8];       /* "float" or "double" */
    char          *configuration; /* the YAML of the run; owned */
    int            n_files;
    manifest_file *files; /* owned */
} manifest;

/* The folder of the cut at step within dir. */
void manifest_folder(char folder[CONFIG_PATH_MAX], const char *dir, int64_t step);

/* Make the folder of a new checkpoint, removing what an earlier attempt left there. */
MUST_CHECK err_t manifest_begin(const char *folder);

/* Write manifest.json: temporary name, fsync, rename, fsync the folder. m->shards and
 * the files are checked to be consistent with the schema's tables. */
MUST_CHECK err_t manifest_write(const char *folder, const manifest *m, const schema *s);

/* Read and check manifest.json; manifest_clear. */
MUST_CHECK err_t manifest_read(manifest *m, const char *folder);

/* The same from bytes; name stands for the path in errors. */
MUST_CHECK err_t manifest_parse(manifest *m, const char *name, const char *bytes, size_t size);
void             manifest_clear(manifest *m);

/* Check that every file of m is in folder with its size and XXH3; names the first that
 * is not, and says what is wrong. */
MUST_CHECK err_t manifest_verify(const manifest *m, const char *folder);

/* ERR_CONFIG, in words, unless the run described by s can continue from m. */
MUST_CHECK err_t manifest_agrees(const manifest *m, const char *folder, const schema *s);

/* The newest step that has a manifest in dir; -1 where there is none. */
MUST_CHECK err_t manifest_newest(int64_t *step, const char *dir);

/* All steps with a manifest in dir, ascending; *steps is returned, free it. */
MUST_CHECK err_t manifest_list(int64_t **steps, int *n, const char *dir);

/* Remove all but the newest keep checkpoints, and what was cut off before them. */
MUST_CHECK err_t manifest_keep(const char *dir, int keep);

#endif
