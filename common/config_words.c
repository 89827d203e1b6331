/* Values of options as text: what an option has, and what it wants. */
#include "common/config_option.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/decimal.h"

const option_unit option_units[OPTION_UNITS] = {
    {"T", INT64_C(1000000000000)}, {"G", 1000000000}, {"M", 1000000},   {"K", 1000},
    {"TiB", INT64_C(1) << 40},     {"GiB", 1 << 30},  {"MiB", 1 << 20}, {"KiB", 1 << 10},
};

/* ---- what is wanted ---- */

static int append(char *text, int n, const char *format, ...) PRINTF_LIKE(3, 4);

/* Append to text, which has room for ERR_TEXT_MAX and holds n; the new length. */
static int append(char *text, int n, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int more = vsnprintf(text + n, (size_t)(ERR_TEXT_MAX - n), format, args);
    va_end(args);
    return more < 0 ? n : n + more < ERR_TEXT_MAX ? n + more : ERR_TEXT_MAX - 1;
}

static int append_words(char *text, int n, const option *o)
{
    for (int i = 0, listed = 0; i < o->n_words; i++)
        if (o->words[i])
            n = append(text, n, "%s%s", listed++ ? ", " : "", o->words[i]);
    return n;
}

const char *option_wants(const option *o, char wants[ERR_TEXT_MAX])
{
    int n = 0;

    wants[0] = '\0';
    switch (o->kind) {
    case OPTION_BOOL:
        n = append(wants, n, "true or false");
        break;
    case OPTION_INT:
    case OPTION_UINT32:
    case OPTION_INT64:
        n = append(wants, n, "a whole number in %.15g .. %.15g", o->min, o->max);
        break;
    case OPTION_LARGE:
        n = append(wants, n, "a whole number, also as 600M or 12GiB, in %.15g .. %.15g", o->min,
                   o->max);
        break;
    case OPTION_SEED:
        n = append(wants, n, "a whole number in 0 .. %" PRIu64, UINT64_MAX);
        break;
    case OPTION_REAL:
        n = append(wants, n, "a number in %.15g .. %.15g", o->min, o->max);
        break;
    case OPTION_TEXT:
        n = append(wants, n, "a text of at most %zu bytes without control characters",
                   o->size - 1);
        break;
    case OPTION_NAME:
        n = append(wants, n, "a name (at most %zu letters, digits, _ and -)", o->size - 1);
        break;
    case OPTION_ENUM:
        n = append_words(wants, append(wants, n, "one of "), o);
        break;
    case OPTION_ENUMS:
        n = append_words(wants, append(wants, n, "a list out of "), o);
        break;
    case OPTION_INTS:
        n = append(wants, n, "a list of whole numbers in %.15g .. %.15g", o->min, o->max);
        break;
    case OPTION_NAMES:
        n = append(wants, n, "a list of names (letters, digits, _ and -)");
        break;
    case OPTION_PATTERNS:
        n = append(wants, n, "a file or pattern, or a list of them");
        break;
    case OPTION_EVERY:
        n = append(wants, n, "'N steps', 'N epochs' or 'never'");
        break;
    }
    if (o->unit)
        n = append(wants, n, " %s", o->unit);
    if (o->automatic)
        append(wants, n, ", or auto");
    return wants;
}

/* ---- what there is ---- */

static void print_real(double x, FILE *to)
{
    char text[DECIMAL_MAX];

    fputs(isnan(x) ? "auto" : decimal(text, x), to);
}

/* Plain where that cannot be misread, else in double quotes; what is not ASCII as \u. */
static void print_text(const char *text, FILE *to)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    const unsigned char *c = (const unsigned char *)text;

    if (*c && *c != '-' && text[strspn(text, plain)] == '\0' && strcmp(text, "null")) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    while (*c) {
        if (*c < 0x80) {
            fprintf(to, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
            c++;
            continue;
        }
        int           more = *c >= 0xf0 ? 3 : *c >= 0xe0 ? 2 : 1; /* bytes that follow */
        unsigned long code = *c & (0x3fu >> more);
        for (c++; more > 0 && (*c & 0xc0) == 0x80; more--)
            code = code << 6 | (*c++ & 0x3f);
        fprintf(to, "\\U%08lx", code);
    }
    fputc('"', to);
}

static void print_every(const config_every *every, FILE *to)
{
    if (every->steps > 0) {
        fprintf(to, "%" PRId64 " steps", every->steps);
    } else if (every->epochs > 0) {
        print_real(every->epochs, to);
        fputs(" epochs", to);
    } else {
        fputs("never", to);
    }
}

static void print_large(int64_t value, FILE *to)
{
    for (int i = 0; value && i < OPTION_UNITS; i++)
        if (value % option_units[i].factor == 0) {
            fprintf(to, "%" PRId64 "%s", value / option_units[i].factor, option_units[i].name);
            return;
        }
    fprintf(to, "%" PRId64, value);
}

static void print_list(const option *o, const void *value, FILE *to)
{
    const int          *enums = value;
    const config_ints  *ints  = value;
    const config_names *names = value;
    int                 n     = *(const int *)value; /* the first member of all three */

    fputc('[', to);
    for (int i = 0; i < n; i++) {
        if (i > 0)
            fputs(", ", to);
        if (o->kind == OPTION_INTS)
            fprintf(to, "%d", ints->at[i]);
        else if (o->kind == OPTION_ENUMS)
            fputs(o->words[enums[1 + i]], to);
        else
            print_text(names->at[i], to);
    }
    fputc(']', to);
}

void option_print(const option *o, const void *base, FILE *to)
{
    const void *value = (const char *)base + o->at;

    switch (o->kind) {
    case OPTION_BOOL:
        fputs(*(const bool *)value ? "true" : "false", to);
        break;
    case OPTION_INT:
        fprintf(to, "%d", *(const int *)value);
        break;
    case OPTION_UINT32:
        fprintf(to, "%" PRIu32, *(const uint32_t *)value);
        break;
    case OPTION_INT64:
        fprintf(to, "%" PRId64, *(const int64_t *)value);
        break;
    case OPTION_LARGE:
        print_large(*(const int64_t *)value, to);
        break;
    case OPTION_SEED:
        fprintf(to, "%" PRIu64, *(const uint64_t *)value);
        break;
    case OPTION_REAL:
        print_real(*(const double *)value, to);
        break;
    case OPTION_TEXT:
    case OPTION_NAME:
        print_text(value, to);
        break;
    case OPTION_ENUM:
        fputs(o->words[*(const int *)value], to);
        break;
    case OPTION_EVERY:
        print_every(value, to);
        break;
    default:
        print_list(o, value, to);
    }
}
