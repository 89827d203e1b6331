/* Values of options: from a node of a tree into a struct. */
#include "common/config_option.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- scalars; false: not what is wanted ---- */

/* The decimal number that text begins with; no hexadecimal, no infinity, no NaN. */
static bool read_number(const char *text, double *value, char **end)
{
    const char *digits = text + strspn(text, "+-");

    *value = strtod(text, end);
    return *end != text && strspn(digits, "0123456789.") > 0 && digits[1] != 'x' &&
           digits[1] != 'X' && isfinite(*value);
}

/* Also 1e6, and 64 bits exactly where no exponent stands. */
static bool read_whole(const option *o, const char *text, int64_t *value)
{
    char  *end;
    double x;

    errno  = 0;
    *value = strtoll(text, &end, 10);
    if (end != text && *end == '\0')
        return errno == 0 && (double)*value >= o->min && (double)*value <= o->max;
    if (!read_number(text, &x, &end) || *end || x != floor(x) || x < o->min || x > o->max)
        return false;
    *value = (int64_t)x; /* no option's range is wider than 1e15 */
    return true;
}

/* A whole number, or a number and a unit that are one together: 1.5G. */
static bool read_large(const option *o, const char *text, int64_t *value)
{
    char  *end;
    double x;

    if (read_whole(o, text, value))
        return true;
    if (!read_number(text, &x, &end))
        return false;
    for (int i = 0; i < OPTION_UNITS; i++)
        if (!strcmp(end, option_units[i].name)) {
            x *= (double)option_units[i].factor;
            *value = x >= o->min && x <= o->max ? (int64_t)x : 0;
            return x >= o->min && x <= o->max && x == floor(x);
        }
    return false;
}

static bool read_seed(const char *text, uint64_t *value)
{
    char *end;

    errno  = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static bool read_real(const option *o, const char *text, double *value)
{
    char *end;

    if (o->automatic && !strcmp(text, "auto")) {
        *value = NAN;
        return true;
    }
    return read_number(text, value, &end) && *end == '\0' && *value >= o->min &&
           *value <= o->max;
}

static bool read_bool(const char *text, bool *value)
{
    *value = !strcmp(text, "true");
    return *value || !strcmp(text, "false");
}

static bool read_word(const option *o, const char *text, int *value)
{
    for (int i = 0; i < o->n_words; i++)
        if (o->words[i] && !strcmp(o->words[i], text)) {
            *value = i;
            return true;
        }
    return false;
}

static bool is_text(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

bool option_is_name(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789-";

    return text[0] && text[0] != '-' && strlen(text) < CONFIG_NAME_MAX &&
           text[strspn(text, letters)] == '\0';
}

static bool read_text(const option *o, const char *text, char *value)
{
    size_t n = strlen(text);

    if (n >= o->size || !is_text(text) ||
        (o->kind == OPTION_NAME && n > 0 && !option_is_name(text)))
        return false;
    memcpy(value, text, n + 1);
    return true;
}

/* "500", "500 steps", "2 epochs", "never", "0". */
static bool read_every(const char *text, config_every *value)
{
    char  *end;
    double x;

    *value = (config_every){0};
    if (!strcmp(text, "never") || !strcmp(text, "0"))
        return true;
    if (!read_number(text, &x, &end))
        return false;
    end += strspn(end, " ");
    if (!strcmp(end, "epoch") || !strcmp(end, "epochs")) {
        value->epochs = x;
        return x >= 1e-6 && x <= 1e6;
    }
    if (*end && strcmp(end, "step") && strcmp(end, "steps"))
        return false;
    value->steps = x >= 1 && x <= 1e15 ? (int64_t)x : 0;
    return value->steps > 0 && (double)value->steps == x;
}

/* ---- lists ---- */

void config_names_clear(config_names *names)
{
    for (int i = 0; i < names->n; i++)
        free(names->at[i]);
    free(names->at);
    *names = (config_names){0};
}

static err_t set_ints(const option *o, const tree_node *n, config_ints *list, bool *good)
{
    list->at = calloc((size_t)n->n + 1, sizeof *list->at);
    if (!list->at)
        return err_memory((size_t)n->n * sizeof *list->at, o->key);
    for (int i = 0; i < n->n; i++) {
        int64_t value;
        *good = n->at[i]->kind == TREE_SCALAR && read_whole(o, n->at[i]->text, &value);
        if (!*good)
            return OK;
        list->at[list->n++] = (int)value;
    }
    return OK;
}

static bool is_member(const option *o, const tree_node *n)
{
    if (n->kind != TREE_SCALAR || tree_is_null(n))
        return false;
    return o->kind == OPTION_NAMES ? option_is_name(n->text)
                                   : strlen(n->text) < CONFIG_PATH_MAX && is_text(n->text);
}

/* members: n nodes, each a member of the list. */
static err_t set_names(const option *o, tree_node *const *members, int n, config_names *list,
                       bool *good)
{
    list->at = calloc((size_t)n + 1, sizeof *list->at);
    if (!list->at)
        return err_memory((size_t)n * sizeof *list->at, o->key);
    for (int i = 0; i < n; i++) {
        *good = is_member(o, members[i]);
        if (!*good)
            return OK;
        list->at[i] = strdup(members[i]->text);
        if (!list->at[i])
            return err_memory(strlen(members[i]->text), o->key);
        list->n++;
    }
    return OK;
}

/* value: how many words there are, then the words; each may stand there once. */
static err_t set_words(const option *o, int *value, const tree_node *n, const char *key,
                       bool *good)
{
    value[0] = 0;
    *good    = n->n > 0;
    for (int i = 0; i < n->n; i++) {
        int word;
        *good = n->at[i]->kind == TREE_SCALAR && read_word(o, n->at[i]->text, &word);
        if (!*good)
            return OK;
        for (int j = 1; j <= value[0]; j++)
            if (value[j] == word)
                return tree_error(n->at[i], "%s names '%s' twice", key, o->words[word]);
        value[++value[0]] = word;
    }
    return OK;
}

/* Lists, or what may stand for one: nothing (an empty list), and a lone pattern. */
static err_t set_list(const option *o, void *value, const tree_node *n, const char *key,
                      bool *good)
{
    bool empty = tree_is_null(n);

    *good = n->kind == TREE_LIST || empty;
    if (o->kind == OPTION_PATTERNS && n->kind == TREE_SCALAR && !empty)
        return set_names(o, (tree_node *[]){(tree_node *)n}, 1, value, good);
    if (!*good)
        return OK;
    if (o->kind == OPTION_INTS)
        return set_ints(o, n, value, good);
    if (o->kind == OPTION_ENUMS)
        return set_words(o, value, n, key, good);
    return set_names(o, n->at, n->n, value, good);
}

/* ---- any value ---- */

static bool set_scalar(const option *o, void *value, const tree_node *n)
{
    bool        text_like = o->kind == OPTION_TEXT || o->kind == OPTION_NAME;
    const char *text      = tree_is_null(n) ? "" : n->text;
    int64_t     whole;

    if (n->kind != TREE_SCALAR || (tree_is_null(n) && !text_like))
        return false;
    switch (o->kind) {
    case OPTION_BOOL:
        return read_bool(text, value);
    case OPTION_INT:
        return read_whole(o, text, &whole) && (*(int *)value = (int)whole, true);
    case OPTION_UINT32:
        return read_whole(o, text, &whole) && (*(uint32_t *)value = (uint32_t)whole, true);
    case OPTION_INT64:
        return read_whole(o, text, value);
    case OPTION_LARGE:
        return read_large(o, text, value);
    case OPTION_SEED:
        return read_seed(text, value);
    case OPTION_REAL:
        return read_real(o, text, value);
    case OPTION_ENUM:
        return read_word(o, text, value);
    case OPTION_EVERY:
        return read_every(text, value);
    default:
        return read_text(o, text, value);
    }
}

static bool is_list(const option *o)
{
    return o->kind == OPTION_INTS || o->kind == OPTION_NAMES || o->kind == OPTION_PATTERNS ||
           o->kind == OPTION_ENUMS;
}

err_t option_set(const option *o, void *base, const tree_node *n, const char *key)
{
    void *value = (char *)base + o->at;
    char  shown[TREE_PLACE_MAX], wants[ERR_TEXT_MAX];
    bool  good = true;

    option_release(o, base);
    if (is_list(o))
        TRY(set_list(o, value, n, key, &good));
    else
        good = set_scalar(o, value, n);
    if (good)
        return OK;
    return tree_error(n, "%s is %s, wanted %s", key, tree_show(n, shown),
                      option_wants(o, wants));
}

err_t option_set_default(const option *o, void *base, arena *a)
{
    tree_node *n;

    if (!o->init)
        return OK;
    TRY(tree_parse(&n, a, "default", o->init, strlen(o->init)));
    return option_set(o, base, n, o->key);
}

void option_release(const option *o, void *base)
{
    void *value = (char *)base + o->at;

    if (o->kind == OPTION_NAMES || o->kind == OPTION_PATTERNS)
        config_names_clear(value);
    if (o->kind == OPTION_INTS) {
        config_ints *list = value;
        free(list->at);
        *list = (config_ints){0};
    }
}
