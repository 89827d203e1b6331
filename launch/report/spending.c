#include "launch/report/spending.h"

#include <math.h>
#include <stdio.h>

/* A column is a share of the seconds, or a value. */
typedef struct column {
    const char *title;
    const char *format;
    size_t      part; /* its place in a times */
    double (*value)(const times *t);
} column;

static double step_ms(const times *t)
{
    return 1e3 * t->seconds / t->steps;
}

static double overlap_percent(const times *t)
{
    return 100 * times_overlap(t);
}

#define SHARE(member) "%.1f%%", offsetof(times, member), NULL

/* clang-format off */
static const column columns[SPENDING_COLUMNS] = {
    {"run",            "",       0, NULL},
    {"ms a step",      "%.2f",   0, step_ms},
    {"read",           SHARE(read)},
    {"rows",           SHARE(rows)},
    {"forward",        SHARE(forward)},
    {"backward",       SHARE(backward)},
    {"push",           SHARE(push)},
    {"reduce",         SHARE(reduce)},
    {"update",         SHARE(update)},
    {"reader: read",   SHARE(reader_read)},
    {"distinct",       SHARE(reader_distinct)},
    {"steps behind",   "%.2f",   0, times_staleness},
    {"pulls hidden",   "%.1f%%", 0, overlap_percent},
};
/* clang-format on */

bool spending_known(const run *runs, int n)
{
    bool known = false;

    for (int k = 0; k < n; k++)
        known |= runs[k].times.steps > 0;
    return known;
}

const char *spending_title(int i)
{
    return columns[i].title;
}

void spending_cell(char text[SPENDING_CELL_MAX], const run *r, int i)
{
    const column *c     = &columns[i];
    const times  *t     = &r->times;
    const double *part  = (const double *)((const char *)t + c->part);
    double        value = c->value ? c->value(t) : 100 * *part / t->seconds;

    if (i == 0)
        snprintf(text, SPENDING_CELL_MAX, "%s", r->name);
    else if (isfinite(value))
        snprintf(text, SPENDING_CELL_MAX, c->format, value);
    else
        snprintf(text, SPENDING_CELL_MAX, "-");
}
