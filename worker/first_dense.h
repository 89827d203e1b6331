/* first_dense - the dense weights that a run begins with, as the file of a checkpoint. */
#ifndef DIPS_WORKER_FIRST_DENSE_H
#define DIPS_WORKER_FIRST_DENSE_H

#include "common/schema.h"
#include "worker/dense.h"

/* What came from where, of parameters by name; the first of each kind is named. */
typedef struct first_dense {
    int  taken, anew; /* with their state; their values alone */
    int  missing;     /* begin with their first values */
    int  unknown;     /* tensors of the file that are no parameter's */
    char name_anew[160], name_missing[160], name_unknown[160];
} first_dense;

/* Write to path what a run of c begins with: the parameters that the file `from` has (NULL:
 * none), with their optimizer's state where it has all of it, and first values by the seed for
 * the others. ERR_CONFIG names one that has another shape there. */
MUST_CHECK err_t first_dense_write(first_dense *out, const config *c, const schema *s,
                                   const char *from, const char *path,
                                   safetensors_digest *digest);

#endif
