/* comm - the workers among themselves: MPI, or nothing where there is one worker.
 *
 * comm_self is a group of one without MPI_Init (embedded runs); comm_open joins
 * MPI_COMM_WORLD. Collectives are non-blocking inside and polled, so that every wait
 * has a deadline; sums are taken in a fixed order, so that the same inputs give the
 * same bits. Every function here but the queries is collective: all workers call it,
 * in the same order. A failure is final for the group, unless it is that of a check which
 * all workers share: comm_renew goes on after it. */
#ifndef DIPS_COMMON_COMM_H
#define DIPS_COMMON_COMM_H

#include <stdint.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/real.h"

typedef struct comm comm;

/* A group of one; never fails for want of MPI. comm_close. */
MUST_CHECK err_t comm_self(comm **out);

/* MPI_Init_thread (funneled) and MPI_COMM_WORLD; comm_close. clock is lent; timeout_s
 * bounds each later wait. */
MUST_CHECK err_t comm_open(comm **out, const clock_source *clock, double timeout_s);

/* MPI_Finalize where comm_open began it. */
void comm_close(comm **c);

/* Have every wait ask check(self), many times a second: not OK ends the wait with that error.
 * It must soon be so on all workers, since one that leaves a wait stays until the others have
 * left theirs. NULL: nobody is asked. Not collective. */
void comm_set_check(comm *c, err_t (*check)(void *self), void *self);

/* After the checks of all workers have ended what they did: the group begins anew, nothing
 * that was under way is seen again, and *x becomes its maximum over the workers. */
MUST_CHECK err_t comm_renew(comm *c, uint64_t *x);

/* End all workers at once, without their consent; status is the job's exit status.
 * For main.c after a failure: MPI_Abort. Not collective. */
void comm_abort(comm *c, int status);

int comm_rank(const comm *c);
int comm_size(const comm *c);

/* x[i] becomes its sum over all workers. ERR_TIMEOUT says who was waited for. */
MUST_CHECK err_t comm_sum_real(comm *c, real *x, size_t n);
MUST_CHECK err_t comm_sum_double(comm *c, double *x, size_t n);

/* Both sums in one go, which takes no longer than that of x alone where y is short. */
MUST_CHECK err_t comm_sum_both(comm *c, real *x, size_t n, double *y, size_t m);

/* x[i] becomes its maximum over all workers. */
MUST_CHECK err_t comm_max_u64(comm *c, uint64_t *x, size_t n);

/* bytes of rank 0 to all. */
MUST_CHECK err_t comm_broadcast(comm *c, void *bytes, size_t n);

/* Every worker's n bytes (n may differ) to rank 0, in rank order. On rank 0 *all is
 * returned (free), *total its bytes; elsewhere NULL and 0. Any size. */
MUST_CHECK err_t comm_gather(comm *c, const void *bytes, size_t n, void **all, size_t *total);

MUST_CHECK err_t comm_barrier(comm *c);

#endif
