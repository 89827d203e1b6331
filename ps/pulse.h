/* pulse - a sign of life that a thread gives now and then in work that takes long.
 *
 * Who waits for a thread can tell one that works from one that hangs only where the thread says
 * so. It does at its loop's every turn by itself, and by a pulse where one turn may take
 * minutes: reading a checkpoint. */
#ifndef DIPS_PS_PULSE_H
#define DIPS_PS_PULSE_H

typedef struct pulse {
    void (*beat)(void *self); /* NULL: nobody listens */
    void *self;
} pulse;

static inline void pulse_beat(const pulse *p)
{
    if (p->beat)
        p->beat(p->self);
}

#endif
