/* page - runs side by side as one HTML file that opens anywhere: no scripts, no other
 * files, light and dark. */
#ifndef DIPS_LAUNCH_REPORT_PAGE_H
#define DIPS_LAUNCH_REPORT_PAGE_H

#include <stdio.h>

#include "launch/report/differences.h"
#include "launch/report/summary.h"

MUST_CHECK err_t page_print(FILE *to, const run *runs, const summary_row *rows,
                            const differences *d, int n);

#endif
