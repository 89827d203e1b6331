/* dips prepare avazu: the rows of Avazu's contest of 2014, with a header,
 *
 *     id,click,hour,C1,banner_pos,site_id,...,device_conn_type,C14,...,C21
 *     1000009418151094273,0,14102100,1005,0,1fbe01fe,...
 *
 * hour is YYMMDDHH. */
#include <stdio.h>
#include <time.h>

#include "launch/prepare/contest.h"
#include "launch/prepare/delimited.h"
#include "launch/prepare/prepare.h"

typedef struct avazu_options {
    prepare_options shared;
    const char     *in;
    double          test_part;
    int64_t         max_bad, seed;
} avazu_options;

static const char about[] =
    "Avazu's mobile ads as samples. Reads train (csv with its header), plain or gzipped.\n"
    "Features hour (of the day), weekday, C1, banner_pos, site_id, site_domain, "
    "site_category,\n"
    "app_id, app_domain, app_category, device_id, device_ip, device_model, device_type,\n"
    "device_conn_type, C14 .. C21, ids of one table, value: hashes of FIELD=text, which\n"
    "names-value has; and time. --test-part of the samples are drawn for test.";

/* The columns of the file, of which id is left out. */
enum { ID, CLICK, HOUR, C1, FIELDS = 24 };

static const char *const fields[FIELDS] = {
    "id",         "click",        "hour",         "C1",          "banner_pos",
    "site_id",    "site_domain",  "site_category", "app_id",     "app_domain",
    "app_category", "device_id",  "device_ip",    "device_model", "device_type",
    "device_conn_type", "C14",    "C15",          "C16",         "C17",
    "C18",        "C19",          "C20",          "C21"};

/* Of a shard; those from the third on are the file's from C1 on. */
enum { LABEL, TIME, HOUR_OF_DAY, WEEKDAY, VALUES, COLUMNS = VALUES + FIELDS - C1 };

#define VALUE(number, name) [VALUES + (number)] = {name, DTYPE_U64, .table = 0}

static const shard_column columns[COLUMNS] = {
    [LABEL]       = {"label", DTYPE_F32, .table = -1},
    [TIME]        = {"time", DTYPE_I64, .table = -1},
    [HOUR_OF_DAY] = {"hour", DTYPE_U64, .table = 0},
    [WEEKDAY]     = {"weekday", DTYPE_U64, .table = 0},
    VALUE(0, "C1"),
    VALUE(1, "banner_pos"),
    VALUE(2, "site_id"),
    VALUE(3, "site_domain"),
    VALUE(4, "site_category"),
    VALUE(5, "app_id"),
    VALUE(6, "app_domain"),
    VALUE(7, "app_category"),
    VALUE(8, "device_id"),
    VALUE(9, "device_ip"),
    VALUE(10, "device_model"),
    VALUE(11, "device_type"),
    VALUE(12, "device_conn_type"),
    VALUE(13, "C14"),
    VALUE(14, "C15"),
    VALUE(15, "C16"),
    VALUE(16, "C17"),
    VALUE(17, "C18"),
    VALUE(18, "C19"),
    VALUE(19, "C20"),
    VALUE(20, "C21"),
};

static err_t check_header(const field *f)
{
    for (int i = 0; i < FIELDS; i++)
        if (!field_is(f[i], fields[i]))
            return err_set(ERR_FORMAT, "the header's column %d is '%.*s', wanted %s", i + 1,
                           field_shown(f[i]), f[i].at, fields[i]);
    return OK;
}

/* YYMMDDHH as the beginning of an hour. */
static err_t parse_hour(field f, struct tm *when, int64_t *time)
{
    uint64_t x;

    TRY(field_u64(f, "hour", &x));
    *when                = (struct tm){.tm_year = 100 + (int)(x / 1000000 % 100),
                                       .tm_mon  = (int)(x / 10000 % 100) - 1,
                                       .tm_mday = (int)(x / 100 % 100),
                                       .tm_hour = (int)(x % 100)};
    const struct tm said = *when;
    *time                = timegm(when); /* sets the day of the week, mends what is none */
    if (x > 99999999 || said.tm_mon != when->tm_mon || said.tm_mday != when->tm_mday ||
        said.tm_hour != when->tm_hour)
        return err_set(ERR_DATA, "hour '%.*s' is not YYMMDDHH", field_shown(f), f.at);
    return OK;
}

static err_t write_small(contest *c, int column, int number)
{
    char text[16];
    int  n = snprintf(text, sizeof text, "%d", number);

    return contest_write(c, column, columns[column].name, (field){text, (size_t)n});
}

static err_t take_line(void *self, char *line, size_t n, uint64_t number)
{
    contest  *c = self;
    field     f[FIELDS];
    struct tm when;
    size_t    n_fields;
    int64_t   time;
    float     label;

    TRY(delimited_split(line, n, ",", false, f, FIELDS, &n_fields));
    if (n_fields != FIELDS)
        return err_set(ERR_DATA, "%zu fields, wanted %d", n_fields, FIELDS);
    if (number == 1)
        return check_header(f) == OK ? OK : err_add(ERR_FORMAT, "%s:1", c->in);
    TRY(contest_label(f[CLICK], &label));
    TRY(parse_hour(f[HOUR], &when, &time));
    TRY(contest_begin_sample(c));
    TRY(shard_writer_f32(c->to, LABEL, &label, 1));
    TRY(shard_writer_i64(c->to, TIME, &time, 1));
    TRY(write_small(c, HOUR_OF_DAY, when.tm_hour));
    TRY(write_small(c, WEEKDAY, when.tm_wday));
    for (int i = C1; i < FIELDS; i++)
        TRY(contest_write(c, VALUES + i - C1, fields[i], f[i]));
    return shard_writer_end_sample(c->to);
}

err_t prepare_avazu(int argc, char **argv)
{
    avazu_options my      = {.shared = PREPARE_OPTIONS_DEFAULT, .test_part = 0.1, .seed = 1};
    const flag    flags[] = {
           {"in", FLAG_TEXT, &my.in, .meta = "FILE", .required = true,
            .help = "train, or train.gz; - is standard input"},
           PREPARE_FLAGS(my.shared),
           {"test-part", FLAG_REAL, &my.test_part, .max = 1, .help = "samples drawn for test"},
           PREPARE_FLAG_MAX_BAD(my.max_bad),
           {"seed", FLAG_INT, &my.seed, .help = "seed of what is drawn"},
           {0}};
    bool helped;

    TRY(flags_parse_only(flags, "dips prepare avazu --in FILE --out DIR [flags]", about, argc,
                         argv, &helped));
    if (helped)
        return OK;
    contest c = {.in        = my.in,
                 .test_part = my.test_part,
                 .seed      = (uint64_t)my.seed,
                 .bad       = {.most = my.max_bad}};
    return contest_run(&c, &my.shared, columns, COLUMNS, take_line, &c);
}
