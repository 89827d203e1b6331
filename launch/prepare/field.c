#include "launch/prepare/field.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MOST  40
#define NUMBER_MOST 64 /* characters */

int field_shown(field f)
{
    return f.n < SHOWN_MOST ? (int)f.n : SHOWN_MOST;
}

bool field_is(field f, const char *text)
{
    return strlen(text) == f.n && memcmp(f.at, text, f.n) == 0;
}

static err_t refuse(field f, const char *what, const char *wanted)
{
    return err_set(ERR_DATA, "%s '%.*s' is not %s", what, field_shown(f), f.at, wanted);
}

/* The digits of f from place first on; false where there are none, others, or too many. */
static bool digits(field f, size_t first, uint64_t most, uint64_t *x)
{
    *x = 0;
    for (size_t i = first; i < f.n; i++) {
        unsigned digit = (unsigned char)f.at[i] - (unsigned)'0';
        if (digit > 9 || *x > (most - digit) / 10)
            return false;
        *x = 10 * *x + digit;
    }
    return f.n > first;
}

err_t field_u64(field f, const char *what, uint64_t *x)
{
    return digits(f, 0, UINT64_MAX, x) ? OK : refuse(f, what, "a number from 0 to 2^64-1");
}

err_t field_i64(field f, const char *what, int64_t *x)
{
    bool     negative = f.n > 0 && f.at[0] == '-';
    uint64_t size;

    if (!digits(f, negative, (uint64_t)INT64_MAX, &size))
        return refuse(f, what, "a whole number");
    *x = negative ? -(int64_t)size : (int64_t)size;
    return OK;
}

err_t field_double(field f, const char *what, double *x)
{
    char  text[NUMBER_MOST + 1];
    char *end;

    if (f.n == 0 || f.n > NUMBER_MOST || memchr(f.at, '\0', f.n) || f.at[0] <= ' ')
        return refuse(f, what, "a number");
    memcpy(text, f.at, f.n);
    text[f.n] = '\0';
    *x        = strtod(text, &end);
    if (*end != '\0')
        return refuse(f, what, "a number");
    return isfinite(*x) ? OK : refuse(f, what, "a finite number");
}
