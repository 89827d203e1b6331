/* manifest_json - what the writing and the reading of manifest.json share; for
 * common/manifest_write.c, manifest_read.c and manifest.c alone. */
#ifndef DIPS_COMMON_MANIFEST_JSON_H
#define DIPS_COMMON_MANIFEST_JSON_H

#include <jansson.h>

#include "common/manifest.h"

#define MANIFEST_NAME "manifest.json"

/* A checkpoint is the dense weights and every shard, once each: ERR_FORMAT names what the list
 * of files in the manifest at path has too much or too little. */
MUST_CHECK err_t manifest_check_files(const manifest *m, const char *path);

/* XXH3 of an object as compact JSON with sorted keys; 0 where memory is short. */
uint64_t manifest_checksum(const json_t *object);

#endif
