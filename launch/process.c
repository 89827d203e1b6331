#include "launch/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- start ---- */

/* In the child: become the program, or write errno to report. Only calls that are safe
 * after the fork of a process with threads. */
_Noreturn static void become(const process_options *o, pid_t parent, int report)
{
    static const int reset[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGTSTP, SIGCHLD};
    sigset_t         none;
    int              nothing = open("/dev/null", O_RDONLY);

    setpgid(0, 0);
    if (o->death_signal) {
        prctl(PR_SET_PDEATHSIG, o->death_signal);
        if (getppid() != parent)
            _exit(1); /* it died before we asked to be told */
    }
    for (size_t i = 0; i < sizeof reset / sizeof *reset; i++)
        signal(reset[i], SIG_DFL);
    signal(SIGTTOU, SIG_IGN); /* it may write to the terminal of the group in front */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(o->out, STDOUT_FILENO) >= 0 &&
        dup2(o->err, STDERR_FILENO) >= 0)
        execvp(o->argv[0], o->argv);
    int     cause   = errno;
    ssize_t written = write(report, &cause, sizeof cause);
    _exit(written == sizeof cause ? 127 : 126);
}

err_t process_start(process *p, const process_options *options)
{
    pid_t parent = getpid();
    int   report[2], cause = 0;

    *p = (process){.pidfd = -1};
    if (pipe2(report, O_CLOEXEC) != 0)
        return err_errno("starting %s", options->argv[0]);
    pid_t pid = fork();
    if (pid == 0)
        become(options, parent, report[1]);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return err_errno("starting %s", options->argv[0]);
    }
    ssize_t n; /* nothing comes where exec went well: the pipe closes itself */
    while ((n = read(report[0], &cause, sizeof cause)) < 0 && errno == EINTR)
        ;
    close(report[0]);
    if (n == sizeof cause) {
        waitpid(pid, NULL, 0);
        errno = cause;
        return err_errno("starting %s", options->argv[0]);
    }
    p->pid = pid;
    return OK;
}

/* ---- watch ---- */

/* Whether the process with that number runs the same program as this one. */
static bool is_dips(pid_t pid)
{
    char path[64], ours[4096], theirs[4096];

    snprintf(path, sizeof path, "/proc/%ld/exe", (long)pid);
    ssize_t n = readlink("/proc/self/exe", ours, sizeof ours);
    ssize_t m = readlink(path, theirs, sizeof theirs);
    return n > 0 && n == m && !memcmp(ours, theirs, (size_t)n);
}

void process_watch(process *p, pid_t pid)
{
    *p     = (process){.pidfd = -1};
    int fd = pidfd_open(pid, 0);
    if (fd < 0)
        return;
    if (!is_dips(pid)) {
        close(fd);
        return;
    }
    p->pid   = pid;
    p->pidfd = fd;
}

static void poll_child(process *p)
{
    int   status;
    pid_t got;

    while ((got = waitpid(p->pid, &status, WNOHANG | WUNTRACED | WCONTINUED)) == p->pid) {
        if (WIFSTOPPED(status)) {
            p->stopped = true;
        } else if (WIFCONTINUED(status)) {
            p->stopped = false;
        } else {
            p->ended  = true;
            p->status = status;
            return;
        }
    }
    if (got < 0 && errno == ECHILD)
        p->ended = true;
}

bool process_poll(process *p)
{
    if (p->pid == 0 || p->ended)
        return p->ended;
    if (p->pidfd < 0) {
        poll_child(p);
    } else {
        struct pollfd gone = {.fd = p->pidfd, .events = POLLIN};
        p->ended           = poll(&gone, 1, 0) == 1 && (gone.revents & POLLIN);
    }
    return p->ended;
}

void process_signal(process *p, int signal)
{
    if (p->pid == 0 || process_poll(p))
        return;
    if (p->pidfd < 0)
        kill(p->pid, signal);
    else
        pidfd_send_signal(p->pidfd, signal, NULL, 0);
}

void process_signal_group(process *p, int signal)
{
    if (p->pid != 0 && !process_poll(p))
        kill(-p->pid, signal);
}

void process_clear(process *p)
{
    if (p->pid != 0 && p->pidfd >= 0)
        close(p->pidfd);
    *p = (process){.pidfd = -1};
}

void process_end_text(const process *p, char *text, size_t size)
{
    if (p->pidfd >= 0 || !p->ended)
        snprintf(text, size, "died");
    else if (WIFSIGNALED(p->status))
        snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(p->status),
                 strsignal(WTERMSIG(p->status)));
    else
        snprintf(text, size, "ended with status %d", WEXITSTATUS(p->status));
}

/* ---- programs ---- */

bool process_program_exists(const char *name)
{
    const char *path = getenv("PATH");

    for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
        char   file[4096];
        size_t n = strcspn(at, ":");
        snprintf(file, sizeof file, "%.*s/%s", (int)n, at, name);
        if (access(file, X_OK) == 0)
            return true;
        at += n + (at[n] == ':');
    }
    return false;
}

err_t process_own_path(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);

    if (n < 0)
        return err_errno("finding the path of this program");
    path[n] = '\0';
    return OK;
}
