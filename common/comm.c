#include "common/comm.h"

#include <mpi.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PIECE_MAX ((size_t)1 << 28) /* bytes of one MPI message: well below INT_MAX */
#define TAGS      32768             /* MPI lets at least so many be told apart */
#define SMALL_MAX 4096 /* elements: below it everyone sends everything, in one round */

struct comm {
    int                 rank, size;
    MPI_Comm            world; /* unused where size is 1 */
    bool                begun; /* MPI was begun by comm_open */
    bool                failed;
    const clock_source *clock;
    double              timeout_s;
    err_t (*check)(void *self);
    void *check_self;
    int   tag;     /* of messages: how often the group began anew */
    bool  settled; /* what was under way is not any more, anywhere */

    MPI_Request *requests; /* (2 size) of the exchange in flight: receives, then sends */
    void        *scratch;  /* what other workers send, while it is summed */
    size_t       scratch_bytes;
    void        *parcels; /* of a sum of both: what goes to the others */
    size_t       parcels_bytes;
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

/* Name the workers whose message has not come. */
static err_t silent(comm *c, const char *doing)
{
    char   names[256] = "";
    size_t used       = 0;
    int    missing    = 0;

    for (int r = 0; r < c->size; r++) {
        int here = 0;
        MPI_Test(&c->requests[r], &here, MPI_STATUS_IGNORE);
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
        if (c->requests[r] != MPI_REQUEST_NULL)
            MPI_Cancel(&c->requests[r]);
    TRY(wait_for(c, c->size, c->requests, &done, doing));
    int code = done ? MPI_Ibarrier(c->world, &barrier) : MPI_SUCCESS;
    if (code != MPI_SUCCESS)
        return mpi_error(c, code, doing);
    if (done)
        TRY(wait_for(c, 1, &barrier, &done, doing));
    if (!done)
        return err_set(ERR_TIMEOUT, "worker %d of %d: %s: not all others did so within %g s",
                       c->rank, c->size, doing, c->timeout_s);
    MPI_Testall(c->size, c->requests + c->size, &done, MPI_STATUSES_IGNORE);
    for (int r = c->size; r < 2 * c->size; r++)
        if (c->requests[r] != MPI_REQUEST_NULL)
            MPI_Request_free(&c->requests[r]);
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
        int code = MPI_Testall(2 * c->size, c->requests, &done, MPI_STATUSES_IGNORE);
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

/* ---- the exchange that everything is made of ---- */

/* A piece of memory that goes to, or comes from, one worker. */
typedef struct piece {
    void  *at;
    size_t bytes;
} piece;

/* Send out[r] to and receive in[r] from every worker r; NULL: nothing that way. Pieces
 * of two ends agree in size, and empty ones do not travel. */
static err_t exchange(comm *c, const piece *in, const piece *out, const char *doing)
{
    for (int i = 0; i < 2 * c->size; i++)
        c->requests[i] = MPI_REQUEST_NULL;
    for (int r = 0; in && r < c->size; r++) {
        if (r == c->rank || in[r].bytes == 0)
            continue;
        int code = MPI_Irecv(in[r].at, (int)in[r].bytes, MPI_BYTE, r, c->tag, c->world,
                             &c->requests[r]);
        if (code != MPI_SUCCESS)
            return mpi_error(c, code, doing);
    }
    for (int k = 1; out && k < c->size; k++) {
        int r = (c->rank + k) % c->size; /* not all to worker 0 at once */
        if (out[r].bytes == 0)
            continue;
        int code = MPI_Isend(out[r].at, (int)out[r].bytes, MPI_BYTE, r, c->tag, c->world,
                             &c->requests[c->size + r]);
        if (code != MPI_SUCCESS)
            return mpi_error(c, code, doing);
    }
    return finish(c, doing);
}

/* *at has room for bytes; what it held is gone. */
static err_t reserve(void **at, size_t *held, size_t bytes)
{
    if (bytes <= *held)
        return OK;
    free(*at);
    *held = 0;
    *at   = malloc(bytes);
    if (!*at)
        return err_memory(bytes, "a sum over workers");
    *held = bytes;
    return OK;
}

static err_t scratch_reserve(comm *c, size_t bytes)
{
    return reserve(&c->scratch, &c->scratch_bytes, bytes);
}

/* ---- reductions ----
 *
 * Element i becomes ((x0[i] + x1[i]) + x2[i]) + ...: the order of ranks, whatever the
 * size. Few elements: everyone sends all to everyone and adds for itself. Many: worker r
 * adds the r-th part for all and sends it back, so that each element travels twice. */

typedef void combine(void *sum, const void *x, size_t n);

static void add_real(void *sum, const void *x, size_t n)
{
    real       *a = sum;
    const real *b = x;
    for (size_t i = 0; i < n; i++)
        a[i] += b[i];
}

static void add_double(void *sum, const void *x, size_t n)
{
    double       *a = sum;
    const double *b = x;
    for (size_t i = 0; i < n; i++)
        a[i] += b[i];
}

static void max_u64(void *sum, const void *x, size_t n)
{
    uint64_t       *a = sum;
    const uint64_t *b = x;
    for (size_t i = 0; i < n; i++)
        a[i] = b[i] > a[i] ? b[i] : a[i];
}

/* Combine this worker's own (at place own) and the others' parts of bytes each, which lie
 * in scratch in rank order, into out. */
static void combine_in_order(comm *c, void *out, size_t bytes, size_t width, combine *add)
{
    char *all = c->scratch;

    memcpy(all + (size_t)c->rank * bytes, out, bytes);
    memcpy(out, all, bytes);
    for (int r = 1; r < c->size; r++)
        add(out, all + (size_t)r * bytes, bytes / width);
}

static err_t reduce_small(comm *c, piece *in, piece *out, void *x, size_t bytes, size_t width,
                          combine *add)
{
    TRY(scratch_reserve(c, bytes * (size_t)c->size));
    for (int r = 0; r < c->size; r++) {
        in[r]  = (piece){(char *)c->scratch + (size_t)r * bytes, bytes};
        out[r] = (piece){x, bytes};
    }
    TRY(exchange(c, in, out, "adding up"));
    combine_in_order(c, x, bytes, width, add);
    return OK;
}

static err_t reduce_large(comm *c, piece *in, piece *out, void *x, size_t n, size_t width,
                          combine *add)
{
    char  *begin = x;
    size_t W = (size_t)c->size, own = (size_t)c->rank;

#define PART(r) (begin + (r)*n / W * width)
    char  *mine  = PART(own);
    size_t bytes = (size_t)(PART(own + 1) - mine);
    TRY(scratch_reserve(c, bytes * W));
    for (size_t r = 0; r < W; r++) {
        in[r]  = (piece){(char *)c->scratch + r * bytes, bytes};
        out[r] = (piece){PART(r), (size_t)(PART(r + 1) - PART(r))};
    }
    TRY(exchange(c, in, out, "adding up"));
    combine_in_order(c, mine, bytes, width, add);
    for (size_t r = 0; r < W; r++) {
        in[r]  = (piece){PART(r), (size_t)(PART(r + 1) - PART(r))};
        out[r] = (piece){mine, bytes};
    }
#undef PART
    return exchange(c, in, out, "spreading a sum");
}

static err_t usable(const comm *c)
{
    if (c->failed)
        return err_set(ERR_DEATH, "worker %d of %d: the group of workers has failed before",
                       c->rank, c->size);
    return OK;
}

/* Two lists of pieces, one for each worker; free *in. */
static err_t pieces_new(const comm *c, piece **in, piece **out)
{
    *out = NULL;
    *in  = calloc(2 * (size_t)c->size, sizeof **in);
    if (!*in)
        return err_memory(2 * (size_t)c->size * sizeof **in, "messages between workers");
    *out = *in + c->size;
    return OK;
}

static err_t reduce(comm *c, void *x, size_t n, size_t width, combine *add)
{
    piece *in, *out;
    size_t most = PIECE_MAX / width;
    err_t  err  = OK;

    if (c->size == 1)
        return OK;
    TRY(usable(c));
    TRY(pieces_new(c, &in, &out));
    while (err == OK && n > 0) {
        size_t now = n < most ? n : most;
        err        = now <= SMALL_MAX ? reduce_small(c, in, out, x, now * width, width, add)
                                      : reduce_large(c, in, out, x, now, width, add);
        x          = (char *)x + now * width;
        n -= now;
    }
    free(in);
    c->failed |= err != OK;
    return err;
}

err_t comm_sum_real(comm *c, real *x, size_t n)
{
    return reduce(c, x, n, sizeof *x, add_real);
}

err_t comm_sum_double(comm *c, double *x, size_t n)
{
    return reduce(c, x, n, sizeof *x, add_double);
}

err_t comm_max_u64(comm *c, uint64_t *x, size_t n)
{
    return reduce(c, x, n, sizeof *x, max_u64);
}

/* ---- two sums in one go ----
 *
 * A parcel to worker r holds all of y and the r-th part of x (few elements: all of x), so that
 * y is summed by everyone after the first of two rounds. */

typedef struct parcels {
    comm   *c;
    real   *x;
    double *y;
    size_t  n, m;
    size_t  head, stride; /* bytes of y, and of the largest parcel: doubles are aligned */
    bool    few;
} parcels;

static size_t part_begin(const parcels *p, int r)
{
    return p->few ? 0 : (size_t)r * p->n / (size_t)p->c->size;
}

static size_t part_end(const parcels *p, int r)
{
    return p->few ? p->n : ((size_t)r + 1) * p->n / (size_t)p->c->size;
}

static size_t part_bytes(const parcels *p, int r)
{
    return (part_end(p, r) - part_begin(p, r)) * sizeof(real);
}

/* This worker's parcel for r. */
static void pack_parcel(const parcels *p, int r, char *to)
{
    memcpy(to, p->y, p->head);
    memcpy(to + p->head, p->x + part_begin(p, r), part_bytes(p, r));
}

static err_t send_parcels(const parcels *p, piece *in, piece *out)
{
    comm *c    = p->c;
    char *here = c->scratch, *there = c->parcels;

    for (int r = 0; r < c->size; r++) {
        in[r] = (piece){here + (size_t)r * p->stride, p->head + part_bytes(p, c->rank)};
        out[r] =
            (piece){p->few ? there : there + (size_t)r * p->stride, p->head + part_bytes(p, r)};
        if (r == 0 || !p->few) /* few: the same parcel for all */
            pack_parcel(p, r, out[r].at);
    }
    pack_parcel(p, c->rank, in[c->rank].at);
    return exchange(c, in, out, "adding up");
}

/* What everybody sent, in the order of ranks. */
static void add_parcels(const parcels *p)
{
    const char *all  = p->c->scratch;
    real       *mine = p->x + part_begin(p, p->c->rank);
    size_t      n    = part_bytes(p, p->c->rank) / sizeof(real);

    memcpy(p->y, all, p->head);
    memcpy(mine, all + p->head, n * sizeof *mine);
    for (int r = 1; r < p->c->size; r++) {
        all += p->stride;
        add_double(p->y, all, p->m);
        add_real(mine, all + p->head, n);
    }
}

/* Everybody's part of the sum to all. */
static err_t spread_parts(const parcels *p, piece *in, piece *out)
{
    comm *c = p->c;

    for (int r = 0; r < c->size; r++) {
        in[r]  = (piece){p->x + part_begin(p, r), part_bytes(p, r)};
        out[r] = (piece){p->x + part_begin(p, c->rank), part_bytes(p, c->rank)};
    }
    return exchange(c, in, out, "spreading a sum");
}

static err_t sum_parcels(parcels *p, piece *in, piece *out)
{
    comm  *c    = p->c;
    size_t most = p->few ? p->n : p->n / (size_t)c->size + 1;

    p->head = p->m * sizeof *p->y;
    p->stride =
        (p->head + most * sizeof(real) + sizeof(double) - 1) / sizeof(double) * sizeof(double);
    TRY(scratch_reserve(c, p->stride * (size_t)c->size));
    TRY(reserve(&c->parcels, &c->parcels_bytes, p->stride * (p->few ? 1 : (size_t)c->size)));
    TRY(send_parcels(p, in, out));
    add_parcels(p);
    return p->few ? OK : spread_parts(p, in, out);
}

err_t comm_sum_both(comm *c, real *x, size_t n, double *y, size_t m)
{
    parcels p = {.c = c, .x = x, .y = y, .n = n, .m = m, .few = n <= SMALL_MAX};
    piece  *in, *out;

    if (c->size == 1)
        return OK;
    if (n == 0 || n > PIECE_MAX / sizeof *x || m > SMALL_MAX) { /* no, or several, messages */
        TRY(comm_sum_real(c, x, n));
        return comm_sum_double(c, y, m);
    }
    TRY(usable(c));
    TRY(pieces_new(c, &in, &out));
    err_t err = sum_parcels(&p, in, out);
    free(in);
    c->failed |= err != OK;
    return err;
}

/* ---- from one to all, from all to one ---- */

err_t comm_broadcast(comm *c, void *bytes, size_t n)
{
    piece *in, *out;
    err_t  err = OK;

    if (c->size == 1)
        return OK;
    TRY(usable(c));
    TRY(pieces_new(c, &in, &out));
    for (char *at = bytes; err == OK && n > 0;) {
        size_t now = n < PIECE_MAX ? n : PIECE_MAX;
        for (int r = 0; r < c->size; r++)
            out[r] = (piece){at, now};
        in[0] = (piece){at, now};
        err   = exchange(c, c->rank == 0 ? NULL : in, c->rank == 0 ? out : NULL,
                         "hearing from worker 0");
        at += now;
        n -= now;
    }
    free(in);
    return err;
}

/* Move the bytes of worker r to rank 0, piece by piece. */
static err_t gather_one(comm *c, piece *pieces, int r, char *at, size_t n)
{
    while (n > 0) {
        int    peer  = c->rank == 0 ? r : 0;
        size_t now   = n < PIECE_MAX ? n : PIECE_MAX;
        pieces[peer] = (piece){at, now};
        err_t err    = exchange(c, c->rank == 0 ? pieces : NULL, c->rank == 0 ? NULL : pieces,
                                "gathering on worker 0");
        pieces[peer] = (piece){0};
        TRY(err);
        at += now;
        n -= now;
    }
    return OK;
}

static err_t gather(comm *c, piece *pieces, uint64_t *sizes, const void *bytes, size_t n,
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
    piece *in, *out;
    char  *gathered = NULL;

    *all   = NULL;
    *total = 0;
    TRY(usable(c));
    TRY(pieces_new(c, &in, &out));
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
        TRY(settle(c));
    }
    c->settled = c->failed = false;
    c->tag                 = (c->tag + 1) % TAGS;
    c->check               = NULL;
    err_t err              = comm_max_u64(c, x, 1);
    c->check               = check;
    return err;
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
    int code = MPI_Comm_dup(MPI_COMM_WORLD, &c->world);
    if (code != MPI_SUCCESS)
        return mpi_error(c, code, "making a group of workers");
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
