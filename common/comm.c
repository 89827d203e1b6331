/* The group of workers, and the exchange of messages that all it does is made of: one message
 * to and one from each worker, with a deadline, and with a way out. MPI is this file's alone.
 */
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/comm_state.h"

#define TAGS 32768 /* MPI lets at least so many be told apart */

struct comm_mpi {
    MPI_Comm    world;
    MPI_Request requests[]; /* (2 size) of the exchange in flight: receives, then sends */
};

/* ---- waiting ---- */

static err_t mpi_error(comm *c, int code, const char *doing)
{
    char text[MPI_MAX_ERROR_STRING];
    int  n = 0;

    c->failed = true;
    MPI_Error_string(code, text, &n);
    return err_set(ERR_DEATH, "worker %d of %d: %s: MPI says: %s", c->rank, c->size, doing,
                   text);
}

err_t comm_usable(const comm *c)
{
    if (c->failed)
        return err_set(ERR_DEATH, "worker %d of %d: the group of workers has failed before",
                       c->rank, c->size);
    return OK;
}

/* Name the workers whose message has not come. */
static err_t silent(comm *c, const char *doing)
{
    char   names[256] = "";
    size_t used       = 0;
    int    missing    = 0;

    for (int r = 0; r < c->size; r++) {
        int here = 0;
        MPI_Test(&c->mpi->requests[r], &here, MPI_STATUS_IGNORE);
        if (here)
            continue;
        if (used < sizeof names - 16)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%d",
                                     missing ? ", " : "", r);
        missing++;
    }
    c->failed = true;
    if (missing == 0)
        return err_set(ERR_TIMEOUT, "worker %d of %d: %s: nobody took its part within %g s",
                       c->rank, c->size, doing, c->timeout_s);
    return err_set(ERR_TIMEOUT, "worker %d of %d: %s: nothing from worker%s %s within %g s",
                   c->rank, c->size, doing, missing > 1 ? "s" : "", names, c->timeout_s);
}

/* Give the core away while there is nothing to do. Workers share cores with servers and
 * with each other, so nobody spins for long: first yield, for about as long as a sum of dense
 * gradients takes, then sleep a little. */
static void rest(int64_t waited)
{
    if (waited < NS_PER_MS / 2) {
        sched_yield();
    } else {
        struct timespec nap = {.tv_nsec = 50000};
        nanosleep(&nap, NULL);
    }
}

/* Wait until the n requests are done, or the deadline: then *done is 0. */
static err_t wait_for(comm *c, int n, MPI_Request *requests, int *done, const char *doing)
{
    int64_t start = clock_now(c->clock);

    for (;;) {
        int code = MPI_Testall(n, requests, done, MPI_STATUSES_IGNORE);
        if (code != MPI_SUCCESS)
            return mpi_error(c, code, doing);
        int64_t waited = clock_now(c->clock) - start;
        if (*done || (double)waited * 1e-9 > c->timeout_s)
            return OK;
        rest(waited);
    }
}

/* Leave the exchange under way, and see that all others have left theirs: then no memory of
 * this worker is read or written any more. A message that found its receiver ends its way; one
 * that did not bears a tag that nobody will ask for. */
static err_t settle(comm *c)
{
    static const char doing[] = "leaving an aborted step";
    MPI_Request       barrier;
    int               done = 0;

    for (int r = 0; r < c->size; r++)
        if (c->mpi->requests[r] != MPI_REQUEST_NULL)
            MPI_Cancel(&c->mpi->requests[r]);
    TRY(wait_for(c, c->size, c->mpi->requests, &done, doing));
    int code = done ? MPI_Ibarrier(c->mpi->world, &barrier) : MPI_SUCCESS;
    if (code != MPI_SUCCESS)
        return mpi_error(c, code, doing);
    if (done)
        TRY(wait_for(c, 1, &barrier, &done, doing));
    if (!done)
        return err_set(ERR_TIMEOUT, "worker %d of %d: %s: not all others did so within %g s",
                       c->rank, c->size, doing, c->timeout_s);
    MPI_Testall(c->size, c->mpi->requests + c->size, &done, MPI_STATUSES_IGNORE);
    for (int r = c->size; r < 2 * c->size; r++)
        if (c->mpi->requests[r] != MPI_REQUEST_NULL)
            MPI_Request_free(&c->mpi->requests[r]);
    c->settled = true;
    return OK;
}

/* What the check says; where it ends the wait, the exchange is left in good order. */
static err_t ask(comm *c)
{
    err_report report;
    err_t      err = c->check ? c->check(c->check_self) : OK;

    if (err == OK)
        return OK;
    err_keep(&report, err);
    c->failed = true;
    TRY(settle(c));
    return err_give(&report);
}

/* Wait until all requests are done, or the deadline. */
static err_t finish(comm *c, const char *doing)
{
    int64_t start = clock_now(c->clock);

    for (;;) {
        int done = 0;
        int code = MPI_Testall(2 * c->size, c->mpi->requests, &done, MPI_STATUSES_IGNORE);
        if (code != MPI_SUCCESS)
            return mpi_error(c, code, doing);
        if (done)
            return OK;
        int64_t waited = clock_now(c->clock) - start;
        if ((double)waited * 1e-9 > c->timeout_s)
            return silent(c, doing);
        if (waited > NS_PER_MS)
            TRY(ask(c));
        rest(waited);
    }
}

/* ---- exchanging ---- */

/* Two lists of pieces, one for each worker; free *in. */
err_t comm_pieces_new(const comm *c, comm_piece **in, comm_piece **out)
{
    *out = NULL;
    *in  = calloc(2 * (size_t)c->size, sizeof **in);
    if (!*in)
        return err_memory(2 * (size_t)c->size * sizeof **in, "messages between workers");
    *out = *in + c->size;
    return OK;
}

/* Send out[r] to and receive in[r] from every worker r; NULL: nothing that way. Pieces
 * of two ends agree in size, and empty ones do not travel. */
err_t comm_exchange(comm *c, const comm_piece *in, const comm_piece *out, const char *doing)
{
    for (int i = 0; i < 2 * c->size; i++)
        c->mpi->requests[i] = MPI_REQUEST_NULL;
    for (int r = 0; in && r < c->size; r++) {
        if (r == c->rank || in[r].bytes == 0)
            continue;
        int code = MPI_Irecv(in[r].at, (int)in[r].bytes, MPI_BYTE, r, c->tag, c->mpi->world,
                             &c->mpi->requests[r]);
        if (code != MPI_SUCCESS)
            return mpi_error(c, code, doing);
    }
    for (int k = 1; out && k < c->size; k++) {
        int r = (c->rank + k) % c->size; /* not all to worker 0 at once */
        if (out[r].bytes == 0)
            continue;
        int code = MPI_Isend(out[r].at, (int)out[r].bytes, MPI_BYTE, r, c->tag, c->mpi->world,
                             &c->mpi->requests[c->size + r]);
        if (code != MPI_SUCCESS)
            return mpi_error(c, code, doing);
    }
    return finish(c, doing);
}

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

/* Open MPI's processes of a host find each other's memory by files, which outlive whoever is
 * killed. All have it by now, and the names can go. */
static void forget_names(void)
{
    char  line[4352];
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps && fgets(line, sizeof line, maps)) {
        char *path = strchr(line, '/');
        if (!path || !strstr(path, "/vader_segment."))
            continue;
        path[strcspn(path, "\n")] = '\0';
        unlink(path);
    }
    if (maps)
        fclose(maps);
}

static err_t join(comm *c)
{
    int provided, begun = 0;

    MPI_Initialized(&begun);
    if (!begun) {
        int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
        if (code != MPI_SUCCESS)
            return mpi_error(c, code, "beginning MPI");
        c->begun = true;
    }
    MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    c->mpi = malloc(sizeof *c->mpi + 2 * (size_t)c->size * sizeof *c->mpi->requests);
    if (!c->mpi)
        return err_memory(2 * (size_t)c->size * sizeof *c->mpi->requests,
                          "messages between workers");
    int code = MPI_Comm_dup(MPI_COMM_WORLD, &c->mpi->world);
    if (code != MPI_SUCCESS)
        return mpi_error(c, code, "making a group of workers");
    MPI_Comm_set_errhandler(c->mpi->world, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(c->mpi->world, &c->rank);
    forget_names();
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
        free((*c)->mpi);
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
            c->mpi->requests[i] = MPI_REQUEST_NULL;
        TRY(settle(c));
    }
    c->settled = c->failed = false;
    c->tag                 = (c->tag + 1) % TAGS;
    c->check               = NULL;
    err_t err              = comm_max_u64(c, x, 1);
    c->check               = check;
    return err;
}
