/* dips prepare dien: the text that the authors of DIEN train from (local_train_splitByUser), a
 * sample a line:
 *
 *     label TAB user TAB item TAB category TAB items of the history TAB their categories
 *
 * The lists are parted by \x02; a user without a history has two empty fields. */
#include <stdio.h>
#include <string.h>

#include "common/hash.h"
#include "launch/prepare/catalog.h"
#include "launch/prepare/delimited.h"
#include "launch/prepare/names.h"
#include "launch/prepare/output.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/raw_lines.h"

#define LIST_SEPARATOR "\x02"
#define EVENTS_MOST    65536 /* of a history */

typedef struct dien_options {
    prepare_options shared;
    const char     *train, *test, *negatives;
    int64_t         max_len, max_bad, seed;
} dien_options;

static const char about[] =
    "Samples as the authors of DIEN publish them (local_train_splitByUser and\n"
    "local_test_splitByUser), plain or gzipped: label (0 or 1), user, item, category, the items\n"
    "of the history, their categories; tabs between fields, \\x02 between the elements of a\n"
    "list. Features user, item, cate, and history: item, cate. Ids are hashed strings;\n"
    "names-user, names-item and names-cate have them. There are no times. With --negatives the\n"
    "files are read twice: the items of --train are what negatives are drawn from.";

enum {
    LABEL, USER, ITEM, CATE, HISTORY, HISTORY_ITEM, HISTORY_CATE, COLUMNS,
    NEGATIVE_ITEM = COLUMNS, NEGATIVE_CATE, COLUMNS_WITH_NEGATIVES
};

enum { TABLE_USER, TABLE_ITEM, TABLE_CATE, TABLES };

static const char *const tables[TABLES] = {"user", "item", "cate"};

static const shard_column columns[COLUMNS_WITH_NEGATIVES] = {
    [LABEL]         = {"label", DTYPE_F32, .table = -1},
    [USER]          = {"user", DTYPE_U64, .table = TABLE_USER},
    [ITEM]          = {"item", DTYPE_U64, .table = TABLE_ITEM},
    [CATE]          = {"cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY]       = {"history.offsets", DTYPE_U64, .offsets = true, .table = -1},
    [HISTORY_ITEM]  = {"history.item", DTYPE_U64, .table = TABLE_ITEM},
    [HISTORY_CATE]  = {"history.cate", DTYPE_U64, .table = TABLE_CATE},
    [NEGATIVE_ITEM] = {"history.negative_item", DTYPE_U64, .table = TABLE_ITEM},
    [NEGATIVE_CATE] = {"history.negative_cate", DTYPE_U64, .table = TABLE_CATE},
};

/* A line; its texts are lent by it. */
typedef struct dien_row {
    float  label;
    field  user, item, cate;
    size_t n; /* events */
    field  items[EVENTS_MOST], cates[EVENTS_MOST];
} dien_row;

typedef struct dien {
    const dien_options *my;
    output             *out;
    shard_writer       *split; /* of the file at hand */
    bad_lines           bad;
    names              *names[TABLES];
    negatives_kind      negatives;
    catalog             items;
    dien_row           *row;
    uint64_t            samples;
    VEC(uint64_t) ids, cates;
} dien;

/* ---- a line ---- */

static uint64_t id_of(field text)
{
    return hash_bytes(text.at, text.n);
}

static err_t split_list(field list, field *elements, size_t *n, const char *what)
{
    *n = 0;
    if (list.n == 0)
        return OK;
    if (delimited_split((char *)list.at, list.n, LIST_SEPARATOR, false, elements, EVENTS_MOST,
                        n) != OK)
        return err_add(ERR_DATA, "the %s of the history", what);
    return OK;
}

static err_t parse(dien_row *row, char *line, size_t n)
{
    field  f[6];
    size_t n_fields, n_cates;

    TRY(delimited_split(line, n, "\t", false, f, 6, &n_fields));
    if (n_fields != 6)
        return err_set(ERR_DATA, "%zu fields, wanted 6", n_fields);
    if (!field_is(f[0], "0") && !field_is(f[0], "1"))
        return err_set(ERR_DATA, "label '%.*s' is neither 0 nor 1", field_shown(f[0]), f[0].at);
    row->label = f[0].at[0] == '1';
    row->user  = f[1];
    row->item  = f[2];
    row->cate  = f[3];
    TRY(split_list(f[4], row->items, &row->n, "items"));
    TRY(split_list(f[5], row->cates, &n_cates, "categories"));
    if (row->n != n_cates)
        return err_set(ERR_DATA, "the history has %zu items and %zu categories", row->n,
                       n_cates);
    return OK;
}

/* ---- the first pass: what negatives are drawn from ---- */

static err_t count_item(dien *d, field item, field cate)
{
    uint64_t number;

    TRY(catalog_number(&d->items, id_of(item), &number));
    catalog_item *known = &d->items.items.at[number];
    known->cate         = known->times++ == 0 ? id_of(cate) : known->cate;
    return OK;
}

static err_t count_line(void *self, char *line, size_t n, uint64_t number)
{
    dien *d = self;

    (void)number;
    TRY(parse(d->row, line, n));
    TRY(count_item(d, d->row->item, d->row->cate));
    for (size_t i = 0; i < d->row->n; i++)
        TRY(count_item(d, d->row->items[i], d->row->cates[i]));
    return OK;
}

/* Bad lines are told of by the second pass. */
static err_t count_items(dien *d)
{
    bad_lines quiet = {.most = d->my->max_bad};

    TRY(raw_lines_each(d->my->train, &quiet, count_line, d));
    return catalog_complete(&d->items, d->negatives);
}

/* ---- the second pass ---- */

static err_t write_text(dien *d, int column, int table, field text)
{
    uint64_t id;

    TRY(names_see(d->names[table], text, &id));
    return shard_writer_u64(d->split, column, &id, 1);
}

static err_t write_list(dien *d, int column, int table, const field *texts, size_t n)
{
    uint64_t id;

    d->ids.n = 0;
    for (size_t i = 0; i < n; i++) {
        TRY(names_see(d->names[table], texts[i], &id));
        TRY(vec_push(&d->ids, id));
    }
    return shard_writer_u64(d->split, column, d->ids.at, n);
}

/* An item that only --test names has no number, so that any other is one it was not. */
static err_t write_negatives(dien *d, const field *items, size_t n)
{
    rng chance = rng_named((uint64_t)d->my->seed, RNG_PREPARE, d->samples, 1);

    d->ids.n = d->cates.n = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t     *number = id_map_find(&d->items.numbers, id_of(items[i]));
        const catalog_item *item =
            catalog_draw(&d->items, d->negatives, number ? *number : UINT64_MAX, &chance);
        TRY(vec_push(&d->ids, item->id));
        TRY(vec_push(&d->cates, item->cate));
    }
    TRY(shard_writer_u64(d->split, NEGATIVE_ITEM, d->ids.at, n));
    return shard_writer_u64(d->split, NEGATIVE_CATE, d->cates.at, n);
}

static err_t write_line(void *self, char *line, size_t n, uint64_t number)
{
    dien     *d   = self;
    dien_row *row = d->row;

    (void)number;
    TRY(parse(row, line, n));
    size_t kept  = row->n < (size_t)d->my->max_len ? row->n : (size_t)d->my->max_len;
    size_t first = row->n - kept;
    TRY(shard_writer_f32(d->split, LABEL, &row->label, 1));
    TRY(write_text(d, USER, TABLE_USER, row->user));
    TRY(write_text(d, ITEM, TABLE_ITEM, row->item));
    TRY(write_text(d, CATE, TABLE_CATE, row->cate));
    TRY(shard_writer_length(d->split, HISTORY, kept));
    TRY(write_list(d, HISTORY_ITEM, TABLE_ITEM, row->items + first, kept));
    TRY(write_list(d, HISTORY_CATE, TABLE_CATE, row->cates + first, kept));
    if (d->negatives != NEGATIVES_NONE)
        TRY(write_negatives(d, row->items + first, kept));
    d->samples++;
    return shard_writer_end_sample(d->split);
}

static err_t write_file(dien *d, const char *path, const char *split)
{
    if (!path)
        return OK;
    TRY(output_split(d->out, split, &d->split));
    return raw_lines_each(path, &d->bad, write_line, d);
}

static err_t convert(dien *d)
{
    if (d->negatives != NEGATIVES_NONE)
        TRY(count_items(d));
    TRY(write_file(d, d->my->train, "train"));
    TRY(write_file(d, d->my->test, "test"));
    if (d->samples == 0)
        return err_set(ERR_DATA, "%s has no samples", d->my->train);
    for (int t = 0; t < TABLES; t++)
        TRY(names_write(d->names[t], tables[t], NULL));
    return OK;
}

/* ---- beginning and end ---- */

static err_t open_all(dien *d)
{
    const bool with_negatives = d->negatives != NEGATIVES_NONE;

    if (!(d->row = malloc(sizeof *d->row)))
        return err_memory(sizeof *d->row, "a line");
    TRY(output_open(&d->out, &d->my->shared, tables, TABLES, columns,
                    with_negatives ? COLUMNS_WITH_NEGATIVES : COLUMNS));
    for (int t = 0; t < TABLES; t++)
        TRY(names_new(&d->names[t], output_memory(d->out) / TABLES, output_folder(d->out)));
    return OK;
}

static err_t run(const dien_options *my)
{
    dien d = {
        .my = my, .bad = {.most = my->max_bad}, .negatives = negatives_called(my->negatives)};

    err_t err = open_all(&d);
    if (err == OK)
        err = convert(&d);
    for (int t = 0; t < TABLES; t++)
        names_free(&d.names[t]);
    catalog_clear(&d.items);
    vec_clear(&d.ids);
    vec_clear(&d.cates);
    free(d.row);
    if (err == OK)
        err = output_finish(&d.out);
    output_abandon(&d.out);
    raw_lines_report_skipped(err, &d.bad);
    return err;
}

err_t prepare_dien(int argc, char **argv)
{
    dien_options my = {
        .shared = PREPARE_OPTIONS_DEFAULT, .negatives = "none", .max_len = 100, .seed = 1};
    const flag flags[] = {
        {"train", FLAG_TEXT, &my.train, .meta = "FILE", .required = true,
         .help = "local_train_splitByUser; - is standard input, without --negatives"},
        {"test", FLAG_TEXT, &my.test, .meta = "FILE", .help = "local_test_splitByUser"},
        PREPARE_FLAGS(my.shared),
        PREPARE_FLAG_MAX_LEN(my.max_len),
        PREPARE_FLAG_NEGATIVES(my.negatives),
        PREPARE_FLAG_MAX_BAD(my.max_bad),
        {"seed", FLAG_INT, &my.seed, .help = "seed of the negatives"},
        {0}};
    bool helped;

    TRY(flags_parse_only(flags, "dips prepare dien --train FILE --out DIR [flags]", about, argc,
                         argv, &helped));
    if (helped)
        return OK;
    if (strcmp(my.train, "-") == 0 && strcmp(my.negatives, "none") != 0)
        return err_set(ERR_USAGE, "--negatives reads --train twice, and standard input cannot "
                                  "be");
    return run(&my);
}
