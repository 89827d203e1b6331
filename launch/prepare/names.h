/* names - the strings behind hashed ids: what people read.
 *
 * An id is the XXH3 of its string (hash_bytes). names-T.safetensors keeps, for table T:
 *     ids      U64 [n]      ascending
 *     offsets  U64 [n+1]
 *     bytes    U8 [...]     string i is bytes[offsets[i] .. offsets[i+1])
 * Strings are spilled, so that any number fits into bounded memory. Two strings with one
 * hash share a row from then on; names_write reports them and keeps one. */
#ifndef DIPS_LAUNCH_PREPARE_NAMES_H
#define DIPS_LAUNCH_PREPARE_NAMES_H

#include "launch/prepare/field.h"

typedef struct names names;

/* About memory bytes and unnamed files in folder (lent) are used. names_free. */
MUST_CHECK err_t names_new(names **out, size_t memory, const char *folder);
void             names_free(names **n);

/* Keep the string under its id. */
MUST_CHECK err_t names_see(names *n, field text, uint64_t *id);

/* Keep the string under an id of the caller's. */
MUST_CHECK err_t names_put(names *n, uint64_t id, field text);

/* Write FOLDER/names-TABLE.safetensors; nothing can be kept any more. Warns of each two
 * strings with one id; *shared (may be NULL) is how many there are. */
MUST_CHECK err_t names_write(names *n, const char *table, uint64_t *shared);

#endif
