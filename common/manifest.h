/* manifest - a checkpoint folder: which files it consists of and how far it reaches.
 *
 *   checkpoints/step-000000001200/
 *       dense.safetensors
 *       shard-0003-of-0008.safetensors      (ps/snapshot.h draws it)
 *       manifest.json                       written last: the checkpoint exists with it
 *
 * Folders step-N without a manifest in checkpoints/ are attempts that were cut off; they
 * are ignored, and cleaned. Other names in there are left alone.
 *
 *   {"format": 1, "dips": "0.1.0", "real": "float",   2: of a delta
 *    "step": 1200, "bad_steps": 0,
 *    "seeds": {"train": "1"},                 64 bits: as text
 *    "cursor": {"step": 1200,                 the data go on with this step;
 *               "dealt": 65536,               under data.deal: dynamic the epoch's places
 *               "held": [[420, 800], ...]},   dealt so far, and what workers hold of them
 *    "parent": null,                          of a delta: {"step": 1100, "xxh3": "..."}, the
 *                                             folder beside it that it stands upon, and what
 *                                             that one's manifest ends with
 *    "schema": {"hash": "9ae16a3b2f90404f",
 *               "tables": [{"name": "goods", "dim": 18, "optimizer": "adam"}, ...]},
 *    "buckets": 4096, "shards": [0, 512, ...],       the first bucket of each shard,
 *                                                    which are read back as they stand
 *    "files": [{"name": "dense.safetensors", "bytes": 123456, "xxh3": "..."}, ...],
 *    "configuration": "tables:\n  goods: ...",       the YAML of the run
 *    "xxh3": "..."}                           of all the above, as compact JSON with
 *                                             sorted keys: a flipped bit is noticed
 *
 * A full checkpoint is all of a cut. A delta (checkpoint.delta_every) has of the rows those
 * that changed since its parent, the checkpoint before it, and which left (ps/snapshot.h), and
 * everything else whole; its shards own the same buckets as the parent's. The parent may be a
 * delta itself: manifest_chain.h reads all of them, down to a full one. */
#ifndef DIPS_COMMON_MANIFEST_H
#define DIPS_COMMON_MANIFEST_H

#include <stdint.h>

#include "common/config.h"
#include "common/safetensors.h"
#include "common/schema.h"

#define MANIFEST_FORMAT       1
#define MANIFEST_FORMAT_DELTA 2

typedef struct manifest_file {
    char               name[CONFIG_NAME_MAX]; /* within the folder */
    safetensors_digest digest;
} manifest_file;

/* What a table's rows look like: enough to say in words what differs. */
typedef struct manifest_table {
    char name[CONFIG_NAME_MAX];
    int  dim;
    char optimizer[32];
} manifest_table;

/* What a cut within an epoch keeps of data.deal: dynamic (worker/data/deal.h). */
typedef struct manifest_dealt {
    uint64_t next;       /* places of the epoch below are dealt */
    int      n;          /* 0: nothing is kept */
    uint64_t (*held)[2]; /* (n) places held[i][0] .. held[i][1]-1 of worker i are to come, then
                            those of workers that are no more; owned */
} manifest_dealt;

void manifest_dealt_clear(manifest_dealt *dealt);

/* The checkpoint that a delta stands upon. */
typedef struct manifest_parent {
    bool     there; /* false: the checkpoint is full */
    int64_t  step;  /* its folder is beside the delta's */
    uint64_t xxh3;  /* of its manifest */
} manifest_parent;

typedef struct manifest {
    int64_t         step;      /* the cut: state after exactly the first step steps */
    manifest_parent parent;
    int64_t         bad_steps; /* skipped so far because of a gradient that was not finite */
    uint64_t        seed;
    manifest_dealt  dealt; /* cleared with the manifest */
    int             shards;
    uint32_t *first_bucket; /* (shards + 1) shard k owns first_bucket[k] .. first_bucket[k+1]
                               - 1; owned. NULL to write: as this program places them */
    uint64_t        schema_hash;
    char            real[8];       /* "float" or "double" */
    char           *configuration; /* the YAML of the run; owned */
    int             n_files;
    manifest_file  *files; /* owned; dense.safetensors and one of each shard, in any order */
    int             n_tables;
    manifest_table *tables; /* owned; as read: manifest_write takes them from a schema */
    uint64_t        xxh3;   /* as read: of the manifest itself */
} manifest;

/* shard-0003-of-0008.safetensors */
void manifest_shard_name(char name[CONFIG_NAME_MAX], int shard, int shards);

/* The same, compressed: shard-0003-of-0008.safetensors.zst (common/zst_file.h), which is opened
 * under the plain name. */
void manifest_name_compressed(manifest_file *file);

/* The folder of the cut at step within dir. */
void manifest_folder(char folder[CONFIG_PATH_MAX], const char *dir, int64_t step);

/* Make the folder of a new checkpoint (and those above it), removing what earlier attempts
 * left there and beside it. */
MUST_CHECK err_t manifest_begin(const char *folder);

/* Write manifest.json: temporary name, fsync, rename, fsync the folder. The files are
 * checked to be those of m->shards shards, and m->schema_hash to be that of s, whose tables
 * are listed. s: NULL where m tells the tables of a checkpoint that was read. */
MUST_CHECK err_t manifest_write(const char *folder, const manifest *m, const schema *s);

/* Read and check manifest.json; manifest_clear. ERR_FORMAT says what is wrong with it. */
MUST_CHECK err_t manifest_read(manifest *m, const char *folder);

/* The same from bytes; name stands for the path in errors. */
MUST_CHECK err_t manifest_parse(manifest *m, const char *name, const char *bytes, size_t size);
void             manifest_clear(manifest *m);

/* Check that every file of m is in folder with its size and XXH3; names the first that
 * is not, and says what is wrong. The parents of a delta are manifest_chain_verify's. */
MUST_CHECK err_t manifest_verify(const manifest *m, const char *folder);

/* ERR_FORMAT, in words, unless the run described by s can continue from m. */
MUST_CHECK err_t manifest_agrees(const manifest *m, const char *folder, const schema *s);

/* The newest step that has a manifest in dir; -1 where there is none. */
MUST_CHECK err_t manifest_newest(int64_t *step, const char *dir);

/* The folder of the checkpoint that path means: itself, or the newest in it or in its
 * checkpoints/ where it is a run. ERR_FORMAT where there is none. */
MUST_CHECK err_t manifest_find(char folder[CONFIG_PATH_MAX], const char *path);

/* All steps with a manifest in dir, ascending; *steps is returned, free it. */
MUST_CHECK err_t manifest_list(int64_t **steps, int *n, const char *dir);

/* Remove all but the newest keep (at least one) checkpoints and those that they stand upon, and
 * every attempt that was cut off before the newest. A removed checkpoint loses its manifest
 * first. ERR_FORMAT where a manifest that stays cannot be read: then nothing is removed. */
MUST_CHECK err_t manifest_keep(const char *dir, int keep);

#endif
