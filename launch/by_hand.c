#include "launch/by_hand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "launch/coordinator.h"
#include "launch/ranks.h"
#include "launch/run_key.h"

#define ELSEWHERE_S  2    /* after which rank 0 has not found the same */
#define LAST_WORDS_S 15.0 /* for the coordinator to end after the ranks did */

/* What the ranks must know: goes through the pipe, then from rank 0 to all. */
typedef struct place {
    err_t code; /* of the coordinator's start */
    char  endpoint[NET_ENDPOINT_MAX];
    char  folder[CONFIG_PATH_MAX];
    char  key[CONFIG_PATH_MAX]; /* "": messages are open */
} place;

/* ---- the coordinator's process ---- */

typedef struct coordinating {
    const launch *launch;
    int           pipe;
} coordinating;

static void tell(int pipe, const place *p)
{
    ssize_t n = write(pipe, p, sizeof *p); /* shorter than PIPE_BUF: all or nothing */
    (void)n;                               /* a rank 0 that is gone will be missed soon */
    close(pipe);
}

static void listening(void *self, const char *endpoint)
{
    coordinating *c = self;
    place         p = {.code = OK};

    snprintf(p.endpoint, sizeof p.endpoint, "%s", endpoint);
    snprintf(p.folder, sizeof p.folder, "%s", c->launch->folder);
    snprintf(p.key, sizeof p.key, "%s", c->launch->key ? c->launch->key : "");
    tell(c->pipe, &p);
    c->pipe = -1;
}

/* Before the ranks are ended, for mpirun forwards no words of ranks that are gone. */
static void failing(void *self)
{
    (void)self;
    fprintf(stderr, "dips: %s\n", err_text());
}

_Noreturn static void coordinate(launch *l, const start_options *options, int pipe)
{
    coordinating              c = {.launch = l, .pipe = pipe};
    run_folder                f = {.lock = -1};
    char                      key[CONFIG_PATH_MAX];
    err_t                     err;
    const coordinator_options coordinator = {
        .start_servers = true, .listening = listening, .failing = failing, .self = &c};

    setpgid(0, 0); /* mpirun ends the group of rank 0 */
    err = options->open_folder(options->self, &f);
    if (err == OK)
        err = run_key_path(key, l->config, f.path, options->key, NULL);
    if (err == OK) {
        l->folder = f.path;
        l->held   = &f;
        l->key    = *key ? key : NULL;
        err       = coordinator_run(l, &coordinator);
    } else {
        failing(NULL);
    }
    run_folder_close(&f);
    if (c.pipe >= 0)
        tell(c.pipe, &(place){.code = err});
    fflush(stdout);
    _exit(err_exit_status(err));
}

/* ---- the ranks ---- */

static err_t fork_coordinator(launch *l, const start_options *options, pid_t *pid, place *p)
{
    int     ends[2];
    ssize_t n;

    if (pipe2(ends, O_CLOEXEC) != 0 || (*pid = fork()) < 0)
        return err_errno("starting the coordinator");
    if (*pid == 0) {
        close(ends[0]);
        coordinate(l, options, ends[1]);
    }
    close(ends[1]);
    while ((n = read(ends[0], p, sizeof *p)) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    if (n != sizeof *p)
        p->code = ERR_DEATH;
    return OK;
}

/* From here on only the coordinator speaks. */
static void fall_silent(void)
{
    int nothing = open("/dev/null", O_WRONLY);

    fflush(stderr);
    if (nothing >= 0) {
        dup2(nothing, STDERR_FILENO);
        close(nothing);
    }
}

void by_hand_let_rank_0_speak(void)
{
    int rank, size;

    ranks_place(&rank, &size);
    if (rank == 0)
        return;
    fall_silent();
    sleep(ELSEWHERE_S); /* mpirun ends us when rank 0 has ended */
}

static void wait_for_coordinator(pid_t pid)
{
    const clock_source *clock = clock_monotonic();
    int64_t             start = clock_now(clock);
    struct timespec     nap   = {.tv_nsec = 10 * NS_PER_MS};

    while (waitpid(pid, NULL, WNOHANG) == 0 && clock_seconds(clock, start) < LAST_WORDS_S)
        nanosleep(&nap, NULL);
}

err_t by_hand_run(launch *l, const start_options *options)
{
    place p       = {.code = OK};
    comm *workers = NULL;
    pid_t pid     = -1;
    int   rank, size;

    ranks_place(&rank, &size);
    if (rank == 0)
        TRY(fork_coordinator(l, options, &pid, &p));
    err_t err = ranks_join(&workers, l->config);
    if (err == OK)
        err = comm_broadcast(workers, &p, sizeof p);
    if (err == OK && p.code != OK) {
        fall_silent();
        err = err_set(p.code, "the coordinator could not begin");
    }
    if (err == OK) {
        l->folder = p.folder;
        l->key    = *p.key ? p.key : NULL;
        err       = ranks_work(l, p.endpoint, &workers);
    }
    comm_close(&workers);
    if (rank == 0)
        wait_for_coordinator(pid);
    return err;
}
