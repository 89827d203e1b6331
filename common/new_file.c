#include "common/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void clear(new_file *f)
{
    if (f->path)
        close(f->fd);
    free(f->path);
    free(f->temporary);
    *f = (new_file){0};
}

err_t new_file_create(new_file *f, const char *path)
{
    size_t length = strlen(path);

    *f             = (new_file){.fd = -1};
    char *name     = strdup(path);
    char *tempname = malloc(length + sizeof ".tmp");
    if (!name || !tempname) {
        free(name);
        free(tempname);
        return err_memory(2 * length, "a file's name");
    }
    snprintf(tempname, length + sizeof ".tmp", "%s.tmp", path);
    int fd = open(tempname, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) {
        err_t err = err_errno("%s: cannot be written", tempname);
        free(name);
        free(tempname);
        return err;
    }
    *f = (new_file){.fd = fd, .path = name, .temporary = tempname};
    return OK;
}

err_t new_file_write(const new_file *f, uint64_t offset, const void *data, size_t bytes)
{
    const char *from = data;

    while (bytes > 0) {
        ssize_t n = pwrite(f->fd, from, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno("%s: writing %zu bytes at %llu", f->path, bytes,
                             (unsigned long long)offset);
        from += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return OK;
}

void new_file_hasten(const new_file *f, uint64_t offset, uint64_t bytes)
{
    (void)sync_file_range(f->fd, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
}

err_t new_file_sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_errno("%s: cannot be opened", folder);
    /* Some file systems have no fsync of folders (EINVAL): they keep names by themselves. */
    err_t err = fsync(fd) == 0 || errno == EINVAL ? OK : err_errno("%s: fsync", folder);
    close(fd);
    return err;
}

/* The folder that path is in; free it. */
static err_t folder_of(char **folder, const char *path)
{
    const char *slash = strrchr(path, '/');

    *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    return *folder ? OK : err_memory(strlen(path), "a folder's name");
}

static err_t sync_folder_of(const char *path)
{
    char *folder;

    TRY(folder_of(&folder, path));
    err_t err = new_file_sync_folder(folder);
    free(folder);
    return err;
}

err_t new_file_make_folder(const char *path)
{
    char *above;

    if (mkdir(path, 0777) != 0)
        return errno == EEXIST ? OK : err_errno("%s: cannot be made", path);
    TRY(folder_of(&above, path));
    err_t err = access(above, R_OK) == 0 ? new_file_sync_folder(above) : OK;
    free(above);
    return err;
}

err_t new_file_finish(new_file *f)
{
    err_t err = OK;

    if (fsync(f->fd) != 0)
        err = err_errno("%s: fsync", f->path);
    else if (rename(f->temporary, f->path) != 0)
        err = err_errno("%s: cannot take the place of %s", f->temporary, f->path);
    if (err != OK) {
        unlink(f->temporary);
    } else {
        err = sync_folder_of(f->path);
        if (err != OK)
            unlink(f->path);
    }
    clear(f);
    return err;
}

void new_file_abandon(new_file *f)
{
    if (f->path)
        unlink(f->temporary);
    clear(f);
}

err_t new_file_put(const char *path, const void *data, size_t bytes)
{
    new_file f;

    TRY(new_file_create(&f, path));
    err_t err = new_file_write(&f, 0, data, bytes);
    if (err == OK)
        return new_file_finish(&f);
    new_file_abandon(&f);
    return err;
}
