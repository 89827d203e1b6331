#include "launch/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/manifest.h"
#include "common/new_file.h"
#include "worker/learner.h"

err_t run_folder_path(char out[CONFIG_PATH_MAX], const char *path, const char *name)
{
    if (snprintf(out, CONFIG_PATH_MAX, "%s/%s", path, name) >= CONFIG_PATH_MAX)
        return err_set(ERR_CONFIG, "the path %s/%s is longer than %d bytes", path, name,
                       CONFIG_PATH_MAX - 1);
    return OK;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    remove(path);
    return 0;
}

void run_folder_remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- making it ---- */

/* path and the folders above it. */
static err_t make_folders(const char *path)
{
    char part[CONFIG_PATH_MAX];

    if (strlen(path) >= sizeof part)
        return err_set(ERR_CONFIG, "the path %s is longer than %zu bytes", path,
                       sizeof part - 1);
    for (size_t n = 1; path[n]; n++) {
        if (path[n] != '/' || path[n - 1] == '/')
            continue;
        memcpy(part, path, n);
        part[n] = '\0';
        TRY(new_file_make_folder(part));
    }
    return new_file_make_folder(path);
}

err_t run_folder_new_name(char path[CONFIG_PATH_MAX], const char *source)
{
    const char *slash = strrchr(source, '/'), *name = slash ? slash + 1 : source;
    const char *dot    = strrchr(name, '.');
    int         length = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
    char        date[32];
    time_t      now = time(NULL);
    struct tm   local;

    strftime(date, sizeof date, "%Y%m%d-%H%M%S", localtime_r(&now, &local));
    if (snprintf(path, CONFIG_PATH_MAX, "runs/%.*s-%s", length, name, date) >=
        CONFIG_PATH_MAX - 8)
        return err_set(ERR_CONFIG, "the file name %s is too long for a run's name", name);
    return OK;
}

/* A new runs/NAME-DATE, or -2, -3, ... behind it where others began in the same second. */
static err_t make_dated(char path[CONFIG_PATH_MAX], const char *source)
{
    TRY(run_folder_new_name(path, source));
    TRY(new_file_make_folder("runs"));
    size_t n = strlen(path);
    for (int again = 1; again < 1000; again++) {
        if (again > 1)
            snprintf(path + n, CONFIG_PATH_MAX - n, "-%d", again);
        if (mkdir(path, 0777) == 0)
            return new_file_sync_folder("runs");
        if (errno != EEXIST)
            return err_errno("making the folder %s", path);
    }
    return err_set(ERR_SYSTEM, "cannot find a free name like %s", path);
}

/* ---- the lock ---- */

/* Say who holds the lock: the file says it in words. */
static err_t refuse_locked(const char *path, int descriptor)
{
    char    holder[256];
    ssize_t n = pread(descriptor, holder, sizeof holder - 1, 0);

    holder[n > 0 ? n : 0]         = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return err_set(ERR_USAGE, "the run folder %s is used by another job (%s)", path,
                   *holder ? holder : "that has just begun");
}

/* The file may be removed by the job that held it, between our open and our lock: then a
 * lock on it is worth nothing, and a new file is made. */
static err_t lock(run_folder *f)
{
    char file[CONFIG_PATH_MAX], host[256] = "";

    TRY(run_folder_path(file, f->path, "lock"));
    for (;;) {
        struct stat ours, named;
        f->lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (f->lock < 0)
            return err_errno("opening %s", file);
        if (flock(f->lock, LOCK_EX | LOCK_NB) != 0) {
            err_t err = errno == EWOULDBLOCK ? refuse_locked(f->path, f->lock)
                                             : err_errno("locking %s", file);
            close(f->lock);
            f->lock = -1;
            return err;
        }
        if (fstat(f->lock, &ours) == 0 && stat(file, &named) == 0 &&
            ours.st_ino == named.st_ino)
            break;
        close(f->lock);
    }
    gethostname(host, sizeof host - 1);
    if (ftruncate(f->lock, 0) != 0 ||
        dprintf(f->lock, "process %ld on host %s\n", (long)getpid(), host) < 0)
        return err_errno("writing %s", file);
    return OK;
}

static void unlock(run_folder *f)
{
    char file[CONFIG_PATH_MAX];

    if (f->lock < 0)
        return;
    if (run_folder_path(file, f->path, "lock") == OK)
        unlink(file);
    close(f->lock);
    f->lock = -1;
}

/* ---- what is in it ---- */

static err_t write_configuration(const char *path, const config *c)
{
    char   file[CONFIG_PATH_MAX];
    char  *text = NULL;
    size_t size = 0;

    TRY(run_folder_path(file, path, "run.yaml"));
    err_t err = config_text(&text, &size, c);
    if (err == OK)
        err = new_file_put(file, text, size);
    free(text);
    return err;
}

static err_t find_checkpoints(char dir[CONFIG_PATH_MAX], const char *path, const config *c)
{
    if (!*c->checkpoint.dir)
        return run_folder_path(dir, path, "checkpoints");
    snprintf(dir, CONFIG_PATH_MAX, "%s", c->checkpoint.dir);
    return OK;
}

err_t run_folder_newest(int64_t *step, const char *path, const config *c)
{
    char dir[CONFIG_PATH_MAX];

    TRY(find_checkpoints(dir, path, c));
    return manifest_newest(step, dir);
}

/* The configuration makes a model, and the run that is there can go on with it. */
static err_t check_resumable(const char *path, bool fresh, const config *c, const schema *s)
{
    char     file[CONFIG_PATH_MAX], dir[CONFIG_PATH_MAX], folder[CONFIG_PATH_MAX];
    int64_t  step;
    manifest m;

    TRY(run_folder_path(file, path, "run.yaml"));
    TRY(find_checkpoints(dir, path, c));
    TRY(manifest_newest(&step, dir));
    if (fresh && (step >= 0 || access(file, F_OK) == 0))
        return err_set(ERR_USAGE, "%s has a run in it; without --fresh it would go on", path);
    if (step < 0)
        return learner_check(c, s, NULL);
    manifest_folder(folder, dir, step);
    TRY(manifest_read(&m, folder));
    err_t err = manifest_agrees(&m, folder, s);
    manifest_clear(&m);
    return err == OK ? learner_check(c, s, folder) : err;
}

static err_t fill(run_folder *f, bool fresh, const config *c, const schema *s)
{
    char folder[CONFIG_PATH_MAX];

    TRY(lock(f));
    if (s)
        TRY(check_resumable(f->path, fresh, c, s));
    TRY(run_folder_path(folder, f->path, "logs"));
    TRY(new_file_make_folder(folder));
    TRY(write_configuration(f->path, c));
    TRY(run_folder_path(folder, f->path, "session")); /* of a job that was killed */
    run_folder_remove_tree(folder);
    TRY(run_folder_path(folder, f->path, RUN_FOLDER_KEY));
    unlink(folder);
    return OK;
}

err_t run_folder_open(run_folder *f, const char *dir, const char *source, bool fresh,
                      const config *c, const schema *s)
{
    *f = (run_folder){.lock = -1};
    if (dir) {
        size_t n = strlen(dir);
        while (n > 1 && dir[n - 1] == '/')
            n--;
        snprintf(f->path, sizeof f->path, "%.*s", (int)n, dir);
        TRY(make_folders(dir));
    } else {
        TRY(make_dated(f->path, source));
        log_once(LOG_INFO, "the run is kept in %s", f->path);
    }
    err_t err = fill(f, fresh, c, s);
    if (err != OK)
        unlock(f);
    return err;
}

err_t run_folder_open_temporary(run_folder *f, const config *c)
{
    const char *parent = getenv("TMPDIR");

    *f = (run_folder){.lock = -1, .temporary = true};
    if (snprintf(f->path, sizeof f->path, "%s/dips-XXXXXX",
                 parent && *parent ? parent : "/tmp") >= (int)sizeof f->path)
        return err_set(ERR_SYSTEM, "TMPDIR is longer than %d bytes", CONFIG_PATH_MAX);
    if (!mkdtemp(f->path))
        return err_errno("making a temporary folder %s", f->path);
    err_t err = fill(f, false, c, NULL);
    if (err != OK)
        run_folder_close(f);
    return err;
}

void run_folder_close(run_folder *f)
{
    unlock(f);
    if (f->temporary)
        run_folder_remove_tree(f->path);
    f->temporary = false;
}

/* ---- logs ---- */

err_t run_folder_log(const char *path, const char *name, int *descriptor)
{
    char file[CONFIG_PATH_MAX], tail[128];

    snprintf(tail, sizeof tail, "logs/%s.log", name);
    TRY(run_folder_path(file, path, tail));
    *descriptor = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *descriptor < 0 ? err_errno("opening %s", file) : OK;
}

err_t run_folder_redirect(const char *path, const char *name)
{
    int log;

    TRY(run_folder_log(path, name, &log));
    fflush(stdout);
    fflush(stderr);
    if (dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0) {
        close(log);
        return err_errno("writing to logs/%s.log", name);
    }
    close(log);
    return OK;
}
