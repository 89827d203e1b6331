/* `dips checkpoint reshard`: the same rows in other shards. */
#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/hash.h"
#include "launch/checkpoint/rewrite.h"
#include "launch/checkpoint/tools.h"
#include "launch/flags.h"

static err_t reshard(const char *from, const char *to, int shards)
{
    int64_t   since = clock_now(clock_monotonic());
    source    s;
    rewritten done;

    err_t err = source_open(&s, from);
    if (err == OK)
        err = rewrite_checkpoint(&s, to, false, shards, &done);
    if (err == OK)
        printf("%s: step %" PRId64 ", %d -> %d shards, %s rows, %s %s\n", to, s.manifest->step,
               s.manifest->shards, shards, tool_count(done.rows).at, tool_bytes(done.bytes).at,
               tool_pace(done.bytes, since).at);
    source_close(&s);
    return err;
}

err_t checkpoint_reshard(int argc, char **argv)
{
    static const char usage[] = "dips checkpoint reshard --shards N IN OUT";
    static const char about[] =
        "Write the checkpoint IN once more as OUT with its rows in the files of N shards,\n"
        "as N server threads would have written them. A run loads any number of shards:\n"
        "this is for files of another size. Every row is the same to the bit. IN is checked\n"
        "first (a delta with all that it stands upon, and it becomes a full checkpoint);\n"
        "OUT appears complete or not at all. One bucket of 4096 is in memory at a time.";
    int64_t           shards  = 0;
    const flag        flags[] = {{"shards", FLAG_INT, &shards, .min = 1, .max = HASH_BUCKETS,
                                  .required = true, .help = "into how many"},
                                 {0}};
    int               n;
    bool              helped;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n != 2)
        return err_set(ERR_USAGE, "wanted IN and OUT, not %d words; usage: %s", n, usage);
    return reshard(argv[0], argv[1], (int)shards);
}
