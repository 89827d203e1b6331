/* request_file - the samples of a data shard (worker/data/data_shard.h) as requests.
 *
 * Each sample is a candidate, beside all that its request has; labels need not be there.
 * Samples that stand one after another are a request
 *
 *   - as the tensor request.offsets, U64 [r+1], says: request i has samples offsets[i] ..
 *     offsets[i+1]-1, one at least, which must be alike in all but what is the candidate's;
 *   - without it, as long as they are alike in all but that, and in `group` (or `user`).
 *
 * The request of the answer is its number in the file, from 0 on, and each candidate has its
 * sample's. */
#ifndef DIPS_LAUNCH_REQUEST_FILE_H
#define DIPS_LAUNCH_REQUEST_FILE_H

#include "launch/request.h"

typedef struct request_file request_file;

/* rules must outlive it. request_file_free. */
MUST_CHECK err_t request_file_open(request_file **out, const request_rules *rules,
                                   const char *path);
void             request_file_free(request_file **f);

/* The next request, in memory a; *more: whether there was one. request_clear, after a failure
 * too. */
MUST_CHECK err_t request_file_next(request_file *f, request *q, bool *more, arena *a);

#endif
