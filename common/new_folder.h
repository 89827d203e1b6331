/* new_folder - a folder that is there whole or not at all.
 *
 * It is filled beside its place as PATH.dips-new, each file of it by new_file; then
 * new_folder_finish brings its entries to the disk and gives it its name. A process that dies
 * on the way leaves what stood at PATH before, and a PATH.dips-new that the next attempt
 * removes. */
#ifndef DIPS_COMMON_NEW_FOLDER_H
#define DIPS_COMMON_NEW_FOLDER_H

#include "common/config.h"

typedef struct new_folder {
    char path[CONFIG_PATH_MAX];
    char temporary[CONFIG_PATH_MAX]; /* where it is filled; "": nothing is begun */
} new_folder;

/* Begin the folder that will be path, whose parent must be there; new_folder_finish,
 * new_folder_replace or new_folder_abandon. ERR_USAGE where there is something at path already,
 * unless replacing. */
MUST_CHECK err_t new_folder_begin(new_folder *f, const char *path, bool replacing);

/* Give it its name, at which nothing stands. f is cleared in any case; on failure nothing of
 * it stays. */
MUST_CHECK err_t new_folder_finish(new_folder *f);

/* The same where a folder stands at path: it changes places with that one in one operation,
 * which then is removed with all that is in it. On a file system that cannot exchange two
 * names, path names nothing for the moment between two renames. */
MUST_CHECK err_t new_folder_replace(new_folder *f);

/* Remove what was made. A cleared f (all zero) is left as it is. */
void new_folder_abandon(new_folder *f);

#endif
