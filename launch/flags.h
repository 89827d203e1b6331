/* flags - the words of a command line: one table says what a command takes.
 *
 *     struct { const char *out; int64_t users; bool json; } my = {.users = 1000};
 *     const flag flags[] = {
 *         {"out",   FLAG_TEXT, &my.out,   .meta = "DIR", .required = true, .help = "..."},
 *         {"users", FLAG_INT,  &my.users, .min = 1, .max = 1e12, .help = "users to invent"},
 *         {"json",  FLAG_BOOL, &my.json,  .help = "print one JSON object"},
 *         {0}};
 *
 * --NAME VALUE, --NAME=VALUE, --NAME for a FLAG_BOOL. Sizes take K, M, G (1000), KiB, MiB,
 * GiB, and Kbit, Mbit, Gbit (bytes for an eighth of them). --help prints usage, about, and each
 * flag with its default. Words that do not begin with "--" are collected; "--" ends them. */
#ifndef DIPS_LAUNCH_FLAGS_H
#define DIPS_LAUNCH_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

typedef enum { FLAG_NONE, FLAG_BOOL, FLAG_INT, FLAG_REAL, FLAG_TEXT } flag_kind;

typedef struct flag {
    const char *name;
    flag_kind   kind;
    void       *at;   /* bool, int64_t, double, const char *; holds the default */
    const char *meta; /* what stands for the value in --help: "DIR" */
    const char *help;
    double      min, max; /* of numbers; both 0: any */
    bool        required;
    const char *choices; /* of texts: "user|time" */
} flag;

/* Parse argv[1..]: flags are stored, other words are moved to argv[0 .. *n-1]. usage: "dips
 * prepare movielens [flags] RATINGS MOVIES". *helped is set where --help was given and printed:
 * the command then ends with OK. ERR_USAGE names the word that is wrong and what was wanted. */
MUST_CHECK err_t flags_parse(const flag *flags, const char *usage, const char *about, int argc,
                             char **argv, int *n, bool *helped);

/* The same for a command on a configuration: it is argv[0], and the *n_words words behind it
 * are its key=value. */
MUST_CHECK err_t flags_parse_run(const flag *flags, const char *usage, const char *about,
                                 int argc, char **argv, int *n_words, bool *helped);

/* The same for a command that takes flags alone: other words are an error. */
MUST_CHECK err_t flags_parse_only(const flag *flags, const char *usage, const char *about,
                                  int argc, char **argv, bool *helped);

/* *x = the number that text is, with a unit as above; false where it is none. */
bool flags_number(double *x, const char *text);

#endif
