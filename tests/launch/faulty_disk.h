/* faulty_disk - the calls that write, between a program and its kernel: they fail, dawdle, or
 * end the process, where a test wants it.
 *
 * A test that includes this defines open, write, pwrite, fsync, rename and so on itself, which
 * is what the program under test then calls. Calls that concern `folder`, what it holds, or the
 * folders above it are counted. Before the one whose number is disk->at the process dies
 * (DISK_KILL: what it wrote stays, the last write by half), or the power fails (DISK_POWER:
 * besides, what was not brought to the disk by fsync is lost: bytes of files, and names made,
 * changed or removed in folders; all of it, or what the lot falls on). Or that call and those
 * behind it fail with an errno. */
#ifndef DIPS_TESTS_LAUNCH_FAULTY_DISK_H
#define DIPS_TESTS_LAUNCH_FAULTY_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/rng.h"

enum { DISK_FILES = 256, DISK_NAMES = 512, DISK_DIED = 99 };

typedef enum { DISK_SOUND, DISK_KILL, DISK_POWER, DISK_FAILS, DISK_SLOW } disk_fault;

typedef struct disk_plan {
    disk_fault  fault;
    int         at, calls; /* which call, and DISK_FAILS: how many from there on */
    int         error;     /* DISK_FAILS: errno */
    uint64_t    seed;      /* DISK_POWER: of the lot; 0: all that can be lost is */
    const char *folder;    /* calls about paths with this in them count; NULL: none do */
} disk_plan;

/* A file that is open, or has bytes that a power cut takes. */
typedef struct disk_file {
    char  path[PATH_MAX];
    int   fd;     /* -1: closed */
    off_t synced; /* its size when it was last brought to the disk */
    bool  dirty, used;
} disk_file;

typedef enum {
    DISK_MADE,
    DISK_MOVED,
    DISK_REMOVED,
    DISK_MADE_FOLDER,
    DISK_REMOVED_FOLDER
} disk_change;

/* A change of names that its folder does not hold for good yet. */
typedef struct disk_name {
    disk_change change;
    bool        pending;
    char path[PATH_MAX], from[PATH_MAX], kept[PATH_MAX]; /* kept: what was there before */
} disk_name;

typedef struct faulty_disk {
    disk_plan       plan;
    int            *count; /* of calls; shared with the parent */
    pthread_mutex_t lock;
    disk_file       files[DISK_FILES];
    disk_name       names[DISK_NAMES];
    int             n_names;
} faulty_disk;

static faulty_disk disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- what a power cut takes ---- */

static inline bool disk_loses(void)
{
    static rng  chance;
    static bool begun;

    if (!begun)
        chance = rng_named(disk.plan.seed, RNG_TEST, (uint64_t)disk.plan.at, 5);
    begun = true;
    return disk.plan.seed == 0 || rng_below(&chance, 2) == 0;
}

/* The folder of a path. */
static inline void disk_above(char above[PATH_MAX], const char *path)
{
    const char *slash = strrchr(path, '/');

    snprintf(above, PATH_MAX, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
}

static inline void disk_undo(const disk_name *n)
{
    char line[PATH_MAX + 16];

    switch (n->change) {
    case DISK_MADE:
        syscall(SYS_unlink, n->path);
        break;
    case DISK_MOVED:
        syscall(SYS_rename, n->path, n->from);
        if (n->kept[0])
            syscall(SYS_rename, n->kept, n->path);
        break;
    case DISK_REMOVED:
        syscall(SYS_rename, n->kept, n->path);
        break;
    case DISK_MADE_FOLDER:
        snprintf(line, sizeof line, "rm -rf '%s'", n->path);
        if (system(line) != 0)
            abort();
        break;
    case DISK_REMOVED_FOLDER:
        syscall(SYS_mkdir, n->path, 0777);
    }
}

/* What is left of a file's bytes since its last fsync: nothing, zeros, or a half. */
static inline void disk_lose_bytes(const disk_file *f)
{
    struct stat st;

    if (stat(f->path, &st) != 0)
        return;
    if (truncate(f->path, f->synced) != 0)
        return;
    if (f->synced < st.st_size && disk.plan.seed % 2 == 1)
        (void)!truncate(f->path, st.st_size);
}

static inline void disk_power_cut(void)
{
    for (int i = 0; i < DISK_FILES; i++)
        if (disk.files[i].used && disk.files[i].dirty && disk_loses())
            disk_lose_bytes(&disk.files[i]);
    for (int i = disk.n_names - 1; i >= 0; i--)
        if (disk.names[i].pending && disk_loses())
            disk_undo(&disk.names[i]);
}

/* ---- a call ---- */

static inline bool disk_concerns(const char *path)
{
    const char *folder = disk.plan.folder;
    size_t      n      = strlen(path);

    if (!folder)
        return false;
    return strstr(path, folder) || (!strncmp(path, folder, n) && folder[n] == '/');
}

static inline disk_file *disk_of(int fd)
{
    for (int i = 0; i < DISK_FILES; i++)
        if (disk.files[i].used && disk.files[i].fd == fd)
            return &disk.files[i];
    return NULL;
}

/* A call is due, the lock held: it may be the last one. Its error, or 0. */
static inline int disk_call(void)
{
    const disk_plan *p = &disk.plan;
    int              n = ++*disk.count;

    if ((p->fault == DISK_KILL || p->fault == DISK_POWER) && n == p->at) {
        if (p->fault == DISK_POWER)
            disk_power_cut();
        syscall(SYS_exit_group, DISK_DIED);
    }
    if (p->fault == DISK_SLOW)
        nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    return p->fault == DISK_FAILS && n >= p->at && n < p->at + p->calls ? p->error : 0;
}

/* Note a change of names. kept: where what was there before is kept. */
static inline disk_name *disk_note(disk_change change, const char *path)
{
    if (disk.n_names == DISK_NAMES)
        abort();
    disk_name *n = &disk.names[disk.n_names++];
    *n           = (disk_name){.change = change, .pending = true};
    snprintf(n->path, sizeof n->path, "%s", path);
    return n;
}

/* Another name of what stands at path, for the case that its removal is lost. */
static inline void disk_keep(disk_name *n, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    snprintf(n->kept, sizeof n->kept, "disk-kept-%d", disk.n_names);
    unlinkat(AT_FDCWD, n->kept, 0);
    if (linkat(AT_FDCWD, path, AT_FDCWD, n->kept, 0) != 0)
        abort();
}

/* A file was opened: follow it. */
static inline void disk_follow(int fd, const char *path, bool made)
{
    disk_file *f = disk_of(fd);

    for (int i = 0; !f && i < DISK_FILES; i++)
        if (!disk.files[i].used || (disk.files[i].fd < 0 && !disk.files[i].dirty))
            f = &disk.files[i];
    if (!f)
        abort();
    *f = (disk_file){.fd = fd, .used = true};
    snprintf(f->path, sizeof f->path, "%s", path);
    if (made)
        disk_note(DISK_MADE, path);
}

/* fsync came back: the file's bytes, or the folder's names, are there for good. */
static inline void disk_settle(disk_file *f)
{
    struct stat st;

    if (fstat(f->fd, &st) != 0)
        return;
    f->dirty  = false;
    f->synced = st.st_size;
    for (int i = 0; S_ISDIR(st.st_mode) && i < disk.n_names; i++) {
        char above[PATH_MAX];
        disk_above(above, disk.names[i].path);
        if (!strcmp(above, f->path))
            disk.names[i].pending = false;
    }
}

/* ---- the calls, as the C library declares them ---- */

#define DISK_FAIL(error) (errno = (error), -1)

static inline int disk_open(const char *path, int flags, mode_t mode)
{
    struct stat st;

    if (!disk_concerns(path))
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    pthread_mutex_lock(&disk.lock);
    bool there = stat(path, &st) == 0;
    int  error = flags & O_CREAT ? disk_call() : 0;
    int  fd = error ? DISK_FAIL(error) : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0)
        disk_follow(fd, path, flags & O_CREAT && !there);
    pthread_mutex_unlock(&disk.lock);
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list more;

    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return disk_open(path, flags, mode);
}

int close(int fd)
{
    pthread_mutex_lock(&disk.lock);
    disk_file *f = disk_of(fd);
    if (f)
        f->fd = -1;
    pthread_mutex_unlock(&disk.lock);
    return (int)syscall(SYS_close, fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
    pthread_mutex_lock(&disk.lock);
    disk_file *f = disk_of(fd);
    if (f && disk.plan.fault == DISK_KILL && *disk.count + 1 == disk.plan.at)
        syscall(SYS_pwrite64, fd, bytes, n / 2, offset);
    int     error = f ? disk_call() : 0;
    ssize_t done  = error ? DISK_FAIL(error) : syscall(SYS_pwrite64, fd, bytes, n, offset);
    if (f)
        f->dirty = true;
    pthread_mutex_unlock(&disk.lock);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    pthread_mutex_lock(&disk.lock);
    disk_file *f     = disk_of(fd);
    int        error = f ? disk_call() : 0;
    if (f)
        f->dirty = true;
    pthread_mutex_unlock(&disk.lock);
    return error ? DISK_FAIL(error) : syscall(SYS_write, fd, bytes, n);
}

int fsync(int fd)
{
    pthread_mutex_lock(&disk.lock);
    disk_file *f     = disk_of(fd);
    int        error = f ? disk_call() : 0;
    int        done  = error ? DISK_FAIL(error) : 0; /* no disk need turn for it */
    if (f && done == 0)
        disk_settle(f);
    pthread_mutex_unlock(&disk.lock);
    return done;
}

int fdatasync(int fd)
{
    return fsync(fd);
}

int ftruncate(int fd, off_t size)
{
    pthread_mutex_lock(&disk.lock);
    disk_file *f     = disk_of(fd);
    int        error = f ? disk_call() : 0;
    if (f)
        f->dirty = true;
    pthread_mutex_unlock(&disk.lock);
    return error ? DISK_FAIL(error) : (int)syscall(SYS_ftruncate, fd, size);
}

int rename(const char *from, const char *to)
{
    if (!disk_concerns(to))
        return (int)syscall(SYS_rename, from, to);
    pthread_mutex_lock(&disk.lock);
    int error = disk_call();
    if (!error) {
        disk_name *n = disk_note(DISK_MOVED, to);
        snprintf(n->from, sizeof n->from, "%s", from);
        disk_keep(n, to);
    }
    int done = error ? DISK_FAIL(error) : (int)syscall(SYS_rename, from, to);
    for (int i = 0; done == 0 && i < DISK_FILES; i++)
        if (disk.files[i].used && !strcmp(disk.files[i].path, from))
            snprintf(disk.files[i].path, PATH_MAX, "%s", to);
    pthread_mutex_unlock(&disk.lock);
    return done;
}

int mkdir(const char *path, mode_t mode)
{
    struct stat st;

    if (!disk_concerns(path) || stat(path, &st) == 0)
        return (int)syscall(SYS_mkdir, path, mode);
    pthread_mutex_lock(&disk.lock);
    int error = disk_call();
    int done  = error ? DISK_FAIL(error) : (int)syscall(SYS_mkdir, path, mode);
    if (done == 0)
        disk_note(DISK_MADE_FOLDER, path);
    pthread_mutex_unlock(&disk.lock);
    return done;
}

static inline int disk_remove(const char *path, bool folder)
{
    struct stat st;

    if (!disk_concerns(path) || stat(path, &st) != 0)
        return (int)syscall(folder ? SYS_rmdir : SYS_unlink, path);
    pthread_mutex_lock(&disk.lock);
    int error = disk_call();
    if (!error && folder)
        disk_note(DISK_REMOVED_FOLDER, path);
    else if (!error)
        disk_keep(disk_note(DISK_REMOVED, path), path);
    int done = error ? DISK_FAIL(error) : (int)syscall(folder ? SYS_rmdir : SYS_unlink, path);
    pthread_mutex_unlock(&disk.lock);
    return done;
}

int unlink(const char *path)
{
    return disk_remove(path, false);
}

int rmdir(const char *path)
{
    return disk_remove(path, true);
}

/* From now on, in this process: count the calls in *count, and fail as planned. */
static inline void disk_begin(const disk_plan *plan, int *count)
{
    disk.count = count;
    *count     = 0;
    disk.plan  = *plan;
}

#endif
