/* Sums and maxima over the workers, with the same bits every time. */
#include <stdlib.h>
#include <string.h>

#include "common/comm_state.h"

#define SMALL_MAX 4096 /* elements: below it everyone sends everything, in one round */

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

static err_t reduce_small(comm *c, comm_piece *in, comm_piece *out, void *x, size_t bytes,
                          size_t width, combine *add)
{
    TRY(scratch_reserve(c, bytes * (size_t)c->size));
    for (int r = 0; r < c->size; r++) {
        in[r]  = (comm_piece){(char *)c->scratch + (size_t)r * bytes, bytes};
        out[r] = (comm_piece){x, bytes};
    }
    TRY(comm_exchange(c, in, out, "adding up"));
    combine_in_order(c, x, bytes, width, add);
    return OK;
}

static err_t reduce_large(comm *c, comm_piece *in, comm_piece *out, void *x, size_t n,
                          size_t width, combine *add)
{
    char  *begin = x;
    size_t W = (size_t)c->size, own = (size_t)c->rank;

#define PART(r) (begin + (r)*n / W * width)
    char  *mine  = PART(own);
    size_t bytes = (size_t)(PART(own + 1) - mine);
    TRY(scratch_reserve(c, bytes * W));
    for (size_t r = 0; r < W; r++) {
        in[r]  = (comm_piece){(char *)c->scratch + r * bytes, bytes};
        out[r] = (comm_piece){PART(r), (size_t)(PART(r + 1) - PART(r))};
    }
    TRY(comm_exchange(c, in, out, "adding up"));
    combine_in_order(c, mine, bytes, width, add);
    for (size_t r = 0; r < W; r++) {
        in[r]  = (comm_piece){PART(r), (size_t)(PART(r + 1) - PART(r))};
        out[r] = (comm_piece){mine, bytes};
    }
#undef PART
    return comm_exchange(c, in, out, "spreading a sum");
}

static err_t reduce(comm *c, void *x, size_t n, size_t width, combine *add)
{
    comm_piece *in, *out;
    size_t most = COMM_PIECE_MAX / width;
    err_t  err  = OK;

    if (c->size == 1)
        return OK;
    TRY(comm_usable(c));
    TRY(comm_pieces_new(c, &in, &out));
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

static err_t send_parcels(const parcels *p, comm_piece *in, comm_piece *out)
{
    comm *c    = p->c;
    char *here = c->scratch, *there = c->parcels;

    for (int r = 0; r < c->size; r++) {
        in[r] = (comm_piece){here + (size_t)r * p->stride, p->head + part_bytes(p, c->rank)};
        out[r] = (comm_piece){p->few ? there : there + (size_t)r * p->stride,
                              p->head + part_bytes(p, r)};
        if (r == 0 || !p->few) /* few: the same parcel for all */
            pack_parcel(p, r, out[r].at);
    }
    pack_parcel(p, c->rank, in[c->rank].at);
    return comm_exchange(c, in, out, "adding up");
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
static err_t spread_parts(const parcels *p, comm_piece *in, comm_piece *out)
{
    comm *c = p->c;

    for (int r = 0; r < c->size; r++) {
        in[r]  = (comm_piece){p->x + part_begin(p, r), part_bytes(p, r)};
        out[r] = (comm_piece){p->x + part_begin(p, c->rank), part_bytes(p, c->rank)};
    }
    return comm_exchange(c, in, out, "spreading a sum");
}

static err_t sum_parcels(parcels *p, comm_piece *in, comm_piece *out)
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
    comm_piece  *in, *out;

    if (c->size == 1)
        return OK;
    /* no message, or several */
    if (n == 0 || n > COMM_PIECE_MAX / sizeof *x || m > SMALL_MAX) {
        TRY(comm_sum_real(c, x, n));
        return comm_sum_double(c, y, m);
    }
    TRY(comm_usable(c));
    TRY(comm_pieces_new(c, &in, &out));
    err_t err = sum_parcels(&p, in, out);
    free(in);
    c->failed |= err != OK;
    return err;
}
