/* lines - the lines of a raw file, plain or gzipped, one at a time.
 *
 * And what becomes of the bad ones: up to --max-bad lines may be skipped over a whole
 * command; the one after them is an error that names file, line and reason. */
#ifndef DIPS_LAUNCH_PREPARE_LINES_H
#define DIPS_LAUNCH_PREPARE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define LINE_MOST (16u << 20) /* bytes of a line */

typedef struct lines lines;

/* How many lines of all files may be, and were, skipped. */
typedef struct bad_lines {
    int64_t most, n;
} bad_lines;

/* Open path (lent), "-" for standard input; whether it is gzipped shows in its first
 * bytes. lines_close. */
MUST_CHECK err_t lines_open(lines **out, const char *path);
void             lines_close(lines **l);

/* The next line without its end ("\n" or "\r\n"), lent until the next call, may be
 * written to; *line is NULL after the last one. ERR_DATA: a line longer than LINE_MOST,
 * or a damaged gzip file. */
MUST_CHECK err_t lines_next(lines *l, char **line, size_t *n);

uint64_t lines_number(const lines *l); /* of the line at hand, from 1 on */
double   lines_part(const lines *l);   /* of the file's bytes that are read; -1: unknown */

/* Call parse(self, line, n, number) for every line of path, with a progress line that
 * counts them; its verdicts go through lines_judge. */
MUST_CHECK err_t lines_each(const char *path, bad_lines *bad,
                            err_t (*parse)(void *self, char *line, size_t n, uint64_t number),
                            void *self);

/* What a parser said of the line at hand: passes OK on; counts an ERR_DATA as a bad line
 * and gives OK with *skip set while there may be more of them; else puts file and line
 * in front. */
MUST_CHECK err_t lines_judge(const lines *l, bad_lines *bad, err_t err, bool *skip);

/* Where a command went well (err is OK) but lines were skipped, say how many. */
void lines_report_skipped(err_t err, const bad_lines *bad);

#endif
