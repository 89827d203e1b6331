/* learner - one worker's model at work: rows in, gradients out.
 *
 * Joins the graph, its dense weights and the client of the parameter server, and carries
 * one batch at a time through them. The trainer decides which batch, and when. */
#ifndef DIPS_WORKER_LEARNER_H
#define DIPS_WORKER_LEARNER_H

#include "worker/data/dataset.h"
#include "worker/data/id_set.h"
#include "worker/job.h"
#include "worker/ps_client.h"
#include "worker/requests.h"
#include "worker/times.h"
#include "worker/warm.h"

typedef struct learner learner;

/* Whether c makes a model, and whether it goes on from the dense weights of the checkpoint
 * in folder (NULL: none, and it can begin with what init.from holds); to be asked before
 * anything is started. Not collective. */
MUST_CHECK err_t learner_check(const config *c, const schema *s, const char *folder);

/* Build the model of j->config. in_flight: steps pulled and not pushed at most. The job
 * must outlive it; learner_free. */
MUST_CHECK err_t learner_new(learner **out, const job *j, int in_flight);
void             learner_free(learner **l);

ps_client *learner_client(learner *l);
uint64_t   learner_dense_weights(const learner *l);
bool       learner_has_auxiliary(const learner *l); /* a loss besides that of the clicks */

/* Collective. Hold the cut in folder on all workers and shards, or the first state where
 * folder is NULL. step: the clock of that cut. */
MUST_CHECK err_t learner_begin(learner *l, const char *folder, int64_t step);

/* Collective. Fit the constants of the inputs (mean and deviation of the features with
 * `transform: standard`) to the training data; before the first step of a run. */
MUST_CHECK err_t learner_fit_inputs(learner *l, const dataset *train, uint64_t first,
                                    uint64_t end);

/* Take over the dense parameters that init.from has (worker/warm.h); after learner_begin with
 * the first state. *report is returned. Not collective, and the same on all workers. */
MUST_CHECK err_t learner_warm_start(learner *l, warm_report **report);

/* Ask for the rows of a batch for step, as of version; async: or a later one. */
MUST_CHECK err_t learner_pull(learner *l, int64_t step, int64_t version, const id_set *sets);

typedef struct learner_outcome {
    double samples; /* of the whole step */
    double loss;    /* summed over them */
    double auxiliary; /* likewise: what else is minimized, times its weight */
    bool   bad;     /* a gradient was not finite: the step was not applied */
    err_t  stop;    /* OK, or why some worker wants to stop (ERR_INTERRUPT, ERR_TERMINATE) */
} learner_outcome;

/* Collective. One step over this worker's part b of it: wait for the rows pulled, forward,
 * backward, push, reduce, update. Memory is a's. stop: this worker's wish. */
MUST_CHECK err_t learner_step(learner *l, int64_t step, int64_t pulled_until, const batch *b,
                              const id_set *sets, arena *a, err_t stop,
                              learner_outcome *outcome);

/* probabilities[b->B] of a batch as of version; nothing is changed. Not collective. */
MUST_CHECK err_t learner_predict(learner *l, int64_t version, const batch *b,
                                 const id_set *sets, arena *a, double *probabilities);

/* probabilities[r->each.B] of the candidates of requests, whose parts were made complete
 * with sets. What no candidate has a part in is computed once for its request, unless plain:
 * the same numbers, but for rounding. Not collective. */
MUST_CHECK err_t learner_rank(learner *l, int64_t version, const requests *r,
                              const id_set *sets, bool plain, arena *a, double *probabilities);

/* The model, for what it weighs by. */
const struct graph *learner_graph(const learner *l);

/* Whether it wants the requests with the ids of candidates' events. */
bool learner_reads_events(const learner *l);

/* What a checkpoint holds besides rows and dense weights. */
typedef struct learner_cut {
    int64_t        step;
    int64_t        bad_steps;
    bool           delta; /* upon the checkpoint before it, if there is one of the same kind */
    manifest_dealt dealt; /* on worker 0; lent until the call returns */
} learner_cut;

/* Collective, at a drain point, with no checkpoint under way. Begin to write that of the cut
 * into dir: steps may go on at once. What cannot be written is an ERR_SYSTEM or ERR_MEMORY on
 * every worker, here or when it ends, and training may go on. */
MUST_CHECK err_t learner_save_begin(learner *l, const char *dir, const learner_cut *cut);

/* Bring the one under way forward, without waiting. *ended: it has, the older ones beyond
 * checkpoint.keep are gone (one that cannot be removed is a warning), and what it came to is
 * returned; *saved = its step, if all is well. */
MUST_CHECK err_t learner_save_poll(learner *l, bool *ended, int64_t *saved);

/* Collective. Wait until none is under way; what the last one came to is told to all workers,
 * and *saved of worker 0 becomes everybody's. */
MUST_CHECK err_t learner_save_wait(learner *l, int64_t *saved);

/* Collective. ERR_NUMERIC names the workers whose dense weights differ from worker 0's. */
MUST_CHECK err_t learner_compare(learner *l, int64_t step);

/* What steps took so far, but for reading and for what the loop around them takes. */
const times *learner_time(const learner *l);

#endif
