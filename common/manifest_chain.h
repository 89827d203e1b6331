/* manifest_chain - a checkpoint and those that it stands upon.
 *
 * A delta is read after its parent: from the full checkpoint at the beginning of the chain to
 * the delta at its end, each changes what the ones before it gave. All of them are folders
 * beside each other, of one schema, and their shards own the same buckets. */
#ifndef DIPS_COMMON_MANIFEST_CHAIN_H
#define DIPS_COMMON_MANIFEST_CHAIN_H

#include "common/manifest.h"

typedef struct manifest_link {
    char     folder[CONFIG_PATH_MAX];
    manifest manifest;
} manifest_link;

typedef struct manifest_chain {
    int            n;     /* 1: a full checkpoint, alone */
    manifest_link *links; /* (n) the full one first; owned */
} manifest_chain;

/* Read the manifests from the checkpoint in folder down to a full one; manifest_chain_clear,
 * after a failure too. ERR_FORMAT names what is missing, or is not what it was when its delta
 * was written. */
MUST_CHECK err_t manifest_chain_read(manifest_chain *c, const char *folder);
void             manifest_chain_clear(manifest_chain *c);

/* The link at its end: the checkpoint itself. */
const manifest_link *manifest_chain_end(const manifest_chain *c);

/* manifest_verify of every link. */
MUST_CHECK err_t manifest_chain_verify(const manifest_chain *c);

/* The same of the checkpoint in folder. */
MUST_CHECK err_t manifest_verify_all(const char *folder);

/* Whether a delta of m's cut may stand upon parent: the same rows' shape, and every shard has
 * the buckets that it had there. Of m are read: shards, first_bucket, schema_hash, real. */
bool manifest_is_of_kind(const manifest *m, const manifest *parent);

#endif
