/* hosts - the hosts of a hostfile, and which of them are there.
 *
 * A line of the file names a host and may say for how many workers it is (slots=N; 1); '#'
 * begins a comment. Servers go to the hosts in turn. Those of a host that is not there go to
 * one that is; of the workers there remain as many as the other hosts have slots for. */
#ifndef DIPS_LAUNCH_HOSTS_H
#define DIPS_LAUNCH_HOSTS_H

#include <stdbool.h>

#include "common/err.h"

typedef struct hosts_line {
    char *line; /* of the file; owned */
    char  name[256];
    int   slots;
    bool  there; /* until someone finds that it is not */
} hosts_line;

typedef struct hosts {
    int         n; /* 0: all zero, no hosts */
    hosts_line *at;
} hosts;

/* Read path; hosts_clear, after a failure too. ERR_CONFIG where it names no host. */
MUST_CHECK err_t hosts_read(hosts *h, const char *path);
void             hosts_clear(hosts *h);

/* How many are there. */
int hosts_there(const hosts *h);

/* The index of the host of server `server`; at least one is there. */
int hosts_of_server(const hosts *h, int server);

/* How many of that many workers there are hosts for; at least one is there. Where the file has
 * fewer slots than workers, each slot is for that many more. */
int hosts_workers(const hosts *h, int workers);

/* Write the lines of those that are there to path. */
MUST_CHECK err_t hosts_write(const hosts *h, const char *path);

/* "h3, h4": those that are not there, as far as there is room. */
void hosts_missing(const hosts *h, char *text, size_t size);

#endif
