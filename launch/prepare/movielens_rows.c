#include "launch/prepare/movielens_rows.h"

#include <string.h>

#include "launch/prepare/delimited.h"

/* The fields of a line of either form; exactly wanted of them. */
static err_t split(char *line, size_t n, field *fields, size_t wanted)
{
    bool        dat = memmem(line, n, "::", 2) != NULL;
    size_t      fields_n;
    const char *separator = dat ? "::" : ",";

    TRY(delimited_split(line, n, separator, !dat, fields, wanted, &fields_n));
    if (fields_n != wanted)
        return err_set(ERR_DATA, "%zu fields, wanted %zu", fields_n, wanted);
    return OK;
}

static err_t parse_stars(field f, uint64_t *half_stars)
{
    double stars;

    TRY(field_double(f, "rating", &stars));
    *half_stars = stars >= 0.5 && stars <= 5 ? (uint64_t)(2 * stars) : 0;
    if (*half_stars == 0 || (double)*half_stars != 2 * stars)
        return err_set(ERR_DATA, "rating '%.*s' is not one of 0.5, 1, 1.5, ... 5",
                       field_shown(f), f.at);
    return OK;
}

err_t movielens_parse_rating(char *line, size_t n, movielens_rating *rating, bool *header)
{
    field f[4];

    *header = false;
    TRY(split(line, n, f, 4));
    if ((*header = field_is(f[0], "userId")))
        return OK;
    TRY(field_u64(f[0], "user", &rating->user));
    TRY(field_u64(f[1], "movie", &rating->movie));
    TRY(parse_stars(f[2], &rating->half_stars));
    return field_i64(f[3], "time", &rating->time);
}

err_t movielens_parse_movie(char *line, size_t n, movielens_movie *movie, bool *header)
{
    field f[3];

    *header = false;
    TRY(split(line, n, f, 3));
    if ((*header = field_is(f[0], "movieId")))
        return OK;
    TRY(field_u64(f[0], "movie", &movie->movie));
    const char *bar = memchr(f[2].at, '|', f[2].n);
    movie->genre    = (field){f[2].at, bar ? (size_t)(bar - f[2].at) : f[2].n};
    return movie->genre.n > 0 ? OK : err_set(ERR_DATA, "the movie has no genre");
}
