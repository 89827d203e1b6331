/* options - the flags that every `dips prepare` command has. */
#ifndef DIPS_LAUNCH_PREPARE_OPTIONS_H
#define DIPS_LAUNCH_PREPARE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "launch/flags.h"

typedef struct prepare_options {
    const char *out;
    bool        overwrite;
    int64_t     shard_samples;
    int64_t     memory; /* bytes */
    bool        no_counts;
} prepare_options;

#define PREPARE_OPTIONS_DEFAULT {.shard_samples = 200000, .memory = INT64_C(1) << 30}

/* Lines of a flag table; o is a prepare_options. */
#define PREPARE_FLAGS(o)                                                                       \
    {"out", FLAG_TEXT, &(o).out, .meta = "DIR", .required = true,                              \
     .help = "folder of the data shards; made if it is not there"},                            \
    {"overwrite", FLAG_BOOL, &(o).overwrite,                                                   \
     .help = "replace the shards that an earlier run left in DIR"},                            \
    {"shard-samples", FLAG_INT, &(o).shard_samples, .min = 1, .max = 1e12,                     \
     .help = "samples of one shard file at most; fewer where --memory is short"},              \
    {"memory", FLAG_INT, &(o).memory, .meta = "BYTES", .min = 4096, .max = 1e15,               \
     .help = "memory to use about; what needs more is spilled into DIR"},                      \
    {"no-counts", FLAG_BOOL, &(o).no_counts,                                                   \
     .help = "leave out counts.safetensors, for tables with penalty.count: running or none"}

#define PREPARE_FLAG_MAX_LEN(at)                                                               \
    {"max-len", FLAG_INT, &(at), .min = 1, .max = 1e6,                                         \
     .help = "events kept of a history, the newest; counts.safetensors counts only these"}

#define PREPARE_FLAG_MAX_BAD(at)                                                               \
    {"max-bad", FLAG_INT, &(at), .max = 9e18,                                                  \
     .help = "malformed lines that may be skipped before one is an error"}

#endif
