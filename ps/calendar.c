#include "ps/calendar.h"

#include <string.h>

#include "common/wire.h"

#define DAY_SECONDS 86400

void calendar_clear(calendar *c)
{
    vec_clear(&c->days);
}

static int64_t day_of(int64_t time)
{
    return time / DAY_SECONDS - (time % DAY_SECONDS < 0);
}

/* How many of the days, the oldest, are more than idle_days before the last. */
static size_t idle(const calendar *c, int idle_days)
{
    size_t n = 0;

    while (n < c->days.n && c->days.at[n].day < c->days.at[c->days.n - 1].day - idle_days)
        n++;
    return n;
}

err_t calendar_note(calendar *c, int64_t step, int64_t time, int idle_days)
{
    if (time == WIRE_NO_TIME)
        return OK;
    calendar_day today = {day_of(time), step};
    if (c->days.n && today.day <= c->days.at[c->days.n - 1].day)
        return OK;
    TRY(vec_push(&c->days, today));
    size_t old = idle(c, idle_days);
    if (old > 1) { /* the last of them tells that the next did not begin at the start */
        c->days.n -= old - 1;
        memmove(c->days.at, c->days.at + old - 1, c->days.n * sizeof *c->days.at);
    }
    return OK;
}

int64_t calendar_idle(const calendar *c, int idle_days)
{
    size_t old = idle(c, idle_days);

    return old ? c->days.at[old].step : 0;
}
