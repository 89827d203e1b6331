/* run_key - the key that the processes of a run share, and the file that brings it to them.
 *
 * The coordinator makes a key for each run, in a file of the run folder that goes when the
 * run ends, or takes one from a file that the user names. Processes are told the file's
 * name (--key); what it holds is on no command line, and in no log, metric or checkpoint. */
#ifndef DIPS_LAUNCH_RUN_KEY_H
#define DIPS_LAUNCH_RUN_KEY_H

#include "common/config.h"
#include "common/net.h"

#define RUN_KEY_HELP "the file with the run's key; without: messages are open"

/* The file with the key of the run in folder; "" where its messages are open. given: by the
 * user, NULL: by nobody. listen: HOST:PORT of the coordinator; NULL: where it suits. */
MUST_CHECK err_t run_key_path(char path[CONFIG_PATH_MAX], const config *c, const char *folder,
                              const char *given, const char *listen);

/* A net with the key in path, or an open one where path is NULL. net_free. */
MUST_CHECK err_t run_key_net(net **out, const char *path);

/* The same for the coordinator, who makes the key where there is no such file. */
MUST_CHECK err_t run_key_make_net(net **out, const char *path);

#endif
