#include "launch/prepare/world_history.h"

#include <math.h>

#define FIRST_TIME    INT64_C(1500000000)
#define SECONDS_APART INT64_C(21600) /* events of a user, about */
#define EMPTY_SHARE   0.03           /* of samples: no history */

enum {
    LABEL,
    USER,
    GOODS,
    SHOP,
    CATE,
    HISTORY,
    HISTORY_GOODS,
    HISTORY_SHOP,
    HISTORY_CATE,
    HISTORY_TIME,
    TIME,
    PROBABILITY,
    COLUMNS,
    NEGATIVE_GOODS = COLUMNS,
    NEGATIVE_SHOP,
    NEGATIVE_CATE,
    COLUMNS_WITH_NEGATIVES
};

enum { TABLE_USER, TABLE_GOODS, TABLE_SHOP, TABLE_CATE };

const char *const world_history_tables[WORLD_HISTORY_TABLES] = {"user", "goods", "shop",
                                                                "cate"};

const shard_column world_history_columns[COLUMNS_WITH_NEGATIVES] = {
    [LABEL]          = {"label", DTYPE_F32, .table = -1},
    [USER]           = {"user", DTYPE_U64, .table = TABLE_USER},
    [GOODS]          = {"goods", DTYPE_U64, .table = TABLE_GOODS},
    [SHOP]           = {"shop", DTYPE_U64, .table = TABLE_SHOP},
    [CATE]           = {"cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY]        = {"history.offsets", DTYPE_U64, .offsets = true, .table = -1},
    [HISTORY_GOODS]  = {"history.goods", DTYPE_U64, .table = TABLE_GOODS},
    [HISTORY_SHOP]   = {"history.shop", DTYPE_U64, .table = TABLE_SHOP},
    [HISTORY_CATE]   = {"history.cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY_TIME]   = {"history.time", DTYPE_I64, .table = -1},
    [TIME]           = {"time", DTYPE_I64, .table = -1},
    [PROBABILITY]    = {"probability", DTYPE_F32, .table = -1},
    [NEGATIVE_GOODS] = {"history.negative_goods", DTYPE_U64, .table = TABLE_GOODS},
    [NEGATIVE_SHOP]  = {"history.negative_shop", DTYPE_U64, .table = TABLE_SHOP},
    [NEGATIVE_CATE]  = {"history.negative_cate", DTYPE_U64, .table = TABLE_CATE},
};

int world_history_n_columns(const world_options *o)
{
    return o->negatives == NEGATIVES_NONE ? COLUMNS : COLUMNS_WITH_NEGATIVES;
}

/* ---- writing ---- */

/* Goods, shop and cate go into three columns from goods on. */
static err_t write_ids(shard_writer *to, int goods, const world_event *e)
{
    TRY(shard_writer_u64(to, goods, &e->goods, 1));
    TRY(shard_writer_u64(to, goods + 1, &e->shop, 1));
    return shard_writer_u64(to, goods + 2, &e->cate, 1);
}

static world_event draw_negative(const world *w, const world_event *of, rng *r)
{
    const world_options *o = &w->options;
    world_event          e;

    do {
        e.goods = o->negatives == NEGATIVES_UNIFORM
                      ? rng_below(r, o->goods)
                      : world_draw_goods(w, rng_below(r, o->cates), r);
    } while (e.goods == of->goods);
    e.cate = e.goods % o->cates;
    e.shop = world_draw_shop(w, e.goods, r);
    e.time = of->time;
    return e;
}

static err_t write_negatives(const world *w, shard_writer *to, const world_sample *s, rng r)
{
    for (int i = 0; i < s->n; i++) {
        world_event e = draw_negative(w, &s->history[i], &r);
        TRY(write_ids(to, NEGATIVE_GOODS, &e));
    }
    return OK;
}

static err_t write_sample(shard_writer *to, const world_sample *s, float label)
{
    float probability = (float)s->probability;

    TRY(shard_writer_f32(to, LABEL, &label, 1));
    TRY(shard_writer_u64(to, USER, &s->user, 1));
    TRY(write_ids(to, GOODS, &s->candidate));
    TRY(shard_writer_i64(to, TIME, &s->candidate.time, 1));
    TRY(shard_writer_length(to, HISTORY, (uint64_t)s->n));
    for (int i = 0; i < s->n; i++) {
        TRY(write_ids(to, HISTORY_GOODS, &s->history[i]));
        TRY(shard_writer_i64(to, HISTORY_TIME, &s->history[i].time, 1));
    }
    return shard_writer_f32(to, PROBABILITY, &probability, 1);
}

err_t world_history_write(const world *w, shard_writer *to, int split, uint64_t number,
                          prediction *truth)
{
    rng          r = world_stream(w, WORLD_OF_SAMPLE, (uint64_t)split, number);
    world_sample s = {.history = w->room};

    s.user = zipf_draw(&w->of_users, &r) - 1;
    w->kind->fill(w, &r, &s);
    *truth = (prediction){s.probability, s.user, rng_uniform(&r) < s.probability, 1};
    TRY(write_sample(to, &s, truth->label));
    if (w->options.negatives != NEGATIVES_NONE)
        TRY(write_negatives(w, to, &s,
                            world_stream(w, WORLD_OF_NEGATIVE, (uint64_t)split, number)));
    return shard_writer_end_sample(to);
}

/* ---- what samples are made of ---- */

uint64_t world_draw_length(const world_options *o, rng *r)
{
    if (o->equal)
        return (uint64_t)o->history;
    if (o->history == 0 || rng_uniform(r) < EMPTY_SHARE)
        return 0;
    return 1 + rng_below(r, 2 * (uint64_t)o->history - 1);
}

int64_t world_time(const world *w, uint64_t user, uint64_t event, rng *r)
{
    *r = world_stream(w, WORLD_OF_EVENT, user, event);
    return FIRST_TIME + (int64_t)event * SECONDS_APART +
           (int64_t)rng_below(r, (uint64_t)SECONDS_APART);
}

void world_fill_event(const world *w, world_event *e, uint64_t cate, rng *r)
{
    e->cate  = cate;
    e->goods = world_draw_goods(w, cate, r);
    e->shop  = world_draw_shop(w, e->goods, r);
}

double world_click(const world *w, uint64_t cate, double evidence)
{
    const world_options *o = &w->options;
    double               logit =
        o->bias + o->strength * (1 - exp(-evidence / o->saturation)) + world_quality(w, cate);

    return 1 / (1 + exp(-logit));
}
