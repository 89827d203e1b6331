/* world_history - what the worlds have in common whose samples have a history.
 *
 * A sample is a user at a moment: the last events before it, and a candidate. Every goods
 * belongs to one cate (its id modulo the number of cates) and is sold by two shops. Beside each
 * event may stand a goods that the user did not choose: never the event's own, drawn from all
 * (uniform), or as a cate's goods are, popular ones more often. */
#ifndef DIPS_LAUNCH_PREPARE_WORLD_HISTORY_H
#define DIPS_LAUNCH_PREPARE_WORLD_HISTORY_H

#include "launch/prepare/world.h"

typedef struct world_event {
    uint64_t goods, shop, cate;
    int64_t  time;
} world_event;

typedef struct world_sample {
    uint64_t     user;
    world_event  candidate; /* its time is the sample's */
    int          n;
    world_event *history; /* (max_len) n of them, oldest first */
    double       probability;
} world_sample;

/* What such a kind has, but for its fill. */
#define WORLD_HISTORY_SHARD                                                                    \
    .write = world_history_write, .n_tables = WORLD_HISTORY_TABLES,                            \
    .tables = world_history_tables, .columns = world_history_columns,                          \
    .n_columns = world_history_n_columns

#define WORLD_HISTORY_TABLES 4
extern const char *const  world_history_tables[WORLD_HISTORY_TABLES];
extern const shard_column world_history_columns[];
int                       world_history_n_columns(const world_options *o);

/* Write sample number of a split, which the kind's fill has made; its label is drawn by its
 * probability. The stream of the sample is fill's to use. */
MUST_CHECK err_t world_history_write(const world *w, shard_writer *to, int split,
                                     uint64_t number, prediction *truth);

/* How long a history is: the mean, or uniform on 1 .. 2 mean - 1 but for a few that are empty.
 */
uint64_t world_draw_length(const world_options *o, rng *r);

/* About when event number of a user's stream happened; *r goes on to what it is. */
int64_t world_time(const world *w, uint64_t user, uint64_t event, rng *r);

/* The goods and the shop of an event, or candidate, of a cate. */
void world_fill_event(const world *w, world_event *e, uint64_t cate, rng *r);

/* bias + strength (1 - exp(-evidence / saturation)) + quality(cate), as a probability. */
double world_click(const world *w, uint64_t cate, double evidence);

#endif
