#include "launch/mpirun_log.h"

#include <stdio.h>
#include <string.h>

/* Open MPI 4 writes one of
 *
 *     mpirun noticed that process rank 1 with PID 4711 on node box exited on signal 9 (Killed).
 *
 *       Process name: [[11746,1],0]
 *       Exit code:    3
 */
bool mpirun_log_find_death(mpirun_death *d, const char *path, int64_t offset)
{
    FILE *f = fopen(path, "r");
    char  line[1024];
    bool  found = false, named = false;

    *d = (mpirun_death){0};
    if (!f)
        return false;
    if (fseek(f, (long)offset, SEEK_SET) != 0)
        rewind(f);
    while (!found && fgets(line, sizeof line, f)) {
        const char *at = strstr(line, "process rank ");
        if (at && sscanf(at, "process rank %d with PID %*d on node %255s exited on signal %d",
                         &d->rank, d->host, &d->signal) == 3)
            found = true;
        else if (sscanf(line, " Process name: [[%*d,%*d],%d]", &d->rank) == 1)
            named = true;
        else if (named && sscanf(line, " Exit code: %d", &d->status) == 1)
            found = true;
    }
    fclose(f);
    return found;
}
