/* prepare - the commands of `dips prepare`: raw files, or an invented world, become data
 * shards. One source each; they share readers (lines, delimited), the output folder
 * (output, shard_writer, counts, names) and the sorter. */
#ifndef DIPS_LAUNCH_PREPARE_PREPARE_H
#define DIPS_LAUNCH_PREPARE_PREPARE_H

#include "common/err.h"

err_t prepare_amazon(int argc, char **argv);
err_t prepare_avazu(int argc, char **argv);
err_t prepare_criteo(int argc, char **argv);
err_t prepare_dien(int argc, char **argv);
err_t prepare_impressions(int argc, char **argv);
err_t prepare_movielens(int argc, char **argv);
err_t prepare_synthetic(int argc, char **argv);
err_t prepare_taobao(int argc, char **argv);
err_t prepare_taobao_ads(int argc, char **argv);
err_t prepare_tsv(int argc, char **argv);

#endif
