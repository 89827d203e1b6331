/* auxiliary - the ads that go with one that was shown.
 *
 * Of a log of impressions, for each of them (Ouyang et al. 2019, Deep Spatio-Temporal Neural
 * Networks for Click-Through Rate Prediction):
 *
 *     contextual   those that stood above it on its page
 *     clicked      those of earlier pages that the user clicked
 *     unclicked    those of earlier pages that the user did not click
 *
 * What happened on the page itself is not known when it is made, so none of its clicks counts.
 */
#ifndef DIPS_LAUNCH_PREPARE_AUXILIARY_H
#define DIPS_LAUNCH_PREPARE_AUXILIARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct impression {
    uint64_t user;
    int64_t  time;
    uint64_t number; /* its place in the file breaks ties of time */
    uint64_t page;   /* whose all impressions have one value */
    uint64_t ad;     /* whatever the caller knows it by */
    uint64_t place;  /* on the page, or which page: the caller's */
    bool     clicked;
} impression;

typedef enum {
    AUXILIARY_CONTEXTUAL,
    AUXILIARY_CLICKED,
    AUXILIARY_UNCLICKED,
    AUXILIARY_KINDS
} auxiliary_list;

#define AUXILIARY_MOST 100

#define PREPARE_FLAG_AUXILIARY(at)                                                             \
    {                                                                                          \
        "auxiliary", FLAG_INT, &(at),                                                          \
            .max  = AUXILIARY_MOST,                                                            \
            .help = "ads of each of contextual, clicked and unclicked, the newest"             \
    }

#define PREPARE_FLAG_AUXILIARY_DAYS(at)                                                        \
    {                                                                                          \
        "auxiliary-days", FLAG_REAL, &(at),                                                    \
            .max = 36500, .help = "leave those older than so many days out; 0: none"           \
    }

typedef struct auxiliary_limits {
    size_t  most;    /* ads of a list, the newest; at most AUXILIARY_MOST */
    int64_t seconds; /* older ones are left out; 0: none is */
} auxiliary_limits;

/* By user, time and place in the file: a sorter_order. */
int impression_order(const void *a, const void *b);

/* What goes with impression i of a user, whose impressions are in that order: their indices in
 * picked, oldest first. Returns how many. */
size_t auxiliary_pick(const impression *shown, size_t i, auxiliary_list kind,
                      auxiliary_limits limits, size_t picked[AUXILIARY_MOST]);

#endif
