/* time_major - ragged sequences side by side, so that a recurrent layer takes one step in many
 * of them at once, and none on padding.
 *
 * Sequences are sorted by length, the longest first, and taken in groups of so many that a
 * step's numbers and the weights lie in the caches together. Of a group, the sequences that
 * have an event t are the first ones: their rows in step t are rows 0 .. n-1 of every step
 * before. Which sequence stands where depends on lengths alone; equal ones keep their order. */
#ifndef DIPS_WORKER_LAYERS_TIME_MAJOR_H
#define DIPS_WORKER_LAYERS_TIME_MAJOR_H

#include "common/arena.h"

#define GROUP_SEQUENCES 64

typedef struct time_major {
    int  n;       /* sequences that have events */
    int *owner;   /* (n) whose sequence it is: its place among all, the empty ones too */
    int *first;   /* (n) row of its first event */
    int *length;  /* (n) events, never increasing */
    int  longest; /* events */
} time_major;

/* A group: n of the sequences above, from the first on. */
typedef struct time_group {
    int        n, steps, events;
    const int *owner, *first, *length; /* (n) */
} time_group;

/* Sort the sequences that have the rows offsets[i] .. offsets[i+1]-1; memory is a's. */
MUST_CHECK err_t time_major_sort(time_major *m, const int *offsets, int sequences, arena *a);

/* The group that begins with sequence `begin`, less than m->n. */
time_group time_major_group(const time_major *m, int begin);

/* Sequences of the group that have an event t. */
static inline int time_group_at(const time_group *g, int t)
{
    int n = g->n;

    while (n > 0 && g->length[n - 1] <= t)
        n--;
    return n;
}

#endif
