/* leftovers - what a job leaves on this host unless someone cleans up: processes that dial
 * its coordinator, mpirun's session folder, Open MPI's shared-memory segments.
 *
 * Every process of a job has "--coordinator ENDPOINT" on its command line (mpirun too), and
 * the endpoint belongs to this job alone: that is how they are found, whoever their parent
 * is by now. The segments are kept in a folder of the job's own. */
#ifndef DIPS_LAUNCH_LEFTOVERS_H
#define DIPS_LAUNCH_LEFTOVERS_H

#include "common/config.h"
#include "common/net.h"

typedef struct leftovers {
    char endpoint[NET_ENDPOINT_MAX];
    char session[CONFIG_PATH_MAX];       /* absolute; "": none */
    char shared_memory[CONFIG_NAME_MAX]; /* "": none */
    char key[CONFIG_PATH_MAX];           /* the file that run_key makes; absolute; "": none */
} leftovers;

/* Name folder/session, folder/key and a folder in /dev/shm; nothing is made yet, and the
 * endpoint is still to be filled in. */
MUST_CHECK err_t leftovers_name(leftovers *l, const char *folder);

/* Make the folders; where /dev/shm cannot be used, l does without. leftovers_clean. */
MUST_CHECK err_t leftovers_make(leftovers *l);

/* How many processes of the job there are. */
int leftovers_processes(const leftovers *l);

/* End every process of the job: our own at once, mpirun when it has noticed that and tidied
 * up, or after a few seconds by force. While waiting, call reap(self), so that a parent may
 * wait for its children; NULL: nobody. Takes at most 4 seconds. */
void leftovers_end_processes(const leftovers *l, void (*reap)(void *self), void *self);

/* The same of those that are workers, and their mpirun. */
void leftovers_end_workers(const leftovers *l, void (*reap)(void *self), void *self);

/* An empty folder for the files of one mpirun, into path. Each has its own: two that begin in
 * one folder may take each other's files for stale ones. */
MUST_CHECK err_t leftovers_session(char path[CONFIG_PATH_MAX], const leftovers *l,
                                   const char *name);

/* An empty folder of shared memory, for other workers of the same job. */
void leftovers_renew(leftovers *l);

/* Remove the folders, and the key. */
void leftovers_clean(const leftovers *l);

#endif
