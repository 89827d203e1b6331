#include "launch/prepare/prepare.h"

#include "launch/commands.h"
#include "launch/prepare/interrupt.h"

static const command commands[] = {
    {"amazon", "Amazon's 5-core reviews and their metadata", prepare_amazon},
    {"movielens", "ratings of MovieLens 1M, 20M, 25M or latest", prepare_movielens},
    {"synthetic", "an invented world whose click probabilities are known", prepare_synthetic},
    {"tsv", "any tab- or comma-separated file with a header", prepare_tsv},
    {0},
};

err_t command_prepare(int argc, char **argv)
{
    interrupt_watch();
    return commands_run("dips prepare",
                        "dips prepare turns raw files into data shards that dips trains from.",
                        commands, argc, argv);
}
