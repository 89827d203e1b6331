/* dips prepare impressions: a log of ads that were shown, with a header:
 *
 *     label,user,time,page,ad,cate
 *     0,alice,1500000000,q17,ad 5,shoes
 *
 * label, user, time and page are what they are called; every other column is a feature of the
 * ad. The lines of a page stand in the order of the page. */
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "common/vec.h"
#include "launch/prepare/auxiliary.h"
#include "launch/prepare/behaviors.h"
#include "launch/prepare/delimited.h"
#include "launch/prepare/names.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/progress.h"
#include "launch/prepare/raw_lines.h"

#define FEATURES_MOST 32 /* of an ad */
#define FIELDS_MOST   (FEATURES_MOST + ROLES)
#define NAME_ROOM     96

typedef struct impressions_options {
    prepare_options shared;
    const char     *in, *separator;
    int64_t         test_from, auxiliary, max_bad;
    double          auxiliary_days;
} impressions_options;

static const char about[] =
    "A log of shown ads as samples, each with the ads around it. Reads a table with a header,\n"
    "plain or gzipped: label (0 or 1), user, time (seconds), page; every other column is a\n"
    "feature of the ad. Writes label, user, time, the features, and as sequences with the "
    "same\n"
    "features contextual (the ads above it on its page), clicked and unclicked (of the user's\n"
    "earlier pages). All ids are hashed strings; names-user and names-FEATURE have them. Of\n"
    "one page are the lines with the same user and page; they stand in its order.";

typedef enum { ROLE_LABEL, ROLE_USER, ROLE_TIME, ROLE_PAGE, ROLES } role;

static const char *const role_names[ROLES] = {"label", "user", "time", "page"};

/* Columns of a shard: these, the features, then the offsets and features of each list. */
enum { LABEL, USER, TIME, FEATURES };

/* What the sorter orders; cut to the features that there are. */
typedef struct shown_ad {
    impression shown;
    uint64_t   features[FEATURES_MOST];
} shown_ad;

typedef struct impressions {
    const impressions_options *my;
    output                    *out;
    bad_lines                  bad;
    size_t                     n_fields, places[ROLES]; /* of the file */
    size_t                     n_features, of_feature[FEATURES_MOST];
    char                       tables[1 + FEATURES_MOST][NAME_ROOM]; /* user, then features */
    const char                *table_names[1 + FEATURES_MOST];
    char                      *column_names; /* of the lists' columns */
    VEC(shard_column) columns;
    names   *names[1 + FEATURES_MOST];
    sorter  *ads;
    uint64_t n;
    VEC(impression) of_user; /* ad: where its features stand */
    VEC(uint64_t) features;
} impressions;

/* ---- the header ---- */

static err_t add_column(impressions *t, const char *list, const char *name, dtype type,
                        bool offsets, int table)
{
    char *whole = t->column_names + t->columns.n * 2 * NAME_ROOM;

    snprintf(whole, 2 * NAME_ROOM, "%s%s%s", list, list[0] && name[0] ? "." : "", name);
    shard_column c = {.name = whole, .type = type, .offsets = offsets, .table = table};
    return vec_push(&t->columns, c);
}

static err_t add_features(impressions *t, const char *list)
{
    for (size_t k = 0; k < t->n_features; k++)
        TRY(add_column(t, list, t->tables[1 + k], DTYPE_U64, false, 1 + (int)k));
    return OK;
}

static err_t add_columns(impressions *t)
{
    static const char *const lists[AUXILIARY_KINDS] = {"contextual", "clicked", "unclicked"};
    size_t                   most = FEATURES + (1 + AUXILIARY_KINDS) * (FEATURES_MOST + 1);

    if (!(t->column_names = malloc(most * 2 * NAME_ROOM)))
        return err_memory(most * 2 * NAME_ROOM, "names of columns");
    TRY(add_column(t, "", "label", DTYPE_F32, false, -1));
    TRY(add_column(t, "", "user", DTYPE_U64, false, 0));
    TRY(add_column(t, "", "time", DTYPE_I64, false, -1));
    TRY(add_features(t, ""));
    for (int kind = 0; kind < AUXILIARY_KINDS; kind++) {
        TRY(add_column(t, lists[kind], "offsets", DTYPE_U64, true, -1));
        TRY(add_features(t, lists[kind]));
    }
    return OK;
}

/* A name that a table, a tensor and a file can have. */
static err_t check_name(field f)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    bool legal = f.n > 0 && f.n < CONFIG_NAME_MAX;

    for (size_t i = 0; i < f.n; i++)
        legal = legal && memchr(letters, f.at[i], sizeof letters - 1);
    if (!legal)
        return err_set(ERR_FORMAT,
                       "the header's column '%.*s' is no name of a feature: letters, "
                       "digits, _ and -",
                       field_shown(f), f.at);
    return OK;
}

static err_t take_name(impressions *t, field name, size_t place)
{
    for (int r = 0; r < ROLES; r++)
        if (field_is(name, role_names[r])) {
            if (t->places[r] != SIZE_MAX)
                return err_set(ERR_FORMAT, "the header has the column '%s' twice",
                               role_names[r]);
            t->places[r] = place;
            return OK;
        }
    TRY(check_name(name));
    if (t->n_features == FEATURES_MOST)
        return err_set(ERR_FORMAT, "more than %d features of an ad", FEATURES_MOST);
    t->of_feature[t->n_features++] = place;
    snprintf(t->tables[t->n_features], NAME_ROOM, "%.*s", (int)name.n, name.at);
    for (size_t k = 1; k < t->n_features; k++)
        if (strcmp(t->tables[k], t->tables[t->n_features]) == 0)
            return err_set(ERR_FORMAT, "the header has the column '%s' twice", t->tables[k]);
    return OK;
}

static err_t check_roles(const impressions *t)
{
    for (int r = 0; r < ROLES; r++)
        if (t->places[r] == SIZE_MAX)
            return err_set(ERR_FORMAT, "the header has no column '%s'", role_names[r]);
    return t->n_features > 0 ? OK : err_set(ERR_FORMAT, "the header has no feature of the ad");
}

static err_t read_header(impressions *t, const field *f, size_t n)
{
    snprintf(t->tables[0], NAME_ROOM, "user");
    t->n_fields = n;
    for (size_t i = 0; i < n; i++)
        TRY(take_name(t, f[i], i));
    return check_roles(t);
}

static err_t open_all(impressions *t)
{
    TRY(add_columns(t));
    for (size_t k = 0; k <= t->n_features; k++)
        t->table_names[k] = t->tables[k];
    TRY(output_open(&t->out, &t->my->shared, t->table_names, 1 + (int)t->n_features,
                    t->columns.at, (int)t->columns.n));
    size_t memory = output_memory(t->out);
    for (size_t k = 0; k <= t->n_features; k++)
        TRY(names_new(&t->names[k], memory / 2 / (1 + t->n_features), output_folder(t->out)));
    return sorter_new(&t->ads, offsetof(shown_ad, features) + t->n_features * sizeof(uint64_t),
                      impression_order, memory / 2, output_folder(t->out));
}

/* ---- reading ---- */

static err_t take_ad(impressions *t, const field *f, uint64_t number)
{
    shown_ad ad    = {.shown = {.number = number}};
    field    label = f[t->places[ROLE_LABEL]], page = f[t->places[ROLE_PAGE]];

    if (!field_is(label, "0") && !field_is(label, "1"))
        return err_set(ERR_DATA, "label '%.*s' is neither 0 nor 1", field_shown(label),
                       label.at);
    ad.shown.clicked = label.at[0] == '1';
    ad.shown.page    = hash_bytes(page.at, page.n);
    TRY(field_i64(f[t->places[ROLE_TIME]], "time", &ad.shown.time));
    TRY(names_see(t->names[0], f[t->places[ROLE_USER]], &ad.shown.user));
    for (size_t k = 0; k < t->n_features; k++)
        TRY(names_see(t->names[1 + k], f[t->of_feature[k]], &ad.features[k]));
    t->n++;
    return sorter_push(t->ads, &ad);
}

static err_t take_line(void *self, char *line, size_t n, uint64_t number)
{
    impressions *t = self;
    field        f[FIELDS_MOST];
    size_t       n_fields;

    TRY(delimited_split(line, n, t->my->separator, t->my->separator[0] != '\t', f, FIELDS_MOST,
                        &n_fields));
    if (number == 1)
        return read_header(t, f, n_fields) == OK ? open_all(t)
                                                 : err_add(ERR_FORMAT, "%s:1", t->my->in);
    if (n_fields != t->n_fields)
        return err_set(ERR_DATA, "%zu fields, the header has %zu", n_fields, t->n_fields);
    return take_ad(t, f, number);
}

/* ---- writing ---- */

static err_t write_features(impressions *t, shard_writer *w, int column,
                            const impression *shown)
{
    for (size_t k = 0; k < t->n_features; k++)
        TRY(shard_writer_u64(w, column + (int)k, &t->features.at[shown->ad + k], 1));
    return OK;
}

static err_t write_list(impressions *t, shard_writer *w, auxiliary_list kind, size_t i)
{
    const auxiliary_limits limits = {(size_t)t->my->auxiliary,
                                     seconds_of_days(t->my->auxiliary_days)};
    int    column = FEATURES + (int)t->n_features + (int)kind * (1 + (int)t->n_features);
    size_t picked[AUXILIARY_MOST];
    size_t n = auxiliary_pick(t->of_user.at, i, kind, limits, picked);

    TRY(shard_writer_length(w, column, n));
    for (size_t k = 0; k < n; k++)
        TRY(write_features(t, w, column + 1, &t->of_user.at[picked[k]]));
    return OK;
}

static bool is_test(const impressions_options *my, int64_t time)
{
    return my->test_from != 0 && time >= my->test_from;
}

static err_t write_sample(impressions *t, size_t i)
{
    const impression *shown = &t->of_user.at[i];
    const float       label = shown->clicked;
    shard_writer     *w;

    TRY(output_split(t->out, is_test(t->my, shown->time) ? "test" : "train", &w));
    TRY(shard_writer_f32(w, LABEL, &label, 1));
    TRY(shard_writer_u64(w, USER, &shown->user, 1));
    TRY(shard_writer_i64(w, TIME, &shown->time, 1));
    TRY(write_features(t, w, FEATURES, shown));
    for (auxiliary_list kind = 0; kind < AUXILIARY_KINDS; kind++)
        TRY(write_list(t, w, kind, i));
    return shard_writer_end_sample(w);
}

static err_t write_user(impressions *t)
{
    for (size_t i = 0; i < t->of_user.n; i++)
        TRY(write_sample(t, i));
    t->of_user.n = t->features.n = 0;
    return OK;
}

static err_t keep(impressions *t, const shown_ad *ad)
{
    impression shown = ad->shown;

    shown.ad = t->features.n;
    for (size_t k = 0; k < t->n_features; k++)
        TRY(vec_push(&t->features, ad->features[k]));
    return vec_push(&t->of_user, shown);
}

static err_t write_users(impressions *t, progress *told)
{
    const void *record;

    TRY(sorter_rewind(t->ads));
    for (uint64_t i = 0;; i++) {
        TRY(sorter_next(t->ads, &record));
        const shown_ad *next = record;
        if (t->of_user.n > 0 && (!next || next->shown.user != t->of_user.at[0].user))
            TRY(write_user(t));
        if (!next)
            return OK;
        TRY(keep(t, next));
        TRY(progress_tell(told, i, "samples", (double)i / (double)t->n));
    }
}

static err_t convert(impressions *t)
{
    progress told;

    TRY(raw_lines_each(t->my->in, &t->bad, take_line, t));
    if (t->n == 0)
        return err_set(ERR_DATA, "%s has no samples", t->my->in);
    progress_begin(&told, "writing");
    err_t err = write_users(t, &told);
    progress_end(&told);
    TRY(err);
    for (size_t k = 0; k <= t->n_features; k++)
        TRY(names_write(t->names[k], t->tables[k], NULL));
    return OK;
}

static err_t run(const impressions_options *my)
{
    impressions t = {.my = my, .bad = {.most = my->max_bad}};

    for (int r = 0; r < ROLES; r++)
        t.places[r] = SIZE_MAX;
    err_t err = convert(&t);
    for (size_t k = 0; k <= FEATURES_MOST; k++)
        names_free(&t.names[k]);
    sorter_free(&t.ads);
    vec_clear(&t.of_user);
    vec_clear(&t.features);
    if (err == OK)
        err = output_finish(&t.out);
    output_abandon(&t.out);
    vec_clear(&t.columns); /* the output lent them */
    free(t.column_names);
    raw_lines_report_skipped(err, &t.bad);
    return err;
}

err_t prepare_impressions(int argc, char **argv)
{
    impressions_options my      = {.shared         = PREPARE_OPTIONS_DEFAULT,
                                   .separator      = ",",
                                   .auxiliary      = 5,
                                   .auxiliary_days = 3};
    const flag          flags[] = {
                 {"in", FLAG_TEXT, &my.in, .meta = "FILE", .required = true,
                  .help = "the log; - is standard input"},
                 PREPARE_FLAGS(my.shared),
                 {"separator", FLAG_TEXT, &my.separator,
                  .help = "between fields, which may be quoted; or tab, where they are not"},
                 {"test-from", FLAG_INT, &my.test_from,
                  .help = "the time at which test begins; 0: there is none"},
                 PREPARE_FLAG_AUXILIARY(my.auxiliary),
                 PREPARE_FLAG_AUXILIARY_DAYS(my.auxiliary_days),
                 PREPARE_FLAG_MAX_BAD(my.max_bad),
                 {0}};
    bool helped;

    TRY(flags_parse_only(flags, "dips prepare impressions --in FILE --out DIR [flags]", about,
                         argc, argv, &helped));
    if (helped)
        return OK;
    if (strcmp(my.separator, "tab") == 0)
        my.separator = "\t";
    if (!my.separator[0])
        return err_set(ERR_USAGE, "a separator is one character at least");
    return run(&my);
}
