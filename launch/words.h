/* words - a command line under construction: words for exec, or for a person to type. */
#ifndef DIPS_LAUNCH_WORDS_H
#define DIPS_LAUNCH_WORDS_H

#include <stdio.h>

#include "common/err.h"

typedef struct words {
    char **at; /* n words and a NULL; NULL while there are none */
    int    n;
    size_t capacity;
    err_t  failed; /* the first word that could not be added */
} words;

/* All zero is an empty list. Add a word; a failure is kept for words_check. */
void words_add(words *w, const char *format, ...) PRINTF_LIKE(2, 3);

/* OK unless a word is missing for want of memory. */
MUST_CHECK err_t words_check(const words *w);

/* Print them in one line, quoted for a shell. */
void words_print(const words *w, FILE *to);

void words_clear(words *w);

#endif
