#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "small_shard.h"
#include "worker/data/dataset.h"

/* ---- a world of five samples ---- */

enum { USER, GOODS, TAGS, HISTORY_GOODS, HISTORY_TAGS, N_SLOTS, GAP = N_SLOTS, AGE };

static schema_slot slots[] = {
    [USER]          = {.name = "user", .sequence = -1},
    [GOODS]         = {.name = "goods", .sequence = -1},
    [TAGS]          = {.name = "tags", .sequence = -1, .pool = POOL_SUM},
    [HISTORY_GOODS] = {.name = "history.goods", .sequence = 0},
    [HISTORY_TAGS]  = {.name = "history.tags", .sequence = 0, .pool = POOL_MEAN},
    [GAP]           = {.name = "history.gap", .sequence = 0, .is_gap = true},
    [AGE]           = {.name = "history.age", .sequence = 0, .is_gap = true, .to = GAP_REQUEST},
};
static schema_sequence sequences[] = {{.name = "history", .timed = true}};
static schema_float floats[] = {{.name = "price", .width = 1}, {.name = "shape", .width = 2}};
static schema       world    = {.n_slots     = N_SLOTS,
                                .n_sequences = 1,
                                .n_floats    = 2,
                                .slots       = slots,
                                .sequences   = sequences,
                                .floats      = floats};

/* Sample 1 has an empty bag and no history, sample 3 the longest one. */
static const column five[] = {
    F32("label", 0, 1, 1, 0, 1),
    U64("user", 1, 2, 2, 3, UINT64_MAX),
    U64("goods", 10, 20, 30, 40, 50),
    U64("tags.offsets", 0, 2, 2, 3, 5, 6),
    U64("tags", 7, 8, 9, 7, 7, 8),
    U64("history.offsets", 0, 1, 1, 3, 7, 8),
    U64("history.goods", 11, 31, 32, 41, 42, 43, 44, 51),
    U64("history.tags.offsets", 0, 1, 1, 3, 4, 4, 6, 7, 8),
    U64("history.tags", 100, 200, 201, 300, 401, 402, 500, 600),
    I64("history.time", 5, -3, 4, 1, 2, 3, 4, 9),
    F32("price", 1.5F, 2.5F, 3.5F, 4.5F, 5.5F),
    {"shape", DTYPE_F32, 2, {5, 2}, (float[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
    {0},
};
#define N_FIVE ((int)(sizeof five / sizeof *five) - 1)

typedef struct room {
    char  folder[64];
    char  path[3][96];
    arena arena;
} room;

static int enter(void **state)
{
    room *r = calloc(1, sizeof *r);

    folder_make(r->folder);
    for (int i = 0; i < 3; i++)
        snprintf(r->path[i], sizeof r->path[i], "%s/%d.safetensors", r->folder, i);
    *state               = r;
    sequences[0].max_len = 0;
    sequences[0].keep    = KEEP_LAST;
    sequences[0].seconds = 0;
    world.n_slots        = N_SLOTS;
    floats[0].transform  = TRANSFORM_NONE;
    return 0;
}

static int leave(void **state)
{
    room *r = *state;

    folder_remove(r->folder);
    arena_clear(&r->arena);
    free(r);
    return 0;
}

/* five, with the column of that name replaced, or added. to (N_FIVE + 2). */
static void change(column *to, column replacement)
{
    int i = 0;

    memcpy(to, five, sizeof five);
    while (to[i].name && strcmp(to[i].name, replacement.name))
        i++;
    to[i] = replacement;
    if (i == N_FIVE)
        to[i + 1] = (column){0};
}

static void drop(column *to, const char *name)
{
    int n = 0;

    for (const column *c = five; c->name; c++)
        if (strcmp(c->name, name))
            to[n++] = *c;
    to[n] = (column){0};
}

static err_t open_files(dataset **d, room *r, int n, bool need_label)
{
    char        *paths[] = {r->path[0], r->path[1], r->path[2]};
    config_names files   = {n, paths};

    return dataset_open(d, &world, &files, need_label);
}

static dataset *open_columns(room *r, const column *columns)
{
    dataset *d;

    write_shard(r->path[0], columns);
    assert_int_equal(open_files(&d, r, 1, true), OK);
    return d;
}

static batch make_batch(const dataset *d, room *r, int n, const uint64_t *samples)
{
    batch b;

    arena_reset(&r->arena);
    assert_int_equal(dataset_batch(d, samples, n, 77, &r->arena, &b), OK);
    return b;
}

#define assert_list(list, type, ...)                                                           \
    assert_memory_equal(list, ((type[]){__VA_ARGS__}), sizeof((type[]){__VA_ARGS__}))

/* ---- batches ---- */

static void assert_five(const batch *b)
{
    assert_int_equal(b->B, 5);
    assert_int_equal(b->first, 77);
    assert_true(b->weight_sum == 5);
    assert_null(b->weight);
    assert_list(b->label, real, 0, 1, 1, 0, 1);
    assert_list(b->group, uint64_t, 1, 2, 2, 3, UINT64_MAX);
    assert_list(b->slots[USER].ids, uint64_t, 1, 2, 2, 3, UINT64_MAX);
    assert_list(b->slots[GOODS].ids, uint64_t, 10, 20, 30, 40, 50);
    assert_null(b->slots[GOODS].offsets);
    assert_int_equal(b->slots[GOODS].n, 5);
    assert_int_equal(b->slots[GOODS].rows, 5);
    assert_list(b->slots[TAGS].offsets, int, 0, 2, 2, 3, 5, 6);
    assert_list(b->slots[TAGS].ids, uint64_t, 7, 8, 9, 7, 7, 8);
    assert_int_equal(b->slots[TAGS].rows, 5);
    assert_int_equal(b->slots[TAGS].n, 6);
    assert_int_equal(b->sequences[0].events, 8);
    assert_list(b->sequences[0].offsets, int, 0, 1, 1, 3, 7, 8);
    assert_list(b->sequences[0].time, int64_t, 5, -3, 4, 1, 2, 3, 4, 9);
    assert_list(b->slots[HISTORY_GOODS].ids, uint64_t, 11, 31, 32, 41, 42, 43, 44, 51);
    assert_null(b->slots[HISTORY_GOODS].offsets);
    assert_int_equal(b->slots[HISTORY_GOODS].rows, 8);
    assert_int_equal(b->slots[HISTORY_TAGS].rows, 8);
    assert_int_equal(b->slots[HISTORY_TAGS].n, 8);
    assert_list(b->slots[HISTORY_TAGS].offsets, int, 0, 1, 1, 3, 4, 4, 6, 7, 8);
    assert_list(b->slots[HISTORY_TAGS].ids, uint64_t, 100, 200, 201, 300, 401, 402, 500, 600);
    assert_list(b->floats[0].x, real, 1.5, 2.5, 3.5, 4.5, 5.5);
    assert_list(b->floats[1].x, real, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    assert_int_equal(b->floats[1].width, 2);
}

static void a_batch_holds_what_the_file_holds(void **state)
{
    dataset *d = open_columns(*state, five);
    batch    b = make_batch(d, *state, 5, (uint64_t[]){0, 1, 2, 3, 4});

    assert_int_equal(dataset_samples(d), 5);
    assert_true(dataset_grouped(d));
    assert_int_equal(b.floats[1].width, 2);
    assert_null(b.time);
    assert_five(&b);
    dataset_close(&d);
    assert_null(d);
}

static void samples_come_in_the_order_asked_for(void **state)
{
    dataset *d = open_columns(*state, five);
    batch    b = make_batch(d, *state, 4, (uint64_t[]){3, 1, 4, 3});

    assert_list(b.label, real, 0, 1, 1, 0);
    assert_list(b.slots[GOODS].ids, uint64_t, 40, 20, 50, 40);
    assert_list(b.slots[TAGS].offsets, int, 0, 2, 2, 3, 5);
    assert_list(b.slots[TAGS].ids, uint64_t, 7, 7, 8, 7, 7);
    assert_list(b.sequences[0].offsets, int, 0, 4, 4, 5, 9);
    assert_list(b.slots[HISTORY_GOODS].ids, uint64_t, 41, 42, 43, 44, 51, 41, 42, 43, 44);
    assert_list(b.slots[HISTORY_TAGS].offsets, int, 0, 1, 1, 3, 4, 5, 6, 6, 8, 9);
    assert_list(b.slots[HISTORY_TAGS].ids, uint64_t, 300, 401, 402, 500, 600, 300, 401, 402,
                500);
    assert_list(b.floats[1].x, real, 6, 7, 2, 3, 8, 9, 6, 7);
    dataset_close(&d);
}

static void max_len_keeps_the_last_events_or_the_first(void **state)
{
    dataset       *d     = open_columns(*state, five);
    const uint64_t all[] = {0, 1, 2, 3, 4};

    sequences[0].max_len = 2;
    batch b              = make_batch(d, *state, 5, all);
    assert_list(b.sequences[0].offsets, int, 0, 1, 1, 3, 5, 6);
    assert_int_equal(b.sequences[0].events, 6);
    assert_list(b.sequences[0].time, int64_t, 5, -3, 4, 3, 4, 9);
    assert_list(b.slots[HISTORY_GOODS].ids, uint64_t, 11, 31, 32, 43, 44, 51);
    assert_list(b.slots[HISTORY_TAGS].offsets, int, 0, 1, 1, 3, 5, 6, 7);
    assert_list(b.slots[HISTORY_TAGS].ids, uint64_t, 100, 200, 201, 401, 402, 500, 600);

    sequences[0].keep = KEEP_FIRST;
    b                 = make_batch(d, *state, 5, all);
    assert_list(b.sequences[0].offsets, int, 0, 1, 1, 3, 5, 6);
    assert_list(b.slots[HISTORY_GOODS].ids, uint64_t, 11, 31, 32, 41, 42, 51);
    assert_list(b.slots[HISTORY_TAGS].ids, uint64_t, 100, 200, 201, 300, 600);
    dataset_close(&d);
}

/* Sample 3 is taken at 5 and has events of 1, 2, 3, 4; sample 2 at -4, before its second one.
 */
static void history_days_leaves_the_young_events(void **state)
{
    dataset       *d;
    column         timed[N_FIVE + 2];
    const uint64_t all[] = {0, 1, 2, 3, 4};

    change(timed, (column)I64("time", 6, 0, -2, 5, 12));
    sequences[0].seconds = 2;
    d                    = open_columns(*state, timed);
    batch b              = make_batch(d, *state, 5, all);
    assert_list(b.sequences[0].offsets, int, 0, 1, 1, 3, 5, 5);
    assert_list(b.sequences[0].time, int64_t, 5, -3, 4, 3, 4);
    assert_list(b.slots[HISTORY_GOODS].ids, uint64_t, 11, 31, 32, 43, 44);
    assert_list(b.slots[HISTORY_TAGS].ids, uint64_t, 100, 200, 201, 401, 402, 500);

    sequences[0].max_len = 1;
    b                    = make_batch(d, *state, 5, all);
    assert_list(b.slots[HISTORY_GOODS].ids, uint64_t, 11, 32, 44);
    sequences[0].keep = KEEP_FIRST;
    b                 = make_batch(d, *state, 5, all);
    assert_list(b.slots[HISTORY_GOODS].ids, uint64_t, 11, 31, 43);
    dataset_close(&d);
}

static void gaps_are_buckets_of_the_seconds_that_passed(void **state)
{
    dataset       *d;
    column         timed[N_FIVE + 2];
    const uint64_t all[] = {0, 1, 2, 3, 4};

    change(timed, (column)I64("time", 5, 0, 11, INT64_MAX, 9 + 86400));
    world.n_slots        = AGE + 1;
    sequences[0].max_len = 3;
    d                    = open_columns(*state, timed);
    batch b              = make_batch(d, *state, 5, all);
    assert_list(b.sequences[0].time, int64_t, 5, -3, 4, 2, 3, 4, 9);
    assert_list(b.slots[GAP].ids, uint64_t, 0, 0, 4, 2, 2, 2,
                0); /* 7, and 1 from the one cut */
    assert_list(b.slots[AGE].ids, uint64_t, 1, 4, 4, 63, 63, 63, 17);
    dataset_close(&d);
}

static void what_needs_the_samples_times_is_refused_without(void **state)
{
    dataset *d;
    room    *r = *state;

    write_shard(r->path[0], five);
    sequences[0].seconds = 86400;
    assert_int_equal(open_files(&d, r, 1, true), ERR_DATA);
    assert_non_null(strstr(err_text(), "no tensor time, which history_days and gaps"));
}

static void a_batch_of_no_samples_is_valid(void **state)
{
    dataset *d = open_columns(*state, five);
    batch    b = make_batch(d, *state, 0, NULL);

    assert_int_equal(b.B, 0);
    assert_true(b.weight_sum == 0);
    for (int i = 0; i < N_SLOTS; i++) {
        assert_int_equal(b.slots[i].n, 0);
        assert_int_equal(b.slots[i].rows, 0);
    }
    assert_int_equal(b.slots[TAGS].offsets[0], 0);
    assert_int_equal(b.slots[HISTORY_TAGS].offsets[0], 0);
    assert_int_equal(b.sequences[0].offsets[0], 0);
    assert_int_equal(b.sequences[0].events, 0);
    dataset_close(&d);
}

static void the_steady_state_takes_no_memory(void **state)
{
    room    *r = *state;
    dataset *d = open_columns(r, five);

    make_batch(d, r, 5, (uint64_t[]){0, 1, 2, 3, 4});
    size_t total = r->arena.total;
    for (int i = 0; i < 10; i++)
        make_batch(d, r, 5, (uint64_t[]){3, 3, 3, 3, 3});
    assert_int_equal(r->arena.total, total);
    dataset_close(&d);
}

/* ---- files ---- */

static void other_dtypes_hold_the_same_samples(void **state)
{
    const column others[] = {
        U8("label", 0, 1, 1, 0, 1),
        I64("user", 1, 2, 2, 3, -1),
        U32("goods", 10, 20, 30, 40, 50),
        I32("tags.offsets", 0, 2, 2, 3, 5, 6),
        I32("tags", 7, 8, 9, 7, 7, 8),
        U32("history.offsets", 0, 1, 1, 3, 7, 8),
        U64("history.goods", 11, 31, 32, 41, 42, 43, 44, 51),
        I64("history.tags.offsets", 0, 1, 1, 3, 4, 4, 6, 7, 8),
        I64("history.tags", 100, 200, 201, 300, 401, 402, 500, 600),
        I32("history.time", 5, -3, 4, 1, 2, 3, 4, 9),
        F64("price", 1.5, 2.5, 3.5, 4.5, 5.5),
        {"shape", DTYPE_F64, 2, {5, 2}, (double[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
        {0},
    };
    const column labels[] = {F64("label", 0, 1, 1, 0, 1), BOOL("label", 0, 1, 1, 0, 1),
                             I64("label", 0, 1, 1, 0, 1)};
    dataset     *d        = open_columns(*state, others);
    batch        b        = make_batch(d, *state, 5, (uint64_t[]){0, 1, 2, 3, 4});

    assert_five(&b);
    dataset_close(&d);
    for (int i = 0; i < 3; i++) {
        column changed[N_FIVE + 2];
        change(changed, labels[i]);
        d = open_columns(*state, changed);
        b = make_batch(d, *state, 5, (uint64_t[]){0, 1, 2, 3, 4});
        assert_five(&b);
        dataset_close(&d);
    }
}

static void tensors_may_stand_at_any_byte(void **state)
{
    room    *r = *state;
    column   packed[N_FIVE + 1];
    dataset *d;
    int      width = floats[1].width;

    drop(packed, "shape");                                 /* write_packed knows lists alone */
    packed[0]      = (column)BOOL("label", 0, 1, 1, 0, 1); /* five bytes first of all */
    world.n_floats = 1;
    write_packed(r->path[0], packed);
    assert_int_equal(open_files(&d, r, 1, true), OK);
    batch b = make_batch(d, r, 2, (uint64_t[]){3, 4});
    assert_list(b.slots[HISTORY_GOODS].ids, uint64_t, 41, 42, 43, 44, 51);
    assert_list(b.floats[0].x, real, 4.5, 5.5);
    dataset_close(&d);
    world.n_floats  = 2;
    floats[1].width = width;
}

static void samples_are_numbered_through_the_files(void **state)
{
    room    *r = *state;
    dataset *d;

    write_shard(r->path[0], five);
    write_shard(r->path[1], (column[]){EMPTY("label", DTYPE_F32),
                                       EMPTY("user", DTYPE_U64),
                                       EMPTY("goods", DTYPE_U64),
                                       U64("tags.offsets", 0),
                                       EMPTY("tags", DTYPE_U64),
                                       U64("history.offsets", 0),
                                       EMPTY("history.goods", DTYPE_U64),
                                       U64("history.tags.offsets", 0),
                                       EMPTY("history.tags", DTYPE_U64),
                                       EMPTY("history.time", DTYPE_I64),
                                       EMPTY("price", DTYPE_F32),
                                       {"shape", DTYPE_F32, 2, {0, 2}, ""},
                                       {0}});
    column changed[N_FIVE + 2];
    change(changed, (column)U64("goods", 60, 70, 80, 90, 99));
    write_shard(r->path[2], changed);
    assert_int_equal(open_files(&d, r, 3, true), OK);
    assert_int_equal(dataset_samples(d), 10);
    batch b = make_batch(d, r, 10, (uint64_t[]){9, 0, 5, 4, 8, 1, 7, 2, 6, 3});
    assert_list(b.slots[GOODS].ids, uint64_t, 99, 10, 60, 50, 90, 20, 80, 30, 70, 40);
    assert_list(b.label, real, 1, 0, 0, 1, 0, 1, 1, 1, 1, 0);
    dataset_close(&d);
}

static void no_files_are_a_dataset_without_samples(void **state)
{
    dataset *d;

    assert_int_equal(open_files(&d, *state, 0, true), OK);
    assert_int_equal(dataset_samples(d), 0);
    assert_true(dataset_grouped(d));
    batch b = make_batch(d, *state, 0, NULL);
    assert_int_equal(b.slots[TAGS].offsets[0], 0);
    dataset_close(&d);
}

static void a_bag_without_offsets_has_one_id_a_row(void **state)
{
    const column tags = U64("tags", 1, 2, 3, 4, 5);
    column       changed[N_FIVE + 2];

    drop(changed, "tags.offsets");
    for (column *c = changed; c->name; c++)
        if (!strcmp(c->name, "tags"))
            *c = tags;
    dataset *d = open_columns(*state, changed);
    batch    b = make_batch(d, *state, 3, (uint64_t[]){4, 0, 2});
    assert_list(b.slots[TAGS].offsets, int, 0, 1, 2, 3);
    assert_list(b.slots[TAGS].ids, uint64_t, 5, 1, 3);
    dataset_close(&d);
}

static void weights_are_summed_and_times_and_groups_kept(void **state)
{
    room    *r = *state;
    column   changed[N_FIVE + 4];
    dataset *d;

    memcpy(changed, five, sizeof five);
    changed[N_FIVE]     = (column)F32("weight", 0, 0.5F, 2, 1, 1);
    changed[N_FIVE + 1] = (column)I64("time", 1000, -1, 3, 4, 5);
    changed[N_FIVE + 2] = (column)U64("group", 9, 9, 9, 8, 8);
    changed[N_FIVE + 3] = (column){0};
    write_shard(r->path[0], changed);
    memmove(&changed[N_FIVE], &changed[N_FIVE + 1], 3 * sizeof *changed);
    write_shard(r->path[1], changed); /* without weights: each is 1 */
    assert_int_equal(open_files(&d, r, 2, true), OK);
    batch b = make_batch(d, r, 4, (uint64_t[]){2, 0, 1, 7});
    assert_list(b.weight, real, 2, 0, 0.5, 1);
    assert_true(b.weight_sum == 3.5);
    assert_list(b.time, int64_t, 3, 1000, -1, 3);
    assert_list(b.group, uint64_t, 9, 9, 9, 9);
    dataset_close(&d);
}

static void labels_may_be_missing_where_none_is_needed(void **state)
{
    room    *r = *state;
    column   changed[N_FIVE + 2];
    dataset *d;

    drop(changed, "label");
    write_shard(r->path[0], changed);
    assert_int_equal(open_files(&d, r, 1, false), OK);
    assert_int_equal(dataset_samples(d), 5);
    batch b = make_batch(d, r, 2, (uint64_t[]){1, 2});
    assert_list(b.label, real, 0, 0);
    dataset_close(&d);
}

static void moments_are_those_of_the_numbers(void **state)
{
    dataset *d = open_columns(*state, five);
    double   mean[2], squares[2];

    assert_int_equal(dataset_float_moments(d, 1, 1, 4, mean, squares), OK);
    assert_true(mean[0] == 4 && mean[1] == 5); /* of 2, 4, 6 and 3, 5, 7 */
    assert_true(squares[0] == 8 && squares[1] == 8);
    assert_int_equal(dataset_float_moments(d, 0, 2, 2, mean, squares), OK);
    assert_true(mean[0] == 0 && squares[0] == 0);
    dataset_close(&d);
}

static void a_number_without_a_mean_is_named(void **state)
{
    room        *r     = *state;
    const column price = F32("price", 1, 2, 3, INFINITY, 5);
    column       changed[N_FIVE + 2];
    double       mean[1], squares[1];
    char         wanted[256];

    change(changed, price);
    dataset *d = open_columns(r, changed);
    assert_int_equal(dataset_float_moments(d, 0, 0, 3, mean, squares), OK);
    assert_int_equal(dataset_float_moments(d, 0, 0, 4, mean, squares), ERR_DATA);
    snprintf(wanted, sizeof wanted,
             "%s: price of sample 3 is inf, which has no mean or deviation", r->path[0]);
    assert_string_equal(err_text(), wanted);
    dataset_close(&d);
}

/* ---- bad files ---- */

static const struct {
    column      bad; /* in place of the column of that name, or beside them */
    const char *sentence;
} bad_files[] = {
    {F32("label", 0, 1, 0.5F, 0, 1), "label[2] is 0.5, wanted 0 or 1"},
    {F32("label", 0, 1, 1, 0, NAN), "label[4] is nan, wanted 0 or 1"},
    {I64("label", 0, 1, 1, -1, 0), "label[3] is -1, wanted 0 or 1"},
    {U64("label", 0, 1, 1, 0, 1), "label is of dtype U64, wanted F32, F64, U8, BOOL or I64"},
    {{"label", DTYPE_F32, 2, {5, 1}, (float[5]){0}}, "label has 2 dimensions, wanted 1"},
    {U64("goods", 1, 2, 3, 4), "goods has 4 elements, but label asks for 5"},
    {F32("goods", 1, 2, 3, 4, 5), "goods is of dtype F32, wanted U64, I64, U32 or I32"},
    {{"goods", DTYPE_U64, 2, {5, 1}, (uint64_t[5]){0}}, "goods has 2 dimensions, wanted 1"},
    {U64("goods.offsets", 0, 1, 2, 3, 4, 5),
     "goods has offsets, a bag of ids, which needs `pool: sum` or `pool: mean` in the "
     "configuration"},
    {U64("tags.offsets", 0, 2, 1, 3, 5, 6), "tags.offsets[2] = 1 is below tags.offsets[1] = 2"},
    {I64("tags.offsets", 0, 2, -7, 3, 5, 6),
     "tags.offsets[2] = -7 is below tags.offsets[1] = 2"},
    {I32("tags.offsets", -1, 2, 3, 3, 5, 6), "tags.offsets[0] is -1, wanted 0"},
    {U64("tags.offsets", 1, 2, 2, 3, 5, 6), "tags.offsets[0] is 1, wanted 0"},
    {U64("tags.offsets", 0, 2, 2, 3, 5, 7), "tags has 6 elements, but tags.offsets asks for 7"},
    {U64("tags.offsets", 0, 2, UINT64_MAX, 3, 5, 6),
     "tags.offsets[3] = 3 is below tags.offsets[2] = 18446744073709551615"},
    {U64("tags.offsets", 0, 2, 2, 3, 5), "tags.offsets has 5 elements, but label asks for 6"},
    {F32("tags.offsets", 0, 2, 2, 3, 5, 6),
     "tags.offsets is of dtype F32, wanted U64, I64, U32 or I32"},
    {U64("history.offsets", 0, 1, 1, 7, 3, 8),
     "history.offsets[4] = 3 is below history.offsets[3] = 7"},
    {U64("history.offsets", 0, 1, 1, 3, 7, 9),
     "history.goods has 8 elements, but history.offsets asks for 9"},
    {U64("history.goods", 1, 2, 3),
     "history.goods has 3 elements, but history.offsets asks for 8"},
    {U64("history.tags", 1, 2, 3),
     "history.tags has 3 elements, but history.tags.offsets asks for 8"},
    {U64("history.tags.offsets", 0, 1),
     "history.tags.offsets has 2 elements, but history.offsets asks for 9"},
    {I64("history.time", 1), "history.time has 1 elements, but history.offsets asks for 8"},
    {F32("history.time", 1, 2, 3, 4, 5, 6, 7, 8),
     "history.time is of dtype F32, wanted U64, I64, U32 or I32"},
    {U64("price", 1, 2, 3, 4, 5), "price is of dtype U64, wanted F32 or F64"},
    {F32("price", 1, 2), "price has 2 rows, but label asks for 5"},
    {F32("shape", 1, 2, 3, 4, 5), "shape has 1 numbers per sample, but its `width` is 2"},
    {F32("weight", 1, 1, -1, 1, 1), "weight[2] is -1, wanted a finite number, not below 0"},
    {F32("weight", 1, INFINITY, 1, 1, 1),
     "weight[1] is inf, wanted a finite number, not below 0"},
    {F32("weight", 1, 1), "weight has 2 elements, but label asks for 5"},
    {I64("time", 1, 1), "time has 2 elements, but label asks for 5"},
    {F32("group", 1, 1, 1, 1, 1), "group is of dtype F32, wanted U64, I64, U32 or I32"},
};

static void assert_refused(room *r, const char *sentence)
{
    dataset *d;
    char     wanted[256];

    assert_int_equal(open_files(&d, r, 1, true), ERR_DATA);
    assert_null(d);
    snprintf(wanted, sizeof wanted, "%s: %s", r->path[0], sentence);
    assert_string_equal(err_text(), wanted);
}

static void a_bad_file_is_refused_with_place_and_value(void **state)
{
    room *r = *state;

    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        column changed[N_FIVE + 2];
        change(changed, bad_files[i].bad);
        write_shard(r->path[0], changed);
        assert_refused(r, bad_files[i].sentence);
    }
}

static void a_missing_tensor_is_named_with_its_feature(void **state)
{
    static const char *const missing[][2] = {
        {"label", "no tensor label"},
        {"goods", "no tensor goods, which feature goods needs"},
        {"tags", "no tensor tags, which feature tags needs"},
        {"history.offsets", "no tensor history.offsets, which feature history needs"},
        {"history.goods", "no tensor history.goods, which feature history needs"},
        {"history.time", "no tensor history.time, which feature history needs"},
        {"shape", "no tensor shape, which feature shape needs"},
    };
    room *r = *state;

    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        column changed[N_FIVE + 2];
        drop(changed, missing[i][0]);
        write_shard(r->path[0], changed);
        assert_refused(r, missing[i][1]);
    }
}

/* Far into a file, where the checks read it piece by piece. */
static void a_decrease_is_found_at_any_place(void **state)
{
    enum { N = 3000 };
    static const int places[] = {2, 1023, 1024, 1025, 2047, 2048, 2049, N};
    static uint64_t  offsets[N + 1], ids[N];
    static float     label[N];
    const column     columns[] = {{"label", DTYPE_F32, 1, {N}, label},
                                  {"tags.offsets", DTYPE_U64, 1, {N + 1}, offsets},
                                  {"tags", DTYPE_U64, 1, {N}, ids},
                                  {0}};
    room            *r         = *state;
    schema           bags      = {.n_slots = 1, .slots = &slots[TAGS]};
    config_names     files     = {1, (char *[]){r->path[0]}};
    dataset         *d;
    char             wanted[256];

    for (uint64_t i = 0; i <= N; i++)
        offsets[i] = i;
    write_shard(r->path[0], columns);
    assert_int_equal(dataset_open(&d, &bags, &files, true), OK);
    dataset_close(&d);
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        int at          = places[p]; /* its offset and the one before change places */
        offsets[at - 1] = (uint64_t)at;
        offsets[at]     = (uint64_t)at - 1;
        write_shard(r->path[0], columns);
        assert_int_equal(dataset_open(&d, &bags, &files, true), ERR_DATA);
        snprintf(wanted, sizeof wanted,
                 "%s: tags.offsets[%d] = %d is below tags.offsets[%d] = %d", r->path[0], at,
                 at - 1, at - 1, at);
        assert_string_equal(err_text(), wanted);
        offsets[at - 1] = (uint64_t)at - 1;
        offsets[at]     = (uint64_t)at;
    }
}

static void files_agree_on_what_is_optional(void **state)
{
    room    *r = *state;
    column   changed[N_FIVE + 2];
    dataset *d;
    char     wanted[256];

    write_shard(r->path[0], five);
    change(changed, (column)I64("time", 1, 2, 3, 4, 5));
    write_shard(r->path[1], changed);
    assert_int_equal(open_files(&d, r, 2, true), ERR_DATA);
    snprintf(wanted, sizeof wanted, "%s: a tensor time, other than %s", r->path[1], r->path[0]);
    assert_string_equal(err_text(), wanted);
}

static void a_missing_file_is_named(void **state)
{
    room    *r = *state;
    dataset *d;

    assert_int_not_equal(open_files(&d, r, 1, true), OK);
    assert_non_null(strstr(err_text(), r->path[0]));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(a_batch_holds_what_the_file_holds),
        TEST(samples_come_in_the_order_asked_for),
        TEST(max_len_keeps_the_last_events_or_the_first),
        TEST(history_days_leaves_the_young_events),
        TEST(gaps_are_buckets_of_the_seconds_that_passed),
        TEST(what_needs_the_samples_times_is_refused_without),
        TEST(a_batch_of_no_samples_is_valid),
        TEST(the_steady_state_takes_no_memory),
        TEST(other_dtypes_hold_the_same_samples),
        TEST(tensors_may_stand_at_any_byte),
        TEST(samples_are_numbered_through_the_files),
        TEST(no_files_are_a_dataset_without_samples),
        TEST(a_bag_without_offsets_has_one_id_a_row),
        TEST(weights_are_summed_and_times_and_groups_kept),
        TEST(labels_may_be_missing_where_none_is_needed),
        TEST(moments_are_those_of_the_numbers),
        TEST(a_number_without_a_mean_is_named),
        TEST(a_bad_file_is_refused_with_place_and_value),
        TEST(a_missing_tensor_is_named_with_its_feature),
        TEST(a_decrease_is_found_at_any_place),
        TEST(files_agree_on_what_is_optional),
        TEST(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
