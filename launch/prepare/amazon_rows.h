/* amazon_rows - lines of the 2014 Amazon review files.
 *
 *     reviews   {"reviewerID": "A2S", "asin": "B01", "unixReviewTime": 1390694400, ...}
 *     meta      {"asin": "B01", "categories": [["Sports", "Golf", "Balls"]], ...}
 *
 * The most special category is the last one of the last list. Metadata is also taken in
 * the form it was published in, which is not JSON but how Python prints a dictionary. */
#ifndef DIPS_LAUNCH_PREPARE_AMAZON_ROWS_H
#define DIPS_LAUNCH_PREPARE_AMAZON_ROWS_H

#include <jansson.h>

#include "launch/prepare/field.h"

/* The strings are lent by json. All zero is cleared. */
typedef struct amazon_row {
    json_t *json;
    field   user, goods, cate;
    int64_t time;
} amazon_row;

/* Parse a line, which may be rewritten; amazon_row_clear in any case. */
MUST_CHECK err_t amazon_parse_review(char *line, size_t n, amazon_row *row);
MUST_CHECK err_t amazon_parse_meta(char *line, size_t n, amazon_row *row);

void amazon_row_clear(amazon_row *row);

#endif
