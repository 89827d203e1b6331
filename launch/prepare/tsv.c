#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "launch/prepare/names.h"
#include "launch/prepare/output.h"
#include "launch/prepare/prepare.h"
#include "launch/prepare/raw_lines.h"
#include "launch/prepare/tsv_rows.h"
#include "worker/data/gap.h"

typedef struct tsv_options {
    prepare_options shared;
    const char     *config, *in, *valid, *test, *split;
    const char     *separator, *list, *bag;
    double          test_part;
    int64_t         max_bad, seed;
} tsv_options;

static const char about[] =
    "A tab- or comma-separated file with a header as samples, by the features of a run's\n"
    "configuration. The header names the columns as data shards name their tensors: label,\n"
    "a feature, SEQUENCE.COLUMN, SEQUENCE.time, and where wanted time, weight and group;\n"
    "columns with other names are passed over. Sequences, bags and vectors of numbers are\n"
    "lists in one field. Ids are integers, or strings where their table says 'ids: string':\n"
    "those are hashed, and names-TABLE has them. Sequences are cut to the configuration's\n"
    "max_len and history_days, and counts.safetensors counts what is left.\n"
    "\n"
    "  --split none     all of --in is train (--test and --valid may name other files)\n"
    "  --split sample   --test-part of the samples of --in are drawn for test\n"
    "  --split user     --test-part of the groups (else users) are drawn for test";

/* Where the parts of a row go: numbers of the shards' columns, -1 where there is none. */
typedef struct places {
    int  label, weight, group, time;
    int *slots, *slot_offsets;          /* (n_slots) */
    int *floats;                        /* (n_floats) */
    int *sequence_offsets, *event_times; /* (n_sequences) */
} places;

typedef struct tsv {
    const tsv_options *my;
    const schema      *schema;
    output            *out;
    bad_lines          bad;
    tsv_plan           plan;
    tsv_row            row;
    names            **names;  /* (n_tables) NULL for tables of integers */
    const char       **tables; /* (n_tables) */
    int               *place_memory;
    char              *name_memory; /* of columns' names */
    size_t             name_used;
    places             at;
    VEC(shard_column) columns;
    const char *path, *split; /* of the file being read */
    int         user;   /* the slot that --split user looks at, or -1 */
    uint64_t    number; /* of samples so far */
} tsv;

/* ---- columns ---- */

#define NAME_ROOM (2 * CONFIG_NAME_MAX + 16)

static err_t add_column(tsv *t, shard_column c, const char *name, const char *rest, int *place)
{
    char *copy = t->name_memory + t->name_used;

    snprintf(copy, NAME_ROOM, "%s%s", name, rest);
    t->name_used += NAME_ROOM;
    c.name = copy;
    *place = (int)t->columns.n;
    return vec_push(&t->columns, c);
}

static err_t add_slot_columns(tsv *t, int number)
{
    const schema_slot *slot    = &t->schema->slots[number];
    const shard_column ids     = {.type = DTYPE_U64, .table = slot->table};
    const shard_column offsets = {.type = DTYPE_U64, .offsets = true, .table = -1};

    TRY(add_column(t, ids, slot->name, "", &t->at.slots[number]));
    if (slot->pool == POOL_NONE)
        return OK;
    return add_column(t, offsets, slot->name, ".offsets", &t->at.slot_offsets[number]);
}

static err_t add_sequence_columns(tsv *t, int number)
{
    const schema_sequence *s       = &t->schema->sequences[number];
    const shard_column     offsets = {.type = DTYPE_U64, .offsets = true, .table = -1};
    const shard_column     time    = {.type = DTYPE_I64, .table = -1};

    TRY(add_column(t, offsets, s->name, ".offsets", &t->at.sequence_offsets[number]));
    return s->timed ? add_column(t, time, s->name, ".time", &t->at.event_times[number]) : OK;
}

/* weight, group and time have columns where the train file has them. */
static err_t add_columns(tsv *t)
{
    const schema      *s      = t->schema;
    const shard_column number = {.type = DTYPE_F32, .table = -1};
    const shard_column word   = {.type = DTYPE_U64, .table = -1};
    const shard_column second = {.type = DTYPE_I64, .table = -1};

    t->at.weight = t->at.group = t->at.time = -1;
    TRY(add_column(t, number, "label", "", &t->at.label));
    if (t->plan.has[TSV_WEIGHT])
        TRY(add_column(t, number, "weight", "", &t->at.weight));
    if (t->plan.has[TSV_GROUP])
        TRY(add_column(t, word, "group", "", &t->at.group));
    if (t->plan.has[TSV_TIME])
        TRY(add_column(t, second, "time", "", &t->at.time));
    for (int i = 0; i < s->n_slots; i++)
        if (!s->slots[i].is_gap) /* made of times when a sample is read */
            TRY(add_slot_columns(t, i));
    for (int i = 0; i < s->n_sequences; i++)
        TRY(add_sequence_columns(t, i));
    for (int i = 0; i < s->n_floats; i++) {
        shard_column c = number;
        c.width        = s->floats[i].width;
        TRY(add_column(t, c, s->floats[i].name, "", &t->at.floats[i]));
    }
    return OK;
}

/* ---- writing ---- */

/* Events first .. first+n-1 of a sequence are kept, at time now: those that training uses. */
static void kept_events(const schema_sequence *s, const tsv_sequence *x, int64_t now,
                        size_t *first, size_t *n)
{
    size_t old = x->events, most = s->max_len > 0 ? (size_t)s->max_len : SIZE_MAX;

    while (s->seconds > 0 && old > 0 &&
           gap_seconds(x->time.at[old - 1], now) <= (uint64_t)s->seconds)
        old--;
    *first = s->seconds > 0 ? old : 0;
    *n     = x->events - *first;
    if (*n <= most)
        return;
    *first = s->keep == KEEP_LAST ? x->events - most : *first;
    *n     = most;
}

/* Rows first .. first+n-1 of a slot. */
static err_t write_slot(tsv *t, shard_writer *w, int number, size_t first, size_t n)
{
    const tsv_ids *x     = &t->row.slots[number];
    names         *known = t->names[t->schema->slots[number].table];
    size_t         begin = first, end = first + n;
    uint64_t       id;

    if (t->at.slot_offsets[number] >= 0) { /* rows are bags: where do their ids begin? */
        begin = 0;
        for (size_t i = 0; i < first; i++)
            begin += x->lengths.at[i];
        end = begin;
        for (size_t i = first; i < first + n; i++) {
            TRY(shard_writer_length(w, t->at.slot_offsets[number], x->lengths.at[i]));
            end += x->lengths.at[i];
        }
    }
    for (size_t i = begin; known && i < end; i++)
        TRY(names_see(known, x->texts.at[i], &id));
    return end > begin
               ? shard_writer_u64(w, t->at.slots[number], x->ids.at + begin, end - begin)
               : OK;
}

static err_t write_sequence(tsv *t, shard_writer *w, int number)
{
    const schema_sequence *s = &t->schema->sequences[number];
    const tsv_sequence    *x = &t->row.sequences[number];
    size_t                 first, n;

    kept_events(s, x, t->row.time, &first, &n);
    TRY(shard_writer_length(w, t->at.sequence_offsets[number], n));
    for (int i = 0; i < t->schema->n_slots; i++)
        if (t->schema->slots[i].sequence == number && !t->schema->slots[i].is_gap)
            TRY(write_slot(t, w, i, first, n));
    if (t->at.event_times[number] < 0 || n == 0)
        return OK;
    return shard_writer_i64(w, t->at.event_times[number], x->time.at + first, n);
}

static err_t write_row(tsv *t, shard_writer *w)
{
    const schema *s   = t->schema;
    tsv_row      *row = &t->row;

    TRY(shard_writer_f32(w, t->at.label, &row->label, 1));
    if (t->at.weight >= 0)
        TRY(shard_writer_f32(w, t->at.weight, &row->weight, 1));
    if (t->at.group >= 0)
        TRY(shard_writer_u64(w, t->at.group, &row->group, 1));
    if (t->at.time >= 0)
        TRY(shard_writer_i64(w, t->at.time, &row->time, 1));
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].sequence < 0)
            TRY(write_slot(t, w, i, 0, 1));
    for (int i = 0; i < s->n_sequences; i++)
        TRY(write_sequence(t, w, i));
    for (int i = 0; i < s->n_floats; i++)
        TRY(shard_writer_f32(w, t->at.floats[i], row->floats[i].at, row->floats[i].n));
    return shard_writer_end_sample(w);
}

static const char *draw_split(const tsv *t)
{
    uint64_t who = t->number;

    if (strcmp(t->split, "train") != 0 || t->my->split[0] == 'n')
        return t->split;
    if (t->my->split[0] == 'u')
        who = t->at.group >= 0 ? t->row.group : t->row.slots[t->user].ids.at[0];
    rng chance = rng_named((uint64_t)t->my->seed, RNG_PREPARE, who, 0);
    return rng_uniform(&chance) < t->my->test_part ? "test" : "train";
}

/* ---- reading ---- */

/* --split user needs somebody. */
static err_t find_user(tsv *t)
{
    t->user = schema_find_slot(t->schema, "user");
    if (t->my->split[0] != 'u' || t->plan.has[TSV_GROUP] ||
        (t->user >= 0 && t->schema->slots[t->user].pool == POOL_NONE))
        return OK;
    return err_set(ERR_USAGE,
                   "--split user wants a column 'group', or a feature 'user' of one id");
}

/* The first file decides which columns there are; the others need the same ones. */
static err_t take_header(tsv *t, char *line, size_t n)
{
    const tsv_options *my     = t->my;
    const tsv_format   format = {my->separator, my->list, my->bag, my->separator[0] != '\t'};
    const bool         first  = t->out == NULL;

    tsv_plan_clear(&t->plan);
    if (tsv_plan_init(&t->plan, t->schema, format, line, n) != OK)
        return err_add(ERR_FORMAT, "%s:1", t->path);
    if (first) {
        TRY(find_user(t));
        TRY(add_columns(t));
        TRY(output_open(&t->out, &my->shared, t->tables, t->schema->n_tables, t->columns.at,
                        (int)t->columns.n));
        for (int i = 0; i < t->schema->n_tables; i++)
            if (t->schema->tables[i].config->ids == IDS_STRING)
                TRY(names_new(&t->names[i],
                              output_memory(t->out) / (size_t)t->schema->n_tables,
                              output_folder(t->out)));
    }
    if ((t->at.weight >= 0 && !t->plan.has[TSV_WEIGHT]) ||
        (t->at.group >= 0 && !t->plan.has[TSV_GROUP]) ||
        (t->at.time >= 0 && !t->plan.has[TSV_TIME]))
        return err_set(ERR_FORMAT, "%s:1: the header lacks weight, group or time, which %s has",
                       t->path, my->in);
    return OK;
}

static err_t take_line(void *self, char *line, size_t n, uint64_t number)
{
    tsv          *t = self;
    shard_writer *w;

    if (number == 1)
        return take_header(t, line, n);
    TRY(tsv_parse(&t->plan, line, n, &t->row));
    t->number++;
    TRY(output_split(t->out, draw_split(t), &w));
    return write_row(t, w);
}

static err_t read_file(tsv *t, const char *path, const char *split)
{
    if (!path)
        return OK;
    t->path  = path;
    t->split = split;
    TRY(raw_lines_each(path, &t->bad, take_line, t));
    return t->out ? OK : err_set(ERR_DATA, "%s is empty, wanted a header", path);
}

static err_t convert(tsv *t)
{
    TRY(read_file(t, t->my->in, "train"));
    TRY(read_file(t, t->my->valid, "valid"));
    TRY(read_file(t, t->my->test, "test"));
    if (t->number == 0)
        return err_set(ERR_DATA, "%s has no samples", t->my->in);
    for (int i = 0; i < t->schema->n_tables; i++)
        if (t->names[i])
            TRY(names_write(t->names[i], t->tables[i], NULL));
    return OK;
}

/* ---- beginning and end ---- */

static err_t take_memory(tsv *t)
{
    const schema *s    = t->schema;
    size_t        n    = (size_t)(s->n_slots + s->n_sequences + s->n_floats);
    size_t        room = 2 * n;

    t->names        = calloc((size_t)s->n_tables + 1, sizeof(names *));
    t->tables       = calloc((size_t)s->n_tables + 1, sizeof *t->tables);
    t->place_memory = malloc((room + 1) * sizeof *t->place_memory);
    t->name_memory  = malloc((room + 4) * NAME_ROOM);
    if (!t->names || !t->tables || !t->place_memory || !t->name_memory)
        return err_memory((room + 4) * NAME_ROOM, "names of columns");
    for (int i = 0; i < s->n_tables; i++)
        t->tables[i] = s->tables[i].config->name;
    for (size_t i = 0; i < room; i++)
        t->place_memory[i] = -1;
    t->at.slots            = t->place_memory;
    t->at.slot_offsets     = t->at.slots + s->n_slots;
    t->at.floats           = t->at.slot_offsets + s->n_slots;
    t->at.sequence_offsets = t->at.floats + s->n_floats;
    t->at.event_times      = t->at.sequence_offsets + s->n_sequences;
    return tsv_row_init(&t->row, s);
}

static void release(tsv *t)
{
    for (int i = 0; t->names && i < t->schema->n_tables; i++)
        names_free(&t->names[i]);
    free(t->names);
    free(t->tables);
    free(t->place_memory);
    free(t->name_memory);
    tsv_plan_clear(&t->plan);
    tsv_row_clear(&t->row, t->schema);
    vec_clear(&t->columns);
}

static err_t run_with(const tsv_options *my, const schema *s)
{
    tsv t = {.my = my, .schema = s, .bad = {.most = my->max_bad}};

    err_t err = take_memory(&t);
    if (err == OK)
        err = convert(&t);
    if (err == OK)
        err = output_finish(&t.out);
    release(&t); /* names spill into the output's folder: before that goes */
    output_abandon(&t.out);
    raw_lines_report_skipped(err, &t.bad);
    return err;
}

/* A bag of an event is a list within a list. */
static err_t check_separators(const tsv_options *my, const schema *s)
{
    for (int i = 0; i < s->n_slots; i++)
        if (s->slots[i].sequence >= 0 && s->slots[i].pool != POOL_NONE &&
            strcmp(my->list, my->bag) == 0)
            return err_set(ERR_USAGE,
                           "--list-separator and --bag-separator are both '%s', and each event "
                           "of %s is a bag",
                           my->list, s->slots[i].name);
    return OK;
}

static err_t run(const tsv_options *my)
{
    config *c = NULL;
    schema *s = NULL;

    err_t err = config_load(&c, my->config, 0, NULL);
    if (err == OK)
        err = schema_new(&s, c);
    if (err == OK)
        err = check_separators(my, s);
    if (err == OK)
        err = run_with(my, s);
    schema_free(&s);
    config_free(&c);
    return err;
}

/* A shell does not easily write a tab. */
static const char *with_tab(const char *separator)
{
    return strcmp(separator, "\\t") == 0 || strcmp(separator, "tab") == 0 ? "\t" : separator;
}

err_t prepare_tsv(int argc, char **argv)
{
    tsv_options my = {.shared    = PREPARE_OPTIONS_DEFAULT,
                      .split     = "none",
                      .separator = "tab",
                      .list      = "|",
                      .bag       = ";",
                      .test_part = 0.1,
                      .seed      = 1};
    const flag flags[] = {
        {"config", FLAG_TEXT, &my.config, .meta = "RUN.yaml", .required = true,
         .help = "the configuration whose tables and features the file has"},
        {"in", FLAG_TEXT, &my.in, .meta = "FILE", .required = true,
         .help = "the file, plain or gzipped; - is standard input"},
        {"valid", FLAG_TEXT, &my.valid, .meta = "FILE", .help = "another one, for valid"},
        {"test", FLAG_TEXT, &my.test, .meta = "FILE", .help = "another one, for test"},
        PREPARE_FLAGS(my.shared),
        {"separator", FLAG_TEXT, &my.separator,
         .help = "between fields; other than tab: fields may be quoted as in csv"},
        {"list-separator", FLAG_TEXT, &my.list, .help = "between the elements of a list"},
        {"bag-separator", FLAG_TEXT, &my.bag, .help = "between the ids of one event's bag"},
        {"split", FLAG_TEXT, &my.split, .choices = "none|sample|user",
         .help = "what is drawn for test from --in"},
        {"test-part", FLAG_REAL, &my.test_part, .max = 1, .help = "how much of it"},
        PREPARE_FLAG_MAX_BAD(my.max_bad),
        {"seed", FLAG_INT, &my.seed, .help = "seed of what is drawn"},
        {0}};
    bool helped;

    TRY(flags_parse_only(flags,
                         "dips prepare tsv --config RUN.yaml --in FILE --out DIR [flags]",
                         about, argc, argv, &helped));
    my.separator = with_tab(my.separator);
    if (!helped && (!my.separator[0] || !my.list[0] || !my.bag[0]))
        return err_set(ERR_USAGE, "a separator is one character at least");
    return helped ? OK : run(&my);
}
