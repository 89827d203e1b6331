/* new_file - a file that is there whole or not at all.
 *
 * It is written beside its place as PATH.tmp; new_file_finish brings it to the disk and
 * gives it its name: fsync, rename, fsync of the folder. A process that dies on the way
 * leaves what stood at PATH before, and a .tmp that the next attempt writes over. */
#ifndef DIPS_COMMON_NEW_FILE_H
#define DIPS_COMMON_NEW_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

typedef struct new_file {
    int   fd;
    char *path, *temporary; /* owned */
} new_file;

/* Begin the file that will be path; new_file_finish or new_file_abandon. */
MUST_CHECK err_t new_file_create(new_file *f, const char *path);

/* Write bytes of data at offset. */
MUST_CHECK err_t new_file_write(const new_file *f, uint64_t offset, const void *data,
                                size_t bytes);

/* Have the system bring a range to the disk while more is written, so that finishing need
 * not wait for all of it. A wish: it may do so later. */
void new_file_hasten(const new_file *f, uint64_t offset, uint64_t bytes);

/* Give the file its name for good. Where that fails, nothing of it stays. f is cleared
 * in any case. */
MUST_CHECK err_t new_file_finish(new_file *f);

/* The same in one go: a file that is the bytes of data. */
MUST_CHECK err_t new_file_put(const char *path, const void *data, size_t bytes);

/* Remove what was written. A cleared f (all zero) is left as it is. */
void new_file_abandon(new_file *f);

/* Make a folder for good, unless it is there: mkdir, and fsync of the folder above, where that
 * one may be read. */
MUST_CHECK err_t new_file_make_folder(const char *path);

/* Bring the entries of a folder to the disk: names made, changed or removed in it. */
MUST_CHECK err_t new_file_sync_folder(const char *folder);

#endif
