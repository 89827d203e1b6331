/* delimited - the fields of a line of a csv, tsv or "::" file. */
#ifndef DIPS_LAUNCH_PREPARE_DELIMITED_H
#define DIPS_LAUNCH_PREPARE_DELIMITED_H

#include "launch/prepare/field.h"

/* Split the n bytes of line at separator (one or more bytes) into at most most fields,
 * *n_fields of them; an empty line has one empty field. quotes: a field that begins with
 * a double quote goes to the next single one, and "" within it means one quote (RFC
 * 4180, but a field cannot hold a line's end); it is rewritten in place. ERR_DATA: too
 * many fields, or a quote that is not closed. */
MUST_CHECK err_t delimited_split(char *line, size_t n, const char *separator, bool quotes,
                                 field *fields, size_t most, size_t *n_fields);

#endif
