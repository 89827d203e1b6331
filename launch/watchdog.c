#include "launch/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/silence.h"

/* What the coordinator writes: '.' a beat, '@' 256 bytes of endpoint, '!' the end. */
#define BEAT     '.'
#define ENDPOINT '@'
#define END      '!'

/* ---- in the watchdog ---- */

typedef struct watch {
    leftovers  leftovers;
    run_folder folder;
    pid_t      coordinator;
    int        pipe;
    silence    silence;
    double     timeout_s;
} watch;

/* Read what is there. Returns END or ENDPOINT or BEAT, 0 where the pipe has closed. */
static char hear(watch *w)
{
    char    kind;
    ssize_t n;

    while ((n = read(w->pipe, &kind, 1)) < 0 && errno == EINTR)
        ;
    if (n != 1)
        return 0;
    if (kind == ENDPOINT) /* written at once, and shorter than PIPE_BUF: it is all there */
        n = read(w->pipe, w->leftovers.endpoint, sizeof w->leftovers.endpoint);
    return n > 0 ? kind : 0;
}

_Noreturn static void mourn(watch *w, const char *how)
{
    char host[256] = "";

    gethostname(host, sizeof host - 1);
    dprintf(STDERR_FILENO,
            "dips: the coordinator (host %s, process %ld) %s; the job is ended\n", host,
            (long)w->coordinator, how);
    if (getppid() == w->coordinator)
        kill(w->coordinator, SIGKILL);
    leftovers_end_processes(&w->leftovers, NULL, NULL);
    leftovers_clean(&w->leftovers);
    run_folder_close(&w->folder);
    _exit(4);
}

_Noreturn static void keep_watch(watch *w)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGTSTP, SIGTTOU};
    char             how[64];

    setpgid(0, 0);
    prctl(PR_SET_NAME, "dips-watchdog");
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    silence_heard(&w->silence, clock_now(clock_monotonic()));
    for (;;) {
        struct pollfd p = {.fd = w->pipe, .events = POLLIN};
        if (poll(&p, 1, 200) > 0) {
            char kind = hear(w);
            if (kind == END)
                _exit(0);
            if (kind == 0)
                mourn(w, "died");
            silence_heard(&w->silence, clock_now(clock_monotonic()));
        } else if (silence_seconds(&w->silence, clock_now(clock_monotonic())) > w->timeout_s) {
            snprintf(how, sizeof how, "was silent for %g s", w->timeout_s);
            mourn(w, how);
        }
    }
}

/* ---- in the coordinator ---- */

err_t watchdog_start(watchdog *w, const leftovers *l, const run_folder *folder,
                     double timeout_s)
{
    watch here = {
        .leftovers = *l, .folder = *folder, .coordinator = getpid(), .timeout_s = timeout_s};
    int ends[2];

    *w = (watchdog){.process = {.pidfd = -1}, .pipe = -1};
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno("starting the watchdog");
    fflush(stdout);
    fflush(stderr);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        here.pipe = ends[0];
        keep_watch(&here);
    }
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return err_errno("starting the watchdog");
    }
    fcntl(ends[1], F_SETFL, O_NONBLOCK); /* nobody waits for a watchdog that hangs */
    w->process.pid = pid;
    w->pipe        = ends[1];
    return OK;
}

/* A watchdog that is gone is found by process_poll. */
static void tell(watchdog *w, const void *bytes, size_t n)
{
    if (w->pipe < 0)
        return;
    ssize_t written = write(w->pipe, bytes, n);
    (void)written;
}

void watchdog_tell_endpoint(watchdog *w, const char *endpoint)
{
    char bytes[1 + NET_ENDPOINT_MAX] = {ENDPOINT};

    snprintf(bytes + 1, sizeof bytes - 1, "%s", endpoint);
    tell(w, bytes, sizeof bytes);
}

void watchdog_beat(watchdog *w)
{
    tell(w, &(char){BEAT}, 1);
}

void watchdog_end(watchdog *w)
{
    if (w->pipe < 0)
        return;
    tell(w, &(char){END}, 1);
    close(w->pipe);
    w->pipe = -1;
    process_signal(&w->process, SIGCONT); /* it may have been stopped */
    if (!process_poll(&w->process))
        waitpid(w->process.pid, NULL, 0);
}
