/* spending - where the time of each run's steps went: the cells that the text and the page
 * show. Shares are of the wall clock of the first worker's steps. */
#ifndef DIPS_LAUNCH_REPORT_SPENDING_H
#define DIPS_LAUNCH_REPORT_SPENDING_H

#include <stdbool.h>

#include "launch/report/run.h"

#define SPENDING_COLUMNS  13
#define SPENDING_CELL_MAX 80

/* Whether any of the runs tells of its time. */
bool spending_known(const run *runs, int n);

/* The heading of column i, the first of which holds the runs' names. */
const char *spending_title(int i);

/* The text of a run's cell in column i; "-" where it does not tell. */
void spending_cell(char text[SPENDING_CELL_MAX], const run *r, int i);

#endif
