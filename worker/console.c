#include "worker/console.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define RENEW_NS (NS_PER_S / 4)
#define PLAIN_NS (10 * NS_PER_S)
#define BAR      24 /* "  [", 20 marks, "]" */

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

/* "  [###.....]" of width columns in all; nothing where that is too narrow to tell much. */
static void write_bar(char bar[BAR + 1], int width, double share)
{
    int marks = width < BAR ? width - 4 : BAR - 4;
    int full  = (int)(share * marks + 0.5);

    *bar = '\0';
    if (marks < 4)
        return;
    memcpy(bar, "  [", 3);
    memset(bar + 3, '.', (size_t)marks);
    memset(bar + 3, '#', (size_t)(full < marks ? full : marks));
    memcpy(bar + 3 + marks, "]", 2);
}

/* The line, of most columns if it can be: the bar shrinks, then the epoch is left out. */
static void write_line(char *text, size_t size, const console *c, int most, int64_t steps_done,
                       double loss, double samples_per_s)
{
    char   head[96], epoch[32], middle[96], bar[BAR + 1], tail[64], left[32];
    double run     = (double)(c->printed - c->started) * 1e-9;
    double trained = (double)(steps_done - c->first_step);
    double share   = (double)steps_done / (double)(c->last_step > 0 ? c->last_step : 1);

    console_duration(left,
                     trained > 0 ? run / trained * (double)(c->last_step - steps_done) : 0);
    snprintf(head, sizeof head, "step %" PRId64 "/%" PRId64, steps_done, c->last_step);
    snprintf(epoch, sizeof epoch, "  epoch %.2f", (double)steps_done / (double)c->epoch_steps);
    snprintf(middle, sizeof middle, "  loss %.4f  %.0f samples/s", loss, samples_per_s);
    snprintf(tail, sizeof tail, " %3.0f %%  %s left", share * 100, left);
    int room = most - (int)(strlen(head) + strlen(epoch) + strlen(middle) + strlen(tail));
    write_bar(bar, room, share);
    snprintf(text, size, "%s%s%s%s%s", head, room < 0 ? "" : epoch, middle, bar, tail);
}

void console_step(console *c, int64_t steps_done, double loss, double samples_per_s)
{
    char    text[320];
    int64_t now  = clock_now(c->clock);
    bool    last = steps_done >= c->last_step;

    if (!c->to || (!last && now - c->printed < (c->terminal ? RENEW_NS : PLAIN_NS)))
        return;
    c->printed = now;
    int most   = c->terminal ? c->columns - 1 : (int)sizeof text;
    write_line(text, sizeof text, c, most, steps_done, loss, samples_per_s);
    if (c->terminal) {
        fprintf(c->to, "\r%-*.*s", most, most, text);
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
