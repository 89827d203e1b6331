/* process - a process that this one starts, or watches: started, watched, ended.
 *
 * Ours are waited for, so that their status is known; one that another process started
 * (a worker of mpirun) is held by a pidfd, which tells that it ended and can never come
 * to mean another process. */
#ifndef DIPS_LAUNCH_PROCESS_H
#define DIPS_LAUNCH_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

typedef struct process {
    pid_t pid;   /* 0: none */
    int   pidfd; /* -1: ours */
    bool  ended;
    bool  stopped; /* by SIGSTOP and the like; ours only */
    int   status;  /* of waitpid; ours only */
} process;

typedef struct process_options {
    char *const *argv;     /* ended by NULL; argv[0] is looked up in PATH */
    int          out, err; /* become its standard output and error; standard input is empty */
    int          death_signal; /* that it gets when this thread dies; 0: none */
} process_options;

/* Start a process in a process group of its own, so that a terminal's Ctrl-C is not its
 * business. ERR_SYSTEM names the program that could not be started. */
MUST_CHECK err_t process_start(process *p, const process_options *options);

/* Watch a process of this host by its number. *p has pid 0 where there is no such process,
 * or it does not run this very program. */
void process_watch(process *p, pid_t pid);

/* Look how it is; true once it has ended. */
bool process_poll(process *p);

/* Send signal, unless it ended. */
void process_signal(process *p, int signal);

/* Send signal to one of ours and to all of its group. */
void process_signal_group(process *p, int signal);

/* Let go of it. */
void process_clear(process *p);

/* "was killed by signal 9 (Killed)", "ended with status 1", or "died" where the status is
 * not known. */
void process_end_text(const process *p, char *text, size_t size);

/* Whether PATH has a program called name. */
bool process_program_exists(const char *name);

/* The path of this program into path. */
MUST_CHECK err_t process_own_path(char *path, size_t size);

#endif
