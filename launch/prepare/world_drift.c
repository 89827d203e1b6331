/* The world of drift: an interest lasts for a few events and gives way to another.
 *
 * A user's stream of events falls into chapters of CHAPTER events on average, each about one
 * cate; some events are noise. The candidate is of the cate of an event that is drawn from the
 * history, or of any. The younger its matching events, the likelier the click:
 *
 *     e = sum over the events of the candidate's cate of 2^(-events since / HALF_LIFE)
 *
 * A sum over the history, weighted by the candidate or not, is the same in any order of the
 * events: it sees that an interest was there, not that it is over. A recurrent network does. */
#include <math.h>

#include "launch/prepare/world_history.h"

#define CHAPTER        6    /* events, the mean */
#define HALF_LIFE      3.0  /* events */
#define MATCHING_SHARE 0.75 /* of candidates: of a cate of the history */

/* Where chapter number begins, somewhere within its CHAPTER events of the stream. */
static uint64_t chapter_begin(const world *w, uint64_t user, uint64_t number)
{
    rng r = world_stream(w, WORLD_OF_SHAPE, user, number);
    return number * CHAPTER + rng_below(&r, CHAPTER);
}

/* The cate that the user's chapter at this event is about. */
static uint64_t interest_at(const world *w, uint64_t user, uint64_t event)
{
    uint64_t number = event / CHAPTER + 1; /* chapter 0 is before the first that begins */

    if (event < chapter_begin(w, user, number - 1))
        number--;
    rng r = world_stream(w, WORLD_OF_CHAPTER, user, number);
    return rng_below(&r, w->options.cates);
}

static world_event event_of(const world *w, uint64_t user, uint64_t event)
{
    world_event e;
    rng         r;

    e.time        = world_time(w, user, event, &r);
    uint64_t cate = rng_uniform(&r) < w->options.noise ? rng_below(&r, w->options.cates)
                                                       : interest_at(w, user, event);
    world_fill_event(w, &e, cate, &r);
    return e;
}

static double evidence_of(const world_sample *s)
{
    double evidence = 0, weight = 1;

    for (int i = s->n - 1; i >= 0; i--, weight *= exp2(-1 / HALF_LIFE))
        evidence += weight * (s->history[i].cate == s->candidate.cate);
    return evidence;
}

static void fill(const world *w, rng *r, world_sample *s)
{
    const world_options *o      = &w->options;
    uint64_t             length = world_draw_length(o, r);
    uint64_t             end    = length + rng_below(r, 4 * (uint64_t)o->history + 1);
    rng                  ignored;

    s->n = length < (uint64_t)o->max_len ? (int)length : o->max_len;
    for (int i = 0; i < s->n; i++)
        s->history[i] = event_of(w, s->user, end - (uint64_t)(s->n - i));
    uint64_t cate = s->n > 0 && rng_uniform(r) < MATCHING_SHARE
                        ? s->history[rng_below(r, (uint64_t)s->n)].cate
                        : rng_below(r, o->cates);
    world_fill_event(w, &s->candidate, cate, r);
    s->candidate.time = world_time(w, s->user, end, &ignored);
    s->probability    = world_click(w, cate, evidence_of(s));
}

const world_kind world_drift = {
    .name  = "drift",
    .help  = "interests that give way to others: the order of events matters",
    .heeds = WORLD_USERS | WORLD_GOODS | WORLD_SHOPS | WORLD_HISTORY | WORLD_ZIPF |
             WORLD_NOISE | WORLD_NEGATIVES,
    .options = {.users      = 20000,
                .goods      = 5000,
                .shops      = 500,
                .cates      = 50,
                .history    = 20,
                .noise      = 0.1,
                .zipf       = 1.0,
                .negatives  = NEGATIVES_UNIFORM,
                .bias       = -2.5,
                .strength   = 5.0,
                .saturation = 1.5,
                .quality    = 0.3},
    WORLD_HISTORY_SHARD,
    .fill = fill,
};
