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
    const char     *world, *lengths;
    int64_t         samples, test_samples;
    int64_t         users, goods, shops, cates, history, max_len, interests, seed;
    double          zipf, noise;
} synthetic_options;

/* What --world chooses: the defaults of the other flags. */
static const struct preset {
    const char   *name;
    world_options world;
} presets[] = {
    {"interests",
     {.users = 20000, .goods = 20000, .shops = 2000, .cates = 200, .interests = 4,
      .history = 20, .noise = 0.2, .zipf = 1.0, .bias = -2.0, .strength = 4.0,
      .saturation = 1.5, .quality = 0.3}},
    {"fine-grained",
     {.users = 100000, .goods = 100000, .shops = 2000, .cates = 50, .interests = 3,
      .history = 10, .noise = 0.2, .zipf = 0, .bias = -1.2, .strength = 2.4,
      .saturation = 1.5, .quality = 0.3}},
};

static const char about[] =
    "Invents users with several interests and samples whose click probability is known: it\n"
    "depends on the events of the history that match the candidate. Writes train-*, test-*\n"
    "and counts.safetensors with label, user, goods, shop, cate, time, history.goods, .shop,\n"
    ".cate, .time, and probability (which training ignores), and prints the best AUC that\n"
    "any model can have on the test split (world.json has it too). Same flags, same files.\n"
    "\n"
    "  --world interests      a few interests among many cates: attention beats a sum\n"
    "  --world fine-grained   goods and users so rare that a model learns them by heart";

enum {
    LABEL, USER, GOODS, SHOP, CATE, HISTORY, HISTORY_GOODS, HISTORY_SHOP, HISTORY_CATE,
    HISTORY_TIME, TIME, PROBABILITY, COLUMNS
};

enum { TABLE_USER, TABLE_GOODS, TABLE_SHOP, TABLE_CATE, TABLES };

static const char *const tables[TABLES] = {"user", "goods", "shop", "cate"};

static const shard_column columns[COLUMNS] = {
    [LABEL]         = {"label", DTYPE_F32, .table = -1},
    [USER]          = {"user", DTYPE_U64, .table = TABLE_USER},
    [GOODS]         = {"goods", DTYPE_U64, .table = TABLE_GOODS},
    [SHOP]          = {"shop", DTYPE_U64, .table = TABLE_SHOP},
    [CATE]          = {"cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY]       = {"history.offsets", DTYPE_U64, .offsets = true, .table = -1},
    [HISTORY_GOODS] = {"history.goods", DTYPE_U64, .table = TABLE_GOODS},
    [HISTORY_SHOP]  = {"history.shop", DTYPE_U64, .table = TABLE_SHOP},
    [HISTORY_CATE]  = {"history.cate", DTYPE_U64, .table = TABLE_CATE},
    [HISTORY_TIME]  = {"history.time", DTYPE_I64, .table = -1},
    [TIME]          = {"time", DTYPE_I64, .table = -1},
    [PROBABILITY]   = {"probability", DTYPE_F32, .table = -1},
};

/* An event goes into four columns from goods on. */
static err_t write_event(shard_writer *w, int goods, int shop, int cate, int time,
                         const world_event *e)
{
    TRY(shard_writer_u64(w, goods, &e->goods, 1));
    TRY(shard_writer_u64(w, shop, &e->shop, 1));
    TRY(shard_writer_u64(w, cate, &e->cate, 1));
    return shard_writer_i64(w, time, &e->time, 1);
}

static err_t write_sample(shard_writer *w, const world_sample *s)
{
    float probability = (float)s->probability;

    TRY(shard_writer_f32(w, LABEL, &s->label, 1));
    TRY(shard_writer_u64(w, USER, &s->user, 1));
    TRY(write_event(w, GOODS, SHOP, CATE, TIME, &s->candidate));
    TRY(shard_writer_length(w, HISTORY, (uint64_t)s->n));
    for (int i = 0; i < s->n; i++)
        TRY(write_event(w, HISTORY_GOODS, HISTORY_SHOP, HISTORY_CATE, HISTORY_TIME,
                        &s->history[i]));
    TRY(shard_writer_f32(w, PROBABILITY, &probability, 1));
    return shard_writer_end_sample(w);
}

typedef VEC(prediction) predictions;

/* Write n samples of a split; known (may be NULL) collects their true probabilities. */
static err_t write_split(output *out, const world *w, int split, const char *name, uint64_t n,
                         world_sample *sample, predictions *known)
{
    shard_writer *shards;
    progress      shown;

    TRY(output_split(out, name, &shards));
    progress_begin(&shown, name);
    for (uint64_t i = 0; i < n; i++) {
        world_make(w, split, i, sample);
        TRY(write_sample(shards, sample));
        TRY(progress_tell(&shown, i, "samples", (double)i / (double)n));
        if (known) {
            prediction p = {sample->probability, sample->user, sample->label, 1};
            TRY(vec_push(known, p));
        }
    }
    progress_end(&shown);
    return OK;
}

/* What a perfect model would reach on the test split. */
static err_t report_best(const synthetic_options *my, const char *folder, predictions *known)
{
    metrics best;
    char    path[4096];

    TRY(metrics_compute(&best, known->at, known->n, true));
    const metrics_field fields[] = {
        METRIC_TEXT("world", my->world),
        METRIC_INT("seed", my->seed),
        METRIC_INT("samples", my->samples),
        METRIC_INT("test_samples", my->test_samples),
        METRIC_INT("users", my->users),
        METRIC_INT("goods", my->goods),
        METRIC_INT("shops", my->shops),
        METRIC_INT("cates", my->cates),
        METRIC_INT("history", my->history),
        METRIC_TEXT("lengths", my->lengths),
        METRIC_INT("max_len", my->max_len),
        METRIC_INT("interests", my->interests),
        METRIC_REAL("zipf", my->zipf),
        METRIC_REAL("noise", my->noise),
        METRIC_REAL("auc", best.auc),
        METRIC_REAL("gauc", best.gauc),
        METRIC_REAL("logloss", best.logloss),
    };
    snprintf(path, sizeof path, "%s/world.json", folder);
    FILE *f = fopen(path, "w");
    if (!f)
        return err_errno("opening %s", path);
    metrics_print_json(f, sizeof fields / sizeof *fields, fields);
    fputc('\n', f);
    if (fclose(f) != 0)
        return err_errno("writing %s", path);
    printf("best possible on the test split: AUC %.4f, GAUC %.4f, log loss %.4f\n", best.auc,
           best.gauc, best.logloss);
    return OK;
}

static err_t write_world(const synthetic_options *my, const world *w, output *out,
                         world_sample *sample, predictions *known)
{
    TRY(write_split(out, w, 0, "train", (uint64_t)my->samples, sample, NULL));
    TRY(write_split(out, w, 1, "test", (uint64_t)my->test_samples, sample, known));
    return known->n > 0 ? report_best(my, output_folder(out), known) : OK;
}

/* The preset that --world names among the words, so that its numbers are the defaults
 * that --help shows. */
static const struct preset *find_preset(int argc, char **argv)
{
    const char *name = presets[0].name;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--world=", 8) == 0)
            name = argv[i] + 8;
        else if (strcmp(argv[i], "--world") == 0 && i + 1 < argc)
            name = argv[i + 1];
    }
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return &presets[0]; /* flags_parse says what is wrong with the name */
}

/* The constants of the preset with the numbers of the flags. */
static world_options options_of(const synthetic_options *my, const world_options *preset)
{
    world_options w = *preset;

    w.seed      = (uint64_t)my->seed;
    w.users     = (uint64_t)my->users;
    w.goods     = (uint64_t)my->goods;
    w.shops     = (uint64_t)my->shops;
    w.cates     = (uint64_t)my->cates;
    w.interests = (int)my->interests;
    w.history   = (int)my->history;
    w.equal     = strcmp(my->lengths, "equal") == 0;
    w.max_len   = (int)my->max_len;
    w.zipf      = my->zipf;
    w.noise     = my->noise;
    return w;
}

static err_t run(const synthetic_options *my, const world_options *preset)
{
    const world_options options = options_of(my, preset);
    output             *out     = NULL;
    predictions         known   = {0};
    world_sample        sample  = {0};

    if (options.goods < options.cates)
        return err_set(ERR_USAGE,
                       "--goods %lld is less than --cates %lld: every cate has goods",
                       (long long)my->goods, (long long)my->cates);
    const world w  = world_of(&options);
    sample.history = malloc((size_t)options.max_len * sizeof *sample.history + 1);
    if (!sample.history)
        return err_memory((size_t)options.max_len * sizeof *sample.history, "a history");
    err_t err = output_open(&out, &my->shared, tables, TABLES, columns, COLUMNS);
    if (err == OK)
        err = write_world(my, &w, out, &sample, &known);
    if (err == OK)
        err = output_finish(&out);
    output_abandon(&out);
    vec_clear(&known);
    free(sample.history);
    return err;
}

err_t prepare_synthetic(int argc, char **argv)
{
    const struct preset *preset = find_preset(argc, argv);
    const world_options *w      = &preset->world;
    synthetic_options    my     = {.shared       = PREPARE_OPTIONS_DEFAULT,
                                   .world        = preset->name,
                                   .lengths      = "uniform",
                                   .samples      = 200000,
                                   .test_samples = 20000,
                                   .users        = (int64_t)w->users,
                                   .goods        = (int64_t)w->goods,
                                   .shops        = (int64_t)w->shops,
                                   .cates        = (int64_t)w->cates,
                                   .interests    = w->interests,
                                   .history      = w->history,
                                   .max_len      = 100,
                                   .zipf         = w->zipf,
                                   .noise        = w->noise,
                                   .seed         = 1};
    const flag flags[] = {
        PREPARE_FLAGS(my.shared),
        {"world", FLAG_TEXT, &my.world, .choices = "interests|fine-grained",
         .help = "the kind of world, which chooses the defaults below"},
        {"samples", FLAG_INT, &my.samples, .min = 1, .max = 1e15, .help = "train samples"},
        {"test-samples", FLAG_INT, &my.test_samples, .max = 1e9, .help = "test samples"},
        {"users", FLAG_INT, &my.users, .min = 1, .max = 1e15, .help = "users"},
        {"goods", FLAG_INT, &my.goods, .min = 1, .max = 1e15, .help = "goods"},
        {"shops", FLAG_INT, &my.shops, .min = 1, .max = 1e15, .help = "shops"},
        {"cates", FLAG_INT, &my.cates, .min = 1, .max = 1e15, .help = "cates"},
        {"history", FLAG_INT, &my.history, .max = 1e6,
         .help = "mean number of events of a history"},
        {"lengths", FLAG_TEXT, &my.lengths, .choices = "uniform|equal",
         .help = "uniform: up to twice the mean, and 3 % are empty; equal: all have the mean"},
        PREPARE_FLAG_MAX_LEN(my.max_len),
        {"interests", FLAG_INT, &my.interests, .min = 1, .max = WORLD_MOST_INTERESTS,
         .help = "interests of a user"},
        {"zipf", FLAG_REAL, &my.zipf, .max = 10,
         .help = "exponent of the goods of a cate; half of it: of the users"},
        {"noise", FLAG_REAL, &my.noise, .max = 1,
         .help = "share of events that no interest explains"},
        {"seed", FLAG_INT, &my.seed, .help = "seed of the world"},
        {0}};
    bool helped;

    TRY(flags_parse_only(flags, "dips prepare synthetic --out DIR [flags]", about, argc, argv,
                         &helped));
    return helped ? OK : run(&my, w);
}
