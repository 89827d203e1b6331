/* request_shard - what a request says of its user, as a data shard of one sample in memory.
 *
 * So max_len, history_days, gaps and whatever else a sequence is made of are those that
 * training and predict know. Features of candidates stand in it empty. */
#ifndef DIPS_LAUNCH_REQUEST_SHARD_H
#define DIPS_LAUNCH_REQUEST_SHARD_H

#include "launch/request.h"

/* The safetensors file of line, an object; *bytes is returned, NULL on failure. */
MUST_CHECK err_t request_shard_make(char **bytes, size_t *size, const request_rules *rules,
                                    const json_t *line);

#endif
