/* world - an invented market whose click probabilities are known.
 *
 * Every goods belongs to one cate (its id modulo the number of cates) and is sold by two
 * shops. A user has a few interests, each a cate with a weight, and an endless stream of
 * past events: most are goods of one of the interests, some are noise. A sample is a
 * user at a moment: the last events of the stream, and a candidate of which half come
 * from the user's interests. The candidate is clicked with probability
 *
 *     p = 1 / (1 + exp(-(bias + strength (1 - exp(-e / saturation)) + quality(cate))))
 *     e = events of the candidate's cate + half of the events of its shop
 *
 * so what matters is which events of the history match the candidate: a sum over the
 * history has to keep as many numbers as there are cates, a sum weighted by the
 * candidate only one.
 *
 * Everything is a function of (seed, user, number of the event or sample): nothing
 * proportional to the number of users or goods is ever stored. */
#ifndef DIPS_LAUNCH_PREPARE_WORLD_H
#define DIPS_LAUNCH_PREPARE_WORLD_H

#include <stdbool.h>

#include "launch/prepare/zipf.h"

#define WORLD_MOST_INTERESTS 64

/* What the user of the program may choose. */
typedef struct world_options {
    uint64_t seed, users, goods, shops, cates;
    int      interests;     /* of a user */
    int      history;       /* mean number of events before a sample */
    bool     equal;         /* all have that many; else 1 .. 2 history - 1, a few none */
    int      max_len;       /* events kept of them: the newest */
    double   noise;         /* share of events that no interest explains */
    double   zipf;          /* exponent of the goods of a cate */
    double   bias, strength, saturation, quality; /* of the click probability */
} world_options;

typedef struct world {
    world_options options;
    zipf          of_cate[2]; /* goods of a cate: one more in the first goods % cates */
    zipf          of_users;
} world;

typedef struct world_event {
    uint64_t goods, shop, cate;
    int64_t  time;
} world_event;

typedef struct world_sample {
    uint64_t     user;
    world_event  candidate; /* its time is the sample's */
    int          n;
    world_event *history; /* (max_len) caller's; n of them, oldest first */
    double       probability;
    float        label;
} world_sample;

world world_of(const world_options *options);

/* Fill sample number of a split (any small number that names it). */
void world_make(const world *w, int split, uint64_t number, world_sample *sample);

#endif
