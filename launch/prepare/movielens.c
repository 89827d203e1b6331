#include <stdio.h>
#include <stdlib.h>

#include "launch/prepare/auxiliary.h"
#include "launch/prepare/behaviors.h"
#include "launch/prepare/movielens_rows.h"
#include "launch/prepare/names.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/raw_lines.h"

#define TRAIN_PART 0.8 /* of --split time */
#define VALID_PART 0.1

typedef struct movielens_options {
    prepare_options shared;
    const char     *ratings, *movies, *split, *negatives;
    double          min_rating, test_users, valid_users, history_days;
    int64_t         max_len, min_history, auxiliary, max_bad, seed;
} movielens_options;

static const char about[] =
    "MovieLens as samples, as in section 6.1 of the paper on Deep Interest Networks. Reads\n"
    "ratings.dat and movies.dat (1M), or ratings.csv and movies.csv (20M, 25M, latest),\n"
    "plain or gzipped. Every rating is a sample: label 1 where it is at least --min-rating;\n"
    "features user, movie, genre (the movie's first); history: the user's earlier ratings,\n"
    "by time, those of one second in the order of the file, never a later one: movie,\n"
    "genre, rating (half stars, 1 .. 10), time. Genres are hashed; names-genre has them.\n"
    "\n"
    "  --split user   whole users are drawn for test, and for valid where wanted\n"
    "  --split time   the first 80 % of the time for train, 10 % valid, 10 % test\n"
    "\n"
    "With --auxiliary, for DSTN: contextual, what the user rated before the movie in the same\n"
    "second, which is one page; clicked and unclicked, what had label 1 and 0 on earlier\n"
    "ones; of each movie and genre.";

/* Columns of a shard: these, the two of negatives where wanted, then the lists of auxiliary
 * ads where wanted, each an offsets, a movie and a genre. */
enum {
    LABEL,
    USER,
    MOVIE,
    GENRE,
    HISTORY,
    HISTORY_MOVIE,
    HISTORY_GENRE,
    HISTORY_RATING,
    HISTORY_TIME,
    TIME,
    COLUMNS
};
enum { NEGATIVE_COLUMNS = 2, LIST_COLUMNS = 3 };

#define COLUMNS_MOST (COLUMNS + NEGATIVE_COLUMNS + AUXILIARY_KINDS * LIST_COLUMNS)

enum { TABLE_USER, TABLE_MOVIE, TABLE_GENRE, TABLE_RATING, TABLES };

static const char *const tables[TABLES] = {"user", "movie", "genre", "rating"};

static const shard_column always[COLUMNS] = {
    [LABEL]          = {"label", DTYPE_F32, .table = -1},
    [USER]           = {"user", DTYPE_U64, .table = TABLE_USER},
    [MOVIE]          = {"movie", DTYPE_U64, .table = TABLE_MOVIE},
    [GENRE]          = {"genre", DTYPE_U64, .table = TABLE_GENRE},
    [HISTORY]        = {"history.offsets", DTYPE_U64, .offsets = true, .table = -1},
    [HISTORY_MOVIE]  = {"history.movie", DTYPE_U64, .table = TABLE_MOVIE},
    [HISTORY_GENRE]  = {"history.genre", DTYPE_U64, .table = TABLE_GENRE},
    [HISTORY_RATING] = {"history.rating", DTYPE_U64, .table = TABLE_RATING},
    [HISTORY_TIME]   = {"history.time", DTYPE_I64, .table = -1},
    [TIME]           = {"time", DTYPE_I64, .table = -1},
};

static const shard_column negative_columns[NEGATIVE_COLUMNS] = {
    {"history.negative_movie", DTYPE_U64, .table = TABLE_MOVIE},
    {"history.negative_genre", DTYPE_U64, .table = TABLE_GENRE},
};

/* In the order of auxiliary_list. */
static const shard_column list_columns[AUXILIARY_KINDS * LIST_COLUMNS] = {
    {"contextual.offsets", DTYPE_U64, .offsets = true, .table = -1},
    {"contextual.movie", DTYPE_U64, .table = TABLE_MOVIE},
    {"contextual.genre", DTYPE_U64, .table = TABLE_GENRE},
    {"clicked.offsets", DTYPE_U64, .offsets = true, .table = -1},
    {"clicked.movie", DTYPE_U64, .table = TABLE_MOVIE},
    {"clicked.genre", DTYPE_U64, .table = TABLE_GENRE},
    {"unclicked.offsets", DTYPE_U64, .offsets = true, .table = -1},
    {"unclicked.movie", DTYPE_U64, .table = TABLE_MOVIE},
    {"unclicked.genre", DTYPE_U64, .table = TABLE_GENRE},
};

typedef struct movielens {
    const movielens_options *my;
    output                  *out;
    bad_lines                bad;
    id_map                   genres;      /* of movies, as hashed */
    names                   *genre_names;
    catalog                  movies;      /* that were rated; a cate is a genre */
    sorter                  *events;      /* behaviors: what is half stars */
    sorter                  *times;       /* NULL unless --split time needs them */
    uint64_t                 ratings;
    int64_t                  valid_from, test_from; /* of --split time */
    history_writer           history;
    shard_column             columns[COLUMNS_MOST];
    int                      n_columns;
    int                      lists_at; /* the first list's column; -1: there are none */
    VEC(impression) shown;             /* a user's ratings, by time */
} movielens;

static int by_time(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* ---- reading ---- */

static err_t take_movie(void *self, char *line, size_t n, uint64_t number)
{
    movielens      *m = self;
    movielens_movie movie;
    bool            header;
    uint64_t        genre;

    TRY(movielens_parse_movie(line, n, &movie, &header));
    if (header)
        return number == 1 ? OK : err_set(ERR_DATA, "column names in the middle of the file");
    if (id_map_find(&m->genres, movie.movie))
        return err_set(ERR_DATA, "movie %llu was there before",
                       (unsigned long long)movie.movie);
    TRY(names_see(m->genre_names, movie.genre, &genre));
    return id_map_put(&m->genres, movie.movie, genre);
}

static err_t keep_rating(movielens *m, const movielens_rating *r, uint64_t genre,
                         uint64_t number)
{
    behavior e = {
        .user = r->user, .time = r->time, .number = number, .what = r->half_stars};

    TRY(catalog_number(&m->movies, r->movie, &e.item));
    m->movies.items.at[e.item].cate = genre;
    m->movies.items.at[e.item].times++;
    m->ratings++;
    if (m->times)
        TRY(sorter_push(m->times, &e.time));
    return sorter_push(m->events, &e);
}

static err_t take_rating(void *self, char *line, size_t n, uint64_t number)
{
    movielens       *m = self;
    movielens_rating rating;
    bool             header;

    TRY(movielens_parse_rating(line, n, &rating, &header));
    if (header)
        return number == 1 ? OK : err_set(ERR_DATA, "column names in the middle of the file");
    const uint64_t *genre = id_map_find(&m->genres, rating.movie);
    if (!genre)
        return err_set(ERR_DATA, "movie %llu is not in %s", (unsigned long long)rating.movie,
                       m->my->movies);
    return keep_rating(m, &rating, *genre, number);
}

/* The times at which validation and test begin, so that about 80 % and 90 % of the
 * ratings are older. Ratings of one second are never parted. */
static err_t find_time_limits(movielens *m)
{
    uint64_t    valid = (uint64_t)(TRAIN_PART * (double)m->ratings);
    uint64_t    test  = (uint64_t)((TRAIN_PART + VALID_PART) * (double)m->ratings);
    const void *time;

    TRY(sorter_rewind(m->times));
    for (uint64_t i = 0; i <= test && i < m->ratings; i++) {
        TRY(sorter_next(m->times, &time));
        if (i == valid)
            m->valid_from = *(const int64_t *)time;
        if (i == test)
            m->test_from = *(const int64_t *)time;
    }
    return OK;
}

/* ---- writing ---- */

static bool is_liked(const movielens *m, const behavior *e)
{
    return (double)e->what / 2 >= m->my->min_rating;
}

static const char *split_of(const movielens *m, const behavior *e)
{
    if (m->times)
        return e->time < m->valid_from ? "train" : e->time < m->test_from ? "valid" : "test";
    rng chance = rng_named((uint64_t)m->my->seed, RNG_PREPARE, e->user, 0);
    double drawn  = rng_uniform(&chance) - m->my->test_users;
    return drawn < 0 ? "test" : drawn < m->my->valid_users ? "valid" : "train";
}

/* An event as DSTN sees it: shown on the page of its second. */
static impression impression_of(const movielens *m, const behavior *e)
{
    return (impression){.user    = e->user,
                        .time    = e->time,
                        .number  = e->number,
                        .page    = (uint64_t)e->time,
                        .ad      = e->item,
                        .clicked = is_liked(m, e)};
}

static err_t write_list(movielens *m, shard_writer *w, auxiliary_list kind, size_t i)
{
    const auxiliary_limits limits = {(size_t)m->my->auxiliary, m->history.seconds};
    int                    column = m->lists_at + (int)kind * LIST_COLUMNS;
    size_t                 picked[AUXILIARY_MOST];
    size_t                 n = auxiliary_pick(m->shown.at, i, kind, limits, picked);

    TRY(shard_writer_length(w, column, n));
    for (size_t k = 0; k < n; k++) {
        const catalog_item *ad = &m->movies.items.at[m->shown.at[picked[k]].ad];
        TRY(shard_writer_u64(w, column + 1, &ad->id, 1));
        TRY(shard_writer_u64(w, column + 2, &ad->cate, 1));
    }
    return OK;
}

static err_t write_lists(movielens *m, shard_writer *w, size_t i)
{
    for (auxiliary_list kind = 0; kind < AUXILIARY_KINDS && m->lists_at >= 0; kind++)
        TRY(write_list(m, w, kind, i));
    return OK;
}

/* The sample of event i, whose history are the ones before it. */
static err_t write_sample(movielens *m, const behavior *events, size_t i)
{
    const behavior     *e     = &events[i];
    const catalog_item *movie = &m->movies.items.at[e->item];
    const float         label = is_liked(m, e);
    shard_writer       *w;

    TRY(output_split(m->out, split_of(m, e), &w));
    TRY(shard_writer_f32(w, LABEL, &label, 1));
    TRY(shard_writer_u64(w, USER, &e->user, 1));
    TRY(shard_writer_u64(w, MOVIE, &movie->id, 1));
    TRY(shard_writer_u64(w, GENRE, &movie->cate, 1));
    TRY(history_write(&m->history, w, events, i, e->time));
    TRY(write_lists(m, w, i));
    TRY(shard_writer_i64(w, TIME, &e->time, 1));
    return shard_writer_end_sample(w);
}

/* The samples of a user. */
static err_t write_user(void *self, const behavior *events, size_t n)
{
    movielens *m = self;

    m->shown.n = 0;
    for (size_t i = 0; i < n && m->lists_at >= 0; i++)
        TRY(vec_push(&m->shown, impression_of(m, &events[i])));
    for (size_t i = (size_t)m->my->min_history; i < n; i++)
        TRY(write_sample(m, events, i));
    return OK;
}

static err_t convert(movielens *m)
{
    TRY(raw_lines_each(m->my->movies, &m->bad, take_movie, m));
    TRY(raw_lines_each(m->my->ratings, &m->bad, take_rating, m));
    if (m->ratings == 0)
        return err_set(ERR_DATA, "%s has no ratings", m->my->ratings);
    if (m->times)
        TRY(find_time_limits(m));
    TRY(catalog_complete(&m->movies, m->history.negatives));
    TRY(behaviors_each_user(m->events, m->ratings, write_user, m));
    return names_write(m->genre_names, "genre", NULL);
}

/* n more columns; returns the number of the first one. */
static int add_columns(movielens *m, const shard_column *more, int n)
{
    int first = m->n_columns;

    for (int k = 0; k < n; k++)
        m->columns[m->n_columns++] = more[k];
    return first;
}

static void choose_columns(movielens *m)
{
    history_columns *at = &m->history.at;

    add_columns(m, always, COLUMNS);
    *at = (history_columns){
        HISTORY, HISTORY_MOVIE, HISTORY_GENRE, HISTORY_RATING, HISTORY_TIME, -1, -1};
    if (m->history.negatives != NEGATIVES_NONE) {
        at->negative_item = add_columns(m, negative_columns, NEGATIVE_COLUMNS);
        at->negative_cate = at->negative_item + 1;
    }
    m->lists_at = -1;
    if (m->my->auxiliary > 0)
        m->lists_at = add_columns(m, list_columns, AUXILIARY_KINDS * LIST_COLUMNS);
}

static err_t open_all(movielens *m)
{
    const movielens_options *my = m->my;

    choose_columns(m);
    TRY(output_open(&m->out, &my->shared, tables, TABLES, m->columns, m->n_columns));
    const char *folder = output_folder(m->out);
    size_t      memory = output_memory(m->out);
    TRY(names_new(&m->genre_names, memory / 8, folder));
    TRY(sorter_new(&m->events, sizeof(behavior), behavior_order, memory, folder));
    if (my->split[0] == 't')
        TRY(sorter_new(&m->times, sizeof(int64_t), by_time, memory / 8, folder));
    return OK;
}

static err_t run(const movielens_options *my)
{
    movielens m = {.my = my, .bad = {.most = my->max_bad}};

    m.history = (history_writer){
        .items     = &m.movies,
        .max_len   = (size_t)my->max_len,
        .seconds   = seconds_of_days(my->history_days),
        .negatives = negatives_called(my->negatives),
        .seed      = (uint64_t)my->seed,
    };
    err_t err = open_all(&m);
    if (err == OK)
        err = convert(&m);
    sorter_free(&m.times);
    sorter_free(&m.events);
    names_free(&m.genre_names);
    id_map_clear(&m.genres);
    catalog_clear(&m.movies);
    history_clear(&m.history);
    vec_clear(&m.shown);
    if (err == OK)
        err = output_finish(&m.out);
    output_abandon(&m.out);
    raw_lines_report_skipped(err, &m.bad);
    return err;
}

err_t prepare_movielens(int argc, char **argv)
{
    movielens_options my = {.shared     = PREPARE_OPTIONS_DEFAULT,
                            .split      = "user",
                            .negatives  = "none",
                            .min_rating = 4,
                            .test_users = 0.28,
                            .max_len    = 100,
                            .seed       = 1};
    const flag flags[] = {{"ratings", FLAG_TEXT, &my.ratings, .meta = "FILE", .required = true,
                           .help = "ratings.dat or ratings.csv; - is standard input"},
                          {"movies", FLAG_TEXT, &my.movies, .meta = "FILE", .required = true,
                           .help = "movies.dat or movies.csv"},
                          PREPARE_FLAGS(my.shared),
                          {"split", FLAG_TEXT, &my.split, .choices = "user|time",
                           .help = "what parts train from test"},
                          {"test-users", FLAG_REAL, &my.test_users, .max = 1,
                           .help = "share of the users for test, with --split user"},
                          {"valid-users", FLAG_REAL, &my.valid_users, .max = 1,
                           .help = "share of the users for valid, who would train else: to "
                                   "choose by"},
                          {"min-rating", FLAG_REAL, &my.min_rating, .min = 0.5, .max = 5,
                           .help = "the least rating whose label is 1"},
                          PREPARE_FLAG_MAX_LEN(my.max_len),
                          PREPARE_FLAG_HISTORY_DAYS(my.history_days),
                          PREPARE_FLAG_NEGATIVES(my.negatives),
                          PREPARE_FLAG_AUXILIARY(my.auxiliary),
                          {"min-history", FLAG_INT, &my.min_history, .max = 1e6,
                           .help = "leave samples with fewer earlier ratings out"},
                          PREPARE_FLAG_MAX_BAD(my.max_bad),
                          {"seed", FLAG_INT, &my.seed, .help = "seed of the drawn users"},
                          {0}};
    bool helped;

    TRY(flags_parse_only(
        flags, "dips prepare movielens --ratings FILE --movies FILE --out DIR [flags]", about,
        argc, argv, &helped));
    return helped ? OK : run(&my);
}
