#include "launch/prepare/taobao_ads_rows.h"

#include "common/rng.h"
#include "common/vec.h"
#include "launch/prepare/auxiliary.h"
#include "launch/prepare/behaviors.h"
#include "launch/prepare/names.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/progress.h"
#include "launch/prepare/raw_lines.h"
#include "worker/data/gap.h"

typedef struct ads_options {
    prepare_options shared;
    const char     *samples, *ads, *profiles, *log;
    int64_t         test_from, max_len, auxiliary, max_bad;
    double          history_days, auxiliary_days;
} ads_options;

static const char about[] =
    "Alibaba's display ads as samples. Reads raw_sample.csv, ad_feature.csv, user_profile.csv\n"
    "and, for histories, behavior_log.csv, plain or gzipped. A line of raw_sample is a "
    "sample;\n"
    "test are those from --test-from on. Features user, ad, cate, campaign, customer, brand "
    "(a\n"
    "bag: it may be missing), price (numbers), place; of the profile cms_segid, cms_group_id,\n"
    "final_gender_code, age_level, pvalue_level, shopping_level, occupation,\n"
    "new_user_class_level (bags); history: cate, brand, behavior, time, of what the user did\n"
    "before. contextual, clicked and unclicked (ad, cate) are the ads that were shown before\n"
    "within the same second of the same user, and those of earlier seconds with and without a\n"
    "click. Places and behaviors are hashed; names-place and names-behavior have them. Ads\n"
    "and profiles are kept in memory.";

#define PROFILE(i) (PROFILES + 2 * (i))
#define LIST(kind) (LISTS + 3 * (int)(kind))

enum {
    LABEL, USER, AD, CATE, CAMPAIGN, CUSTOMER, BRAND, BRAND_OFFSETS, PRICE, PLACE, TIME, PROFILES,
    LISTS = PROFILES + 2 * TAOBAO_CODES,
    SHOWN_COLUMNS = LISTS + 3 * AUXILIARY_KINDS, /* all without a log */
    HISTORY = SHOWN_COLUMNS, HISTORY_CATE, HISTORY_BRAND, HISTORY_BEHAVIOR, HISTORY_TIME, COLUMNS
};

enum {
    TABLE_USER, TABLE_AD, TABLE_CATE, TABLE_CAMPAIGN, TABLE_CUSTOMER, TABLE_BRAND, TABLE_PLACE,
    TABLE_BEHAVIOR, TABLE_PROFILE, TABLES = TABLE_PROFILE + TAOBAO_CODES
};

static const char *const tables[TABLES] = {"user",
                                           "ad",
                                           "cate",
                                           "campaign",
                                           "customer",
                                           "brand",
                                           "place",
                                           "behavior",
                                           "cms_segid",
                                           "cms_group_id",
                                           "final_gender_code",
                                           "age_level",
                                           "pvalue_level",
                                           "shopping_level",
                                           "occupation",
                                           "new_user_class_level"};

#define CODE(i, name)                                                                          \
    [PROFILE(i)]     = {name, DTYPE_U64, .table = TABLE_PROFILE + (i)},                        \
    [PROFILE(i) + 1] = {name ".offsets", DTYPE_U64, .offsets = true, .table = -1}
#define ADS(kind, name)                                                                        \
    [LIST(kind)]     = {name ".offsets", DTYPE_U64, .offsets = true, .table = -1},             \
    [LIST(kind) + 1] = {name ".ad", DTYPE_U64, .table = TABLE_AD},                             \
    [LIST(kind) + 2] = {name ".cate", DTYPE_U64, .table = TABLE_CATE}

static const shard_column columns[COLUMNS] = {
    [LABEL]         = {"label", DTYPE_F32, .table = -1},
    [USER]          = {"user", DTYPE_U64, .table = TABLE_USER},
    [AD]            = {"ad", DTYPE_U64, .table = TABLE_AD},
    [CATE]          = {"cate", DTYPE_U64, .table = TABLE_CATE},
    [CAMPAIGN]      = {"campaign", DTYPE_U64, .table = TABLE_CAMPAIGN},
    [CUSTOMER]      = {"customer", DTYPE_U64, .table = TABLE_CUSTOMER},
    [BRAND]         = {"brand", DTYPE_U64, .table = TABLE_BRAND},
    [BRAND_OFFSETS] = {"brand.offsets", DTYPE_U64, .offsets = true, .table = -1},
    [PRICE]         = {"price", DTYPE_F32, .table = -1},
    [PLACE]         = {"place", DTYPE_U64, .table = TABLE_PLACE},
    [TIME]          = {"time", DTYPE_I64, .table = -1},
    CODE(0, "cms_segid"),
    CODE(1, "cms_group_id"),
    CODE(2, "final_gender_code"),
    CODE(3, "age_level"),
    CODE(4, "pvalue_level"),
    CODE(5, "shopping_level"),
    CODE(6, "occupation"),
    CODE(7, "new_user_class_level"),
    ADS(AUXILIARY_CONTEXTUAL, "contextual"),
    ADS(AUXILIARY_CLICKED, "clicked"),
    ADS(AUXILIARY_UNCLICKED, "unclicked"),
    [HISTORY]          = {"history.offsets", DTYPE_U64, .offsets = true, .table = -1},
    [HISTORY_CATE]     = {"history.cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY_BRAND]    = {"history.brand", DTYPE_U64, .table = TABLE_BRAND},
    [HISTORY_BEHAVIOR] = {"history.behavior", DTYPE_U64, .table = TABLE_BEHAVIOR},
    [HISTORY_TIME]     = {"history.time", DTYPE_I64, .table = -1},
};

/* A line of the log, as it is sorted: those of one second stay in the order of the file. */
typedef struct deed {
    uint64_t user;
    int64_t  time;
    uint64_t cate, brand, what;
} deed;

typedef struct ads {
    const ads_options *my;
    output            *out;
    bad_lines          bad;
    names             *places, *behaviors;
    id_map             ad_numbers, profile_numbers;
    VEC(taobao_ad) ads;
    VEC(taobao_profile) profiles;
    sorter  *shown; /* impressions; the ad is a number in ads, the page the second */
    sorter  *log;   /* deeds; NULL: no log */
    uint64_t n_shown;
    VEC(uint64_t) ad_ids; /* by number */
    VEC(impression) of_user;
    VEC(deed) deeds;  /* of that user */
    const deed *next; /* of the log: of this user or a later one; NULL: none is left */
} ads;

static int deed_order(const void *a, const void *b)
{
    const deed *x = a, *y = b;

    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    return x->time < y->time ? -1 : x->time > y->time;
}

/* ---- reading ---- */

static err_t take_ad(void *self, char *line, size_t n, uint64_t number)
{
    ads      *a = self;
    taobao_ad ad;
    uint64_t  id;

    if (taobao_is_header(line, n, number))
        return OK;
    TRY(taobao_parse_ad(line, n, &id, &ad));
    if (id_map_find(&a->ad_numbers, id))
        return err_set(ERR_DATA, "ad %llu was there before", (unsigned long long)id);
    TRY(id_map_put(&a->ad_numbers, id, a->ads.n));
    TRY(vec_push(&a->ad_ids, id));
    return vec_push(&a->ads, ad);
}

static err_t take_profile(void *self, char *line, size_t n, uint64_t number)
{
    ads           *a = self;
    taobao_profile profile;
    uint64_t       user;

    if (taobao_is_header(line, n, number))
        return OK;
    TRY(taobao_parse_profile(line, n, &user, &profile));
    if (id_map_find(&a->profile_numbers, user))
        return err_set(ERR_DATA, "user %llu was there before", (unsigned long long)user);
    TRY(id_map_put(&a->profile_numbers, user, a->profiles.n));
    return vec_push(&a->profiles, profile);
}

static err_t take_shown(void *self, char *line, size_t n, uint64_t number)
{
    ads         *a = self;
    taobao_shown row;

    if (taobao_is_header(line, n, number))
        return OK;
    TRY(taobao_parse_shown(line, n, &row));
    const uint64_t *ad = id_map_find(&a->ad_numbers, row.ad);
    if (!ad)
        return err_set(ERR_DATA, "ad %llu is not in %s", (unsigned long long)row.ad,
                       a->my->ads);
    impression i = {.user    = row.user,
                    .time    = row.time,
                    .number  = number,
                    .page    = (uint64_t)row.time,
                    .ad      = *ad,
                    .clicked = row.clicked};
    TRY(names_see(a->places, row.place, &i.place));
    a->n_shown++;
    return sorter_push(a->shown, &i);
}

static err_t take_deed(void *self, char *line, size_t n, uint64_t number)
{
    ads        *a = self;
    taobao_deed row;

    if (taobao_is_header(line, n, number))
        return OK;
    TRY(taobao_parse_deed(line, n, &row));
    deed d = {.user = row.user, .time = row.time, .cate = row.cate, .brand = row.brand};
    TRY(names_see(a->behaviors, row.what, &d.what));
    return sorter_push(a->log, &d);
}

/* ---- writing ---- */

/* A bag of one id, or none. */
static err_t write_optional(shard_writer *w, int ids, bool known, uint64_t id)
{
    TRY(shard_writer_length(w, ids + 1, known));
    return known ? shard_writer_u64(w, ids, &id, 1) : OK;
}

static err_t write_ad(ads *a, shard_writer *w, const impression *shown)
{
    const taobao_ad *ad = &a->ads.at[shown->ad];

    TRY(shard_writer_u64(w, AD, &a->ad_ids.at[shown->ad], 1));
    TRY(shard_writer_u64(w, CATE, &ad->cate, 1));
    TRY(shard_writer_u64(w, CAMPAIGN, &ad->campaign, 1));
    TRY(shard_writer_u64(w, CUSTOMER, &ad->customer, 1));
    TRY(write_optional(w, BRAND, ad->branded, ad->brand));
    return shard_writer_f32(w, PRICE, &ad->price, 1);
}

static err_t write_profile(ads *a, shard_writer *w, uint64_t user)
{
    static const taobao_profile nothing = {0};
    const uint64_t             *number  = id_map_find(&a->profile_numbers, user);
    const taobao_profile       *p       = number ? &a->profiles.at[*number] : &nothing;

    for (int i = 0; i < TAOBAO_CODES; i++)
        TRY(write_optional(w, PROFILE(i), p->known[i], p->code[i]));
    return OK;
}

static err_t write_lists(ads *a, shard_writer *w, size_t i)
{
    const auxiliary_limits limits = {(size_t)a->my->auxiliary,
                                     seconds_of_days(a->my->auxiliary_days)};
    size_t                 picked[AUXILIARY_MOST];

    for (auxiliary_list kind = 0; kind < AUXILIARY_KINDS; kind++) {
        size_t n = auxiliary_pick(a->of_user.at, i, kind, limits, picked);
        TRY(shard_writer_length(w, LIST(kind), n));
        for (size_t k = 0; k < n; k++) {
            uint64_t ad = a->of_user.at[picked[k]].ad;
            TRY(shard_writer_u64(w, LIST(kind) + 1, &a->ad_ids.at[ad], 1));
            TRY(shard_writer_u64(w, LIST(kind) + 2, &a->ads.at[ad].cate, 1));
        }
    }
    return OK;
}

/* How many of the n deeds, the newest, a sample keeps at time now. */
static size_t count_kept(const ads_options *my, const deed *deeds, size_t n, int64_t now)
{
    size_t  kept = 0, most = n < (size_t)my->max_len ? n : (size_t)my->max_len;
    int64_t seconds = seconds_of_days(my->history_days);

    if (seconds == 0)
        return most;
    while (kept < most && gap_seconds(deeds[n - 1 - kept].time, now) <= (uint64_t)seconds)
        kept++;
    return kept;
}

/* The first n deeds of the user happened before now. */
static err_t write_history(ads *a, shard_writer *w, size_t n, int64_t now)
{
    size_t kept = count_kept(a->my, a->deeds.at, n, now);

    TRY(shard_writer_length(w, HISTORY, kept));
    for (size_t i = n - kept; i < n; i++) {
        const deed *d = &a->deeds.at[i];
        TRY(shard_writer_u64(w, HISTORY_CATE, &d->cate, 1));
        TRY(shard_writer_u64(w, HISTORY_BRAND, &d->brand, 1));
        TRY(shard_writer_u64(w, HISTORY_BEHAVIOR, &d->what, 1));
        TRY(shard_writer_i64(w, HISTORY_TIME, &d->time, 1));
    }
    return OK;
}

static err_t write_sample(ads *a, size_t i, size_t n_deeds)
{
    const impression *shown = &a->of_user.at[i];
    const float       label = shown->clicked;
    shard_writer     *w;

    TRY(output_split(a->out, shown->time < a->my->test_from ? "train" : "test", &w));
    TRY(shard_writer_f32(w, LABEL, &label, 1));
    TRY(shard_writer_u64(w, USER, &shown->user, 1));
    TRY(write_ad(a, w, shown));
    TRY(shard_writer_u64(w, PLACE, &shown->place, 1));
    TRY(shard_writer_i64(w, TIME, &shown->time, 1));
    TRY(write_profile(a, w, shown->user));
    TRY(write_lists(a, w, i));
    if (a->log)
        TRY(write_history(a, w, n_deeds, shown->time));
    return shard_writer_end_sample(w);
}

static err_t next_deed(ads *a)
{
    const void *record;

    TRY(sorter_next(a->log, &record));
    a->next = record;
    return OK;
}

/* Move the log on to the user, whose deeds are all taken. */
static err_t take_deeds(ads *a, uint64_t user)
{
    a->deeds.n = 0;
    while (a->next && a->next->user <= user) {
        if (a->next->user == user)
            TRY(vec_push(&a->deeds, *a->next));
        TRY(next_deed(a));
    }
    return OK;
}

/* The samples of a user, whose impressions are all there in order. */
static err_t write_user(ads *a)
{
    size_t before = 0; /* deeds */

    if (a->log)
        TRY(take_deeds(a, a->of_user.at[0].user));
    for (size_t i = 0; i < a->of_user.n; i++) {
        while (before < a->deeds.n && a->deeds.at[before].time < a->of_user.at[i].time)
            before++;
        TRY(write_sample(a, i, before));
    }
    a->of_user.n = 0;
    return OK;
}

static err_t write_users(ads *a, progress *shown)
{
    const void *record;

    TRY(sorter_rewind(a->shown));
    if (a->log) {
        TRY(sorter_rewind(a->log));
        TRY(next_deed(a));
    }
    for (uint64_t i = 0;; i++) {
        TRY(sorter_next(a->shown, &record));
        const impression *next = record;
        if (a->of_user.n > 0 && (!next || next->user != a->of_user.at[0].user))
            TRY(write_user(a));
        if (!next)
            return OK;
        TRY(vec_push(&a->of_user, *next));
        TRY(progress_tell(shown, i, "samples", (double)i / (double)a->n_shown));
    }
}

static err_t convert(ads *a)
{
    progress shown;

    TRY(raw_lines_each(a->my->ads, &a->bad, take_ad, a));
    if (a->my->profiles)
        TRY(raw_lines_each(a->my->profiles, &a->bad, take_profile, a));
    TRY(raw_lines_each(a->my->samples, &a->bad, take_shown, a));
    if (a->n_shown == 0)
        return err_set(ERR_DATA, "%s has no samples", a->my->samples);
    if (a->log)
        TRY(raw_lines_each(a->my->log, &a->bad, take_deed, a));
    progress_begin(&shown, "writing");
    err_t err = write_users(a, &shown);
    progress_end(&shown);
    TRY(err);
    TRY(names_write(a->places, "place", NULL));
    return a->log ? names_write(a->behaviors, "behavior", NULL) : OK;
}

/* ---- beginning and end ---- */

static err_t open_all(ads *a)
{
    TRY(output_open(&a->out, &a->my->shared, tables, TABLES, columns,
                    a->my->log ? COLUMNS : SHOWN_COLUMNS));
    const char *folder = output_folder(a->out);
    size_t      memory = output_memory(a->out);
    TRY(names_new(&a->places, memory / 16, folder));
    TRY(names_new(&a->behaviors, memory / 16, folder));
    TRY(sorter_new(&a->shown, sizeof(impression), impression_order, memory / 2, folder));
    return a->my->log ? sorter_new(&a->log, sizeof(deed), deed_order, memory / 2, folder) : OK;
}

static void release(ads *a)
{
    names_free(&a->places);
    names_free(&a->behaviors);
    sorter_free(&a->shown);
    sorter_free(&a->log);
    id_map_clear(&a->ad_numbers);
    id_map_clear(&a->profile_numbers);
    vec_clear(&a->ads);
    vec_clear(&a->ad_ids);
    vec_clear(&a->profiles);
    vec_clear(&a->of_user);
    vec_clear(&a->deeds);
}

static err_t run(const ads_options *my)
{
    ads a = {.my = my, .bad = {.most = my->max_bad}};

    err_t err = open_all(&a);
    if (err == OK)
        err = convert(&a);
    release(&a);
    if (err == OK)
        err = output_finish(&a.out);
    output_abandon(&a.out);
    raw_lines_report_skipped(err, &a.bad);
    return err;
}

err_t prepare_taobao_ads(int argc, char **argv)
{
    ads_options my      = {.shared         = PREPARE_OPTIONS_DEFAULT,
                           .test_from      = 1494633600,
                           .max_len        = 100,
                           .auxiliary      = 5,
                           .auxiliary_days = 3};
    const flag  flags[] = {
         {"samples", FLAG_TEXT, &my.samples, .meta = "FILE", .required = true,
          .help = "raw_sample.csv; - is standard input"},
         {"ads", FLAG_TEXT, &my.ads, .meta = "FILE", .required = true, .help = "ad_feature.csv"},
         {"profiles", FLAG_TEXT, &my.profiles, .meta = "FILE",
          .help = "user_profile.csv; without, all codes are missing"},
         {"log", FLAG_TEXT, &my.log, .meta = "FILE",
          .help = "behavior_log.csv; without, there is no history"},
         PREPARE_FLAGS(my.shared),
         {"test-from", FLAG_INT, &my.test_from,
          .help = "the time at which test begins, in seconds; the default is May 13th, 2017"},
         PREPARE_FLAG_MAX_LEN(my.max_len),
         PREPARE_FLAG_HISTORY_DAYS(my.history_days),
         PREPARE_FLAG_AUXILIARY(my.auxiliary),
         PREPARE_FLAG_AUXILIARY_DAYS(my.auxiliary_days),
         PREPARE_FLAG_MAX_BAD(my.max_bad),
         {0}};
    bool helped;

    TRY(flags_parse_only(flags,
                         "dips prepare taobao-ads --samples FILE --ads FILE --out DIR [flags]",
                         about, argc, argv, &helped));
    return helped ? OK : run(&my);
}
