/* hash - where an id lives, and checksums.
 *
 * hash_id is a bijection of the 64-bit ids of one table (Steele et al.'s splitmix64
 * finaliser, Stafford's variant 13, over id ^ salt): two ids of a table never share
 * a hash, and sequential or strided ids spread evenly. Its top bits are the bucket,
 * so a bucket depends on (table, id) alone. */
#ifndef DIPS_COMMON_HASH_H
#define DIPS_COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_BUCKET_BITS 12
#define HASH_BUCKETS     (1 << HASH_BUCKET_BITS) /* parts of the id space */

static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint64_t hash_id(uint64_t salt, uint64_t id)
{
    return hash_mix(id ^ salt);
}

static inline uint32_t hash_bucket(uint64_t hash)
{
    return (uint32_t)(hash >> (64 - HASH_BUCKET_BITS));
}

/* XXH3 (64 bits) of n bytes: checksums of messages and files, and string ids. */
uint64_t hash_bytes(const void *bytes, size_t n);

/* The same of bytes that come piece by piece. hash_stream_new returns NULL where there
 * is no memory; hash_stream_free. */
typedef struct hash_stream hash_stream;

hash_stream *hash_stream_new(void);
void         hash_stream_add(hash_stream *h, const void *bytes, size_t n);
uint64_t     hash_stream_value(const hash_stream *h);
void         hash_stream_free(hash_stream **h);

/* The salt of the table called name; the same in every process and run. */
uint64_t hash_table_salt(const char *name);

/* Shard k of n owns the buckets [hash_first_bucket(k, n), hash_first_bucket(k+1, n)). */
static inline uint32_t hash_first_bucket(int k, int n)
{
    return (uint32_t)((int64_t)k * HASH_BUCKETS / n);
}

/* The shard of n that owns bucket. */
static inline int hash_shard_of_bucket(uint32_t bucket, int n)
{
    return (int)((((int64_t)bucket + 1) * n - 1) / HASH_BUCKETS);
}

#endif
