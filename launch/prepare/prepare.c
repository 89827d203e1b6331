#include "launch/prepare/prepare.h"

#include "launch/commands.h"
#include "launch/signals.h"

static const command commands[] = {
    {"amazon", "Amazon's 5-core reviews and their metadata", prepare_amazon},
    {"avazu", "clicks on mobile ads, as Avazu's contest had them", prepare_avazu},
    {"criteo", "clicks on display ads, as Criteo's contest had them", prepare_criteo},
    {"dien", "samples as text, as the authors of DIEN published theirs", prepare_dien},
    {"impressions", "a log of shown ads, with the ads around each", prepare_impressions},
    {"movielens", "ratings of MovieLens 1M, 20M, 25M or latest", prepare_movielens},
    {"synthetic", "an invented world whose click probabilities are known", prepare_synthetic},
    {"taobao", "UserBehavior.csv: what users of Taobao viewed and bought", prepare_taobao},
    {"taobao-ads", "display ads on Taobao: raw_sample.csv and its tables", prepare_taobao_ads},
    {"tsv", "any tab- or comma-separated file with a header", prepare_tsv},
    {0},
};

err_t command_prepare(int argc, char **argv)
{
    signals_catch(true);
    return commands_run("dips prepare",
                        "dips prepare turns raw files into data shards that dips trains from.",
                        commands, argc, argv);
}
