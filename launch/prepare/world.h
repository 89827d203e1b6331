/* world - invented worlds whose click probabilities are known.
 *
 * A kind of world says what a sample consists of and how probable its click is; each plants
 * something that one model sees and its simpler sibling does not. What any model could reach
 * at best is known, since the probability of each sample is.
 *
 * Everything is a function of (seed, user, number of the event or sample): nothing
 * proportional to the number of users or goods is ever stored. */
#ifndef DIPS_LAUNCH_PREPARE_WORLD_H
#define DIPS_LAUNCH_PREPARE_WORLD_H

#include <stdbool.h>

#include "common/metrics.h"
#include "launch/prepare/negatives.h"
#include "launch/prepare/shard_writer.h"
#include "launch/prepare/zipf.h"

#define WORLD_MOST_INTERESTS 64
#define WORLD_MOST_FIELDS    32
#define WORLD_ROOM           64 /* events that there is room for in any case */

/* What the user of the program may choose, of which each kind heeds some. */
typedef struct world_options {
    uint64_t       seed, users, goods, shops, cates;
    int            interests; /* of a user */
    int            history;   /* mean number of events before a sample */
    bool           equal;     /* all have that many; else 1 .. 2 history - 1, a few none */
    int            max_len;   /* events kept of them: the newest */
    double         noise;     /* share of events that no interest explains */
    double         zipf;      /* exponent of the goods of a cate */
    negatives_kind negatives;
    int            fields;                              /* of a sample without events */
    uint64_t       values;                              /* of a field */
    double         bias, strength, saturation, quality; /* of the click probability */
} world_options;

/* Which of them a kind heeds. */
enum {
    WORLD_USERS     = 1,
    WORLD_GOODS     = 2, /* goods and cates */
    WORLD_SHOPS     = 4,
    WORLD_HISTORY   = 8, /* history, equal, max_len */
    WORLD_INTERESTS = 16,
    WORLD_ZIPF      = 32,
    WORLD_NOISE     = 64,
    WORLD_NEGATIVES = 128,
    WORLD_FIELDS    = 256, /* fields and values */
};

typedef struct world world;

struct world_sample;

typedef struct world_kind {
    const char         *name, *help;
    unsigned            heeds;
    uint64_t            least_cates; /* that it needs */
    int                 least_fields;
    world_options       options; /* their defaults */
    int                 n_tables;
    const char *const  *tables;
    const shard_column *columns; /* of a data shard */

    /* How many of the columns there are with these options. */
    int (*n_columns)(const world_options *o);

    /* Write sample number of a split (any small number that names it), and say what is true. */
    err_t (*write)(const world *w, shard_writer *to, int split, uint64_t number,
                   prediction *truth);

    /* Of kinds whose samples have a history: make a sample of user s->user (world_history.h). */
    void (*fill)(const world *w, rng *r, struct world_sample *s);
} world_kind;

struct world {
    const world_kind *kind;
    world_options     options;
    zipf              of_cate[2]; /* goods of a cate: one more in the first goods % cates */
    zipf              of_users;
    void             *room; /* scratch of one sample: max_len events, or WORLD_ROOM */
};

/* The kinds, ended by NULL; the first is the default. */
extern const world_kind *const world_kinds[];

extern const world_kind world_interests, world_fine_grained, world_drift, world_sessions,
    world_page, world_crosses;

/* ERR_USAGE: options that exclude each other. world_close. */
MUST_CHECK err_t world_open(world *w, const world_kind *kind, const world_options *options);
void             world_close(world *w);

/* ---- for the kinds ---- */

/* What a stream of chance is for. */
enum {
    WORLD_OF_USER = 1,
    WORLD_OF_EVENT,
    WORLD_OF_CATE,
    WORLD_OF_SAMPLE,
    WORLD_OF_NEGATIVE,
    WORLD_OF_CHAPTER,
    WORLD_OF_SHAPE,
};

rng world_stream(const world *w, uint64_t what, uint64_t a, uint64_t b);

/* Goods c, c + cates, c + 2 cates, ... belong to cate c; the first ones are popular. */
uint64_t world_draw_goods(const world *w, uint64_t cate, rng *r);

/* One of the two shops that sell the goods. */
uint64_t world_draw_shop(const world *w, uint64_t goods, rng *r);

/* Its share of the logit that depends on the cate alone. */
double world_quality(const world *w, uint64_t cate);

#endif
