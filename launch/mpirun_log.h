/* mpirun_log - which worker died first, in mpirun's own words.
 *
 * mpirun alone waits for the workers; it writes who went first, and how, to its log. */
#ifndef DIPS_LAUNCH_MPIRUN_LOG_H
#define DIPS_LAUNCH_MPIRUN_LOG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct mpirun_death {
    int  rank;
    int  signal;    /* that killed it; 0: it ended by itself */
    int  status;    /* that it ended with */
    char host[256]; /* "": not said */
} mpirun_death;

/* Find the first death in the part of the log at path that begins at offset. */
bool mpirun_log_find_death(mpirun_death *d, const char *path, int64_t offset);

#endif
