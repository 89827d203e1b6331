#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/rng.h"
#include "common/vec.h"
#include "launch/prepare/amazon_rows.h"
#include "launch/prepare/id_map.h"
#include "launch/prepare/names.h"
#include "launch/prepare/output.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/progress.h"
#include "launch/prepare/raw_lines.h"
#include "launch/prepare/sorter.h"

typedef struct amazon_options {
    prepare_options shared;
    const char     *reviews, *meta;
    int64_t         max_len, max_bad, seed;
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
    LABEL, USER, GOODS, CATE, HISTORY, HISTORY_GOODS, HISTORY_CATE, HISTORY_TIME, TIME, COLUMNS
};

enum { TABLE_USER, TABLE_GOODS, TABLE_CATE, TABLES };

static const char *const tables[TABLES] = {"user", "goods", "cate"};

static const shard_column columns[COLUMNS] = {
    [LABEL]         = {"label", DTYPE_F32, .table = -1},
    [USER]          = {"user", DTYPE_U64, .table = TABLE_USER},
    [GOODS]         = {"goods", DTYPE_U64, .table = TABLE_GOODS},
    [CATE]          = {"cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY]       = {"history.offsets", DTYPE_U64, .offsets = true, .table = -1},
    [HISTORY_GOODS] = {"history.goods", DTYPE_U64, .table = TABLE_GOODS},
    [HISTORY_CATE]  = {"history.cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY_TIME]  = {"history.time", DTYPE_I64, .table = -1},
    [TIME]          = {"time", DTYPE_I64, .table = -1},
};

typedef struct review {
    uint64_t user;
    int64_t  time;
    uint64_t number; /* its place in the file breaks ties of time */
    uint64_t goods;  /* number of it in amazon.goods */
} review;

/* Goods that were reviewed, in the order of their first reviews. */
typedef struct goods {
    uint64_t id, cate;
    bool     described; /* by the metadata */
} goods;

typedef struct amazon {
    const amazon_options *my;
    output               *out;
    bad_lines             bad;
    names                *names[TABLES];
    sorter               *reviews; /* by user, time, number */
    uint64_t              n_reviews;
    id_map                numbers; /* of goods, by id */
    VEC(goods) goods;
    VEC(review) of_user;
    id_map touched; /* numbers of the goods of that user */
    VEC(uint64_t) ids;
    VEC(int64_t) seconds;
} amazon;

static int by_user_and_time(const void *a, const void *b)
{
    const review *x = a, *y = b;

    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* ---- reading ---- */

/* The number of the goods with this id, which are added if they are new. */
static err_t number_of(amazon *a, uint64_t id, uint64_t *number)
{
    const uint64_t *known = id_map_find(&a->numbers, id);
    const goods     added = {.id = id};

    *number = known ? *known : a->goods.n;
    if (known)
        return OK;
    TRY(vec_push(&a->goods, added));
    return id_map_put(&a->numbers, id, *number);
}

static err_t keep_review(amazon *a, const amazon_row *row, uint64_t number)
{
    review   r = {.time = row->time, .number = number};
    uint64_t id;

    TRY(names_see(a->names[TABLE_USER], row->user, &r.user));
    TRY(names_see(a->names[TABLE_GOODS], row->goods, &id));
    TRY(number_of(a, id, &r.goods));
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
    const uint64_t *number = id_map_find(&a->numbers, hash_bytes(row->goods.at, row->goods.n));
    goods          *g      = number ? &a->goods.at[*number] : NULL;

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

    for (size_t i = 0; i < a->goods.n; i++) {
        if (a->goods.at[i].described)
            continue;
        TRY(names_see(a->names[TABLE_CATE], (field){"unknown", 7}, &a->goods.at[i].cate));
        unknown++;
    }
    if (unknown > 0)
        log_once(LOG_WARN, "%zu of %zu goods are not in %s: their cate is 'unknown'", unknown,
                 a->goods.n, a->my->meta);
    return OK;
}

/* ---- writing ---- */

static err_t write_ids(amazon *a, shard_writer *w, int column, const review *r, size_t n)
{
    TRY(vec_reserve(&a->ids, n + 1));
    for (size_t i = 0; i < n; i++) {
        const goods *g = &a->goods.at[r[i].goods];
        a->ids.at[i]   = column == HISTORY_GOODS ? g->id : g->cate;
    }
    return shard_writer_u64(w, column, a->ids.at, n);
}

static err_t write_times(amazon *a, shard_writer *w, const review *r, size_t n)
{
    TRY(vec_reserve(&a->seconds, n + 1));
    for (size_t i = 0; i < n; i++)
        a->seconds.at[i] = r[i].time;
    return shard_writer_i64(w, HISTORY_TIME, a->seconds.at, n);
}

/* A sample at the time of r, whose history are the n reviews before it. */
static err_t write_sample(amazon *a, shard_writer *w, const review *r, size_t n,
                          const goods *candidate, float label)
{
    TRY(shard_writer_f32(w, LABEL, &label, 1));
    TRY(shard_writer_u64(w, USER, &r->user, 1));
    TRY(shard_writer_u64(w, GOODS, &candidate->id, 1));
    TRY(shard_writer_u64(w, CATE, &candidate->cate, 1));
    TRY(shard_writer_length(w, HISTORY, n));
    TRY(write_ids(a, w, HISTORY_GOODS, r - n, n));
    TRY(write_ids(a, w, HISTORY_CATE, r - n, n));
    TRY(write_times(a, w, r - n, n));
    TRY(shard_writer_i64(w, TIME, &r->time, 1));
    return shard_writer_end_sample(w);
}

/* Goods that the user never touched, uniformly. There are some. */
static const goods *draw_negative(const amazon *a, rng *r)
{
    for (;;) {
        uint64_t number = rng_below(r, a->goods.n);
        if (!id_map_find(&a->touched, number))
            return &a->goods.at[number];
    }
}

static err_t write_pair(amazon *a, size_t i)
{
    const review *r      = &a->of_user.at[i];
    size_t        n      = i < (size_t)a->my->max_len ? i : (size_t)a->my->max_len;
    rng           chance = rng_named((uint64_t)a->my->seed, RNG_PREPARE, r->user, i);
    shard_writer *w;

    TRY(output_split(a->out, i + 1 < a->of_user.n ? "train" : "test", &w));
    TRY(write_sample(a, w, r, n, &a->goods.at[r->goods], 1));
    return write_sample(a, w, r, n, draw_negative(a, &chance), 0);
}

/* The samples of a user, whose reviews are all there in order. */
static err_t write_user(amazon *a)
{
    id_map_clear(&a->touched);
    for (size_t i = 0; i < a->of_user.n; i++)
        TRY(id_map_put(&a->touched, a->of_user.at[i].goods, 1));
    if (a->touched.n == a->goods.n)
        return err_set(ERR_DATA, "%s: a user reviewed all %zu goods: no negative is left",
                       a->my->reviews, a->goods.n);
    for (size_t i = 1; i < a->of_user.n; i++)
        TRY(write_pair(a, i));
    a->of_user.n = 0;
    return OK;
}

static err_t write_users(amazon *a, progress *shown)
{
    const void *record;

    TRY(sorter_rewind(a->reviews));
    for (uint64_t i = 0;; i++) {
        TRY(sorter_next(a->reviews, &record));
        const review *r = record;
        if (a->of_user.n > 0 && (!r || r->user != a->of_user.at[0].user))
            TRY(write_user(a));
        if (!r)
            return OK;
        TRY(vec_push(&a->of_user, *r));
        TRY(progress_tell(shown, i, "reviews", (double)i / (double)a->n_reviews));
    }
}

static err_t convert(amazon *a)
{
    progress shown;

    TRY(raw_lines_each(a->my->reviews, &a->bad, take_review, a));
    if (a->n_reviews == 0)
        return err_set(ERR_DATA, "%s has no reviews", a->my->reviews);
    TRY(raw_lines_each(a->my->meta, &a->bad, take_meta, a));
    TRY(complete_goods(a));
    progress_begin(&shown, "writing");
    err_t err = write_users(a, &shown);
    progress_end(&shown);
    TRY(err);
    for (int t = 0; t < TABLES; t++)
        TRY(names_write(a->names[t], tables[t], NULL));
    return OK;
}

static err_t open_all(amazon *a)
{
    TRY(output_open(&a->out, &a->my->shared, tables, TABLES, columns, COLUMNS));
    const char *folder = output_folder(a->out);
    size_t      memory = output_memory(a->out);
    for (int t = 0; t < TABLES; t++)
        TRY(names_new(&a->names[t], memory / 8, folder));
    return sorter_new(&a->reviews, sizeof(review), by_user_and_time, memory / 2, folder);
}

static err_t run(const amazon_options *my)
{
    amazon a = {.my = my, .bad = {.most = my->max_bad}};

    err_t err = open_all(&a);
    if (err == OK)
        err = convert(&a);
    for (int t = 0; t < TABLES; t++)
        names_free(&a.names[t]);
    sorter_free(&a.reviews);
    id_map_clear(&a.numbers);
    id_map_clear(&a.touched);
    vec_clear(&a.goods);
    vec_clear(&a.of_user);
    vec_clear(&a.ids);
    vec_clear(&a.seconds);
    if (err == OK)
        err = output_finish(&a.out);
    output_abandon(&a.out);
    raw_lines_report_skipped(err, &a.bad);
    return err;
}

err_t prepare_amazon(int argc, char **argv)
{
    amazon_options my      = {.shared = PREPARE_OPTIONS_DEFAULT, .max_len = 100, .seed = 1};
    const flag     flags[] = {
        {"reviews", FLAG_TEXT, &my.reviews, .meta = "FILE", .required = true,
         .help = "reviews_..._5.json; - is standard input"},
        {"meta", FLAG_TEXT, &my.meta, .meta = "FILE", .required = true,
         .help = "meta_....json"},
        PREPARE_FLAGS(my.shared),
        PREPARE_FLAG_MAX_LEN(my.max_len),
        PREPARE_FLAG_MAX_BAD(my.max_bad),
        {"seed", FLAG_INT, &my.seed, .help = "seed of the negatives"},
        {0}};
    bool helped;

    TRY(flags_parse_only(flags,
                         "dips prepare amazon --reviews FILE --meta FILE --out DIR [flags]",
                         about, argc, argv, &helped));
    return helped ? OK : run(&my);
}
