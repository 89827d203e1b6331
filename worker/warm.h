/* warm - the workers' part of a warm start: dense parameters, and the words about all of it.
 *
 * common/warm_start.h says what is taken; the servers take the rows (ps/warm_rows.h). */
#ifndef DIPS_WORKER_WARM_H
#define DIPS_WORKER_WARM_H

#include "common/metrics.h"
#include "common/warm_start.h"
#include "worker/dense.h"

/* What was taken over and what not. */
typedef struct warm_report warm_report;

/* Take over what c->init says into d, which is sealed, and check that the servers can do
 * their part. *out is returned; warm_report_free. out NULL: a trial before anything is
 * started, which also checks that every file of the checkpoint is whole. ERR_CONFIG says
 * which shapes do not agree, or which pattern of init.only names nothing. */
MUST_CHECK err_t warm_take(dense *d, const config *c, const schema *s, warm_report **out);
void             warm_report_free(warm_report **r);

/* Say it, a line for each table and one for each fate of dense parameters. */
void warm_report_print(const warm_report *r);

/* Append an `init` line to log for each table and dense parameter. */
MUST_CHECK err_t warm_report_log(const warm_report *r, metrics_log *log);

#endif
