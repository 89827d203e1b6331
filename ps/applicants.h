/* applicants - what becomes, when a step is applied, of its ids that have no row.
 *
 * A ticket whose id had no row and was not admitted when it was pulled keeps ROW_REFUSED:
 * its gradient is dropped. The id is counted all the same: towards admission
 * (ps/admission.h), or, if a step since the pull has admitted it, in its row. Who is
 * admitted gets a row at its birth value, touched by this step, which the next pull sees. */
#ifndef DIPS_PS_APPLICANTS_H
#define DIPS_PS_APPLICANTS_H

#include "ps/update.h"

typedef struct applicants_result {
    uint64_t refused;  /* gradients dropped */
    uint64_t admitted; /* rows made */
} applicants_result;

/* After update_apply of the same parts, which are those of the step before the table's clock.
 * scratch is the caller's to reset; *result is added to. */
MUST_CHECK err_t applicants_apply(table *t, const update_part *parts, int n_parts,
                                  arena *scratch, applicants_result *result);

#endif
