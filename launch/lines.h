/* lines - the command lines of a run's processes: to be started, or to be typed. */
#ifndef DIPS_LAUNCH_LINES_H
#define DIPS_LAUNCH_LINES_H

#include "launch/launch.h"
#include "launch/words.h"

/* `dips server`: server index of the run, which dials coordinator; on its own host by its own
 * mpirun. session: a folder for mpirun's own files; NULL: where it likes. words_clear. */
MUST_CHECK err_t lines_server(words *w, const launch *l, const char *coordinator, int index,
                              const char *session);

/* `dips worker`, under mpirun where there is more than one. session, shared_memory: folders
 * for mpirun's own files; NULL: where it likes. words_clear. */
MUST_CHECK err_t lines_workers(words *w, const launch *l, const char *coordinator,
                               const char *session, const char *shared_memory);

/* A program that does nothing, on host, by the launcher of a server. words_clear. */
MUST_CHECK err_t lines_question(words *w, const config *c, const char *host,
                                const char *session);

/* Whether lines_workers uses mpirun. */
bool lines_need_mpirun(const config *c);

/* Whether the processes are on several hosts. */
bool lines_leave_host(const config *c);

/* Print all lines of a run that is typed by hand: the coordinator's (the words of its own
 * command line with --attach and --listen), the servers', the workers'. */
MUST_CHECK err_t lines_print(const launch *l, const char *source, int n,
                             char *const *words_given, const char *listen, FILE *to);

/* The same for a run that is one process. */
MUST_CHECK err_t lines_print_alone(const launch *l, const char *source, int n,
                                   char *const *words_given, FILE *to);

#endif
