/* comm_state - the inside of a comm; for common/comm*.c alone.
 *
 * comm.c begins and ends it, and has the exchange of messages that everything is made of;
 * comm_reduce.c adds up, comm_gather.c moves bytes from one to all and from all to one. */
#ifndef DIPS_COMMON_COMM_STATE_H
#define DIPS_COMMON_COMM_STATE_H

#include <stdbool.h>

#include "common/comm.h"

#define COMM_PIECE_MAX ((size_t)1 << 28) /* bytes of one MPI message: well below INT_MAX */

struct comm {
    int                 rank, size;
    struct comm_mpi    *mpi;   /* comm.c's; NULL in a group of one */
    bool                begun; /* MPI was begun by comm_open */
    bool                failed;
    const clock_source *clock;
    double              timeout_s;
    err_t (*check)(void *self);
    void *check_self;
    int   tag;     /* of messages: how often the group began anew */
    bool  settled; /* what was under way is not any more, anywhere */

    void  *scratch; /* what other workers send, while it is summed */
    size_t scratch_bytes;
    void  *parcels; /* of a sum of both: what goes to the others */
    size_t parcels_bytes;
};

/* A piece of memory that goes to, or comes from, one worker. */
typedef struct comm_piece {
    void  *at;
    size_t bytes;
} comm_piece;

/* Send out[r] to and receive in[r] from every worker r; NULL: nothing that way. Pieces
 * of two ends agree in size, and empty ones do not travel. */
MUST_CHECK err_t comm_exchange(comm *c, const comm_piece *in, const comm_piece *out,
                               const char *doing);

/* Two lists of pieces, one for each worker; free *in. */
MUST_CHECK err_t comm_pieces_new(const comm *c, comm_piece **in, comm_piece **out);

/* ERR_DEATH after a failure. */
MUST_CHECK err_t comm_usable(const comm *c);

#endif
