#include "launch/prepare/negatives.h"

#include <string.h>

static const char *const words[] = {[NEGATIVES_NONE]       = "none",
                                    [NEGATIVES_UNIFORM]    = "uniform",
                                    [NEGATIVES_POPULARITY] = "popularity"};

const char *negatives_word(negatives_kind kind)
{
    return words[kind];
}

negatives_kind negatives_called(const char *word)
{
    negatives_kind kind = NEGATIVES_NONE;

    while (strcmp(words[kind], word) != 0)
        kind++;
    return kind;
}
