/* The worlds of interests: a user has a few, each a cate with a weight, and an endless stream
 * of past events: most are goods of one of the interests, some are noise. Of the candidates
 * half come from the user's interests. With the evidence
 *
 *     e = events of the candidate's cate + half of the events of its shop
 *
 * what matters is which events of the history match the candidate: a sum over the history has
 * to keep as many numbers as there are cates, a sum weighted by the candidate only one. */
#include "launch/prepare/world_history.h"

#define MATCHING_SHARE 0.5 /* of candidates: from an interest */
#define SHOP_EVIDENCE  0.5

typedef struct interests {
    uint64_t cate[WORLD_MOST_INTERESTS];
    double   weight[WORLD_MOST_INTERESTS]; /* running sums; the last one is 1 */
} interests;

/* Interest k weighs 1 + a uniform number: none is negligible. */
static interests interests_of(const world *w, uint64_t user)
{
    interests in;
    rng       r   = world_stream(w, WORLD_OF_USER, user, 0);
    double    sum = 0;
    int       n   = w->options.interests;

    for (int k = 0; k < n; k++) {
        in.cate[k] = rng_below(&r, w->options.cates);
        sum += 1 + rng_uniform(&r);
        in.weight[k] = sum;
    }
    for (int k = 0; k < n; k++)
        in.weight[k] /= sum;
    return in;
}

static uint64_t draw_interest(const interests *in, int n, rng *r)
{
    double u = rng_uniform(r);
    int    k = 0;

    while (k < n - 1 && u >= in->weight[k])
        k++;
    return in->cate[k];
}

static world_event event_of(const world *w, const interests *in, uint64_t user, uint64_t event)
{
    const world_options *o = &w->options;
    world_event          e;
    rng                  r;

    e.time        = world_time(w, user, event, &r);
    uint64_t cate = rng_uniform(&r) < o->noise ? rng_below(&r, o->cates)
                                               : draw_interest(in, o->interests, &r);
    world_fill_event(w, &e, cate, &r);
    return e;
}

static double evidence_of(const world_sample *s)
{
    double evidence = 0;

    for (int i = 0; i < s->n; i++)
        evidence += (s->history[i].cate == s->candidate.cate) +
                    SHOP_EVIDENCE * (s->history[i].shop == s->candidate.shop);
    return evidence;
}

static void fill(const world *w, rng *r, world_sample *s)
{
    const world_options *o      = &w->options;
    interests            in     = interests_of(w, s->user);
    uint64_t             length = world_draw_length(o, r);
    uint64_t             end    = length + rng_below(r, 4 * (uint64_t)o->history + 1);
    rng                  ignored;

    s->n = length < (uint64_t)o->max_len ? (int)length : o->max_len;
    for (int i = 0; i < s->n; i++)
        s->history[i] = event_of(w, &in, s->user, end - (uint64_t)(s->n - i));
    uint64_t cate = rng_uniform(r) < MATCHING_SHARE
                        ? in.cate[rng_below(r, (uint64_t)o->interests)]
                        : rng_below(r, o->cates);
    world_fill_event(w, &s->candidate, cate, r);
    s->candidate.time = world_time(w, s->user, end, &ignored);
    s->probability    = world_click(w, cate, evidence_of(s));
}

#define HEEDS                                                                                  \
    WORLD_USERS | WORLD_GOODS | WORLD_SHOPS | WORLD_HISTORY | WORLD_INTERESTS | WORLD_ZIPF |   \
        WORLD_NOISE | WORLD_NEGATIVES

const world_kind world_interests = {
    .name    = "interests",
    .help    = "a few interests among many cates: attention beats a sum",
    .heeds   = HEEDS,
    .options = {.users      = 20000,
                .goods      = 20000,
                .shops      = 2000,
                .cates      = 200,
                .interests  = 4,
                .history    = 20,
                .noise      = 0.2,
                .zipf       = 1.0,
                .bias       = -2.0,
                .strength   = 4.0,
                .saturation = 1.5,
                .quality    = 0.3},
    WORLD_HISTORY_SHARD,
    .fill = fill,
};

const world_kind world_fine_grained = {
    .name    = "fine-grained",
    .help    = "goods and users so rare that a model learns them by heart",
    .heeds   = HEEDS,
    .options = {.users      = 100000,
                .goods      = 100000,
                .shops      = 2000,
                .cates      = 50,
                .interests  = 3,
                .history    = 10,
                .noise      = 0.2,
                .zipf       = 0,
                .bias       = -1.2,
                .strength   = 2.4,
                .saturation = 1.5,
                .quality    = 0.3},
    WORLD_HISTORY_SHARD,
    .fill = fill,
};
