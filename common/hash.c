#include "common/hash.h"

#include <string.h>
#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h> /* the widest vectors that this processor has */
#endif

uint64_t hash_bytes(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}

uint64_t hash_table_salt(const char *name)
{
    return hash_bytes(name, strlen(name));
}

/* A hash_stream is an XXH3_state_t under our name: xxhash.h stays in this file. */
hash_stream *hash_stream_new(void)
{
    XXH3_state_t *state = XXH3_createState();

    if (state)
        XXH3_64bits_reset(state);
    return (hash_stream *)state;
}

void hash_stream_add(hash_stream *h, const void *bytes, size_t n)
{
    XXH3_64bits_update((XXH3_state_t *)h, bytes, n);
}

uint64_t hash_stream_value(const hash_stream *h)
{
    return XXH3_64bits_digest((const XXH3_state_t *)h);
}

void hash_stream_free(hash_stream **h)
{
    XXH3_freeState((XXH3_state_t *)*h);
    *h = NULL;
}
