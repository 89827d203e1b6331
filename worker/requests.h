/* requests - batches for serving: what users ask, and the candidates they ask for.
 *
 * A request has all that a sample has but for the features of model.candidate, which each of
 * its candidates has. The same numbers as samples, a sample for each candidate, are `each`,
 * which repeats what is the request's (without ids); `asked` has them once. graph.h tells how a
 * pass over both shares what it can. All arrays are the arena's. */
#ifndef DIPS_WORKER_REQUESTS_H
#define DIPS_WORKER_REQUESTS_H

#include "worker/data/id_set.h"

typedef struct requests {
    batch asked;      /* B requests */
    batch each;       /* B candidates of them, in the order of the requests */
    int  *first;      /* (asked.B + 1) candidates first[r] .. first[r+1]-1 are of request r */
    int  *request_of; /* (each.B) */
} requests;

/* Whether a feature comes with the candidates. */
bool requests_slot_of_candidate(const schema *s, const model_config *c, int slot);
bool requests_float_of_candidate(const schema *s, const model_config *c, int number);

/* Fill in what follows from the rest, and sets[n_tables], from an r with: asked.B, first;
 * in asked all that is of the requests, without `distinct`; in each the slots (rows, n, ids,
 * and offsets of bags) and floats of the candidates. events: each has the ids of events, too
 * (graph_reads_events says whether a pass over both wants them). */
MUST_CHECK err_t requests_complete(requests *r, const schema *s, const model_config *c,
                                   bool events, id_maker *maker, arena *a, id_set *sets);

#endif
