/* session - where the sessions of one sample lie among its events (Feng et al. 2019, DSIN,
 * section 3.2.2): an event more than `gap` seconds away from the one before begins a new one.
 */
#ifndef DIPS_WORKER_KERNELS_SESSION_H
#define DIPS_WORKER_KERNELS_SESSION_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
