/* summary - the figures of runs side by side: the cells that the text and the page show. */
#ifndef DIPS_LAUNCH_REPORT_SUMMARY_H
#define DIPS_LAUNCH_REPORT_SUMMARY_H

#include "launch/report/run.h"

#define SUMMARY_COLUMNS  11
#define SUMMARY_CELL_MAX 80

typedef struct summary_cell {
    char text[SUMMARY_CELL_MAX];
    bool best; /* of all runs in its column, where there are several */
} summary_cell;

typedef struct summary_row {
    summary_cell cells[SUMMARY_COLUMNS];
} summary_row;

/* The heading of column i, and what stands above it ("AUC" above "best"; or ""). */
const char *summary_title(int i);
const char *summary_group(int i);

/* Whether column i holds words, not numbers. */
bool summary_is_text(int i);

/* rows[n], caller's, of the runs; RelaImpr (DIN, eq. 11) is over the first one. */
void summary_make(summary_row *rows, const run *runs, int n);

#endif
