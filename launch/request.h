/* request - candidates to be put in order for somebody, or to be explained.
 *
 * As a line of JSON:
 *
 *     {"request": 7, "user": 42, "tags": [3, 5], "price": 9.5, "time": 1700000000,
 *      "history": {"goods": [1, 2], "cate": [7, 8], "time": [1699990000, 1699999000]},
 *      "candidates": [{"goods": 11, "cate": 7}, ...]}
 *
 * The keys are the features of the configuration. A history may also be a list of events,
 * [{"goods": 1, "cate": 7, ...}, ...], candidates an object of columns, or a list of bare ids
 * of the first feature of model.candidate. What a candidate does not say is looked up among
 * the items. An id is a number or a decimal string; in a table of strings a string is what
 * dips prepare hashed. A bag is a list, and may be missing, as a history may; other features
 * may not. Keys that are no feature are nobody's business, and stay in the answer.
 *
 * Or as samples of a data shard: request_file.h. */
#ifndef DIPS_LAUNCH_REQUEST_H
#define DIPS_LAUNCH_REQUEST_H

#include <jansson.h>

#include "launch/items.h"
#include "worker/data/dataset.h"
#include "worker/requests.h"

#define REQUEST_TITLE_MAX 96

typedef struct request_rules {
    const config *config;
    const schema *schema;
    const items  *items; /* NULL: candidates must say everything */
} request_rules;

typedef struct request {
    char     name[REQUEST_TITLE_MAX]; /* "request in line 3" */
    int64_t  since;      /* clock_monotonic when it had come, and was to be understood */
    json_t  *line;       /* what was asked */
    json_t  *candidates; /* a list of objects: what was said of each */
    requests batches;    /* ready for requests_complete */
    dataset *data;       /* the others are what it lies in */
    char    *bytes;
} request;

/* Understand one line, in memory a; errors begin with q->name, which the caller gave, and all
 * else in q is 0. request_clear, after a failure too. */
MUST_CHECK err_t request_read(request *q, const request_rules *rules, const char *line,
                              size_t size, arena *a);
void             request_clear(request *q);

#endif
