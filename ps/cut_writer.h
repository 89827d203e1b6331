/* cut_writer - the file of a cut on its way to the disk.
 *
 * Who packs the cut fills pieces, bytes of one tensor after another, and hands them over. A
 * thread of the writer's own creates the file, writes it and syncs it, so that the shard's thread
 * never waits for a disk; it is niced, so that it takes what those who train leave of the cores.
 * Where there is to be no thread (tests, simulations) a piece is written as it is handed over. */
#ifndef DIPS_PS_CUT_WRITER_H
#define DIPS_PS_CUT_WRITER_H

#include <stdbool.h>

#include "common/safetensors.h"
#include "common/vec.h"

typedef struct cut_segment {
    int    tensor;
    size_t bytes;
} cut_segment;

/* Bytes of tensors, in the order in which they are appended. */
typedef struct cut_piece {
    VEC(cut_segment) segments;
    VEC(char) data;
    struct cut_piece *next;
} cut_piece;

/* Another `bytes` bytes of tensor, to be filled: *data is lent until the next call. */
MUST_CHECK err_t cut_piece_add(cut_piece *p, int tensor, size_t bytes, void **data);

typedef struct cut_writer cut_writer;

/* Write file, which is declared and taken (after a failure too); cut_writer_finish or
 * cut_writer_abandon. */
MUST_CHECK err_t cut_writer_start(cut_writer **out, safetensors_writer *file, bool thread);

/* Bytes of pieces on their way, above which nothing more is packed. */
#define CUT_WRITER_BYTES ((size_t)32 << 20)

/* Whether another piece may be filled: not too much is on its way, and nothing failed. */
bool cut_writer_has_room(cut_writer *w);

/* An empty piece, to be filled and handed over (taken). */
MUST_CHECK err_t cut_writer_take(cut_writer *w, cut_piece **piece);
void             cut_writer_put(cut_writer *w, cut_piece *piece);

/* Nothing more comes. */
void cut_writer_end(cut_writer *w);

/* Whether the file is on the disk, or has failed: cut_writer_finish would not wait. */
bool cut_writer_is_done(cut_writer *w);

/* Wait until it is, after cut_writer_end, and free. */
MUST_CHECK err_t cut_writer_finish(cut_writer **w, safetensors_digest *digest);

/* Give up: the file is removed. Waits for a write under way. */
void cut_writer_abandon(cut_writer **w);

#endif
