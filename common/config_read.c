/* From a tree to a config: every key finds its option, or the sentence that says why not. */
#include "common/config_option.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A mapping being read: `pattern` is its keys as the table has them ("tables.*."),
 * `shown` as the user wrote them ("tables.goods."), both empty or ended by a dot. */
typedef struct section {
    const tree_node *map;
    const char      *pattern, *shown;
    void            *base; /* the struct that options of this section belong to */
    config          *config;
} section;

bool option_in_scope(const option *o, const char *scope)
{
    size_t n = strlen(scope);

    return !strncmp(o->key, scope, n) && !strchr(o->key + n, '*');
}

static err_t set_defaults(void *base, const char *scope)
{
    arena a   = {0};
    err_t err = OK;

    for (int i = 0; i < option_count && err == OK; i++)
        if (option_in_scope(&option_table[i], scope))
            err = option_set_default(&option_table[i], base, &a);
    arena_clear(&a);
    return err;
}

static const option *find_option(const char *pattern)
{
    for (int i = 0; i < option_count; i++)
        if (!strcmp(option_table[i].key, pattern))
            return &option_table[i];
    return NULL;
}

static bool is_section(const char *pattern)
{
    size_t n = strlen(pattern);

    for (int i = 0; i < option_count; i++)
        if (!strncmp(option_table[i].key, pattern, n))
            return true;
    return false;
}

/* ---- the nearest known key ---- */

int option_distance(const char *a, const char *b)
{
    int row[OPTION_KEY_MAX];
    int n = (int)strnlen(a, OPTION_KEY_MAX - 1), m = (int)strnlen(b, OPTION_KEY_MAX - 1);

    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0]; /* row i-1, column j-1 */
        row[0]       = i;
        for (int j = 1; j <= m; j++) {
            int least = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < least)
                least = row[j] + 1;
            if (row[j - 1] + 1 < least)
                least = row[j - 1] + 1;
            diagonal = row[j];
            row[j]   = least;
        }
    }
    return row[m];
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

/* How far the user's key is from a known one: letters to change, or the right last part
 * at the wrong place. */
static int key_distance(const char *key, const char *known)
{
    int whole = option_distance(key, known);
    int last  = 2 + 2 * option_distance(last_part(key), last_part(known));

    return whole < last ? whole : last;
}

/* The known key (of an option or a section) nearest to pattern, which is unknown. */
static void find_nearest(char nearest[OPTION_KEY_MAX], const char *pattern)
{
    int least = INT_MAX;

    for (int i = 0; i < option_count; i++) {
        char key[OPTION_KEY_MAX];
        snprintf(key, sizeof key, "%s", option_table[i].key);
        for (char *dot = key; dot; dot = strrchr(key, '.')) {
            if (dot != key)
                *dot = '\0'; /* the section that the last key was in */
            int distance = strcmp(last_part(key), "*") ? key_distance(pattern, key) : INT_MAX;
            if (distance < least) {
                least = distance;
                memcpy(nearest, key, sizeof key);
            }
        }
    }
}

/* The stars of key become the names that the user gave: those of shown. */
static void name_stars(char named[OPTION_KEY_MAX], const char *key, const char *shown)
{
    size_t n = 0;

    while (*key && n + 1 < OPTION_KEY_MAX) {
        size_t key_part = strcspn(key, "."), shown_part = strcspn(shown, ".");
        bool   star    = *key == '*' && shown_part > 0;
        int    written = snprintf(named + n, OPTION_KEY_MAX - n, "%.*s%s",
                                  (int)(star ? shown_part : key_part), star ? shown : key,
                               key[key_part] ? "." : "");
        n += (size_t)written;
        key += key_part + (key[key_part] != '\0');
        shown += shown_part + (shown[shown_part] != '\0');
    }
    named[n < OPTION_KEY_MAX ? n : OPTION_KEY_MAX - 1] = '\0';
}

static err_t unknown_key(const section *s, int i, const char *pattern, const char *shown)
{
    char nearest[OPTION_KEY_MAX] = "", named[OPTION_KEY_MAX] = "", key[TREE_PLACE_MAX];

    if (strchr(s->map->keys[i], '.'))
        return tree_error(s->map->key_at[i],
                          "the key %s has a dot: write one mapping inside the other here",
                          tree_show(s->map->key_at[i], key));
    find_nearest(nearest, pattern);
    name_stars(named, nearest, shown);
    return tree_error(s->map->key_at[i], "unknown key %.120s (nearest: %s)", shown, named);
}

/* ---- sections ---- */

static err_t read_section(const section *s);

/* Read the section of one named thing into the struct at base. */
static err_t read_named(const section *s, int i, char *name, void *base)
{
    char    pattern[OPTION_KEY_MAX], shown[OPTION_KEY_MAX], key[TREE_PLACE_MAX];
    section inner = {s->map->at[i], pattern, shown, base, s->config};

    if (!option_is_name(s->map->keys[i]))
        return tree_error(s->map->key_at[i],
                          "%s is no name (at most %d letters, digits, _ and -)",
                          tree_show(s->map->key_at[i], key), CONFIG_NAME_MAX - 1);
    memcpy(name, s->map->keys[i], strlen(s->map->keys[i]) + 1);
    snprintf(pattern, sizeof pattern, "%s*.", s->pattern);
    snprintf(shown, sizeof shown, "%s%s.", s->shown, name);
    TRY(set_defaults(base, pattern));
    return read_section(&inner);
}

/* An array of one zeroed element per key of s. */
static err_t new_elements(const section *s, size_t size, void *out)
{
    void *elements = calloc((size_t)s->map->n + 1, size);

    if (!elements)
        return err_memory((size_t)s->map->n * size, s->pattern);
    memcpy(out, &elements, sizeof elements);
    return OK;
}

static err_t read_tables(const section *s)
{
    config *c = s->config;

    TRY(new_elements(s, sizeof *c->tables, &c->tables));
    for (int i = 0; i < s->map->n; i++) {
        table_config *t = &c->tables[c->n_tables++];
        TRY(read_named(s, i, t->name, t));
    }
    return OK;
}

static err_t read_features(const section *s)
{
    config *c = s->config;

    TRY(new_elements(s, sizeof *c->features, &c->features));
    for (int i = 0; i < s->map->n; i++) {
        feature_config *f = &c->features[c->n_features++];
        TRY(read_named(s, i, f->name, f));
    }
    return OK;
}

static err_t read_columns(const section *s)
{
    feature_config *f = s->base;

    TRY(new_elements(s, sizeof *f->columns, &f->columns));
    for (int i = 0; i < s->map->n; i++) {
        feature_config *column = &f->columns[f->n_columns++];
        TRY(read_named(s, i, column->name, column));
    }
    return OK;
}

/* Sections whose keys are the user's names, one struct each. */
static const struct {
    const char *pattern;
    err_t (*read)(const section *s);
} collections[] = {
    {"tables.", read_tables},
    {"features.", read_features},
    {"features.*.columns.", read_columns},
};

static err_t read_key(const section *s, int i)
{
    char             pattern[OPTION_KEY_MAX], shown[OPTION_KEY_MAX], what[TREE_PLACE_MAX];
    const tree_node *value = s->map->at[i];

    snprintf(pattern, sizeof pattern, "%s%s", s->pattern, s->map->keys[i]);
    snprintf(shown, sizeof shown, "%s%s", s->shown, s->map->keys[i]);
    bool          own = !strpbrk(s->map->keys[i], ".*"); /* one part of a key, as it must be */
    const option *o   = own ? find_option(pattern) : NULL;
    if (o)
        return option_set(o, s->base, value, shown);
    strncat(pattern, ".", sizeof pattern - strlen(pattern) - 1);
    if (!own || !is_section(pattern)) {
        pattern[strlen(pattern) - 1] = '\0';
        return unknown_key(s, i, pattern, shown);
    }
    if (value->kind != TREE_MAP && !tree_is_null(value))
        return tree_error(value, "%s is %s, wanted a mapping of its options", shown,
                          tree_show(value, what));
    strncat(shown, ".", sizeof shown - strlen(shown) - 1);
    return read_section(&(section){value, pattern, shown, s->base, s->config});
}

static err_t read_section(const section *s)
{
    if (s->map->kind != TREE_MAP && !tree_is_null(s->map)) {
        char what[TREE_PLACE_MAX];
        int  length = (int)strlen(s->shown) - 1; /* without its last point; never the whole */
        return tree_error(s->map, "%.*s is %s, wanted a mapping", length, s->shown,
                          tree_show(s->map, what));
    }
    for (size_t i = 0; i < sizeof collections / sizeof *collections; i++)
        if (!strcmp(collections[i].pattern, s->pattern))
            return collections[i].read(s);
    for (int i = 0; i < s->map->n; i++)
        TRY(read_key(s, i));
    return OK;
}

err_t config_read(config *c, const tree_node *root)
{
    TRY(set_defaults(c, ""));
    return read_section(&(section){root, "", "", c, c});
}
