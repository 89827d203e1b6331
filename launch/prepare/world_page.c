/* The world of the page: ads are seen among others.
 *
 * An ad belongs to one cate (its id modulo the number of cates). With the candidate go up to
 * MOST ads each that stand above it on the page (contextual), that the user clicked before, and
 * that the user passed over (unclicked). What counts of each list is how many are of the
 * candidate's cate:
 *
 *     logit p = bias + quality(cate) + strength (1 - exp(-clicked / saturation))
 *               - COMPETES (1 - exp(-contextual / saturation)) - TIRES unclicked
 *
 * Who looks at the candidate alone sees the quality of its cate and no more. */
#include <math.h>

#include "launch/prepare/world.h"

#define MOST     5   /* ads of a list */
#define MATCHING 0.3 /* of the ads of a list: of the candidate's cate */
#define COMPETES 3.0
#define TIRES    0.8

#define FIRST_TIME INT64_C(1500000000)
#define SECONDS    UINT64_C(1209600) /* that samples are spread over */

enum { CONTEXTUAL, CLICKED, UNCLICKED, LISTS };

enum {
    LABEL,
    USER,
    AD,
    CATE,
    TIME,
    PROBABILITY,
    OFFSETS,
    ADS,
    CATES,
    COLUMNS = OFFSETS + 3 * LISTS
};

enum { TABLE_USER, TABLE_AD, TABLE_CATE, TABLES };

static const char *const tables[TABLES] = {"user", "ad", "cate"};

#define LIST(number, name)                                                                     \
    [OFFSETS + 3 * (number)] = {name ".offsets", DTYPE_U64, .offsets = true, .table = -1},     \
                   [ADS + 3 * (number)]   = {name ".ad", DTYPE_U64, .table = TABLE_AD},        \
                   [CATES + 3 * (number)] = {name ".cate", DTYPE_U64, .table = TABLE_CATE}

static const shard_column columns[COLUMNS] = {
    [LABEL]       = {"label", DTYPE_F32, .table = -1},
    [USER]        = {"user", DTYPE_U64, .table = TABLE_USER},
    [AD]          = {"ad", DTYPE_U64, .table = TABLE_AD},
    [CATE]        = {"cate", DTYPE_U64, .table = TABLE_CATE},
    [TIME]        = {"time", DTYPE_I64, .table = -1},
    [PROBABILITY] = {"probability", DTYPE_F32, .table = -1},
    LIST(CONTEXTUAL, "contextual"),
    LIST(CLICKED, "clicked"),
    LIST(UNCLICKED, "unclicked"),
};

typedef struct ad_list {
    uint64_t n, matching;
    uint64_t ad[MOST], cate[MOST];
} ad_list;

static int n_columns(const world_options *o)
{
    (void)o;
    return COLUMNS;
}

static ad_list draw_list(const world *w, uint64_t candidate, rng *r)
{
    ad_list list = {.n = rng_below(r, MOST + 1)};

    for (uint64_t i = 0; i < list.n; i++) {
        list.cate[i] = rng_uniform(r) < MATCHING ? candidate : rng_below(r, w->options.cates);
        list.ad[i]   = world_draw_goods(w, list.cate[i], r);
        list.matching += list.cate[i] == candidate;
    }
    return list;
}

static double click(const world *w, uint64_t cate, const ad_list *lists)
{
    const world_options *o       = &w->options;
    double               clicked = 1 - exp(-(double)lists[CLICKED].matching / o->saturation);
    double contextual            = 1 - exp(-(double)lists[CONTEXTUAL].matching / o->saturation);
    double logit                 = o->bias + world_quality(w, cate) + o->strength * clicked -
                   COMPETES * contextual - TIRES * (double)lists[UNCLICKED].matching;

    return 1 / (1 + exp(-logit));
}

static err_t write_list(shard_writer *to, int number, const ad_list *list)
{
    TRY(shard_writer_length(to, OFFSETS + 3 * number, list->n));
    TRY(shard_writer_u64(to, ADS + 3 * number, list->ad, list->n));
    return shard_writer_u64(to, CATES + 3 * number, list->cate, list->n);
}

static err_t write(const world *w, shard_writer *to, int split, uint64_t number,
                   prediction *truth)
{
    rng      r    = world_stream(w, WORLD_OF_SAMPLE, (uint64_t)split, number);
    uint64_t user = zipf_draw(&w->of_users, &r) - 1;
    uint64_t cate = rng_below(&r, w->options.cates), ad = world_draw_goods(w, cate, &r);
    int64_t  time = FIRST_TIME + (int64_t)rng_below(&r, SECONDS);
    ad_list  lists[LISTS];

    for (int i = 0; i < LISTS; i++)
        lists[i] = draw_list(w, cate, &r);
    double p = click(w, cate, lists);
    *truth   = (prediction){p, user, rng_uniform(&r) < p, 1};
    TRY(shard_writer_f32(to, LABEL, &truth->label, 1));
    TRY(shard_writer_u64(to, USER, &user, 1));
    TRY(shard_writer_u64(to, AD, &ad, 1));
    TRY(shard_writer_u64(to, CATE, &cate, 1));
    TRY(shard_writer_i64(to, TIME, &time, 1));
    for (int i = 0; i < LISTS; i++)
        TRY(write_list(to, i, &lists[i]));
    TRY(shard_writer_f32(to, PROBABILITY, &(float){(float)p}, 1));
    return shard_writer_end_sample(to);
}

const world_kind world_page = {
    .name      = "page",
    .help      = "ads compete with those around them: auxiliary ads matter",
    .heeds     = WORLD_USERS | WORLD_GOODS | WORLD_ZIPF,
    .options   = {.users      = 20000,
                  .goods      = 2000,
                  .cates      = 30,
                  .zipf       = 1.0,
                  .bias       = -1.0,
                  .strength   = 4.0,
                  .saturation = 1.0,
                  .quality    = 0.5},
    .n_tables  = TABLES,
    .tables    = tables,
    .columns   = columns,
    .n_columns = n_columns,
    .write     = write,
};
