/* dips prepare tsv. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/hash.h"
#include "launch/prepare/prepare.h"
#include "tests/launch/prepare_room.h"

static const char configuration[] =
    "tables:\n"
    "    user:  {dim: 8, ids: string}\n"
    "    goods: {dim: 16}\n"
    "    tag:   {dim: 4}\n"
    "features:\n"
    "    user:  {table: user}\n"
    "    goods: {table: goods}\n"
    "    tags:  {table: tag, pool: sum}\n"
    "    price: {kind: float, width: 2}\n"
    "    history:\n"
    "        columns:\n"
    "            goods: {table: goods}\n"
    "            tags:  {table: tag, pool: mean}\n"
    "            time:  {kind: time}\n"
    "        max_len: 2\n"
    "model: {kind: din, profile: [user], candidate: [goods], history: history}\n"
    "data: {train: x.safetensors, test: x.safetensors}\n";

#define HEADER                                                                                 \
    "user\tlabel\tgoods\ttags\tprice\thistory.goods\thistory.tags\thistory."                   \
    "time\tremark\tweight\n"
#define ALICE "alice\t1\t7\t1|2\t0.5|2\t1|2|3\t8;9|5|\t100|160|220\tx\t2\n"
#define BOB   "bob\t0\t9\t\t-1|1e3\t\t\t\ty\t0.5\n"
#define TSV   "--config @run.yaml --in @table --out @out "

static uint64_t id(const char *text)
{
    return hash_bytes(text, strlen(text));
}

static void check_alice_and_bob(const safetensors *file)
{
    EXPECT_DOUBLE(file, "label", 1, 0);
    EXPECT_DOUBLE(file, "weight", 2, 0.5);
    EXPECT_U64(file, "user", id("alice"), id("bob"));
    EXPECT_U64(file, "goods", 7, 9);
    EXPECT_U64(file, "tags", 1, 2);
    EXPECT_U64(file, "tags.offsets", 0, 2, 2);
    EXPECT_DOUBLE(file, "price", 0.5, 2, -1, 1000);
    assert_int_equal(tensor_of(file, "price")->n_dims, 2);
    EXPECT_U64(file, "history.offsets", 0, 2, 2);
    EXPECT_U64(file, "history.goods", 2, 3); /* max_len 2 */
    EXPECT_U64(file, "history.tags", 5);
    EXPECT_U64(file, "history.tags.offsets", 0, 1, 1);
    EXPECT_U64(file, "history.time", 160, 220);
    assert_null(safetensors_find(file, "remark"));
}

static void a_table_becomes_the_tensors_of_its_schema(void **state)
{
    (void)state;
    write_text(inside("run.yaml"), configuration);
    write_gzip("table", HEADER ALICE BOB);
    run_well(prepare_tsv, TSV);
    safetensors *file = open_file("out/train-00000.safetensors");
    check_alice_and_bob(file);
    safetensors_close(&file);
    safetensors *counts = open_file("out/counts.safetensors");
    assert_int_equal(count_of(counts, "goods", 3), 1);
    assert_int_equal(count_of(counts, "goods", 1), 0); /* cut off by max_len */
    assert_int_equal(count_of(counts, "tag", 8), 0);
    assert_int_equal(count_of(counts, "tag", 5), 1);
    assert_int_equal(count_of(counts, "user", id("bob")), 1);
    safetensors_close(&counts);
    safetensors *names = open_file("out/names-user.safetensors");
    assert_int_equal(tensor_of(names, "ids")->count, 2);
    safetensors_close(&names);
    assert_int_equal(count_files("out/names-*"), 1);
}

static void what_training_leaves_out_is_left_out_and_gaps_are_no_columns(void **state)
{
    (void)state;
    write_text(inside("run.yaml"),
               "tables: {goods: {dim: 4}, gap: {dim: 2}}\n"
               "features: {goods: {table: goods}, history: {history_days: 1, columns: {goods: "
               "{table: goods}, gap: {kind: gap, table: gap}, time: {kind: time}}}}\n"
               "model: {kind: din, candidate: [goods], history: history}\n");
    write_text(inside("table"), "label\tgoods\ttime\thistory.goods\thistory.time\n"
                                "1\t7\t86500\t1|2|3\t99|100|220\n"
                                "0\t7\t999999\t1|2\t99|100\n");
    run_well(prepare_tsv, TSV);
    safetensors *file = open_file("out/train-00000.safetensors");
    EXPECT_U64(file, "history.offsets", 0, 2, 2);
    EXPECT_U64(file, "history.goods", 2, 3);
    assert_null(safetensors_find(file, "history.gap"));
    safetensors_close(&file);
    write_text(inside("table"), "label\tgoods\thistory.goods\thistory.time\n");
    run_badly(prepare_tsv, TSV "--overwrite", ERR_FORMAT,
              "table:1: the header has no column 'time', which history_days");
}

static void separators_may_be_others_and_fields_quoted(void **state)
{
    (void)state;
    write_text(inside("run.yaml"), configuration);
    write_text(inside("table"),
               "user,label,goods,tags,price,history.goods,history.tags,history.time,weight\n"
               "\"alice\",1,7,1+2,0.5+2,\"1+2+3\",8/9+5+,100+160+220,2\n"
               "bob,0,9,,-1+10e2,,,,0.5\n");
    run_well(prepare_tsv, TSV "--separator , --list-separator + --bag-separator /");
    safetensors *file = open_file("out/train-00000.safetensors");
    check_alice_and_bob(file);
    safetensors_close(&file);
}

static void a_single_event_may_have_an_empty_bag(void **state)
{
    (void)state;
    write_text(inside("run.yaml"), configuration);
    write_text(inside("table"), HEADER "carol\t1\t7\t\t0|0\t4\t\t100\tx\t1\n" ALICE BOB);
    run_well(prepare_tsv, TSV);
    safetensors *file = open_file("out/train-00000.safetensors");
    EXPECT_U64(file, "history.offsets", 0, 1, 3, 3);
    EXPECT_U64(file, "history.goods", 4, 2, 3);
    EXPECT_U64(file, "history.tags.offsets", 0, 0, 1, 1);
    safetensors_close(&file);
}

static void other_files_are_other_splits(void **state)
{
    (void)state;
    write_text(inside("run.yaml"), configuration);
    write_text(inside("table"), HEADER ALICE BOB);
    write_text(inside("more"), HEADER BOB);
    run_well(prepare_tsv, TSV "--test @more --valid @table");
    assert_int_equal(count_files("out/*.safetensors"), 5);
    safetensors *file = open_file("out/test-00000.safetensors");
    EXPECT_U64(file, "goods", 9);
    safetensors_close(&file);
    safetensors *counts = open_file("out/counts.safetensors");
    assert_int_equal(count_of(counts, "goods", 9), 1); /* of train alone */
    safetensors_close(&counts);
}

static void users_are_drawn_whole(void **state)
{
    char *table = malloc(1 << 16), *to = table;

    (void)state;
    assert_non_null(table);
    to += sprintf(to, HEADER);
    for (int i = 0; i < 300; i++)
        to += sprintf(to, "u%d\t1\t%d\t\t1|2\t\t\t\t\t1\n", i % 30, i);
    write_text(inside("table"), table);
    free(table);
    write_text(inside("run.yaml"), configuration);
    run_well(prepare_tsv, TSV "--split user --test-part 0.4");
    safetensors *train = open_file("out/train-00000.safetensors");
    safetensors *test  = open_file("out/test-00000.safetensors");
    uint64_t n_train = tensor_of(train, "user")->count, n_test = tensor_of(test, "user")->count;
    assert_int_equal(n_train + n_test, 300);
    assert_in_range(n_test, 50, 200);
    for (uint64_t i = 0; i < n_train; i++)
        for (uint64_t j = 0; j < n_test; j++)
            assert_true(u64_at(train, "user", i) != u64_at(test, "user", j));
    safetensors_close(&train);
    safetensors_close(&test);
}

static void what_is_wrong_with_a_table_is_said(void **state)
{
    (void)state;
    write_text(inside("run.yaml"), configuration);
    write_text(inside("table"), "");
    run_badly(prepare_tsv, TSV, ERR_DATA, "table is empty, wanted a header");
    write_text(inside("table"), HEADER);
    run_badly(prepare_tsv, TSV, ERR_DATA, "table has no samples");
    write_text(inside("table"), "user\tlabel\tgoods\n");
    run_badly(prepare_tsv, TSV, ERR_FORMAT, "table:1: the header has no column 'tags'");
    write_text(inside("table"), "label\tlabel\n");
    run_badly(prepare_tsv, TSV, ERR_FORMAT, "table:1: the header has the column 'label' twice");
    write_text(inside("table"), HEADER ALICE "carol\t1\t7\n");
    run_badly(prepare_tsv, TSV, ERR_DATA, "table:3: 3 fields, the header has 10");
    write_text(inside("table"), HEADER "a\t0.5\t7\t\t1|2\t\t\t\t\t1\n");
    run_badly(prepare_tsv, TSV, ERR_DATA, "table:2: label '0.5' is neither 0 nor 1");
    write_text(inside("table"), HEADER "a\t1\tx7\t\t1|2\t\t\t\t\t1\n");
    run_badly(prepare_tsv, TSV, ERR_DATA, "table:2: goods 'x7' is not a number");
    write_text(inside("table"), HEADER "a\t1\t7\t\t1\t\t\t\t\t1\n");
    run_badly(prepare_tsv, TSV, ERR_DATA, "table:2: price has 1 numbers, wanted 2");
    write_text(inside("table"), HEADER "a\t1\t7\t\t1|nan\t\t\t\t\t1\n");
    run_badly(prepare_tsv, TSV, ERR_DATA, "table:2: price 'nan' is not a finite number");
    write_text(inside("table"), HEADER "a\t1\t7\t\t1|1\t1|2\t3\t5|6\t\t1\n");
    run_badly(prepare_tsv, TSV, ERR_DATA,
              "table:2: history.tags has 1 events, another column of "
              "history has 2");
    write_text(inside("table"), HEADER "a\t1\t7\t\t1|1\t\t\t\t\t-1\n");
    run_badly(prepare_tsv, TSV, ERR_DATA, "table:2: weight '-1' is negative");
    run_badly(prepare_tsv, "--config @nothing.yaml --in @table --out @out", ERR_CONFIG,
              "nothing.yaml");
    run_badly(prepare_tsv, TSV "--bag-separator |", ERR_USAGE,
              "--list-separator and --bag-separator are both '|', and each event of "
              "history.tags is a bag");
    write_text(inside("table"), HEADER "a\t0.5\t7\t\t1|2\t\t\t\t\t1\n" ALICE);
    run_well(prepare_tsv, TSV "--max-bad 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ROOM(a_table_becomes_the_tensors_of_its_schema),
        IN_ROOM(what_training_leaves_out_is_left_out_and_gaps_are_no_columns),
        IN_ROOM(separators_may_be_others_and_fields_quoted),
        IN_ROOM(a_single_event_may_have_an_empty_bag),
        IN_ROOM(other_files_are_other_splits),
        IN_ROOM(users_are_drawn_whole),
        IN_ROOM(what_is_wrong_with_a_table_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
