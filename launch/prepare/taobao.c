/* dips prepare taobao: UserBehavior.csv (Zhu et al. 2018), a line per event, no header:
 *
 *     user,item,category,behavior,timestamp
 *     1,2268318,2520377,pv,1511544070
 *
 * behavior is pv (a page was viewed), cart, fav or buy. */
#include <string.h>

#include "launch/prepare/delimited.h"
#include "launch/prepare/names.h"
#include "launch/prepare/pairs.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/raw_lines.h"

typedef struct taobao_options {
    prepare_options shared;
    const char     *in, *behaviors, *negatives;
    int64_t         max_len, newest, max_bad, seed;
    double          history_days;
} taobao_options;

static const char about[] =
    "Taobao's user behavior as samples. Reads UserBehavior.csv (user, item, category,\n"
    "behavior, timestamp; no header), plain or gzipped. A user's items b1 ... bn, by time (those\n"
    "of one second in the order of the file), become b1 ... bk -> b(k+1), with label 1 and a\n"
    "twin with label 0 whose item is drawn from all but the user's own; the last k is test.\n"
    "Features user, item, cate; history: item, cate, behavior, time. Behaviors are hashed;\n"
    "names-behavior has them. The items and their categories are kept in memory.";

enum {
    LABEL, USER, ITEM, CATE, HISTORY, HISTORY_ITEM, HISTORY_CATE, HISTORY_BEHAVIOR, HISTORY_TIME,
    TIME, COLUMNS,
    NEGATIVE_ITEM = COLUMNS, NEGATIVE_CATE, COLUMNS_WITH_NEGATIVES
};

enum { TABLE_USER, TABLE_ITEM, TABLE_CATE, TABLE_BEHAVIOR, TABLES };

static const char *const tables[TABLES] = {"user", "item", "cate", "behavior"};

static const shard_column columns[COLUMNS_WITH_NEGATIVES] = {
    [LABEL]            = {"label", DTYPE_F32, .table = -1},
    [USER]             = {"user", DTYPE_U64, .table = TABLE_USER},
    [ITEM]             = {"item", DTYPE_U64, .table = TABLE_ITEM},
    [CATE]             = {"cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY]          = {"history.offsets", DTYPE_U64, .offsets = true, .table = -1},
    [HISTORY_ITEM]     = {"history.item", DTYPE_U64, .table = TABLE_ITEM},
    [HISTORY_CATE]     = {"history.cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY_BEHAVIOR] = {"history.behavior", DTYPE_U64, .table = TABLE_BEHAVIOR},
    [HISTORY_TIME]     = {"history.time", DTYPE_I64, .table = -1},
    [TIME]             = {"time", DTYPE_I64, .table = -1},
    [NEGATIVE_ITEM]    = {"history.negative_item", DTYPE_U64, .table = TABLE_ITEM},
    [NEGATIVE_CATE]    = {"history.negative_cate", DTYPE_U64, .table = TABLE_CATE},
};

typedef struct taobao {
    const taobao_options *my;
    bad_lines             bad;
    names                *behaviors;
    sorter               *events;
    uint64_t              n_events;
    catalog               items;
    pair_writer           pairs;
} taobao;

/* ---- reading ---- */

/* Whether --behaviors, "pv,buy", lists the word. */
static bool is_listed(const char *list, field word)
{
    while (*list) {
        size_t n = strcspn(list, ",");
        if (n == word.n && memcmp(list, word.at, n) == 0)
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

static err_t check_behavior(field f, err_t code)
{
    return is_listed("pv,cart,fav,buy", f)
               ? OK
               : err_set(code, "behavior '%.*s' is not one of pv, cart, fav, buy",
                         field_shown(f), f.at);
}

static err_t check_list(const char *list)
{
    for (;;) {
        field word = {list, strcspn(list, ",")};
        if (check_behavior(word, ERR_USAGE) != OK)
            return err_add(ERR_USAGE, "--behaviors");
        if (list[word.n] == '\0')
            return OK;
        list += word.n + 1;
    }
}

static err_t take_line(void *self, char *line, size_t n, uint64_t number)
{
    taobao  *t = self;
    behavior e = {.number = number};
    field    f[5];
    size_t   n_fields;
    uint64_t item, cate;

    TRY(delimited_split(line, n, ",", false, f, 5, &n_fields));
    if (n_fields != 5)
        return err_set(ERR_DATA, "%zu fields, wanted 5", n_fields);
    TRY(field_u64(f[0], "user", &e.user));
    TRY(field_u64(f[1], "item", &item));
    TRY(field_u64(f[2], "category", &cate));
    TRY(check_behavior(f[3], ERR_DATA));
    TRY(field_i64(f[4], "timestamp", &e.time));
    if (!is_listed(t->my->behaviors, f[3]))
        return OK;
    TRY(names_see(t->behaviors, f[3], &e.what));
    TRY(catalog_number(&t->items, item, &e.item));
    catalog_item *known = &t->items.items.at[e.item];
    known->cate         = known->times++ == 0 ? cate : known->cate; /* the first one said */
    t->n_events++;
    return sorter_push(t->events, &e);
}

static err_t convert(taobao *t)
{
    TRY(raw_lines_each(t->my->in, &t->bad, take_line, t));
    if (t->n_events == 0)
        return err_set(ERR_DATA, "%s has no events of %s", t->my->in, t->my->behaviors);
    TRY(catalog_complete(&t->items, t->pairs.history.negatives));
    TRY(behaviors_each_user(t->events, t->n_events, pairs_write_user, &t->pairs));
    return names_write(t->behaviors, "behavior", NULL);
}

/* ---- beginning and end ---- */

static err_t open_all(taobao *t)
{
    const bool with_negatives = t->pairs.history.negatives != NEGATIVES_NONE;

    TRY(output_open(&t->pairs.out, &t->my->shared, tables, TABLES, columns,
                    with_negatives ? COLUMNS_WITH_NEGATIVES : COLUMNS));
    const char *folder = output_folder(t->pairs.out);
    size_t      memory = output_memory(t->pairs.out);
    TRY(names_new(&t->behaviors, memory / 8, folder));
    return sorter_new(&t->events, sizeof(behavior), behavior_order, memory, folder);
}

static err_t run(const taobao_options *my)
{
    taobao t = {.my = my, .bad = {.most = my->max_bad}};

    t.pairs = (pair_writer){
        .at      = {LABEL, USER, ITEM, CATE, TIME},
        .history = {.at = {HISTORY, HISTORY_ITEM, HISTORY_CATE, HISTORY_BEHAVIOR, HISTORY_TIME,
                           NEGATIVE_ITEM, NEGATIVE_CATE},
                    .items     = &t.items,
                    .max_len   = (size_t)my->max_len,
                    .seconds   = seconds_of_days(my->history_days),
                    .negatives = negatives_called(my->negatives),
                    .seed      = (uint64_t)my->seed},
        .items   = &t.items,
        .source  = my->in,
        .seed    = (uint64_t)my->seed,
        .newest  = (size_t)my->newest,
    };
    err_t err = open_all(&t);
    if (err == OK)
        err = convert(&t);
    names_free(&t.behaviors);
    sorter_free(&t.events);
    catalog_clear(&t.items);
    pairs_clear(&t.pairs);
    if (err == OK)
        err = output_finish(&t.pairs.out);
    output_abandon(&t.pairs.out);
    raw_lines_report_skipped(err, &t.bad);
    return err;
}

err_t prepare_taobao(int argc, char **argv)
{
    taobao_options my      = {.shared    = PREPARE_OPTIONS_DEFAULT,
                              .behaviors = "pv,cart,fav,buy",
                              .negatives = "none",
                              .max_len   = 100,
                              .newest    = 5,
                              .seed      = 1};
    const flag     flags[] = {
            {"in", FLAG_TEXT, &my.in, .meta = "FILE", .required = true,
             .help = "UserBehavior.csv; - is standard input"},
            PREPARE_FLAGS(my.shared),
            {"behaviors", FLAG_TEXT, &my.behaviors, .meta = "LIST",
             .help = "which events are taken, of pv, cart, fav, buy"},
            {"newest", FLAG_INT, &my.newest, .max = 1e9,
             .help = "events of each user, the newest, that become pairs of samples; 0: all"},
            PREPARE_FLAG_MAX_LEN(my.max_len),
            PREPARE_FLAG_HISTORY_DAYS(my.history_days),
            PREPARE_FLAG_NEGATIVES(my.negatives),
            PREPARE_FLAG_MAX_BAD(my.max_bad),
            {"seed", FLAG_INT, &my.seed, .help = "seed of the twins and negatives"},
            {0}};
    bool helped;

    TRY(flags_parse_only(flags, "dips prepare taobao --in FILE --out DIR [flags]", about, argc,
                         argv, &helped));
    if (helped)
        return OK;
    TRY(check_list(my.behaviors));
    return run(&my);
}
