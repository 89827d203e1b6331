#include <stdio.h>
#include <stdlib.h>

#include "common/rng.h"
#include "common/vec.h"
#include "launch/prepare/id_map.h"
#include "launch/prepare/movielens_rows.h"
#include "launch/prepare/names.h"
#include "launch/prepare/output.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/progress.h"
#include "launch/prepare/raw_lines.h"
#include "launch/prepare/sorter.h"

#define TRAIN_PART 0.8 /* of --split time */
#define VALID_PART 0.1

typedef struct movielens_options {
    prepare_options shared;
    const char     *ratings, *movies, *split;
    double          min_rating, test_users;
    int64_t         max_len, min_history, max_bad, seed;
} movielens_options;

static const char about[] =
    "MovieLens as samples, as in section 6.1 of the paper on Deep Interest Networks. Reads\n"
    "ratings.dat and movies.dat (1M), or ratings.csv and movies.csv (20M, 25M, latest),\n"
    "plain or gzipped. Every rating is a sample: label 1 where it is at least --min-rating;\n"
    "features user, movie, genre (the movie's first); history: the user's earlier ratings,\n"
    "by time, those of one second in the order of the file, never a later one: movie,\n"
    "genre, rating (half stars, 1 .. 10), time. Genres are hashed; names-genre has them.\n"
    "\n"
    "  --split user   whole users are drawn for test\n"
    "  --split time   the first 80 % of the time for train, 10 % valid, 10 % test";

enum {
    LABEL, USER, MOVIE, GENRE, HISTORY, HISTORY_MOVIE, HISTORY_GENRE, HISTORY_RATING,
    HISTORY_TIME, TIME, COLUMNS
};

enum { TABLE_USER, TABLE_MOVIE, TABLE_GENRE, TABLE_RATING, TABLES };

static const char *const tables[TABLES] = {"user", "movie", "genre", "rating"};

static const shard_column columns[COLUMNS] = {
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

/* A rating with its place in the file, which breaks ties of time. */
typedef struct event {
    movielens_rating rating;
    uint64_t         number, genre;
} event;

typedef struct movielens {
    const movielens_options *my;
    output                  *out;
    bad_lines                bad;
    id_map                   genres;      /* of movies, as hashed */
    names                   *genre_names;
    sorter                  *events;      /* by user, time, number */
    sorter                  *times;       /* NULL unless --split time needs them */
    uint64_t                 ratings;
    int64_t                  valid_from, test_from; /* of --split time */
    VEC(event) of_user;
    VEC(uint64_t) ids; /* scratch: a column of a history */
    VEC(int64_t) seconds;
} movielens;

static int by_user_and_time(const void *a, const void *b)
{
    const event *x = a, *y = b;

    if (x->rating.user != y->rating.user)
        return x->rating.user < y->rating.user ? -1 : 1;
    if (x->rating.time != y->rating.time)
        return x->rating.time < y->rating.time ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

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

static err_t take_rating(void *self, char *line, size_t n, uint64_t number)
{
    movielens *m = self;
    event      e = {.number = number};
    bool       header;

    TRY(movielens_parse_rating(line, n, &e.rating, &header));
    if (header)
        return number == 1 ? OK : err_set(ERR_DATA, "column names in the middle of the file");
    const uint64_t *genre = id_map_find(&m->genres, e.rating.movie);
    if (!genre)
        return err_set(ERR_DATA, "movie %llu is not in %s", (unsigned long long)e.rating.movie,
                       m->my->movies);
    e.genre = *genre;
    m->ratings++;
    if (m->times)
        TRY(sorter_push(m->times, &e.rating.time));
    return sorter_push(m->events, &e);
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

static const char *split_of(const movielens *m, const movielens_rating *r)
{
    if (m->times)
        return r->time < m->valid_from ? "train" : r->time < m->test_from ? "valid" : "test";
    rng chance = rng_named((uint64_t)m->my->seed, RNG_PREPARE, r->user, 0);
    return rng_uniform(&chance) < m->my->test_users ? "test" : "train";
}

/* One column of the n events of a history. */
static err_t write_ids(movielens *m, shard_writer *w, int column, const event *events, size_t n)
{
    TRY(vec_reserve(&m->ids, n + 1));
    for (size_t i = 0; i < n; i++)
        m->ids.at[i] = column == HISTORY_MOVIE   ? events[i].rating.movie
                       : column == HISTORY_GENRE ? events[i].genre
                                                 : events[i].rating.half_stars;
    return shard_writer_u64(w, column, m->ids.at, n);
}

static err_t write_times(movielens *m, shard_writer *w, const event *events, size_t n)
{
    TRY(vec_reserve(&m->seconds, n + 1));
    for (size_t i = 0; i < n; i++)
        m->seconds.at[i] = events[i].rating.time;
    return shard_writer_i64(w, HISTORY_TIME, m->seconds.at, n);
}

/* The sample of e, whose history are the n events before it. */
static err_t write_sample(movielens *m, const event *e, size_t n)
{
    const float   label = (double)e->rating.half_stars / 2 >= m->my->min_rating;
    const event  *first = e - n;
    shard_writer *w;

    TRY(output_split(m->out, split_of(m, &e->rating), &w));
    TRY(shard_writer_f32(w, LABEL, &label, 1));
    TRY(shard_writer_u64(w, USER, &e->rating.user, 1));
    TRY(shard_writer_u64(w, MOVIE, &e->rating.movie, 1));
    TRY(shard_writer_u64(w, GENRE, &e->genre, 1));
    TRY(shard_writer_length(w, HISTORY, n));
    TRY(write_ids(m, w, HISTORY_MOVIE, first, n));
    TRY(write_ids(m, w, HISTORY_GENRE, first, n));
    TRY(write_ids(m, w, HISTORY_RATING, first, n));
    TRY(write_times(m, w, first, n));
    TRY(shard_writer_i64(w, TIME, &e->rating.time, 1));
    return shard_writer_end_sample(w);
}

/* The samples of a user, whose ratings are all there in order. */
static err_t write_user(movielens *m)
{
    for (size_t i = 0; i < m->of_user.n; i++) {
        size_t n = i < (size_t)m->my->max_len ? i : (size_t)m->my->max_len;
        if (i >= (size_t)m->my->min_history)
            TRY(write_sample(m, &m->of_user.at[i], n));
    }
    m->of_user.n = 0;
    return OK;
}

static err_t write_users(movielens *m, progress *shown)
{
    const void *record;

    TRY(sorter_rewind(m->events));
    for (uint64_t i = 0;; i++) {
        TRY(sorter_next(m->events, &record));
        const event *e = record;
        if (m->of_user.n > 0 && (!e || e->rating.user != m->of_user.at[0].rating.user))
            TRY(write_user(m));
        if (!e)
            return OK;
        TRY(vec_push(&m->of_user, *e));
        TRY(progress_tell(shown, i, "samples", (double)i / (double)m->ratings));
    }
}

static err_t convert(movielens *m)
{
    progress shown;

    TRY(raw_lines_each(m->my->movies, &m->bad, take_movie, m));
    TRY(raw_lines_each(m->my->ratings, &m->bad, take_rating, m));
    if (m->ratings == 0)
        return err_set(ERR_DATA, "%s has no ratings", m->my->ratings);
    if (m->times)
        TRY(find_time_limits(m));
    progress_begin(&shown, "writing");
    err_t err = write_users(m, &shown);
    progress_end(&shown);
    TRY(err);
    return names_write(m->genre_names, "genre", NULL);
}

static err_t open_all(movielens *m)
{
    const movielens_options *my = m->my;

    TRY(output_open(&m->out, &my->shared, tables, TABLES, columns, COLUMNS));
    const char *folder = output_folder(m->out);
    size_t      memory = output_memory(m->out);
    TRY(names_new(&m->genre_names, memory / 8, folder));
    TRY(sorter_new(&m->events, sizeof(event), by_user_and_time, memory, folder));
    if (my->split[0] == 't')
        TRY(sorter_new(&m->times, sizeof(int64_t), by_time, memory / 8, folder));
    return OK;
}

static err_t run(const movielens_options *my)
{
    movielens m = {.my = my, .bad = {.most = my->max_bad}};

    err_t err = open_all(&m);
    if (err == OK)
        err = convert(&m);
    sorter_free(&m.times);
    sorter_free(&m.events);
    names_free(&m.genre_names);
    id_map_clear(&m.genres);
    vec_clear(&m.of_user);
    vec_clear(&m.ids);
    vec_clear(&m.seconds);
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
                          {"min-rating", FLAG_REAL, &my.min_rating, .min = 0.5, .max = 5,
                           .help = "the least rating whose label is 1"},
                          PREPARE_FLAG_MAX_LEN(my.max_len),
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
