#include "launch/flags.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const flag *find(const flag *flags, const char *name, size_t length)
{
    for (const flag *f = flags; f->name; f++)
        if (strlen(f->name) == length && !strncmp(f->name, name, length))
            return f;
    return NULL;
}

/* The factor of a unit behind a number, or 0. */
static double unit_factor(const char *unit)
{
    static const struct {
        const char *name;
        double      factor;
    } units[] = {{"", 1},
                 {"K", 1e3},
                 {"M", 1e6},
                 {"G", 1e9},
                 {"KiB", 1024},
                 {"MiB", 1048576},
                 {"GiB", 1073741824.0},
                 {"Kbit", 125},
                 {"Mbit", 125e3},
                 {"Gbit", 125e6}};

    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(unit, units[i].name))
            return units[i].factor;
    return 0;
}

bool flags_number(double *x, const char *text)
{
    char *end;

    *x            = strtod(text, &end);
    double factor = unit_factor(end);
    if (end == text || factor == 0 || !isfinite(*x))
        return false;
    *x *= factor;
    return true;
}

static err_t store_number(const flag *f, const char *value)
{
    char  *end;
    double x;

    if (!flags_number(&x, value))
        return err_set(ERR_USAGE, "--%s is '%s', wanted a number, also as 600M or 12GiB",
                       f->name, value);
    if ((f->min != 0 || f->max != 0) && !(x >= f->min && x <= f->max))
        return err_set(ERR_USAGE, "--%s %s is not in %.15g .. %.15g", f->name, value, f->min,
                       f->max);
    if (f->kind == FLAG_REAL) {
        *(double *)f->at = x;
        return OK;
    }
    errno           = 0;
    long long whole = strtoll(value, &end, 10);
    if (end != value && *end == '\0' && errno == 0) { /* all 64 bits: a double has fewer */
        *(int64_t *)f->at = whole;
        return OK;
    }
    if (x != floor(x) || fabs(x) > 9e18)
        return err_set(ERR_USAGE, "--%s '%s' is not a whole number", f->name, value);
    *(int64_t *)f->at = (int64_t)x;
    return OK;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);

    for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
        if (!strncmp(c, value, n) && (c[n] == '|' || c[n] == '\0') && n > 0)
            return true;
    return false;
}

static err_t store(const flag *f, const char *value)
{
    if (f->kind == FLAG_INT || f->kind == FLAG_REAL)
        return store_number(f, value);
    if (f->choices && !is_choice(f->choices, value))
        return err_set(ERR_USAGE, "--%s '%s' is not one of %s", f->name, value, f->choices);
    *(const char **)f->at = value;
    return OK;
}

/* ---- --help: flags on the left, and beside them what they do, in lines of their own ---- */

#define LEFT_WIDTH 26
#define HELP_WIDTH 60

static void print_flag(const char *left, const char *help)
{
    int used = strlen(left) > LEFT_WIDTH ? HELP_WIDTH : 0; /* then help begins a line */

    printf("  %-*s", LEFT_WIDTH, left);
    while (*help) {
        int word = (int)strcspn(help, " ");
        if (used > 0 && used + 1 + word > HELP_WIDTH) {
            printf("\n  %*s", LEFT_WIDTH, "");
            used = 0;
        }
        used += printf(" %.*s", word, help);
        help += word + (help[word] == ' ');
    }
    printf("\n");
}

/* " (default 1000)", or nothing. */
static void default_text(char *text, size_t size, const flag *f)
{
    const char *value = f->kind == FLAG_TEXT ? *(const char **)f->at : NULL;

    *text = '\0';
    if (f->required)
        snprintf(text, size, " (required)");
    else if (f->kind == FLAG_INT)
        snprintf(text, size, " (default %lld)", (long long)*(int64_t *)f->at);
    else if (f->kind == FLAG_REAL)
        snprintf(text, size, " (default %g)", *(double *)f->at);
    else if (value)
        snprintf(text, size, " (default %s)", value);
}

static void print_help(const flag *flags, const char *usage, const char *about)
{
    printf("usage: %s\n\n%s\n\n", usage, about);
    for (const flag *f = flags; f->name; f++) {
        char        left[128], behind[128], help[1024];
        const char *meta = f->kind == FLAG_BOOL   ? ""
                           : f->choices           ? f->choices
                           : f->meta              ? f->meta
                           : f->kind == FLAG_TEXT ? "TEXT"
                                                  : "N";
        snprintf(left, sizeof left, "--%s %s", f->name, meta);
        default_text(behind, sizeof behind, f);
        snprintf(help, sizeof help, "%s%s", f->help, behind);
        print_flag(left, help);
    }
    print_flag("--help", "print this");
}

static err_t check_required(const flag *flags, const bool *given, const char *usage)
{
    for (const flag *f = flags; f->name; f++)
        if (f->required && !given[f - flags])
            return err_set(ERR_USAGE, "--%s is missing; usage: %s", f->name, usage);
    return OK;
}

err_t flags_parse(const flag *flags, const char *usage, const char *about, int argc,
                  char **argv, int *n, bool *helped)
{
    bool given[64] = {false};

    *n      = 0;
    *helped = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            print_help(flags, usage, about);
            *helped = true;
            return OK;
        }
        if (!strcmp(argv[i], "--")) {
            while (++i < argc)
                argv[(*n)++] = argv[i];
            break;
        }
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[(*n)++] = argv[i];
            continue;
        }
        const char *name   = argv[i] + strspn(argv[i], "-");
        size_t      length = strcspn(name, "=");
        const flag *f      = argv[i][1] == '-' ? find(flags, name, length) : NULL;
        if (!f)
            return err_set(ERR_USAGE, "there is no option '%s'; usage: %s", argv[i], usage);
        given[f - flags] = true;
        if (f->kind == FLAG_BOOL) {
            if (name[length])
                return err_set(ERR_USAGE, "--%s takes no value", f->name);
            *(bool *)f->at = true;
        } else if (name[length]) {
            TRY(store(f, name + length + 1));
        } else if (i + 1 < argc) {
            TRY(store(f, argv[++i]));
        } else {
            return err_set(ERR_USAGE, "--%s wants a value", f->name);
        }
    }
    return check_required(flags, given, usage);
}

err_t flags_parse_run(const flag *flags, const char *usage, const char *about, int argc,
                      char **argv, int *n_words, bool *helped)
{
    int n;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, helped));
    if (n < 1 && !*helped)
        return err_set(ERR_USAGE, "which configuration? usage: %s", usage);
    *n_words = n - 1;
    return OK;
}

err_t flags_parse_only(const flag *flags, const char *usage, const char *about, int argc,
                       char **argv, bool *helped)
{
    int n;

    TRY(flags_parse(flags, usage, about, argc, argv, &n, helped));
    if (n > 0 && !*helped)
        return err_set(ERR_USAGE, "'%s' is not wanted here; usage: %s", argv[0], usage);
    return OK;
}
