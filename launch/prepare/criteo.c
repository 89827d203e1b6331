/* dips prepare criteo: the rows of Criteo's contest of 2014, no header,
 *
 *     label TAB I1 TAB ... I13 TAB C1 TAB ... C26
 *
 * I are counts, C strings of hexadecimal digits; any of them may be empty. */
#include <math.h>
#include <stdio.h>

#include "launch/prepare/contest.h"
#include "launch/prepare/delimited.h"
#include "launch/prepare/prepare.h"

#define INTEGERS   13
#define CATEGORIES 26
#define FIELDS     (1 + INTEGERS + CATEGORIES)

typedef struct criteo_options {
    prepare_options shared;
    const char     *in, *integers;
    double          test_part;
    int64_t         max_bad, seed;
} criteo_options;

static const char about[] =
    "Criteo's display ads as samples. Reads train.txt (label, I1 .. I13, C1 .. C26, tabs, no\n"
    "header), plain or gzipped. Features I1 .. I13 and C1 .. C26, ids of one table, value:\n"
    "hashes of FIELD=text, which names-value has; an empty field is a value too. Of the\n"
    "samples --test-part are drawn for test.\n"
    "\n"
    "  --integers buckets   I as ids: x up to 2, and above floor(log(x)^2)\n"
    "  --integers numbers   I as numbers, an empty one 0, for features of kind float (say\n"
    "                       transform: log)";

/* I1 .. I13 and C1 .. C26 stand behind the label. */
#define ID(number, name)     [number] = {name, DTYPE_U64, .table = 0}
#define NUMBER(number, name) [number] = {name, DTYPE_F32, .table = -1}
#define LABEL                [0] = {"label", DTYPE_F32, .table = -1}

/* clang-format off */
#define ALL_INTEGERS(KIND)                                                                     \
    KIND(1, "I1"), KIND(2, "I2"), KIND(3, "I3"), KIND(4, "I4"), KIND(5, "I5"), KIND(6, "I6"),  \
    KIND(7, "I7"), KIND(8, "I8"), KIND(9, "I9"), KIND(10, "I10"), KIND(11, "I11"),             \
    KIND(12, "I12"), KIND(13, "I13")
#define ALL_CATEGORIES                                                                         \
    ID(14, "C1"), ID(15, "C2"), ID(16, "C3"), ID(17, "C4"), ID(18, "C5"), ID(19, "C6"),        \
    ID(20, "C7"), ID(21, "C8"), ID(22, "C9"), ID(23, "C10"), ID(24, "C11"), ID(25, "C12"),     \
    ID(26, "C13"), ID(27, "C14"), ID(28, "C15"), ID(29, "C16"), ID(30, "C17"), ID(31, "C18"),  \
    ID(32, "C19"), ID(33, "C20"), ID(34, "C21"), ID(35, "C22"), ID(36, "C23"), ID(37, "C24"),  \
    ID(38, "C25"), ID(39, "C26")

static const shard_column with_buckets[FIELDS] = {LABEL, ALL_INTEGERS(ID), ALL_CATEGORIES};
static const shard_column with_numbers[FIELDS] = {LABEL, ALL_INTEGERS(NUMBER), ALL_CATEGORIES};
/* clang-format on */

typedef struct criteo {
    contest             contest;
    const shard_column *columns;
    bool                buckets;
} criteo;

static err_t write_bucket(criteo *c, int column, field f, int64_t x)
{
    char text[32];

    if (f.n == 0)
        return contest_write(&c->contest, column, c->columns[column].name, f);
    int64_t bucket = x > 2 ? (int64_t)floor(pow(log((double)x), 2)) : x;
    int     n = snprintf(text, sizeof text, x > 2 ? "log2-%lld" : "%lld", (long long)bucket);
    return contest_write(&c->contest, column, c->columns[column].name,
                         (field){text, (size_t)n});
}

static err_t write_integer(criteo *c, int column, field f)
{
    int64_t x = 0;

    if (f.n > 0)
        TRY(field_i64(f, c->columns[column].name, &x));
    if (c->buckets)
        return write_bucket(c, column, f, x);
    return shard_writer_f32(c->contest.to, column, &(float){(float)x}, 1);
}

/* All is parsed before anything is written: a bad line leaves nothing behind. */
static err_t check_integers(const criteo *c, const field *f)
{
    int64_t x;

    for (int i = 1; i <= INTEGERS; i++)
        if (f[i].n > 0)
            TRY(field_i64(f[i], c->columns[i].name, &x));
    return OK;
}

static err_t take_line(void *self, char *line, size_t n, uint64_t number)
{
    criteo *c = self;
    field   f[FIELDS];
    size_t  n_fields;
    float   label;

    (void)number;
    TRY(delimited_split(line, n, "\t", false, f, FIELDS, &n_fields));
    if (n_fields != FIELDS)
        return err_set(ERR_DATA, "%zu fields, wanted %d", n_fields, FIELDS);
    TRY(contest_label(f[0], &label));
    TRY(check_integers(c, f));
    TRY(contest_begin_sample(&c->contest));
    TRY(shard_writer_f32(c->contest.to, 0, &label, 1));
    for (int i = 1; i <= INTEGERS; i++)
        TRY(write_integer(c, i, f[i]));
    for (int i = 1 + INTEGERS; i < FIELDS; i++)
        TRY(contest_write(&c->contest, i, c->columns[i].name, f[i]));
    return shard_writer_end_sample(c->contest.to);
}

err_t prepare_criteo(int argc, char **argv)
{
    criteo_options my = {
        .shared = PREPARE_OPTIONS_DEFAULT, .integers = "buckets", .test_part = 0.1, .seed = 1};
    const flag flags[] = {
        {"in", FLAG_TEXT, &my.in, .meta = "FILE", .required = true,
         .help = "train.txt; - is standard input"},
        PREPARE_FLAGS(my.shared),
        {"integers", FLAG_TEXT, &my.integers, .choices = "buckets|numbers",
         .help = "what becomes of I1 .. I13"},
        {"test-part", FLAG_REAL, &my.test_part, .max = 1, .help = "samples drawn for test"},
        PREPARE_FLAG_MAX_BAD(my.max_bad),
        {"seed", FLAG_INT, &my.seed, .help = "seed of what is drawn"},
        {0}};
    bool helped;

    TRY(flags_parse_only(flags, "dips prepare criteo --in FILE --out DIR [flags]", about, argc,
                         argv, &helped));
    if (helped)
        return OK;
    criteo c  = {.contest = {.in        = my.in,
                             .test_part = my.test_part,
                             .seed      = (uint64_t)my.seed,
                             .bad       = {.most = my.max_bad}},
                 .buckets = my.integers[0] == 'b'};
    c.columns = c.buckets ? with_buckets : with_numbers;
    return contest_run(&c.contest, &my.shared, c.columns, FIELDS, take_line, &c);
}
