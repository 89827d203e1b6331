/* server - threads that each run one shard behind a listener.
 *
 * `dips server` runs one as a process; embedded runs have one inside the process of
 * worker 0, reached over inproc://. No MPI here. */
#ifndef DIPS_PS_SERVER_H
#define DIPS_PS_SERVER_H

#include "common/net.h"
#include "common/schema.h"

typedef struct server server;

typedef struct server_options {
    const config *config; /* lent until server_stop */
    const schema *schema;
    int first_shard, shards_here; /* this server runs shards first .. first + here - 1 */
    int           shards;                   /* of the whole run */
    const char   *counts;                   /* NULL: none */
    const char   *endpoint;                 /* to listen at; "%d" stands for the shard */
} server_options;

/* Start the threads; server_stop. The endpoints are those of server_endpoint. */
MUST_CHECK err_t server_start(server **out, net *n, const server_options *options);

/* Where the i-th shard of this server listens; lent. */
const char *server_endpoint(const server *s, int i);

/* A number for heartbeats: it grows once every thread has made a turn since it last grew. A
 * turn is a message, a bucket of a checkpoint that is read, or a tenth of a second without
 * work; a thread that hangs, or waits for its disk, makes none. Only one thread may ask. */
int64_t server_pulse(server *s);

/* OK while all threads run; else the error of the first that ended. Any thread. */
MUST_CHECK err_t server_check(server *s);

/* End the threads and free; returns the first error of any of them. */
MUST_CHECK err_t server_stop(server **s);

#endif
