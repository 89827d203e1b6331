/* ranker - a checkpoint that answers requests, in this process.
 *
 * The rows are those of the checkpoint: nothing is learned or born. An id without a row has
 * the value that it would be born with, as in training and evaluation. */
#ifndef DIPS_WORKER_RANKER_H
#define DIPS_WORKER_RANKER_H

#include "worker/learner.h"

typedef struct ranker ranker;

/* Hold the checkpoint in folder; j must outlive it. ranker_free. */
MUST_CHECK err_t ranker_new(ranker **out, const job *j, const char *folder);
void             ranker_free(ranker **r);

/* Memory for the next requests, all of the last ones' given back. */
arena *ranker_memory(ranker *r);

/* The probabilities of all candidates, lent until ranker_memory: q as requests_complete wants
 * it, in the ranker's memory. plain: each candidate as a sample of its own, which is slower. */
MUST_CHECK err_t ranker_rank(ranker *r, requests *q, bool plain, double **probabilities);

/* The learner, for what else one wants to know of the last requests. */
learner *ranker_learner(ranker *r);

#endif
