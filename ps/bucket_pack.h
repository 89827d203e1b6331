/* bucket_pack - the rows of one bucket, copied side by side, in the order of their ids.
 *
 * To read one column of a bucket after another from the store would be to fetch every row
 * from memory once a column. Here each is fetched once, and columns are taken from copies
 * that are near. The memory serves bucket after bucket. */
#ifndef DIPS_PS_BUCKET_PACK_H
#define DIPS_PS_BUCKET_PACK_H

#include "ps/ledger.h"
#include "ps/row_store.h"

/* Which rows: those last touched by `from` .. `until`, and those of kept (NULL: none) that
 * were, which stand for rows of the store that were touched later, or have left. */
typedef struct bucket_choice {
    uint32_t      from, until;
    const ledger *kept;
} bucket_choice;

typedef struct bucket_place {
    uint64_t id;
    uint32_t at; /* of its copy among the rows */
} bucket_place;

typedef struct bucket_pack {
    size_t        n;
    bucket_place *places;    /* (n) ascending by id */
    size_t        row_bytes; /* of a copy */
    char         *rows;      /* (n, row_bytes) in no order */

    size_t        capacity, bytes; /* of places and of sorted; of rows */
    bucket_place *sorted;
} bucket_pack;

/* A pack that is all zero is empty and ready. */
void bucket_pack_clear(bucket_pack *p);

/* Copy the first row_bytes bytes of each row of bucket that is chosen. One that is kept twice
 * is copied once. */
MUST_CHECK err_t bucket_pack_fill(bucket_pack *p, const row_store *s, uint32_t bucket,
                                  const bucket_choice *choice, size_t row_bytes);

/* to[i] = `bytes` bytes from offset on of the row with the i-th id. to (n, bytes) */
void bucket_pack_column(const bucket_pack *p, void *to, size_t offset, size_t bytes);

#endif
