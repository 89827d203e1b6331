#include "launch/prepare/world.h"

#include <math.h>

/* What a stream of chance is for. */
enum { OF_USER = 1, OF_EVENT, OF_CATE, OF_SAMPLE };

#define FIRST_TIME     INT64_C(1500000000)
#define SECONDS_APART  INT64_C(21600) /* events of a user, about */
#define EMPTY_SHARE    0.03           /* of samples: no history */
#define MATCHING_SHARE 0.5            /* of candidates: from an interest */
#define SHOP_EVIDENCE  0.5

typedef struct interests {
    uint64_t cate[WORLD_MOST_INTERESTS];
    double   weight[WORLD_MOST_INTERESTS]; /* running sums; the last one is 1 */
} interests;

static rng stream(const world *w, uint64_t what, uint64_t a, uint64_t b)
{
    return rng_named(w->options.seed ^ hash_mix(what), RNG_PREPARE, a, b);
}

world world_of(const world_options *options)
{
    uint64_t least = options->goods / options->cates;

    return (world){
        .options  = *options,
        .of_cate  = {zipf_of(least > 0 ? least : 1, options->zipf),
                     zipf_of(least + 1, options->zipf)},
        .of_users = zipf_of(options->users, options->zipf / 2),
    };
}

/* Goods c, c + cates, c + 2 cates, ... belong to cate c; the first ones are popular. */
static uint64_t draw_goods(const world *w, uint64_t cate, rng *r)
{
    const world_options *o    = &w->options;
    const zipf          *rank = &w->of_cate[cate < o->goods % o->cates];

    return (zipf_draw(rank, r) - 1) * o->cates + cate;
}

static uint64_t draw_shop(const world *w, uint64_t goods, rng *r)
{
    uint64_t offer = rng_next(r) & 1;
    return hash_mix(2 * goods + offer + hash_mix(w->options.seed)) % w->options.shops;
}

/* Interest k weighs 1 + a uniform number: none is negligible. */
static interests interests_of(const world *w, uint64_t user)
{
    interests in;
    rng       r   = stream(w, OF_USER, user, 0);
    double    sum = 0;
    int       n   = w->options.interests;

    for (int k = 0; k < n; k++) {
        in.cate[k]   = rng_below(&r, w->options.cates);
        sum         += 1 + rng_uniform(&r);
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

static int64_t time_of(const world *w, uint64_t user, uint64_t event)
{
    rng r = stream(w, OF_EVENT, user, event);
    return FIRST_TIME + (int64_t)event * SECONDS_APART +
           (int64_t)rng_below(&r, (uint64_t)SECONDS_APART);
}

static world_event event_of(const world *w, const interests *in, uint64_t user, uint64_t event)
{
    const world_options *o = &w->options;
    rng                  r = stream(w, OF_EVENT, user, event);
    world_event          e;

    e.time  = FIRST_TIME + (int64_t)event * SECONDS_APART +
             (int64_t)rng_below(&r, (uint64_t)SECONDS_APART);
    e.cate  = rng_uniform(&r) < o->noise ? rng_below(&r, o->cates)
                                         : draw_interest(in, o->interests, &r);
    e.goods = draw_goods(w, e.cate, &r);
    e.shop  = draw_shop(w, e.goods, &r);
    return e;
}

/* The mean, or uniform on 1 .. 2 mean - 1 but for a few that are empty. */
static uint64_t draw_length(const world_options *o, rng *r)
{
    if (o->equal)
        return (uint64_t)o->history;
    if (o->history == 0 || rng_uniform(r) < EMPTY_SHARE)
        return 0;
    return 1 + rng_below(r, 2 * (uint64_t)o->history - 1);
}

static double click_probability(const world *w, const world_sample *s)
{
    const world_options *o        = &w->options;
    rng                  r        = stream(w, OF_CATE, s->candidate.cate, 0);
    double               evidence = 0;

    for (int i = 0; i < s->n; i++)
        evidence += (s->history[i].cate == s->candidate.cate) +
                    SHOP_EVIDENCE * (s->history[i].shop == s->candidate.shop);
    double logit = o->bias + o->strength * (1 - exp(-evidence / o->saturation)) +
                   o->quality * rng_normal(&r);
    return 1 / (1 + exp(-logit));
}

void world_make(const world *w, int split, uint64_t number, world_sample *s)
{
    const world_options *o = &w->options;
    rng                  r = stream(w, OF_SAMPLE, (uint64_t)split, number);

    s->user         = zipf_draw(&w->of_users, &r) - 1;
    interests in    = interests_of(w, s->user);
    uint64_t length = draw_length(o, &r);
    uint64_t end    = length + rng_below(&r, 4 * (uint64_t)o->history + 1);
    s->n            = length < (uint64_t)o->max_len ? (int)length : o->max_len;
    for (int i = 0; i < s->n; i++)
        s->history[i] = event_of(w, &in, s->user, end - (uint64_t)(s->n - i));

    world_event *c = &s->candidate;
    c->cate        = rng_uniform(&r) < MATCHING_SHARE
                         ? in.cate[rng_below(&r, (uint64_t)o->interests)]
                         : rng_below(&r, o->cates);
    c->goods       = draw_goods(w, c->cate, &r);
    c->shop        = draw_shop(w, c->goods, &r);
    c->time        = time_of(w, s->user, end);
    s->probability = click_probability(w, s);
    s->label       = rng_uniform(&r) < s->probability;
}
