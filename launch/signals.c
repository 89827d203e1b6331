#include "launch/signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t first, count, ends_on_second;

static void on_signal(int signal)
{
    count++;
    if (count == 1)
        first = signal;
    else if (ends_on_second)
        _exit(128 + signal);
}

void signals_catch(bool second_ends)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;

    ends_on_second = second_ends;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, NULL, &before);
    if (before.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

err_t signals_stop(void)
{
    if (count == 0)
        return OK;
    if (first == SIGINT)
        return err_set(ERR_INTERRUPT, "interrupted");
    return err_set(ERR_TERMINATE, "terminated by a signal");
}

int signals_count(void)
{
    return count;
}
