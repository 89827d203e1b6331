#include "common/decimal.h"

#include <stdio.h>
#include <stdlib.h>

/* 15 digits survive the way through a double, 17 bring every double back. */
const char *decimal(char text[DECIMAL_MAX], double x)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, DECIMAL_MAX, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    return text;
}
