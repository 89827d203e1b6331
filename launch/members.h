/* members - the servers and workers of a job, as its coordinator knows them. */
#ifndef DIPS_LAUNCH_MEMBERS_H
#define DIPS_LAUNCH_MEMBERS_H

#include <stdbool.h>

#include "common/wire.h"
#include "launch/process.h"
#include "launch/silence.h"

typedef struct member {
    wire_role role;
    int       index;
    process   process; /* a child, or watched since HELLO where it is of this host */
    int       host_index; /* of a server's host in the hosts of an elastic run */
    uint32_t  generation; /* of the run when the process was started: its HELLO bears it */

    bool     here; /* HELLO has come */
    uint64_t peer;
    long     pid;
    char     host[256];
    int      n_endpoints;
    char (*endpoints)[NET_ENDPOINT_MAX]; /* owned */

    silence  silence;
    uint64_t progress;
    silence  stillness; /* since progress last changed */

    bool  gone; /* BYE has come */
    int   status;
    char *text; /* owned; NULL: none */

    int64_t dead; /* clock: its death was first seen; 0: it was not */
} member;

typedef struct members {
    int     servers, workers; /* workers: may come to be fewer than there are places for */
    member *at; /* servers first */
} members;

MUST_CHECK err_t members_init(members *m, int servers, int workers);
void             members_clear(members *m);
int              members_count(const members *m);

/* The member with that role and index, or with that peer; NULL: none. */
member *members_find(members *m, wire_role role, uint32_t index);
member *members_find_peer(members *m, uint64_t peer);

/* Take over what a HELLO says. */
MUST_CHECK err_t member_here(member *m, uint64_t peer, const wire_hello *hello, int64_t now);

/* Take over what a BYE says. */
MUST_CHECK err_t member_gone(member *m, const wire_text *bye);

/* Whoever had the place has ended: it is free for a process of that generation. */
void member_vacate(member *m, uint32_t generation);

/* "worker 1", and "worker 1 (host box, process 4711)". */
void member_place(const member *m, char *text, size_t size);
void member_name(const member *m, char *text, size_t size);

#endif
