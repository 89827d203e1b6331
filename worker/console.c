#include "worker/console.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define RENEW_NS (NS_PER_S / 4)
#define PLAIN_NS (10 * NS_PER_S)
#define BAR      20

void console_init(console *c, FILE *to, const clock_source *clock, bool terminal, int columns,
                  int64_t first_step, int64_t last_step, int64_t epoch_steps)
{
    *c = (console){
        .to          = to,
        .clock       = clock,
        .terminal    = terminal,
        .columns     = columns > 20 ? columns : 80,
        .first_step  = first_step,
        .last_step   = last_step,
        .epoch_steps = epoch_steps,
        .started     = clock_now(clock),
        .printed     = clock_now(clock),
    };
}

void console_duration(char *text, double seconds)
{
    int64_t s = (int64_t)(seconds + 0.5);

    if (s >= 3600)
        snprintf(text, 32, "%" PRId64 " h %02d min", s / 3600, (int)(s / 60 % 60));
    else if (s >= 60)
        snprintf(text, 32, "%d min %02d s", (int)(s / 60), (int)(s % 60));
    else
        snprintf(text, 32, "%d s", (int)s);
}

static void write_bar(char bar[BAR + 1], double share)
{
    int full = (int)(share * BAR + 0.5);

    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)(full < BAR ? full : BAR));
    bar[BAR] = '\0';
}

void console_step(console *c, int64_t steps_done, double loss, double samples_per_s)
{
    char    text[256], left[32], bar[BAR + 1];
    int64_t now  = clock_now(c->clock);
    bool    last = steps_done >= c->last_step;

    if (!c->to || (!last && now - c->printed < (c->terminal ? RENEW_NS : PLAIN_NS)))
        return;
    c->printed     = now;
    double run     = (double)(now - c->started) * 1e-9;
    double trained = (double)(steps_done - c->first_step);
    double share   = (double)steps_done / (double)(c->last_step > 0 ? c->last_step : 1);
    write_bar(bar, share);
    console_duration(left,
                     trained > 0 ? run / trained * (double)(c->last_step - steps_done) : 0);
    snprintf(text, sizeof text,
             "step %" PRId64 "/%" PRId64
             "  epoch %.2f  loss %.4f  %.0f samples/s  [%s] %3.0f %%  "
             "%s left",
             steps_done, c->last_step, (double)steps_done / (double)c->epoch_steps, loss,
             samples_per_s, bar, share * 100, left);
    if (c->terminal) {
        fprintf(c->to, "\r%-*.*s", c->columns - 1, c->columns - 1, text);
        c->line_open = true;
        if (last)
            console_end_line(c);
    } else {
        fprintf(c->to, "%s\n", text);
    }
    fflush(c->to);
}

void console_end_line(console *c)
{
    if (c->to && c->line_open)
        fputc('\n', c->to);
    c->line_open = false;
}

void console_evaluation(console *c, int64_t step, const char *split, const metrics *m)
{
    if (!c->to)
        return;
    console_end_line(c);
    fprintf(c->to, "%s after step %" PRId64 ": AUC %.4f", split, step, m->auc);
    if (!isnan(m->gauc))
        fprintf(c->to, "  GAUC %.4f", m->gauc);
    fprintf(c->to, "  log loss %.4f  calibration %.3f  (%.0f samples)\n", m->logloss,
            m->calibration, m->samples);
    fflush(c->to);
}
