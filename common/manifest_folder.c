/* The folders of checkpoints: made, found, removed. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/manifest.h"
#include "common/new_file.h"
#include "common/vec.h"

typedef VEC(int64_t) step_list;

void manifest_folder(char folder[CONFIG_PATH_MAX], const char *dir, int64_t step)
{
    int n = snprintf(folder, CONFIG_PATH_MAX, "%s/step-%012" PRId64, dir, step);

    if (n >= CONFIG_PATH_MAX) /* no such folder can be made: mkdir says so */
        memset(folder, 'x', CONFIG_PATH_MAX - 1);
}

/* ---- finding ---- */

/* The step in a folder's name, or -1. */
static int64_t step_of(const char *name)
{
    char    again[64];
    int64_t step;

    if (sscanf(name, "step-%" SCNd64, &step) != 1 || step < 0)
        return -1;
    snprintf(again, sizeof again, "step-%012" PRId64, step);
    return strcmp(name, again) ? -1 : step;
}

static bool has_manifest(const char *dir, int64_t step)
{
    char        folder[CONFIG_PATH_MAX], path[CONFIG_PATH_MAX + 16];
    struct stat st;

    manifest_folder(folder, dir, step);
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int compare_steps(const void *a, const void *b)
{
    int64_t s = *(const int64_t *)a, t = *(const int64_t *)b;
    return s < t ? -1 : s > t;
}

/* All steps with a folder in dir, ascending: those with a manifest to whole, those
 * without to torn (may be NULL). No dir: none. */
static err_t scan(const char *dir, step_list *whole, step_list *torn)
{
    DIR  *d   = opendir(dir);
    err_t err = OK;

    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? OK : err_errno("%s: cannot be read", dir);
    for (struct dirent *e; err == OK && (e = readdir(d));) {
        int64_t    step = step_of(e->d_name);
        step_list *list = step >= 0 && has_manifest(dir, step) ? whole : torn;
        if (step >= 0 && list)
            err = vec_push(list, step);
    }
    closedir(d);
    if (whole->n > 0)
        qsort(whole->at, whole->n, sizeof *whole->at, compare_steps);
    return err;
}

err_t manifest_list(int64_t **steps, int *n, const char *dir)
{
    step_list whole = {0};
    err_t     err   = scan(dir, &whole, NULL);

    if (err != OK)
        vec_clear(&whole);
    *steps = whole.at;
    *n     = (int)whole.n;
    return err;
}

err_t manifest_newest(int64_t *step, const char *dir)
{
    int64_t *steps;
    int      n;

    *step = -1;
    TRY(manifest_list(&steps, &n, dir));
    if (n > 0)
        *step = steps[n - 1];
    free(steps);
    return OK;
}

/* folder = the newest checkpoint in dir; false where there is none. */
static err_t find_newest(bool *found, char folder[CONFIG_PATH_MAX], const char *dir)
{
    int64_t step;

    TRY(manifest_newest(&step, dir));
    *found = step >= 0;
    if (*found)
        manifest_folder(folder, dir, step);
    return OK;
}

err_t manifest_find(char folder[CONFIG_PATH_MAX], const char *path)
{
    char file[CONFIG_PATH_MAX + 16];
    bool found;

    snprintf(file, sizeof file, "%s/manifest.json", path);
    if (access(file, F_OK) == 0) {
        snprintf(folder, CONFIG_PATH_MAX, "%s", path);
        return OK;
    }
    TRY(find_newest(&found, folder, path));
    if (found)
        return OK;
    snprintf(file, sizeof file, "%s/checkpoints", path);
    TRY(find_newest(&found, folder, file));
    return found ? OK
                 : err_set(ERR_FORMAT,
                           "%s: neither a checkpoint (it has no manifest.json) nor a folder "
                           "with one",
                           path);
}

/* ---- removing ---- */

static err_t remove_file(const char *folder, const char *name)
{
    char path[CONFIG_PATH_MAX + NAME_MAX + 2];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return unlink(path) == 0 || errno == ENOENT ? OK : err_errno("%s: cannot be removed", path);
}

/* Remove all files in folder. The manifest goes first, and for good: what a crash leaves
 * is no checkpoint any more. */
static err_t empty_folder(const char *folder)
{
    DIR  *d   = opendir(folder);
    err_t err = OK;

    if (!d)
        return errno == ENOENT ? OK : err_errno("%s: cannot be read", folder);
    err = remove_file(folder, "manifest.json");
    if (err == OK)
        err = new_file_sync_folder(folder);
    for (struct dirent *e; err == OK && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            err = remove_file(folder, e->d_name);
    closedir(d);
    return err;
}

static err_t remove_checkpoint(const char *dir, int64_t step)
{
    char folder[CONFIG_PATH_MAX];

    manifest_folder(folder, dir, step);
    TRY(empty_folder(folder));
    return rmdir(folder) == 0 || errno == ENOENT ? OK
                                                 : err_errno("%s: cannot be removed", folder);
}

/* The step that the checkpoint at step stands upon, or -1. */
static err_t parent_of(int64_t *parent, const char *dir, int64_t step)
{
    char     folder[CONFIG_PATH_MAX];
    manifest m;

    manifest_folder(folder, dir, step);
    TRY(manifest_read(&m, folder));
    *parent = m.parent.there ? m.parent.step : -1;
    manifest_clear(&m);
    return OK;
}

/* Mark the checkpoints that stay: the newest keep, and what those stand upon. */
static err_t choose_kept(bool *stays, const step_list *whole, const char *dir, size_t keep)
{
    for (size_t i = whole->n; i-- > 0;) {
        int64_t parent;
        stays[i] |= whole->n - i <= keep;
        if (!stays[i])
            continue;
        TRY(parent_of(&parent, dir, whole->at[i]));
        for (size_t k = 0; k < i; k++)
            stays[k] |= whole->at[k] == parent;
    }
    return OK;
}

/* A delta goes before its parent, so that none stands upon nothing at any time. */
static err_t remove_others(const step_list *whole, const char *dir, size_t keep)
{
    bool *stays = calloc(whole->n + 1, sizeof *stays);
    err_t err   = stays ? choose_kept(stays, whole, dir, keep)
                        : err_memory(whole->n * sizeof *stays, "a list of checkpoints");

    for (size_t i = whole->n; err == OK && i-- > 0;)
        if (!stays[i])
            err = remove_checkpoint(dir, whole->at[i]);
    free(stays);
    return err;
}

err_t manifest_keep(const char *dir, int keep)
{
    step_list whole = {0}, torn = {0};
    err_t     err  = scan(dir, &whole, &torn);
    size_t    kept = keep < 1 ? 1 : (size_t)keep;

    if (err == OK)
        err = remove_others(&whole, dir, kept);
    for (size_t i = 0; err == OK && i < torn.n; i++)
        if (whole.n > 0 && torn.at[i] < whole.at[whole.n - 1])
            err = remove_checkpoint(dir, torn.at[i]);
    vec_clear(&whole);
    vec_clear(&torn);
    return err;
}

/* ---- making ---- */

/* mkdir -p */
static err_t make_folders(const char *folder)
{
    char path[CONFIG_PATH_MAX];

    snprintf(path, sizeof path, "%s", folder);
    for (char *end = path;; end++) {
        if (*end != '/' && *end != '\0')
            continue;
        char kept = *end;
        *end      = '\0';
        if (*path)
            TRY(new_file_make_folder(path));
        *end = kept;
        if (kept == '\0')
            return OK;
    }
}

/* Remove the attempts that were cut off in dir: on a full disk they take the room that the
 * next one needs. One that cannot be removed is no reason to write no checkpoint. */
static void clean(const char *dir)
{
    step_list whole = {0}, torn = {0};

    if (scan(dir, &whole, &torn) == OK)
        for (size_t i = 0; i < torn.n; i++)
            (void)remove_checkpoint(dir, torn.at[i]);
    vec_clear(&whole);
    vec_clear(&torn);
}

err_t manifest_begin(const char *folder)
{
    char        above[CONFIG_PATH_MAX] = ".";
    const char *slash                  = strrchr(folder, '/');

    if (slash)
        snprintf(above, sizeof above, "%.*s", slash == folder ? 1 : (int)(slash - folder),
                 folder);
    clean(above);
    TRY(make_folders(folder));
    TRY(empty_folder(folder));
    return new_file_sync_folder(above);
}
