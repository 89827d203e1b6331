#include "worker/times.h"

#include <math.h>
#include <stdio.h>

/* clang-format off */
#define AT(member) offsetof(times, member)
const times_part times_parts[TIMES_PARTS] = {
    {"steps",             NULL,       AT(steps)},
    {"samples",           NULL,       AT(samples)},
    {"seconds",           NULL,       AT(seconds)},
    {"read_s",            "read",     AT(read)},
    {"rows_s",            "rows",     AT(rows)},
    {"forward_s",         "forward",  AT(forward)},
    {"backward_s",        "backward", AT(backward)},
    {"push_s",            "push",     AT(push)},
    {"reduce_s",          "reduce",   AT(reduce)},
    {"update_s",          "update",   AT(update)},
    {"reader_read_s",     NULL,       AT(reader_read)},
    {"reader_distinct_s", NULL,       AT(reader_distinct)},
    {"in_flight_s",       NULL,       AT(in_flight)},
    {"waited_s",          NULL,       AT(waited)},
    {"versions_behind",   NULL,       AT(behind)},
};
/* clang-format on */

static double *part_of(times *t, const times_part *part)
{
    return (double *)((char *)t + part->at);
}

void times_add(times *sum, const times *t)
{
    for (int i = 0; i < TIMES_PARTS; i++)
        *part_of(sum, &times_parts[i]) += times_get(t, &times_parts[i]);
}

times times_since(const times *now, const times *before)
{
    times passed = *now;

    for (int i = 0; i < TIMES_PARTS; i++)
        *part_of(&passed, &times_parts[i]) -= times_get(before, &times_parts[i]);
    return passed;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : (double)NAN;
}

double times_speed(const times *t)
{
    return share(t->samples, t->seconds);
}

double times_staleness(const times *t)
{
    return share(t->behind, t->steps);
}

double times_overlap(const times *t)
{
    return share(t->in_flight - t->waited, t->in_flight);
}

void times_fields(metrics_field fields[TIMES_FIELDS], const times *t)
{
    for (int i = 0; i < TIMES_PARTS; i++)
        fields[i] = METRIC_REAL(times_parts[i].key, times_get(t, &times_parts[i]));
    fields[TIMES_PARTS]     = METRIC_REAL("samples_per_s", times_speed(t));
    fields[TIMES_PARTS + 1] = METRIC_REAL("staleness", times_staleness(t));
    fields[TIMES_PARTS + 2] = METRIC_REAL("overlap", times_overlap(t));
}

void times_describe(const times *t, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < TIMES_PARTS && used < size; i++)
        if (times_parts[i].phase)
            used += (size_t)snprintf(text + used, size - used, "%s%s %.0f %%", used ? ", " : "",
                                     times_parts[i].phase,
                                     100 * share(times_get(t, &times_parts[i]), t->seconds));
    if (t->behind > 0 && used < size)
        snprintf(text + used, size - used,
                 "; rows %.1f steps behind, %.0f %% of their way hidden", times_staleness(t),
                 100 * times_overlap(t));
}
