/* The group of workers: how it begins, begins anew, and ends. */
#include <stdlib.h>

#include "common/comm_state.h"

#define TAGS 32768 /* MPI lets at least so many be told apart */

/* ---- begin and end ---- */

err_t comm_self(comm **out)
{
    comm *c = calloc(1, sizeof *c);

    *out = NULL;
    if (!c)
        return err_memory(sizeof *c, "the group of workers");
    c->size  = 1;
    c->clock = clock_monotonic();
    *out     = c;
    return OK;
}

static err_t join(comm *c)
{
    int provided, begun = 0;

    MPI_Initialized(&begun);
    if (!begun) {
        int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
        if (code != MPI_SUCCESS)
            return comm_mpi_error(c, code, "beginning MPI");
        c->begun = true;
    }
    int code = MPI_Comm_dup(MPI_COMM_WORLD, &c->world);
    if (code != MPI_SUCCESS)
        return comm_mpi_error(c, code, "making a group of workers");
    MPI_Comm_set_errhandler(c->world, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(c->world, &c->rank);
    MPI_Comm_size(c->world, &c->size);
    c->requests = malloc(2 * (size_t)c->size * sizeof(MPI_Request));
    if (!c->requests)
        return err_memory(2 * (size_t)c->size * sizeof(MPI_Request),
                          "messages between workers");
    return OK;
}

err_t comm_open(comm **out, const clock_source *clock, double timeout_s)
{
    TRY(comm_self(out));
    comm *c      = *out;
    c->clock     = clock;
    c->timeout_s = timeout_s;
    err_t err    = join(c);
    if (err != OK)
        comm_close(out);
    return err;
}

/* After a failure MPI_Finalize would wait for those who are gone, and messages in flight
 * may still reach scratch: both are left to the end of the process. */
void comm_close(comm **c)
{
    if (!*c)
        return;
    if ((*c)->begun && !(*c)->failed)
        MPI_Finalize();
    if (!(*c)->failed) {
        free((*c)->requests);
        free((*c)->scratch);
        free((*c)->parcels);
    }
    free(*c);
    *c = NULL;
}

void comm_abort(comm *c, int status)
{
    if (c && c->begun)
        MPI_Abort(MPI_COMM_WORLD, status);
}

int comm_rank(const comm *c)
{
    return c->rank;
}

int comm_size(const comm *c)
{
    return c->size;
}

/* ---- beginning anew ---- */

void comm_set_check(comm *c, err_t (*check)(void *self), void *self)
{
    c->check      = check;
    c->check_self = self;
}

/* Until all know that they have left, nobody asks to leave. */
err_t comm_renew(comm *c, uint64_t *x)
{
    err_t (*check)(void *self) = c->check;

    if (c->size == 1)
        return OK;
    if (!c->settled) {
        for (int i = 0; i < 2 * c->size; i++)
            c->requests[i] = MPI_REQUEST_NULL;
        TRY(comm_settle(c));
    }
    c->settled = c->failed = false;
    c->tag                 = (c->tag + 1) % TAGS;
    c->check               = NULL;
    err_t err              = comm_max_u64(c, x, 1);
    c->check               = check;
    return err;
}
