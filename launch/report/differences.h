/* differences - what the configurations of several runs do not share. */
#ifndef DIPS_LAUNCH_REPORT_DIFFERENCES_H
#define DIPS_LAUNCH_REPORT_DIFFERENCES_H

#include "launch/report/run.h"

/* A key of run.yaml that not all runs have alike. */
typedef struct differing_key {
    char  *key;
    char **values; /* one of each run; NULL: the run has no such key */
} differing_key;

typedef struct differences {
    VEC(differing_key) list; /* in the order in which the runs' configurations have them */
    char **texts;         /* what keys and values lie in */
    int    n_runs;
} differences;

/* Compare n runs; differences_clear also after an error. */
MUST_CHECK err_t differences_find(differences *d, const run *runs, int n);
void             differences_clear(differences *d);

#endif
