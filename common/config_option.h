/* config_option - an option of the configuration, and its value as text.
 *
 * For the files common/config*.c alone; the rest of dips reads struct config. The table
 * stands in config_table.c: one entry says everything about an option. Options belong to
 * one of four structs, by the stars of their keys: config, table_config (tables.*),
 * feature_config (features.*), and feature_config again (features.*.columns.*). */
#ifndef DIPS_COMMON_CONFIG_OPTION_H
#define DIPS_COMMON_CONFIG_OPTION_H

#include "common/config.h"
#include "common/tree.h"

#define OPTION_KEY_MAX 256

/* What is stored at an option's place. */
typedef enum {
    OPTION_BOOL,     /* bool */
    OPTION_INT,      /* int */
    OPTION_UINT32,   /* uint32_t */
    OPTION_INT64,    /* int64_t */
    OPTION_LARGE,    /* int64_t; as text also 600M, 12G, 12GiB */
    OPTION_SEED,     /* uint64_t, all of its values */
    OPTION_REAL,     /* double; .automatic: NAN until the rule is known */
    OPTION_TEXT,     /* char[size] */
    OPTION_NAME,     /* char[size]: letters, digits, _ and -; or empty */
    OPTION_ENUM,     /* an enum */
    OPTION_ENUMS,    /* int n; an enum [n_words], none twice */
    OPTION_INTS,     /* config_ints */
    OPTION_NAMES,    /* config_names of names */
    OPTION_PATTERNS, /* config_names of files and patterns; one text alone is a list of it */
    OPTION_EVERY,    /* config_every */
} option_kind;

/* Kinds of features that an option is for; 0: not an option of a feature. */
enum { FOR_ID = 1, FOR_FLOAT = 2, FOR_SEQUENCE = 4, FOR_TIME = 8, FOR_GAP = 16 };

typedef struct option {
    const char        *key; /* "tables.*.lr" */
    option_kind        kind;
    size_t             at, size; /* bytes within the struct it belongs to */
    double             min, max; /* of numbers, and of each number of a list */
    const char        *init;     /* the default, as YAML; NULL: must be given */
    const char        *unit;     /* NULL: none */
    const char        *help;     /* one line */
    const char *const *words;    /* of enums, by enumerator; NULL where one is not offered */
    int                n_words;
    bool               automatic; /* `auto`: the update rule's own */
    unsigned           only;      /* kinds of features */
} option;

extern const option option_table[];
extern const int    option_count;

/* Whether o belongs to the struct whose options begin with scope ("", "tables.*.",
 * "features.*.", "features.*.columns.*."). */
bool option_in_scope(const option *o, const char *scope);

/* Store o's default, if it has one, in the struct at base. a: scratch. */
MUST_CHECK err_t option_set_default(const option *o, void *base, arena *a);

/* Store what n says in the struct at base; key is the option's with the user's names in
 * it. What was stored before is released. ERR_CONFIG names place, key, value, and what
 * was wanted. */
MUST_CHECK err_t option_set(const option *o, void *base, const tree_node *n, const char *key);

/* Write the value of o in the struct at base, as YAML that option_set reads back. */
void option_print(const option *o, const void *base, FILE *to);

/* Of OPTION_LARGE, the larger first: a number is printed with the first that divides it. */
typedef struct option_unit {
    const char *name;
    int64_t     factor;
} option_unit;

enum { OPTION_UNITS = 8 };

extern const option_unit option_units[OPTION_UNITS];

/* What o wants, in words: "a whole number in 1 .. 4096". */
const char *option_wants(const option *o, char wants[ERR_TEXT_MAX]);

/* Free what lies outside of the struct at base. */
void option_release(const option *o, void *base);

/* Letters, digits, _ and -; not empty, not beginning with -, shorter than CONFIG_NAME_MAX. */
bool option_is_name(const char *text);

/* Fewest single-character changes from a to b (Levenshtein 1966). */
int option_distance(const char *a, const char *b);

/* config_read.c: fill c, which holds no tables or features yet, from root. */
MUST_CHECK err_t config_read(config *c, const tree_node *root);

/* config_check.c: fill in what follows from the rest (kinds of features, eps), then check
 * what no single option says: names that name something, and what excludes what. */
MUST_CHECK err_t config_complete(config *c, const tree_node *root);

#endif
