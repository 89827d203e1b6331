#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/metrics.h"
#include "common/vec.h"
#include "launch/prepare/output.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/progress.h"
#include "launch/prepare/world.h"

/* The options of the command, as flags.h stores them. */
typedef struct synthetic_options {
    prepare_options shared;
    const char     *world, *lengths, *negatives;
    int64_t         samples, test_samples;
    int64_t users, goods, shops, cates, history, max_len, interests, fields, values, seed;
    double          zipf, noise;
} synthetic_options;

static const char about[] =
    "Invents samples whose click probability is known. Writes train-*, test-* and\n"
    "counts.safetensors, and prints the best AUC that any model can have on the test split\n"
    "(world.json has it too). Same flags, same files. Besides features there is the column\n"
    "probability, which training ignores. --help after --world NAME shows that world's flags.\n"
    "\n"
    "  --world interests      a few interests among many cates: attention beats a sum\n"
    "  --world fine-grained   goods and users so rare that a model learns them by heart\n"
    "  --world drift          interests that give way to others: the order of events matters\n"
    "  --world sessions       what was pursued at one sitting counts: sessions matter\n"
    "  --world page           ads compete with those around them: auxiliary ads matter\n"
    "  --world crosses        crosses of fields, most of them noise: which ones, matters\n"
    "\n"
    "The first four have user, goods, shop, cate, time, history.goods, .shop, .cate, .time "
    "and,\n"
    "with --negatives, .negative_goods, .negative_shop, .negative_cate; page has user, ad, "
    "cate,\n"
    "time, and of contextual, clicked and unclicked .ad and .cate; crosses field_0, field_1 "
    "...";

typedef VEC(prediction) predictions;

/* Write n samples of a split; known (may be NULL) collects what is true of them. */
static err_t write_split(output *out, const world *w, int split, const char *name, uint64_t n,
                         predictions *known)
{
    shard_writer *shards;
    progress      shown;
    prediction    truth;
    err_t         err = OK;

    TRY(output_split(out, name, &shards));
    progress_begin(&shown, name);
    for (uint64_t i = 0; err == OK && i < n; i++) {
        err = w->kind->write(w, shards, split, i, &truth);
        if (err == OK && known)
            err = vec_push(known, truth);
        if (err == OK)
            err = progress_tell(&shown, i, "samples", (double)i / (double)n);
    }
    progress_end(&shown);
    return err;
}

/* What a perfect model would reach on the test split. */
static err_t report_best(const synthetic_options *my, unsigned heeds, const char *folder,
                         predictions *known)
{
    metrics best;
    char    path[4096];

    TRY(metrics_compute(&best, known->at, known->n, heeds & WORLD_USERS));
    const struct {
        unsigned      heeded; /* 0: by every world */
        metrics_field field;
    } all[] = {
        {0, METRIC_TEXT("world", my->world)},
        {0, METRIC_INT("seed", my->seed)},
        {0, METRIC_INT("samples", my->samples)},
        {0, METRIC_INT("test_samples", my->test_samples)},
        {WORLD_USERS, METRIC_INT("users", my->users)},
        {WORLD_GOODS, METRIC_INT("goods", my->goods)},
        {WORLD_SHOPS, METRIC_INT("shops", my->shops)},
        {WORLD_GOODS, METRIC_INT("cates", my->cates)},
        {WORLD_HISTORY, METRIC_INT("history", my->history)},
        {WORLD_HISTORY, METRIC_TEXT("lengths", my->lengths)},
        {WORLD_HISTORY, METRIC_INT("max_len", my->max_len)},
        {WORLD_INTERESTS, METRIC_INT("interests", my->interests)},
        {WORLD_ZIPF, METRIC_REAL("zipf", my->zipf)},
        {WORLD_NOISE, METRIC_REAL("noise", my->noise)},
        {WORLD_NEGATIVES, METRIC_TEXT("negatives", my->negatives)},
        {WORLD_FIELDS, METRIC_INT("fields", my->fields)},
        {WORLD_FIELDS, METRIC_INT("values", my->values)},
        {0, METRIC_REAL("auc", best.auc)},
        {WORLD_USERS, METRIC_REAL("gauc", best.gauc)},
        {0, METRIC_REAL("logloss", best.logloss)},
    };
    metrics_field fields[sizeof all / sizeof *all];
    size_t        n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].heeded == 0 || all[i].heeded & heeds)
            fields[n++] = all[i].field;
    snprintf(path, sizeof path, "%s/world.json", folder);
    FILE *f = fopen(path, "w");
    if (!f)
        return err_errno("opening %s", path);
    metrics_print_json(f, n, fields);
    fputc('\n', f);
    if (fclose(f) != 0)
        return err_errno("writing %s", path);
    printf("best possible on the test split: AUC %.4f, ", best.auc);
    if (heeds & WORLD_USERS)
        printf("GAUC %.4f, ", best.gauc);
    printf("log loss %.4f\n", best.logloss);
    return OK;
}

static err_t write_world(const synthetic_options *my, const world *w, output *out,
                         predictions *known)
{
    TRY(write_split(out, w, 0, "train", (uint64_t)my->samples, NULL));
    TRY(write_split(out, w, 1, "test", (uint64_t)my->test_samples, known));
    return known->n > 0 ? report_best(my, w->kind->heeds, output_folder(out), known) : OK;
}

/* The kind that --world names among the words, so that its numbers are the defaults that
 * --help shows. */
static const world_kind *find_kind(int argc, char **argv)
{
    const char *name = world_kinds[0]->name;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--world=", 8) == 0)
            name = argv[i] + 8;
        else if (strcmp(argv[i], "--world") == 0 && i + 1 < argc)
            name = argv[i + 1];
    }
    for (int i = 0; world_kinds[i]; i++)
        if (strcmp(world_kinds[i]->name, name) == 0)
            return world_kinds[i];
    return world_kinds[0]; /* flags_parse says what is wrong with the name */
}

/* The constants of the kind with the numbers of the flags. */
static world_options options_of(const synthetic_options *my, const world_kind *kind)
{
    world_options o = kind->options;

    o.seed      = (uint64_t)my->seed;
    o.users     = (uint64_t)my->users;
    o.goods     = (uint64_t)my->goods;
    o.shops     = (uint64_t)my->shops;
    o.cates     = (uint64_t)my->cates;
    o.interests = (int)my->interests;
    o.history   = (int)my->history;
    o.equal     = strcmp(my->lengths, "equal") == 0;
    o.max_len   = (int)my->max_len;
    o.zipf      = my->zipf;
    o.noise     = my->noise;
    o.negatives = negatives_called(my->negatives);
    o.fields    = (int)my->fields;
    o.values    = (uint64_t)my->values;
    return o;
}

static err_t write_folder(const synthetic_options *my, const world *w)
{
    const world_kind *kind  = w->kind;
    output           *out   = NULL;
    predictions       known = {0};

    err_t err = output_open(&out, &my->shared, kind->tables, kind->n_tables, kind->columns,
                            kind->n_columns(&w->options));
    if (err == OK)
        err = write_world(my, w, out, &known);
    if (err == OK)
        err = output_finish(&out);
    output_abandon(&out);
    vec_clear(&known);
    return err;
}

static err_t run(const synthetic_options *my, const world_kind *kind)
{
    const world_options options = options_of(my, kind);
    world               w;

    err_t err = world_open(&w, kind, &options);
    if (err == OK)
        err = write_folder(my, &w);
    world_close(&w);
    return err;
}

/* ---- flags ---- */

static synthetic_options defaults_of(const world_kind *kind)
{
    const world_options *o = &kind->options;

    return (synthetic_options){.shared       = PREPARE_OPTIONS_DEFAULT,
                               .world        = kind->name,
                               .lengths      = "uniform",
                               .negatives    = negatives_word(o->negatives),
                               .samples      = 200000,
                               .test_samples = 20000,
                               .users        = (int64_t)o->users,
                               .goods        = (int64_t)o->goods,
                               .shops        = (int64_t)o->shops,
                               .cates        = (int64_t)o->cates,
                               .interests    = o->interests,
                               .history      = o->history,
                               .max_len      = 100,
                               .zipf         = o->zipf,
                               .noise        = o->noise,
                               .fields       = o->fields,
                               .values       = (int64_t)o->values,
                               .seed         = 1};
}

/* A flag that some kinds do not heed, and so do not have. */
typedef struct world_flag {
    unsigned heeded; /* 0: by every one */
    flag     flag;
} world_flag;

#define FLAGS_MOST 32

/* The flags of the kind, which store into *my. */
static void list_flags(flag flags[FLAGS_MOST], synthetic_options *my, const world_kind *kind)
{
    const flag       shared[] = {PREPARE_FLAGS(my->shared)};
    const world_flag own[]    = {
        {0, {"world", FLAG_TEXT, &my->world,
             .choices = "interests|fine-grained|drift|sessions|page|crosses",
             .help    = "the kind of world, which chooses the flags and defaults below"}},
        {0, {"samples", FLAG_INT, &my->samples, .min = 1, .max = 1e15,
             .help = "train samples"}},
        {0, {"test-samples", FLAG_INT, &my->test_samples, .max = 1e9, .help = "test samples"}},
        {WORLD_USERS, {"users", FLAG_INT, &my->users, .min = 1, .max = 1e15, .help = "users"}},
        {WORLD_GOODS, {"goods", FLAG_INT, &my->goods, .min = 1, .max = 1e15,
                       .help = "goods, or ads"}},
        {WORLD_SHOPS, {"shops", FLAG_INT, &my->shops, .min = 1, .max = 1e15, .help = "shops"}},
        {WORLD_GOODS, {"cates", FLAG_INT, &my->cates, .min = 1, .max = 1e15, .help = "cates"}},
        {WORLD_HISTORY, {"history", FLAG_INT, &my->history, .max = 1e6,
                         .help = "mean number of events of a history"}},
        {WORLD_HISTORY, {"lengths", FLAG_TEXT, &my->lengths, .choices = "uniform|equal",
                         .help = "uniform: up to twice the mean, and 3 % are empty; equal: all "
                                 "have the mean"}},
        {WORLD_HISTORY, PREPARE_FLAG_MAX_LEN(my->max_len)},
        {WORLD_INTERESTS, {"interests", FLAG_INT, &my->interests, .min = 1,
                           .max = WORLD_MOST_INTERESTS, .help = "interests of a user"}},
        {WORLD_ZIPF, {"zipf", FLAG_REAL, &my->zipf, .max = 10,
                      .help = "exponent of the goods of a cate; half of it: of the users"}},
        {WORLD_NOISE, {"noise", FLAG_REAL, &my->noise, .max = 1,
                       .help = "share of events that no interest explains"}},
        {WORLD_NEGATIVES, PREPARE_FLAG_NEGATIVES(my->negatives)},
        {WORLD_FIELDS, {"fields", FLAG_INT, &my->fields, .min = 2, .max = WORLD_MOST_FIELDS,
                        .help = "fields of a sample"}},
        {WORLD_FIELDS, {"values", FLAG_INT, &my->values, .min = 1, .max = 1e12,
                        .help = "values of a field"}},
        {0, {"seed", FLAG_INT, &my->seed, .help = "seed of the world"}},
    };
    size_t n = 0;

    static_assert(sizeof shared / sizeof *shared + sizeof own / sizeof *own < FLAGS_MOST,
                  "all flags, and the end of the list");
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        flags[n++] = shared[i];
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i].heeded == 0 || own[i].heeded & kind->heeds)
            flags[n++] = own[i].flag;
    flags[n] = (flag){0};
}

err_t prepare_synthetic(int argc, char **argv)
{
    const world_kind *kind = find_kind(argc, argv);
    synthetic_options my   = defaults_of(kind);
    flag              flags[FLAGS_MOST];
    bool              helped;

    list_flags(flags, &my, kind);
    TRY(flags_parse_only(flags, "dips prepare synthetic --out DIR [flags]", about, argc, argv,
                         &helped));
    return helped ? OK : run(&my, kind);
}
