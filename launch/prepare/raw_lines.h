/* raw_lines - the lines of a raw file, plain or gzipped, one at a time.
 *
 * And what becomes of the bad ones: up to --max-bad lines may be skipped over a whole
 * command; the one after them is an error that names file, line and reason. */
#ifndef DIPS_LAUNCH_PREPARE_RAW_LINES_H
#define DIPS_LAUNCH_PREPARE_RAW_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define LINE_MOST (16u << 20) /* bytes of a line */

typedef struct raw_lines raw_lines;

/* How many lines of all files may be, and were, skipped. */
typedef struct bad_lines {
    int64_t most, n;
} bad_lines;

/* Open path (lent), "-" for standard input; whether it is gzipped shows in its first
 * bytes. raw_lines_close. */
MUST_CHECK err_t raw_lines_open(raw_lines **out, const char *path);
void             raw_lines_close(raw_lines **l);

/* The next line without its end ("\n" or "\r\n"), lent until the next call, may be
 * written to; *line is NULL after the last one. ERR_DATA: a line longer than LINE_MOST,
 * or a damaged gzip file. */
MUST_CHECK err_t raw_lines_next(raw_lines *l, char **line, size_t *n);

double raw_lines_part(const raw_lines *l); /* of the file's bytes read; -1: unknown */

/* Call parse(self, line, n, number) for every line of path, with a progress line that
 * counts them; its verdicts go through raw_lines_judge. */
MUST_CHECK err_t raw_lines_each(const char *path, bad_lines *bad,
                                err_t (*parse)(void *self, char *line, size_t n,
                                               uint64_t number),
                                void *self);

/* What a parser said of the line at hand: passes OK on; counts an ERR_DATA as a bad line
 * and gives OK with *skip set while there may be more of them; else puts file and line
 * in front. */
MUST_CHECK err_t raw_lines_judge(const raw_lines *l, bad_lines *bad, err_t err, bool *skip);

/* Where a command went well (err is OK) but lines were skipped, say how many. */
void raw_lines_report_skipped(err_t err, const bad_lines *bad);

#endif
