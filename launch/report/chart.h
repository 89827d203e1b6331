/* chart - curves over steps as an SVG that lies inside an HTML page.
 *
 * Colours are the page's: class c0, c1, ... of the run; text, axes and grid have classes
 * of their own, so that one style sheet serves light and dark. Points carry a <title>,
 * which browsers show where the mouse rests. */
#ifndef DIPS_LAUNCH_REPORT_CHART_H
#define DIPS_LAUNCH_REPORT_CHART_H

#include <stdio.h>

#include "launch/report/run.h"

#define CHART_COLORS 8

typedef struct chart_line {
    const char  *name;  /* of the run */
    int          color; /* the run's number */
    const curve *curve;
    bool         faint; /* behind the others, without points: what a smooth line smooths */
    bool         marks; /* each point is drawn */
} chart_line;

typedef struct chart {
    const char       *title;
    const char       *unit;   /* of the values: "AUC", "samples/s" */
    const char       *format; /* of a value in a tooltip: "%.4f" */
    double            steps;  /* the right end of the axis, at least */
    const chart_line *lines;
    int               n;
} chart;

/* Text with <, >, & and quotes escaped. */
void chart_print_escaped(FILE *to, const char *text);

void chart_print(FILE *to, const chart *c);

#endif
