/* spill - a temporary file that has no name.
 *
 * It is unlinked as soon as it is open, so that it goes away with the process, however
 * that ends. Bytes are appended and read back from any place. */
#ifndef DIPS_LAUNCH_PREPARE_SPILL_H
#define DIPS_LAUNCH_PREPARE_SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

typedef struct spill {
    bool     open;
    int      fd;
    uint64_t bytes;       /* appended so far */
    char     folder[256]; /* for errors, cut to fit */
} spill;

/* A file in folder; spill_close. */
MUST_CHECK err_t spill_open(spill *s, const char *folder);
MUST_CHECK err_t spill_append(spill *s, const void *data, size_t bytes);
MUST_CHECK err_t spill_read(const spill *s, uint64_t offset, void *data, size_t bytes);

/* s may be all zero or closed already. */
void spill_close(spill *s);

#endif
