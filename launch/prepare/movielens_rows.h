/* movielens_rows - lines of MovieLens' files, as GroupLens packs them.
 *
 *     1M                     ratings.dat  1::1193::5::978300760
 *                            movies.dat   1::Toy Story (1995)::Animation|Children's|Comedy
 *     20M, 25M, latest       ratings.csv  1,1193,5.0,978300760
 *                            movies.csv   11,"American President, The (1995)",Comedy|Drama
 *
 * The csv files begin with a line of column names. */
#ifndef DIPS_LAUNCH_PREPARE_MOVIELENS_ROWS_H
#define DIPS_LAUNCH_PREPARE_MOVIELENS_ROWS_H

#include "launch/prepare/field.h"

typedef struct movielens_rating {
    uint64_t user, movie;
    uint64_t half_stars; /* 1 .. 10 */
    int64_t  time;
} movielens_rating;

typedef struct movielens_movie {
    uint64_t movie;
    field    genre; /* the first one; lent by the line */
} movielens_movie;

/* Parse a line (which may be rewritten). *header: it has the names of columns only. */
MUST_CHECK err_t movielens_parse_rating(char *line, size_t n, movielens_rating *rating,
                                        bool *header);
MUST_CHECK err_t movielens_parse_movie(char *line, size_t n, movielens_movie *movie,
                                       bool *header);

#endif
