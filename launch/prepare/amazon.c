#include <stdio.h>

#include "common/log.h"
#include "launch/prepare/amazon_rows.h"
#include "launch/prepare/names.h"
#include "launch/prepare/pairs.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/raw_lines.h"

typedef struct amazon_options {
    prepare_options shared;
    const char     *reviews, *meta, *negatives;
    int64_t         max_len, max_bad, seed;
    double          history_days;
} amazon_options;

static const char about[] =
    "Amazon reviews as samples, by the protocol of Deep Interest Networks. Reads the 5-core\n"
    "reviews (JSON lines with reviewerID, asin, unixReviewTime) and the metadata (asin,\n"
    "categories; the last one is taken), plain or gzipped. A user's goods b1 ... bn, by time\n"
    "(those of one second in the order of the file), become: b1 ... bk -> b(k+1) for k = 1 ..\n"
    "n-2 in train, b1 ... b(n-1) -> bn in test. Each has label 1 and a twin with label 0,\n"
    "whose goods is drawn from all reviewed goods but those the user ever reviewed. Features\n"
    "user, goods, cate, and history: goods, cate, time. Ids are hashed strings; names-user,\n"
    "names-goods and names-cate have them. The goods and their cates are kept in memory.";

enum {
    LABEL, USER, GOODS, CATE, HISTORY, HISTORY_GOODS, HISTORY_CATE, HISTORY_TIME, TIME, COLUMNS,
    NEGATIVE_GOODS = COLUMNS, NEGATIVE_CATE, COLUMNS_WITH_NEGATIVES
};

enum { TABLE_USER, TABLE_GOODS, TABLE_CATE, TABLES };

static const char *const tables[TABLES] = {"user", "goods", "cate"};

static const shard_column columns[COLUMNS_WITH_NEGATIVES] = {
    [LABEL]          = {"label", DTYPE_F32, .table = -1},
    [USER]           = {"user", DTYPE_U64, .table = TABLE_USER},
    [GOODS]          = {"goods", DTYPE_U64, .table = TABLE_GOODS},
    [CATE]           = {"cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY]        = {"history.offsets", DTYPE_U64, .offsets = true, .table = -1},
    [HISTORY_GOODS]  = {"history.goods", DTYPE_U64, .table = TABLE_GOODS},
    [HISTORY_CATE]   = {"history.cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY_TIME]   = {"history.time", DTYPE_I64, .table = -1},
    [TIME]           = {"time", DTYPE_I64, .table = -1},
    [NEGATIVE_GOODS] = {"history.negative_goods", DTYPE_U64, .table = TABLE_GOODS},
    [NEGATIVE_CATE]  = {"history.negative_cate", DTYPE_U64, .table = TABLE_CATE},
};

typedef struct amazon {
    const amazon_options *my;
    output               *out;
    bad_lines             bad;
    names                *names[TABLES];
    sorter               *reviews; /* behaviors */
    uint64_t              n_reviews;
    catalog               goods; /* that were reviewed */
    pair_writer           pairs;
} amazon;

/* ---- reading ---- */

static err_t keep_review(amazon *a, const amazon_row *row, uint64_t number)
{
    behavior r = {.time = row->time, .number = number};
    uint64_t id;

    TRY(names_see(a->names[TABLE_USER], row->user, &r.user));
    TRY(names_see(a->names[TABLE_GOODS], row->goods, &id));
    TRY(catalog_number(&a->goods, id, &r.item));
    a->goods.items.at[r.item].times++;
    a->n_reviews++;
    return sorter_push(a->reviews, &r);
}

static err_t take_review(void *self, char *line, size_t n, uint64_t number)
{
    amazon_row row;

    err_t err = amazon_parse_review(line, n, &row);
    if (err == OK)
        err = keep_review(self, &row, number);
    amazon_row_clear(&row);
    return err;
}

/* Metadata of goods that nobody reviewed is passed over. */
static err_t keep_meta(amazon *a, const amazon_row *row)
{
    catalog_item *g = catalog_find(&a->goods, hash_bytes(row->goods.at, row->goods.n));

    if (!g || g->described)
        return OK;
    g->described = true;
    return names_see(a->names[TABLE_CATE], row->cate, &g->cate);
}

static err_t take_meta(void *self, char *line, size_t n, uint64_t number)
{
    amazon_row row;

    (void)number;
    err_t err = amazon_parse_meta(line, n, &row);
    if (err == OK)
        err = keep_meta(self, &row);
    amazon_row_clear(&row);
    return err;
}

/* Goods without metadata have the cate "unknown". */
static err_t complete_goods(amazon *a)
{
    size_t unknown = 0;

    for (size_t i = 0; i < a->goods.items.n; i++) {
        catalog_item *g = &a->goods.items.at[i];
        if (g->described)
            continue;
        TRY(names_see(a->names[TABLE_CATE], (field){"unknown", 7}, &g->cate));
        unknown++;
    }
    if (unknown > 0)
        log_once(LOG_WARN, "%zu of %zu goods are not in %s: their cate is 'unknown'", unknown,
                 a->goods.items.n, a->my->meta);
    return OK;
}

static err_t convert(amazon *a)
{
    TRY(raw_lines_each(a->my->reviews, &a->bad, take_review, a));
    if (a->n_reviews == 0)
        return err_set(ERR_DATA, "%s has no reviews", a->my->reviews);
    TRY(raw_lines_each(a->my->meta, &a->bad, take_meta, a));
    TRY(complete_goods(a));
    TRY(catalog_complete(&a->goods, a->pairs.history.negatives));
    TRY(behaviors_each_user(a->reviews, a->n_reviews, pairs_write_user, &a->pairs));
    for (int t = 0; t < TABLES; t++)
        TRY(names_write(a->names[t], tables[t], NULL));
    return OK;
}

static err_t open_all(amazon *a)
{
    const bool with_negatives = a->pairs.history.negatives != NEGATIVES_NONE;

    TRY(output_open(&a->out, &a->my->shared, tables, TABLES, columns,
                    with_negatives ? COLUMNS_WITH_NEGATIVES : COLUMNS));
    a->pairs.out = a->out;
    const char *folder = output_folder(a->out);
    size_t      memory = output_memory(a->out);
    for (int t = 0; t < TABLES; t++)
        TRY(names_new(&a->names[t], memory / 8, folder));
    return sorter_new(&a->reviews, sizeof(behavior), behavior_order, memory / 2, folder);
}

static err_t run(const amazon_options *my)
{
    amazon a = {.my = my, .bad = {.most = my->max_bad}};

    a.pairs = (pair_writer){
        .at      = {LABEL, USER, GOODS, CATE, TIME},
        .history = {.at        = {HISTORY, HISTORY_GOODS, HISTORY_CATE, -1, HISTORY_TIME,
                                  NEGATIVE_GOODS, NEGATIVE_CATE},
                    .items     = &a.goods,
                    .max_len   = (size_t)my->max_len,
                    .seconds   = seconds_of_days(my->history_days),
                    .negatives = negatives_called(my->negatives),
                    .seed      = (uint64_t)my->seed},
        .items   = &a.goods,
        .source  = my->reviews,
        .seed    = (uint64_t)my->seed,
    };
    err_t err = open_all(&a);
    if (err == OK)
        err = convert(&a);
    for (int t = 0; t < TABLES; t++)
        names_free(&a.names[t]);
    sorter_free(&a.reviews);
    catalog_clear(&a.goods);
    pairs_clear(&a.pairs);
    if (err == OK)
        err = output_finish(&a.out);
    output_abandon(&a.out);
    raw_lines_report_skipped(err, &a.bad);
    return err;
}

err_t prepare_amazon(int argc, char **argv)
{
    amazon_options my      = {.shared    = PREPARE_OPTIONS_DEFAULT,
                              .negatives = "none",
                              .max_len   = 100,
                              .seed      = 1};
    const flag     flags[] = {
        {"reviews", FLAG_TEXT, &my.reviews, .meta = "FILE", .required = true,
         .help = "reviews_..._5.json; - is standard input"},
        {"meta", FLAG_TEXT, &my.meta, .meta = "FILE", .required = true,
         .help = "meta_....json"},
        PREPARE_FLAGS(my.shared),
        PREPARE_FLAG_MAX_LEN(my.max_len),
        PREPARE_FLAG_HISTORY_DAYS(my.history_days),
        PREPARE_FLAG_NEGATIVES(my.negatives),
        PREPARE_FLAG_MAX_BAD(my.max_bad),
        {"seed", FLAG_INT, &my.seed, .help = "seed of the negatives"},
        {0}};
    bool helped;

    TRY(flags_parse_only(flags,
                         "dips prepare amazon --reviews FILE --meta FILE --out DIR [flags]",
                         about, argc, argv, &helped));
    return helped ? OK : run(&my);
}
