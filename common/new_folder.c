#include "common/new_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/new_file.h"

#define SUFFIX    ".dips-new"
#define OLD       ".dips-old"
#define OPEN_MOST 16 /* folders that are open at a time while a tree is removed */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st, (void)type, (void)place;
    return remove(path);
}

/* Remove a folder with all that is in it; one that is not there is removed already. */
static err_t remove_tree(const char *path)
{
    if (nftw(path, remove_entry, OPEN_MOST, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return OK;
    return err_errno("%s: cannot be removed", path);
}

static err_t join(char to[CONFIG_PATH_MAX], const char *path, const char *suffix)
{
    int n = snprintf(to, CONFIG_PATH_MAX, "%s%s", path, suffix);

    return n < CONFIG_PATH_MAX ? OK : err_set(ERR_USAGE, "%s: the path is too long", path);
}

/* path without the slashes at its end. */
static err_t take_path(new_folder *f, const char *path)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0 || n >= CONFIG_PATH_MAX - sizeof SUFFIX)
        return err_set(ERR_USAGE, "'%s' can be no folder's name", path);
    memcpy(f->path, path, n);
    f->path[n] = '\0';
    return OK;
}

err_t new_folder_begin(new_folder *f, const char *path, bool replacing)
{
    struct stat st;

    *f = (new_folder){0};
    TRY(take_path(f, path));
    if (!replacing && lstat(f->path, &st) == 0)
        return err_set(ERR_USAGE, "%s is there already; it is not written over", f->path);
    TRY(join(f->temporary, f->path, SUFFIX));
    err_t err = remove_tree(f->temporary);
    if (err == OK && mkdir(f->temporary, 0777) != 0)
        err = err_errno("%s: cannot be made", f->temporary);
    if (err != OK)
        *f = (new_folder){0};
    return err;
}

static err_t sync_parent(const char *path)
{
    char        above[CONFIG_PATH_MAX] = ".";
    const char *slash                  = strrchr(path, '/');

    if (slash)
        snprintf(above, sizeof above, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return new_file_sync_folder(above);
}

/* rename with flags; EINVAL is what a file system answers that does not know them. */
static int rename_with(const char *from, const char *to, unsigned flags)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* A folder takes the name of no other one but an empty one, which new_folder_begin did not
 * see. */
static err_t take_name(const new_folder *f)
{
    if (rename_with(f->temporary, f->path, RENAME_NOREPLACE) == 0)
        return OK;
    if (errno == EINVAL && rename(f->temporary, f->path) == 0)
        return OK;
    return err_errno("%s: cannot take the name %s", f->temporary, f->path);
}

err_t new_folder_finish(new_folder *f)
{
    err_t err = new_file_sync_folder(f->temporary);

    if (err == OK)
        err = take_name(f);
    if (err == OK)
        err = sync_parent(f->path);
    else
        new_folder_abandon(f);
    *f = (new_folder){0};
    return err;
}

/* Two renames in place of an exchange; what stood there comes back where the second fails. */
static err_t change_places(const new_folder *f)
{
    char old[CONFIG_PATH_MAX];

    TRY(join(old, f->path, OLD));
    if (rename(f->path, old) != 0)
        return err_errno("%s: cannot be moved to %s", f->path, old);
    if (rename(f->temporary, f->path) != 0) {
        err_t err = err_errno("%s: cannot take the place of %s", f->temporary, f->path);
        (void)rename(old, f->path);
        return err;
    }
    return rename(old, f->temporary) == 0 ? OK : err_errno("%s: cannot be moved away", old);
}

static err_t exchange(const new_folder *f)
{
    if (rename_with(f->temporary, f->path, RENAME_EXCHANGE) == 0)
        return OK;
    if (errno == EINVAL)
        return change_places(f);
    return err_errno("%s: cannot take the place of %s", f->temporary, f->path);
}

err_t new_folder_replace(new_folder *f)
{
    err_t err = new_file_sync_folder(f->temporary);

    if (err == OK)
        err = exchange(f);
    if (err != OK) {
        new_folder_abandon(f);
        return err;
    }
    err = sync_parent(f->path);
    if (err == OK) /* what stood there before has that name now */
        err = remove_tree(f->temporary);
    *f = (new_folder){0};
    return err;
}

void new_folder_abandon(new_folder *f)
{
    if (*f->temporary)
        (void)remove_tree(f->temporary);
    *f = (new_folder){0};
}
