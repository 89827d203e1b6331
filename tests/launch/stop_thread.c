/* stop_thread TID - a thread hangs while the others of its process go on.
 *
 * A signal stops whole processes; what a debugger holds (ptrace) is one thread. It is held until
 * it ends, or this program does. Status 77: the system lets nobody hold others. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
    pid_t thread = argc == 2 ? (pid_t)atoi(argv[1]) : 0;
    int   status;

    if (thread <= 0) {
        fprintf(stderr, "usage: stop_thread TID\n");
        return 2;
    }
    if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) != 0 ||
        ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0) {
        fprintf(stderr, "stop_thread: thread %d: %s\n", (int)thread, strerror(errno));
        return errno == EPERM || errno == ENOSYS ? 77 : 1;
    }
    while (waitpid(thread, &status, __WALL) == thread && !WIFEXITED(status) &&
           !WIFSIGNALED(status))
        ; /* it stopped, and is not let go */
    return 0;
}
