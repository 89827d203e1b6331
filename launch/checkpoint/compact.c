/* `dips checkpoint compact`: a delta becomes a full checkpoint. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/clock.h"
#include "launch/checkpoint/rewrite.h"
#include "launch/checkpoint/tools.h"
#include "launch/flags.h"

/* ---- may it be written in place? ---- */

/* The folder of path, its name resolved; beside: the folder that it is in. */
static err_t resolve(char beside[CONFIG_PATH_MAX], const char *folder)
{
    char *path = realpath(folder, NULL);

    if (!path)
        return err_errno("%s", folder);
    char *slash = strrchr(path, '/');
    *slash      = '\0';
    int n       = snprintf(beside, CONFIG_PATH_MAX, "%s", path);
    free(path);
    return n < CONFIG_PATH_MAX ? OK : err_set(ERR_USAGE, "%s: the path is too long", folder);
}

/* Another delta names its parent's manifest by its checksum, and would stand upon nothing. */
static err_t check_child(const char *folder, const manifest *other, const source *s)
{
    if (!other->parent.there || other->parent.step != s->manifest->step ||
        other->parent.xxh3 != s->manifest->xxh3)
        return OK;
    return err_set(ERR_USAGE,
                   "%s stands upon %s, which can therefore not be replaced: compact that one "
                   "first, or name an OUT",
                   folder, s->folder);
}

static err_t check_children(const source *s, const char *beside)
{
    int64_t *steps;
    int      n;
    err_t    err = OK;

    TRY(manifest_list(&steps, &n, beside));
    for (int i = 0; err == OK && i < n; i++) {
        char     folder[CONFIG_PATH_MAX];
        manifest m;
        manifest_folder(folder, beside, steps[i]);
        if (steps[i] <= s->manifest->step || manifest_read(&m, folder) != OK)
            continue;
        err = check_child(folder, &m, s);
        manifest_clear(&m);
    }
    free(steps);
    return err;
}

/* Hold the lock of the run whose checkpoints/ the folder is in (launch/run_folder.h), where it
 * is one: a job would write its next delta upon the one that is replaced. *lock: close it; -1:
 * there is none. */
static err_t hold_run(int *lock, const char *beside)
{
    char path[CONFIG_PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/../lock", beside);
    *lock = open(path, O_RDWR | O_CLOEXEC);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return OK;
    err_t err = errno == EWOULDBLOCK
                    ? err_set(ERR_USAGE,
                              "%s/..: a job is at work there, and may go on from what would be "
                              "replaced: name an OUT, or wait for its end",
                              beside)
                    : err_errno("%s: cannot be locked", path);
    close(*lock);
    *lock = -1;
    return err;
}

/* ---- the work ---- */

static err_t write_full(const source *s, const char *out, bool replacing, int64_t since)
{
    rewritten done;

    TRY(rewrite_checkpoint(s, out, replacing, 0, &done));
    printf("%s: step %" PRId64 ", full: a chain of %d, %s, became %s rows, %s, %s\n", out,
           s->manifest->step, s->chain.n, tool_bytes(s->bytes).at, tool_count(done.rows).at,
           tool_bytes(done.bytes).at, tool_pace(s->bytes + done.bytes, since).at);
    return OK;
}

static err_t replace(const source *s, int64_t since)
{
    char  beside[CONFIG_PATH_MAX];
    int   lock;
    err_t err;

    if (s->chain.n == 1) {
        printf("%s: step %" PRId64 " is full already\n", s->folder, s->manifest->step);
        return OK;
    }
    TRY(resolve(beside, s->folder));
    TRY(hold_run(&lock, beside));
    err = check_children(s, beside);
    if (err == OK)
        err = write_full(s, s->folder, true, since);
    if (lock >= 0)
        close(lock);
    return err;
}

static err_t compact(const char *from, const char *to)
{
    int64_t since = clock_now(clock_monotonic());
    source  s;
    err_t   err = source_open(&s, from);

    if (err == OK)
        err = to ? write_full(&s, to, false, since) : replace(&s, since);
    source_close(&s);
    return err;
}

err_t checkpoint_compact(int argc, char **argv)
{
    static const char usage[] = "dips checkpoint compact DELTA [OUT]";
    static const char about[] =
        "Fold a delta and all that it stands upon into one full checkpoint of its step, the\n"
        "same to the bit as if no deltas had been written. It becomes OUT, or takes the\n"
        "place of DELTA once it is complete: not while a job is at work in the run, nor\n"
        "where another delta stands upon DELTA. What DELTA stood upon stays. One bucket of\n"
        "4096 of each is in memory at a time.";
    const flag flags[] = {{0}};
    int        n;
    bool       helped;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, &helped));
    if (helped)
        return OK;
    if (n < 1 || n > 2)
        return err_set(ERR_USAGE, "wanted DELTA and perhaps OUT, not %d words; usage: %s", n,
                       usage);
    return compact(argv[0], n == 2 ? argv[1] : NULL);
}
