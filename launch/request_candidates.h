/* request_candidates - the candidates of a request in JSON: a list of objects, columns, or
 * bare ids, and what the items tell of those that do not say everything. */
#ifndef DIPS_LAUNCH_REQUEST_CANDIDATES_H
#define DIPS_LAUNCH_REQUEST_CANDIDATES_H

#include "launch/request.h"

/* Make q->candidates of q->line; a bare id is one of feature key. */
MUST_CHECK err_t request_candidates_list(request *q, const char *key);

/* Fill q->batches.each and .first from q->candidates, in memory a. */
MUST_CHECK err_t request_candidates_take(request *q, const request_rules *rules, arena *a);

#endif
