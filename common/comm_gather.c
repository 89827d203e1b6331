/* From one worker to all, from all to one, and waiting for all. */
#include <stdlib.h>
#include <string.h>

#include "common/comm_state.h"

err_t comm_broadcast(comm *c, void *bytes, size_t n)
{
    comm_piece *in, *out;
    err_t  err = OK;

    if (c->size == 1)
        return OK;
    TRY(comm_usable(c));
    TRY(comm_pieces_new(c, &in, &out));
    for (char *at = bytes; err == OK && n > 0;) {
        size_t now = n < COMM_PIECE_MAX ? n : COMM_PIECE_MAX;
        for (int r = 0; r < c->size; r++)
            out[r] = (comm_piece){at, now};
        in[0] = (comm_piece){at, now};
        err   = comm_exchange(c, c->rank == 0 ? NULL : in, c->rank == 0 ? out : NULL,
                         "hearing from worker 0");
        at += now;
        n -= now;
    }
    free(in);
    return err;
}

/* Move the bytes of worker r to rank 0, piece by piece. */
static err_t gather_one(comm *c, comm_piece *pieces, int r, char *at, size_t n)
{
    while (n > 0) {
        int    peer  = c->rank == 0 ? r : 0;
        size_t now   = n < COMM_PIECE_MAX ? n : COMM_PIECE_MAX;
        pieces[peer] = (comm_piece){at, now};
        err_t err = comm_exchange(c, c->rank == 0 ? pieces : NULL, c->rank == 0 ? NULL : pieces,
                                  "gathering on worker 0");
        pieces[peer] = (comm_piece){0};
        TRY(err);
        at += now;
        n -= now;
    }
    return OK;
}

static err_t gather(comm *c, comm_piece *pieces, uint64_t *sizes, const void *bytes, size_t n,
                    char **all, size_t *total)
{
    char *own = (char *)(uintptr_t)bytes; /* only read: MPI's send takes a pointer like that */

    sizes[c->rank] = n;
    TRY(comm_max_u64(c, sizes, (size_t)c->size));
    if (c->rank != 0)
        return gather_one(c, pieces, c->rank, own, n);
    for (int r = 0; r < c->size; r++)
        *total += sizes[r];
    *all = malloc(*total ? *total : 1);
    if (!*all)
        return err_memory(*total, "what the workers send to worker 0");
    if (n > 0)
        memcpy(*all, bytes, n);
    size_t at = n;
    for (int r = 1; r < c->size; r++) {
        TRY(gather_one(c, pieces, r, *all + at, sizes[r]));
        at += sizes[r];
    }
    return OK;
}

err_t comm_gather(comm *c, const void *bytes, size_t n, void **all, size_t *total)
{
    comm_piece *in, *out;
    char  *gathered = NULL;

    *all   = NULL;
    *total = 0;
    TRY(comm_usable(c));
    TRY(comm_pieces_new(c, &in, &out));
    uint64_t *sizes = calloc((size_t)c->size, sizeof *sizes);
    err_t     err   = sizes ? gather(c, in, sizes, bytes, n, &gathered, total)
                            : err_memory((size_t)c->size * sizeof *sizes, "sizes to gather");
    free(sizes);
    free(in);
    if (err != OK) {
        c->failed = true;
        free(gathered);
        *total = 0;
        return err;
    }
    *all = gathered;
    return OK;
}

err_t comm_barrier(comm *c)
{
    uint64_t here = 1;
    return comm_max_u64(c, &here, 1);
}
