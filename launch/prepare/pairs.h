/* pairs - samples from logs that say what users chose, but not what they were shown.
 *
 * A user's items b1 ... bn, in order, become b1 ... bk -> b(k+1) with label 1, and a twin with
 * label 0 whose item is drawn from all items of the catalog but those the user ever chose: in
 * train for k = 1 .. n-2, in test for k = n-1 (Zhou et al. 2018, section 6.1). */
#ifndef DIPS_LAUNCH_PREPARE_PAIRS_H
#define DIPS_LAUNCH_PREPARE_PAIRS_H

#include "launch/prepare/behaviors.h"

/* The numbers of the columns that are not the history's. */
typedef struct pair_columns {
    int label, user, item, cate, time;
} pair_columns;

typedef struct pair_writer {
    pair_columns   at;
    history_writer history;
    output        *out; /* lent, as the rest */
    const catalog *items;
    const char    *source; /* the file's name, for errors */
    uint64_t       seed;   /* of the twins */
    size_t         newest; /* events of a user that become samples; 0: all */
    id_map         chosen; /* scratch: numbers of the items of the user at hand */
} pair_writer;

/* Write the samples of a user's n events; self is a pair_writer. ERR_DATA where the user chose
 * all items there are. */
MUST_CHECK err_t pairs_write_user(void *self, const behavior *events, size_t n);
void             pairs_clear(pair_writer *p);

#endif
