/* request_source - requests one after another: lines of JSON on standard input, or a file. */
#ifndef DIPS_LAUNCH_REQUEST_SOURCE_H
#define DIPS_LAUNCH_REQUEST_SOURCE_H

#include "launch/request.h"

typedef struct request_source request_source;

/* file: as request_file.h says; NULL: standard input. request_source_free. */
MUST_CHECK err_t request_source_open(request_source **out, const request_rules *rules,
                                     const char *file);
void             request_source_free(request_source **s);

/* The next request, in memory a; *more: whether there was one. A signal that asks for the end
 * is an error, as signals_stop has it. request_clear, after a failure too. */
MUST_CHECK err_t request_source_next(request_source *s, request *q, bool *more, arena *a);

/* The flag of commands that read requests. */
#define REQUEST_SOURCE_FLAG(file)                                                              \
    {"requests", FLAG_TEXT, &(file), .meta = "FILE",                                           \
     .help = "a safetensors file of requests instead of lines on standard input: a data "      \
             "shard, each sample a candidate; samples that follow one another are a request "  \
             "as the tensor request.offsets says, or where only the candidate differs"}

#endif
