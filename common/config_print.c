/* The configuration as YAML, and the options as a page for people. */
#include "common/config_option.h"

#include <string.h>

#define INDENT 4

/* A section being printed; pattern, shown and base are those of config_read.c. */
typedef struct section {
    const char   *pattern, *shown;
    const void   *base;
    const config *config;
    int           depth;
    bool          flat; /* whole keys, a line each, instead of mappings in each other */
} section;

/* Structs that each begin with the name that the user gave. */
typedef struct collection {
    const char *at;
    int         n;
    size_t      size;
} collection;

static void print_section(const section *s, FILE *to);

/* What the section consists of, if its keys are the user's names. */
static bool is_collection(const section *s, collection *out)
{
    const config         *c = s->config;
    const feature_config *f = s->base;

    if (!strcmp(s->pattern, "tables."))
        *out = (collection){(const char *)c->tables, c->n_tables, sizeof *c->tables};
    else if (!strcmp(s->pattern, "features."))
        *out = (collection){(const char *)c->features, c->n_features, sizeof *c->features};
    else if (!strcmp(s->pattern, "features.*.columns."))
        *out = (collection){(const char *)f->columns, f->n_columns, sizeof *f->columns};
    else
        return false;
    return true;
}

/* The section `part` of s under the key name, with the options of the struct at base. */
static void print_inner(const section *s, const char *part, const char *name, const void *base,
                        FILE *to)
{
    char       pattern[OPTION_KEY_MAX], shown[OPTION_KEY_MAX];
    section    inner = {pattern, shown, base, s->config, s->depth + 1, s->flat};
    collection named = {0};

    snprintf(pattern, sizeof pattern, "%s%s.", s->pattern, part);
    snprintf(shown, sizeof shown, "%s%s.", s->shown, name);
    bool is_named = is_collection(&inner, &named);
    if (is_named && named.n == 0)
        return;
    if (!s->flat)
        fprintf(to, "%*s%s:\n", s->depth * INDENT, "", name);
    for (int i = 0; i < named.n; i++)
        print_inner(&inner, "*", named.at + (size_t)i * named.size,
                    named.at + (size_t)i * named.size, to);
    if (!is_named)
        print_section(&inner, to);
}

/* Whether the struct that o belongs to, if it is a feature, is of a kind that knows o. */
static bool applies(const option *o, const section *s)
{
    static const unsigned mask[] = {[FEATURE_ID]       = FOR_ID,
                                    [FEATURE_FLOAT]    = FOR_FLOAT,
                                    [FEATURE_TIME]     = FOR_TIME,
                                    [FEATURE_GAP]      = FOR_GAP,
                                    [FEATURE_SEQUENCE] = FOR_SEQUENCE};

    return o->only == 0 || o->only & mask[((const feature_config *)s->base)->kind];
}

static void print_value(const section *s, const option *o, const char *name, FILE *to)
{
    if (s->flat)
        fprintf(to, "%s%s=", s->shown, name);
    else
        fprintf(to, "%*s%s: ", s->depth * INDENT, "", name);
    option_print(o, s->base, to);
    fputc('\n', to);
}

/* Options in the order of the table; an inner section where its first option stands. */
static void print_section(const section *s, FILE *to)
{
    size_t      n     = strlen(s->pattern);
    const char *inner = ""; /* the inner section printed last, with what follows it */

    for (int i = 0; i < option_count; i++) {
        const option *o    = &option_table[i];
        const char   *rest = o->key + n;
        if (strncmp(o->key, s->pattern, n))
            continue;
        size_t part = strcspn(rest, ".");
        if (!rest[part] && applies(o, s)) {
            print_value(s, o, rest, to);
        } else if (rest[part] && strncmp(rest, inner, part + 1)) {
            char name[OPTION_KEY_MAX];
            snprintf(name, sizeof name, "%.*s", (int)part, rest);
            inner = rest;
            print_inner(s, name, name, s->base, to);
        }
    }
}

err_t config_print(const config *c, FILE *to)
{
    print_section(&(section){"", "", c, c, 0, false}, to);
    if (fflush(to) != 0 || ferror(to))
        return err_errno("writing the configuration");
    return OK;
}

err_t config_text(char **text, size_t *size, const config *c)
{
    FILE *memory = open_memstream(text, size);

    if (!memory)
        return err_memory(1, "the configuration as text");
    err_t err = config_print(c, memory);
    if (fclose(memory) != 0 && err == OK)
        err = err_memory(*size, "the configuration as text");
    return err;
}

err_t config_print_words(const config *c, FILE *to)
{
    print_section(&(section){"", "", c, c, 0, true}, to);
    if (fflush(to) != 0 || ferror(to))
        return err_errno("writing the configuration");
    return OK;
}

/* ---- dips options ---- */

static void print_option(const option *o, FILE *to)
{
    char wants[ERR_TEXT_MAX];

    fprintf(to, "%-32s %s\n", o->key, !o->init ? "(required)" : *o->init ? o->init : "''");
    fprintf(to, "    %s\n    %s\n", o->help, option_wants(o, wants));
}

err_t config_print_options(FILE *to, const char *containing)
{
    const option *previous = NULL;

    for (int i = 0; i < option_count; i++) {
        const option *o    = &option_table[i];
        size_t        part = strcspn(o->key, ".");
        if (containing && !strstr(o->key, containing))
            continue;
        if (previous && strncmp(previous->key, o->key, part + 1))
            fputc('\n', to);
        print_option(o, to);
        previous = o;
    }
    if (!previous)
        return err_set(ERR_USAGE, "no option has '%s' in its key; 'dips options' lists all",
                       containing);
    if (fflush(to) != 0 || ferror(to))
        return err_errno("writing the options");
    return OK;
}
