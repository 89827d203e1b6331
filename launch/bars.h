/* bars - labelled bars: as text, and as an SVG that any browser shows.
 *
 * A title, and under it groups of bars; those of a group share a scale. Negative values point
 * the same way in another colour, or of other characters. */
#ifndef DIPS_LAUNCH_BARS_H
#define DIPS_LAUNCH_BARS_H

#include <stdio.h>

#include "common/err.h"

typedef struct bars bars;

/* Text goes to `to`; svg (may be NULL): path of a file, which exists after bars_close. */
MUST_CHECK err_t bars_new(bars **out, FILE *to, const char *svg);

MUST_CHECK err_t bars_title(bars *b, const char *text);

/* A group of n bars: bars_add each, then bars_end. Only the first `most` of them are shown, and
 * how many more there are. */
MUST_CHECK err_t bars_begin(bars *b, const char *name, int n, int most);
void             bars_add(bars *b, double value, const char *label);
MUST_CHECK err_t bars_end(bars *b);

/* Write the SVG and free. bars_abandon: free only. */
MUST_CHECK err_t bars_close(bars **b);
void             bars_abandon(bars **b);

#endif
