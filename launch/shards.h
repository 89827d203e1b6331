/* shards - the server threads that live in this process. */
#ifndef DIPS_LAUNCH_SHARDS_H
#define DIPS_LAUNCH_SHARDS_H

#include "ps/server.h"

/* Shards of a run of c, or of one of its servers. */
int shards_total(const config *c);
int shards_per_server(const config *c);

/* The file of counts that c names, or that stands beside its first training file. */
MUST_CHECK err_t shards_counts_path(char path[CONFIG_PATH_MAX], const config *c);

/* The path of the counts; "" where no table asks for them and they are not named either: at
 * hundreds of millions of ids they are gigabytes. ERR_DATA where they are not there. */
MUST_CHECK err_t shards_find_counts(char path[CONFIG_PATH_MAX], const config *c);

/* Start the shards of server index behind endpoint, in which "%d" stands for the shard's
 * number. ERR_CONFIG where counts are needed and not there. server_stop. */
MUST_CHECK err_t shards_start(server **out, net *n, const config *c, const schema *s, int index,
                              const char *endpoint);

/* An endpoint for this process's shards that nobody else on this host has: an abstract
 * socket, or where the run leaves the host a port of cluster.interface. name: "shard". */
void shards_endpoint(char endpoint[NET_ENDPOINT_MAX], const config *c, const char *name);

#endif
