/* field - a piece of a line, and the numbers that stand in it.
 *
 * A field is not ended by a zero byte. The parsers take the whole field or none of it:
 * ERR_DATA says "rating '9x' is not a number", with what ("rating") for its name. */
#ifndef DIPS_LAUNCH_PREPARE_FIELD_H
#define DIPS_LAUNCH_PREPARE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

typedef struct field {
    const char *at; /* lent by the line */
    size_t      n;
} field;

MUST_CHECK err_t field_u64(field f, const char *what, uint64_t *x);
MUST_CHECK err_t field_i64(field f, const char *what, int64_t *x);

/* A finite number. */
MUST_CHECK err_t field_double(field f, const char *what, double *x);

bool field_is(field f, const char *text);

/* For "%.*s" in messages: as many bytes as a message should show. */
int field_shown(field f);

#endif
