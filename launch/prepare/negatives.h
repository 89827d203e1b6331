/* negatives - what stands beside each event of a history: an item that it was not.
 *
 * A model may be trained to tell at each event the one that came next from one that did not
 * (the auxiliary loss of Zhou et al. 2019, section 4.2). The negatives of S.goods and S.cate
 * are the columns S.negative_goods and S.negative_cate. */
#ifndef DIPS_LAUNCH_PREPARE_NEGATIVES_H
#define DIPS_LAUNCH_PREPARE_NEGATIVES_H

#include "launch/flags.h"

typedef enum { NEGATIVES_NONE, NEGATIVES_UNIFORM, NEGATIVES_POPULARITY } negatives_kind;

#define NEGATIVES_CHOICES "none|uniform|popularity"

/* The word of a kind, and the kind of one of these words. */
const char    *negatives_word(negatives_kind kind);
negatives_kind negatives_called(const char *word);

#define PREPARE_FLAG_NEGATIVES(at)                                                             \
    {                                                                                          \
        "negatives", FLAG_TEXT, &(at),                                                         \
            .choices = NEGATIVES_CHOICES,                                                      \
            .help =                                                                            \
                "beside each event an item that it was not: any, or the more often the more "  \
                "popular it is"                                                                \
    }

#endif
