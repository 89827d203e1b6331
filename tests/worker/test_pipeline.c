#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "small_shard.h"
#include "worker/data/pipeline.h"

/* ---- a world of 100 samples, sample i with i % 7 events ---- */

enum { SAMPLES = 100, EVENTS = 7 * 100, DEADLINE = 20 };

static table_config    goods_config = {.name = "goods", .dim = 2};
static schema_table    tables[]     = {{&goods_config, 99}};
static schema_slot     slots[]      = {{.name = "goods", .sequence = -1},
                                       {.name = "history.goods", .sequence = 0}};
static schema_sequence sequences[]  = {{.name = "history"}};
static schema          world        = {.n_tables    = 1,
                                       .n_slots     = 2,
                                       .n_sequences = 1,
                                       .tables      = tables,
                                       .slots       = slots,
                                       .sequences   = sequences};

typedef struct room {
    char     folder[64], path[96];
    dataset *data;
    order   *order;
} room;

static const order_options shuffled = {
    .samples = SAMPLES, .batch = 16, .shuffle = true, .block = 4, .window = 5, .seed = 8};

static void write_world(const char *path)
{
    float    label[SAMPLES];
    uint64_t goods[SAMPLES], offsets[SAMPLES + 1] = {0}, history[EVENTS];

    for (uint64_t i = 0; i < SAMPLES; i++) {
        label[i]       = (float)(i % 2);
        goods[i]       = i * i % 31;
        offsets[i + 1] = offsets[i] + i % 7;
        for (uint64_t j = offsets[i]; j < offsets[i + 1]; j++)
            history[j] = j % 41;
    }
    write_shard(path, (column[]){{"label", DTYPE_F32, 1, {SAMPLES}, label},
                                 {"goods", DTYPE_U64, 1, {SAMPLES}, goods},
                                 {"history.offsets", DTYPE_U64, 1, {SAMPLES + 1}, offsets},
                                 {"history.goods", DTYPE_U64, 1, {offsets[SAMPLES]}, history},
                                 {0}});
}

static int enter(void **state)
{
    room *r = calloc(1, sizeof *r);

    folder_make(r->folder);
    snprintf(r->path, sizeof r->path, "%s/0.safetensors", r->folder);
    write_world(r->path);
    assert_int_equal(
        dataset_open(&r->data, &world, &(config_names){1, (char *[]){r->path}}, true), OK);
    assert_int_equal(order_new(&r->order, &shuffled), OK);
    *state = r;
    return 0;
}

static int leave(void **state)
{
    room *r = *state;

    dataset_close(&r->data);
    order_free(&r->order);
    folder_remove(r->folder);
    free(r);
    return 0;
}

static pipeline_options options_of(const room *r)
{
    return (pipeline_options){.data        = r->data,
                              .schema      = &world,
                              .order       = r->order,
                              .workers     = 1,
                              .epoch_steps = order_steps_per_epoch(r->order),
                              .shards      = 3,
                              .end         = 30,
                              .depth       = 3};
}

static pipeline *start(pipeline_options options)
{
    pipeline *p;

    assert_int_equal(pipeline_new(&p, &options), OK);
    return p;
}

static pipeline_item *next(pipeline *p, int64_t step)
{
    pipeline_item *item;

    assert_int_equal(pipeline_next(p, &item, DEADLINE), OK);
    assert_int_equal(item->step, step);
    return item;
}

/* ---- what the items hold ---- */

/* item is what order, dataset and id_set make of its step, one after another. */
static void assert_made_by_hand(const room *r, const pipeline_item *item, int worker,
                                int workers)
{
    order    *o;
    id_maker *maker;
    arena     a = {0};
    uint64_t  samples[17], first;
    int       n;
    batch     b;
    id_set    set;

    assert_int_equal(order_new(&o, &shuffled), OK);
    assert_int_equal(id_maker_new(&maker, &world, 3), OK);
    assert_int_equal(order_part(o, item->step, worker, workers, samples, &n, &first), OK);
    assert_int_equal(dataset_batch(r->data, samples, n, first, &a, &b), OK);
    assert_int_equal(id_maker_make(maker, &b, &a, &set), OK);

    const batch *got = &item->batch;
    assert_int_equal(got->B, n);
    assert_int_equal(got->first, first);
    assert_memory_equal(got->label, b.label, (size_t)n * sizeof *b.label);
    assert_int_equal(got->slots[1].n, b.slots[1].n);
    for (int i = 0; i < 2; i++) {
        assert_memory_equal(got->slots[i].ids, b.slots[i].ids, (size_t)b.slots[i].n * 8);
        assert_memory_equal(got->slots[i].distinct, b.slots[i].distinct,
                            (size_t)b.slots[i].n * sizeof(int));
    }
    assert_int_equal(item->sets[0].n, set.n);
    assert_memory_equal(item->sets[0].ids, set.ids, (size_t)set.n * sizeof *set.ids);
    assert_memory_equal(item->sets[0].shard_begin, set.shard_begin, 4 * sizeof(int));
    arena_clear(&a);
    id_maker_free(&maker);
    order_free(&o);
}

static void items_are_what_order_dataset_and_id_set_make(void **state)
{
    room *r = *state;

    for (int depth = 2; depth <= 6; depth += 2) {
        pipeline_options options = options_of(r);
        options.depth            = depth;
        pipeline *p              = start(options);
        for (int64_t step = 0; step < 30; step++) {
            pipeline_item *item = next(p, step);
            assert_made_by_hand(r, item, 0, 1);
            pipeline_done(p, item);
        }
        pipeline_free(&p);
        assert_null(p);
    }
}

static void a_worker_gets_its_part_from_any_step_on(void **state)
{
    room            *r       = *state;
    pipeline_options options = options_of(r);

    options.worker  = 1;
    options.workers = 3;
    options.first   = 11;
    pipeline *p     = start(options);
    for (int64_t step = 11; step < 30; step++) {
        pipeline_item *item = next(p, step);
        assert_made_by_hand(r, item, 1, 3);
        pipeline_done(p, item);
    }
    pipeline_free(&p);
}

/* Its 100 samples make 7 steps of 16; the longest worker's epoch has 10. */
static void a_worker_that_has_run_out_takes_part_with_nothing(void **state)
{
    room            *r       = *state;
    pipeline_options options = options_of(r);
    double           samples = 0;

    options.epoch_steps = 10;
    options.place       = 500;
    pipeline *p         = start(options);
    for (int64_t step = 0; step < 30; step++) {
        pipeline_item *item = next(p, step);
        assert_int_equal(item->batch.B, step % 10 < 6 ? 16 : step % 10 == 6 ? 4 : 0);
        assert_int_equal(item->batch.first, 500);
        assert_int_equal(item->sets[0].n == 0, step % 10 > 6);
        samples += item->batch.weight_sum;
        pipeline_done(p, item);
    }
    assert_true(samples == 3 * SAMPLES);
    pipeline_free(&p);
}

/* ---- threads ---- */

static void items_in_use_stay_as_they_are(void **state)
{
    room          *r = *state;
    pipeline      *p = start(options_of(r));
    pipeline_item *held[30];

    held[0] = next(p, 0);
    held[1] = next(p, 1);
    for (int64_t step = 2; step < 30; step++) {
        void *more;
        held[step] = next(p, step);
        assert_int_equal(arena_take_zero(&held[step]->arena, 3000, &more), OK);
        for (int64_t used = step - 2; used <= step; used++)
            assert_made_by_hand(r, held[used], 0, 1);
        pipeline_done(p, held[step - 2]);
    }
    pipeline_free(&p);
}

static void it_ends_at_any_moment(void **state)
{
    room            *r       = *state;
    pipeline_options options = options_of(r);
    pipeline        *none    = NULL;

    for (int steps = 0; steps < 12; steps++) {
        pipeline *p = start(options);
        for (int64_t step = 0; step < steps; step++) {
            pipeline_item *item = next(p, step);
            if (step > steps - 3)
                continue; /* the last two are not given back */
            pipeline_done(p, item);
        }
        if (steps % 2) {
            const struct timespec moment = {.tv_nsec = 2000000};
            nanosleep(&moment, NULL); /* it has filled the ring and waits */
        }
        pipeline_free(&p);
    }
    options.first = options.end;
    pipeline *p   = start(options);
    pipeline_free(&p);
    pipeline_free(&none);
}

static void a_wait_has_an_end(void **state)
{
    pipeline      *p = start(options_of(*state));
    pipeline_item *item;

    for (int64_t step = 0; step < 3; step++)
        next(p, step); /* all three are in use now */
    assert_int_equal(pipeline_next(p, &item, 0.01), ERR_TIMEOUT);
    assert_string_equal(err_text(), "step 3: its samples were not read within 0.01 s");
    pipeline_free(&p);
}

/* A file that promises more ids than a batch can count, as a hole that holds none: the
 * batch after the first cannot be made. */
static void write_monster(const char *path)
{
    static const char header[] =
        "{\"tags.offsets\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]},"
        "\"label\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]},"
        "\"tags\":{\"dtype\":\"U32\",\"shape\":[2147483650],\"data_offsets\":[32,8589934632]}}";
    const uint64_t length    = sizeof header - 1;
    const int64_t  offsets[] = {0, 2, INT64_C(2147483650)};
    const float    label[]   = {0, 1};
    FILE          *to        = fopen(path, "wb");

    assert_non_null(to);
    fwrite(&length, sizeof length, 1, to);
    fwrite(header, 1, length, to);
    fwrite(offsets, sizeof offsets, 1, to);
    fwrite(label, sizeof label, 1, to);
    assert_int_equal(fclose(to), 0);
    if (truncate(path, (off_t)(8 + length + 32 + 4 * UINT64_C(2147483650))) != 0)
        skip(); /* no room for holes here */
}

static void the_threads_error_comes_after_the_good_steps(void **state)
{
    room          *r      = *state;
    schema_slot    tags[] = {{.name = "tags", .sequence = -1, .pool = POOL_SUM}};
    schema         bags   = {.n_tables = 1, .tables = tables, .n_slots = 1, .slots = tags};
    dataset       *data;
    order         *o;
    pipeline_item *item;

    write_monster(r->path);
    assert_int_equal(dataset_open(&data, &bags, &(config_names){1, (char *[]){r->path}}, true),
                     OK);
    assert_int_equal(order_new(&o, &(order_options){.samples = 2, .batch = 1}), OK);
    pipeline_options options = options_of(r);
    options.data             = data;
    options.schema           = &bags;
    options.order            = o;
    options.epoch_steps      = 2;
    pipeline *p              = start(options);
    item                     = next(p, 0);
    assert_int_equal(item->batch.slots[0].n, 2);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(pipeline_next(p, &item, DEADLINE), ERR_DATA);
        assert_string_equal(err_text(), "a batch with 2147483648 values of tags is too large; "
                                        "lower train.batch or the sequence's max_len");
    }
    pipeline_free(&p);
    order_free(&o);
    dataset_close(&data);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(items_are_what_order_dataset_and_id_set_make),
        TEST(a_worker_gets_its_part_from_any_step_on),
        TEST(a_worker_that_has_run_out_takes_part_with_nothing),
        TEST(items_in_use_stay_as_they_are),
        TEST(it_ends_at_any_moment),
        TEST(a_wait_has_an_end),
        TEST(the_threads_error_comes_after_the_good_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
