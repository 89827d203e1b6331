/* moment - a library to preload: holds a worker at a chosen message until a test has done what
 * it wants to do at that moment.
 *
 *   DIPS_MOMENT_FILE   made when the moment has come; the worker waits until it is removed,
 *                      or HELD_MS; once it was, FILE.over stands for ever
 *   DIPS_MOMENT_RANK   of which worker
 *   DIPS_MOMENT_KIND   the message's kind (common/wire.h)
 *   DIPS_MOMENT_STEP   and from which step on (as in the head of the message)
 *   DIPS_MOMENT_AFTER  1: when the message has left; 0: before it leaves */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/wire.h"

#define HELD_MS 10000

int zmq_msg_send(void *message, void *socket, int flags);

static long number(const char *name)
{
    const char *value = getenv(name);

    return value ? atol(value) : -1;
}

/* Whether that is the number of the kind whose name the environment says. */
static bool is_wanted(uint16_t kind)
{
    static const char *const names[] = {
#define X(name) [WIRE_##name] = #name,
        WIRE_KINDS(X)
#undef X
    };
    const char *wanted = getenv("DIPS_MOMENT_KIND");

    return wanted && kind > WIRE_NONE && kind < WIRE_KIND_COUNT && !strcmp(names[kind], wanted);
}

/* Whether the message is the one to wait for. */
static bool is_it(void *message)
{
    void *(*data_of)(void *)  = (void *(*)(void *))dlsym(RTLD_NEXT, "zmq_msg_data");
    size_t (*size_of)(void *) = (size_t(*)(void *))dlsym(RTLD_NEXT, "zmq_msg_size");
    uint16_t kind;
    uint64_t step;

    if (size_of(message) < 48 || memcmp(data_of(message), "dips", 4) != 0)
        return false;
    memcpy(&kind, (char *)data_of(message) + 6, sizeof kind);
    memcpy(&step, (char *)data_of(message) + 16, sizeof step);
    return is_wanted(kind) && (int64_t)step >= number("DIPS_MOMENT_STEP");
}

/* Hold this worker, once for all processes. */
static void hold(const char *file)
{
    struct timespec nap = {.tv_nsec = 1000000};
    char            over[4096];

    snprintf(over, sizeof over, "%s.over", file);
    int first = open(over, O_CREAT | O_EXCL | O_WRONLY, 0666);
    if (first < 0)
        return;
    close(first);
    close(open(file, O_CREAT | O_WRONLY, 0666));
    for (int ms = 0; ms < HELD_MS && access(file, F_OK) == 0; ms++)
        nanosleep(&nap, NULL);
}

int zmq_msg_send(void *message, void *socket, int flags)
{
    int (*send)(void *, void *, int) =
        (int (*)(void *, void *, int))dlsym(RTLD_NEXT, "zmq_msg_send");
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *file = getenv("DIPS_MOMENT_FILE");
    bool held  = rank && file && atol(rank) == number("DIPS_MOMENT_RANK") && is_it(message);
    bool after = number("DIPS_MOMENT_AFTER") == 1;

    if (held && !after)
        hold(file);
    int sent = send(message, socket, flags);
    if (held && after)
        hold(file);
    return sent;
}
