/* known_names - the strings behind ids, as dips prepare kept them in names-T.safetensors
 * (launch/prepare/names.h draws it). */
#ifndef DIPS_LAUNCH_KNOWN_NAMES_H
#define DIPS_LAUNCH_KNOWN_NAMES_H

#include "common/schema.h"

typedef struct known_names known_names;

/* Those of all tables of s that have such a file in folder. known_names_free. */
MUST_CHECK err_t known_names_open(known_names **out, const schema *s, const char *folder);
void             known_names_free(known_names **n);

/* The string of id in a table of the schema, *size bytes, lent; NULL: none is known. */
const char *known_names_find(const known_names *n, int table, uint64_t id, size_t *size);

#endif
