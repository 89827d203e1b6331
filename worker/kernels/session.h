/* session - where the sessions of one sample lie among its events (Feng et al. 2019, DSIN,
 * section 3.2.2): an event more than `gap` seconds away from the one before begins a new one;
 * and the bias encoding of where it stands (section 3.2.3). */
#ifndef DIPS_WORKER_KERNELS_SESSION_H
#define DIPS_WORKER_KERNELS_SESSION_H

#include "worker/kernels/kernel.h"

/* Events first .. first + n - 1. */
typedef struct session {
    int first, n;
} session;

typedef struct session_rule {
    int64_t gap;     /* seconds */
    int     keep;    /* at most so many sessions, the newest */
    int     max_len; /* of each at most so many events, the newest */
    int     min_len; /* shorter sessions do not count */
} session_rule;

/* The sessions of the events with time (n), in order of the events. out has room for the
 * lesser of n and r->keep. Returns how many. */
int session_cut(session *out, const session_rule *r, const int64_t *time, int n);

/* ---- where an event stands, added to the n events (n, D) of a session ---- */

/* y_t = x_t + (w + v_t) + u,   v (n), u (D) */
void bias_encoding_forward(real *y, const real *x, real w, const real *v, const real *u, int n,
                           int D);

/* *gw += sum g,  gv_t += sum_d g_td,  gu_d += sum_t g_td */
void bias_encoding_backward(real *gw, real *gv, real *gu, const real *g, int n, int D);

/* y = x + z, N numbers; y may be x. */
void add_forward(real *y, const real *x, const real *z, size_t N);

#endif
