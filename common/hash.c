#include "common/hash.h"

#include <string.h>
#include <xxhash.h>

uint64_t hash_bytes(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

uint64_t hash_table_salt(const char *name)
{
    return hash_bytes(name, strlen(name));
}
