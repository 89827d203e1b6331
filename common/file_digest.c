#include "common/file_digest.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks are summed up as they stand");

void file_digest_clear(file_digest *d)
{
    vec_clear(&d->blocks);
    vec_clear(&d->known);
}

void digest_run_clear(digest_run *r)
{
    if (r->hash)
        hash_stream_free(&r->hash);
    *r = (digest_run){0};
}

static err_t set(file_digest *d, uint64_t block, uint64_t hash)
{
    while (d->blocks.n <= block) {
        TRY(vec_push(&d->blocks, 0));
        TRY(vec_push(&d->known, false));
    }
    d->blocks.at[block] = hash;
    d->known.at[block]  = true;
    return OK;
}

static err_t begin_block(digest_run *r)
{
    if (r->hash)
        hash_stream_reset(r->hash);
    else if (!(r->hash = hash_stream_new()))
        return err_memory(1024, "a file's checksum");
    r->in_block = true;
    return OK;
}

static err_t end_block(file_digest *d, digest_run *r, uint64_t block)
{
    if (!r->in_block)
        return OK;
    r->in_block = false;
    return set(d, block, hash_stream_value(r->hash));
}

err_t file_digest_add(file_digest *d, digest_run *r, const void *data, uint64_t n)
{
    for (const char *next = data; n > 0;) {
        uint64_t block = r->at / FILE_DIGEST_BLOCK, within = r->at % FILE_DIGEST_BLOCK;
        uint64_t room  = FILE_DIGEST_BLOCK - within, bytes = n < room ? n : room;
        if (within == 0)
            TRY(begin_block(r));
        if (r->in_block)
            hash_stream_add(r->hash, next, bytes);
        if (bytes == room)
            TRY(end_block(d, r, block));
        r->at += bytes;
        next += bytes;
        n -= bytes;
    }
    return OK;
}

err_t file_digest_end(file_digest *d, digest_run *r)
{
    return end_block(d, r, r->at / FILE_DIGEST_BLOCK);
}

err_t file_digest_put(file_digest *d, uint64_t block, const void *data, size_t bytes)
{
    return set(d, block, hash_bytes(data, bytes));
}

bool file_digest_knows(const file_digest *d, uint64_t block)
{
    return block < d->known.n && d->known.at[block];
}

uint64_t file_digest_value(const file_digest *d)
{
    if (d->blocks.n == 0)
        return hash_bytes("", 0);
    return d->blocks.n == 1 ? d->blocks.at[0]
                            : hash_bytes(d->blocks.at, d->blocks.n * sizeof *d->blocks.at);
}
