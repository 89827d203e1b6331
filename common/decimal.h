/* decimal - a number as the shortest text that reads back to it. */
#ifndef DIPS_COMMON_DECIMAL_H
#define DIPS_COMMON_DECIMAL_H

#define DECIMAL_MAX 32 /* bytes of such a text */

/* The text of x, which is finite; written into text and lent with it. */
const char *decimal(char text[DECIMAL_MAX], double x);

#endif
