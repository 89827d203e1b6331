/* cut - a shard's part of a checkpoint, written while the shard goes on.
 *
 * A cut is exactly the state at the step at which it begins (ps/table_cut.h keeps what changes
 * later). The shard's thread packs it a few buckets at a time, between two messages, into
 * pieces that a writer brings to the disk (ps/cut_writer.h). The file is that of ps/snapshot.h,
 * and the same, bit for bit, whatever happens to the rows meanwhile and however the pieces
 * fall.
 *
 * Of a full cut the row counts, which the file names first, are known when it begins. Those of
 * a delta are counted bucket by bucket before anything is packed. */
#ifndef DIPS_PS_CUT_H
#define DIPS_PS_CUT_H

#include "common/safetensors.h"
#include "ps/table.h"

typedef struct cut cut;

typedef struct cut_options {
    const char *folder;
    int         shard, shards; /* this one, of how many */
    uint64_t    step;          /* of the cut: the tables' clock */
    bool        delta;
    uint64_t    parent; /* of a delta: the step since which rows are packed */
    bool        thread; /* of the writer's own */
    int         compression; /* zstd's level; 0: none */
    int         piece_buckets; /* looked at in a piece at most; 0: CUT_PIECE_BUCKETS */
} cut_options;

/* Begin a cut of the tables, which must outlive it; cut_finish or cut_abandon. */
MUST_CHECK err_t cut_begin(cut **out, table *tables, int n_tables, const cut_options *options);

/* Pack a piece. Whether there is more to do at once: not where the writer has enough for now,
 * or all is packed. What fails is told by cut_finish. */
bool cut_advance(cut *c);

/* Whether the file is on the disk, or nothing will come of it: cut_finish would not wait. */
bool cut_is_done(cut *c);

/* Bytes that were looked at or packed so far: how much work it was. */
uint64_t cut_bytes_done(const cut *c);

/* Rows in the file; of a delta, once they are counted. */
uint64_t cut_rows_packed(const cut *c);

/* After cut_is_done: what became of it. Frees. */
MUST_CHECK err_t cut_finish(cut **c, safetensors_digest *digest);

/* Give up: nothing stays of the file. */
void cut_abandon(cut **c);

/* What is packed at a time, so that nobody waits long: until there are so many bytes, or so
 * many buckets were looked at. */
#define CUT_PIECE_BYTES   ((size_t)256 << 10)
#define CUT_PIECE_BUCKETS 256

#endif
