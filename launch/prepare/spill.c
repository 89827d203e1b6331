#include "launch/prepare/spill.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

err_t spill_open(spill *s, const char *folder)
{
    char path[4096];

    *s = (spill){0};
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    if (snprintf(path, sizeof path, "%s/spill-XXXXXX", folder) >= (int)sizeof path)
        return err_set(ERR_SYSTEM, "the path of the folder %.64s... is too long", folder);
    s->fd = mkstemp(path);
    if (s->fd < 0)
        return err_errno("making a temporary file in %s", folder);
    s->open = true;
    unlink(path);
    return OK;
}

err_t spill_append(spill *s, const void *data, size_t bytes)
{
    const char *at = data;

    while (bytes > 0) {
        ssize_t n = pwrite(s->fd, at, bytes, (off_t)s->bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno("writing temporary data in %s", s->folder);
        at += n;
        bytes -= (size_t)n;
        s->bytes += (uint64_t)n;
    }
    return OK;
}

err_t spill_read(const spill *s, uint64_t offset, void *data, size_t bytes)
{
    char *at = data;

    while (bytes > 0) {
        ssize_t n = pread(s->fd, at, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno("reading temporary data in %s", s->folder);
        if (n == 0)
            return err_set(ERR_SYSTEM, "temporary data in %s ends too early", s->folder);
        at += n;
        bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return OK;
}

void spill_close(spill *s)
{
    if (s->open)
        close(s->fd);
    *s = (spill){0};
}
