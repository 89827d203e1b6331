#include "launch/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "launch/run_folder.h"

err_t leftovers_name(leftovers *l, const char *folder)
{
    unsigned random   = 0;
    char    *absolute = realpath(folder, NULL);

    *l = (leftovers){0};
    if (!absolute)
        return err_errno("finding the folder %s", folder);
    err_t err = run_folder_path(l->session, absolute, "session");
    if (err == OK)
        err = run_folder_path(l->key, absolute, RUN_FOLDER_KEY);
    free(absolute);
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (unsigned)getppid();
    snprintf(l->shared_memory, sizeof l->shared_memory, "/dev/shm/dips-%ld-%08x",
             (long)getpid(), random);
    return err;
}

err_t leftovers_make(leftovers *l)
{
    if (mkdir(l->session, 0700) != 0 && errno != EEXIST)
        return err_errno("making the folder %s", l->session);
    if (mkdir(l->shared_memory, 0700) != 0)
        *l->shared_memory = '\0';
    return OK;
}

err_t leftovers_session(char path[CONFIG_PATH_MAX], const leftovers *l, const char *name)
{
    TRY(run_folder_path(path, l->session, name));
    run_folder_remove_tree(path);
    return mkdir(path, 0700) == 0 ? OK : err_errno("making the folder %s", path);
}

/* ---- processes ---- */

/* The command line of a process, words ended by zeros, and its size. */
static size_t read_command_line(const char *pid, char *text, size_t size)
{
    char path[300];

    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    size_t n = fread(text, 1, size - 1, f);
    fclose(f);
    text[n] = '\0';
    return n;
}

/* Which processes of the job: those whose line says "ROLE --coordinator ENDPOINT". */
typedef struct which {
    const char *endpoint;
    const char *role; /* NULL: all */
} which;

/* Whether the words say so; *ours: the program is not mpirun. */
static bool belongs(const char *text, size_t n, const which *w, bool *ours)
{
    const char *before = "";
    bool        found  = false;

    *ours = true;
    for (const char *at = text; at < text + n; before = at, at += strlen(at) + 1) {
        const char *next = at + strlen(at) + 1;
        const char *base = strrchr(at, '/') ? strrchr(at, '/') + 1 : at;
        if (!strcmp(base, "mpirun"))
            *ours = false;
        if (!strcmp(at, "--coordinator") && next < text + n && !strcmp(next, w->endpoint) &&
            (!w->role || !strcmp(before, w->role)))
            found = true;
    }
    return found;
}

/* Send signal (0: none) to the processes of the job, all or only our own; how many there
 * are. */
static int signal_all(const which *w, int signal, bool only_ours)
{
    DIR *proc  = opendir("/proc");
    int  count = 0;

    if (!proc)
        return 0;
    for (struct dirent *e; (e = readdir(proc));) {
        char text[16384];
        bool ours;
        if (e->d_name[0] < '0' || e->d_name[0] > '9')
            continue;
        size_t n   = read_command_line(e->d_name, text, sizeof text);
        pid_t  pid = (pid_t)atoi(e->d_name);
        if (pid == getpid() || !belongs(text, n, w, &ours) || kill(pid, 0) != 0)
            continue;
        count++;
        if (signal && (ours || !only_ours))
            kill(pid, signal);
    }
    closedir(proc);
    return count;
}

int leftovers_processes(const leftovers *l)
{
    return *l->endpoint ? signal_all(&(which){l->endpoint, NULL}, 0, false) : 0;
}

/* Wait until none is left; false where some still are after seconds. */
static bool wait_for_none(const which *w, double seconds, void (*reap)(void *self), void *self)
{
    const clock_source *clock = clock_monotonic();
    int64_t             start = clock_now(clock);

    for (;;) {
        struct timespec nap = {.tv_nsec = 10 * NS_PER_MS};
        if (reap)
            reap(self);
        if (signal_all(w, 0, false) == 0)
            return true;
        if (clock_seconds(clock, start) > seconds)
            return false;
        nanosleep(&nap, NULL);
    }
}

static void end(const which *w, void (*reap)(void *self), void *self)
{
    if (!*w->endpoint)
        return;
    signal_all(w, SIGKILL, true);
    if (wait_for_none(w, 1.5, reap, self))
        return;
    signal_all(w, SIGCONT, false);
    signal_all(w, SIGTERM, false);
    if (wait_for_none(w, 1.5, reap, self))
        return;
    signal_all(w, SIGKILL, false);
    wait_for_none(w, 1, reap, self);
}

void leftovers_end_processes(const leftovers *l, void (*reap)(void *self), void *self)
{
    end(&(which){l->endpoint, NULL}, reap, self);
}

void leftovers_end_workers(const leftovers *l, void (*reap)(void *self), void *self)
{
    end(&(which){l->endpoint, "worker"}, reap, self);
}

static void remove_folders(const leftovers *l)
{
    if (*l->session)
        run_folder_remove_tree(l->session);
    if (*l->shared_memory)
        run_folder_remove_tree(l->shared_memory);
}

void leftovers_renew(leftovers *l)
{
    if (!*l->shared_memory)
        return;
    run_folder_remove_tree(l->shared_memory);
    if (mkdir(l->shared_memory, 0700) != 0)
        *l->shared_memory = '\0';
}

void leftovers_clean(const leftovers *l)
{
    remove_folders(l);
    if (*l->key)
        unlink(l->key);
}
