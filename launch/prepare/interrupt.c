#include "launch/prepare/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t noted;

static void note(int number)
{
    noted = number;
}

void interrupt_watch(void)
{
    struct sigaction once = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND | SA_RESTART};

    sigemptyset(&once.sa_mask);
    sigaction(SIGINT, &once, NULL);
    sigaction(SIGTERM, &once, NULL);
    signal(SIGXFSZ, SIG_IGN);
}

err_t interrupt_check(void)
{
    switch (noted) {
    case 0:
        return OK;
    case SIGINT:
        return err_set(ERR_INTERRUPT, "interrupted; nothing was kept");
    default:
        return err_set(ERR_TERMINATE, "terminated; nothing was kept");
    }
}
