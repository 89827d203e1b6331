#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/hash.h"
#include "common/schema.h"

static const char text[] = "tables: {goods: {dim: 8}, user: {dim: 4}}\n"
                           "features:\n"
                           "  user: {table: user}\n"
                           "  price: {kind: float, transform: log}\n"
                           "  goods: {table: goods}\n"
                           "  history: {columns: {goods: {table: goods, drop_ids: 0.1}, time: "
                           "{kind: time}}, max_len: 5,"
                           " keep: first}\n"
                           "  tags: {table: goods, pool: mean}\n"
                           "  seen: {columns: {by: {table: user, pool: sum}}}\n";

static config *load(int n, char **words)
{
    config *c = NULL;

    if (config_parse(&c, "run.yaml", text, sizeof text - 1, n, words) != OK)
        fail_msg("%s", err_text());
    return c;
}

static uint64_t hash_with(char *word)
{
    config  *c = load(word != NULL, &word);
    schema  *s = NULL;
    uint64_t hash;

    assert_int_equal(schema_new(&s, c), OK);
    hash = s->hash;
    schema_free(&s);
    config_free(&c);
    return hash;
}

static void slots_stand_in_the_order_of_the_configuration(void **state)
{
    (void)state;
    config *c = load(0, NULL);
    schema *s = NULL;

    assert_int_equal(schema_new(&s, c), OK);
    assert_int_equal(s->n_tables, 2);
    assert_int_equal(s->n_slots, 5);
    assert_int_equal(s->n_sequences, 2);
    assert_int_equal(s->n_floats, 1);
    assert_string_equal(s->slots[0].name, "user");
    assert_string_equal(s->slots[1].name, "goods");
    assert_string_equal(s->slots[2].name, "history.goods");
    assert_string_equal(s->slots[3].name, "tags");
    assert_string_equal(s->slots[4].name, "seen.by");
    assert_int_equal(s->slots[1].sequence, -1);
    assert_int_equal(s->slots[2].sequence, 0);
    assert_int_equal(s->slots[4].sequence, 1);
    assert_true(s->slots[2].drop_ids == 0.1);
    assert_int_equal(s->slots[3].pool, POOL_MEAN);
    assert_int_equal(s->slots[4].pool, POOL_SUM);
    assert_int_equal(s->floats[0].transform, TRANSFORM_LOG);
    assert_int_equal(s->sequences[0].max_len, 5);
    assert_int_equal(s->sequences[0].keep, KEEP_FIRST);
    assert_true(s->sequences[0].timed);
    assert_false(s->sequences[1].timed);
    schema_free(&s);
    assert_null(s);
    config_free(&c);
}

static void slots_may_share_a_table(void **state)
{
    (void)state;
    config *c = load(0, NULL);
    schema *s = NULL;

    assert_int_equal(schema_new(&s, c), OK);
    assert_int_equal(s->slots[1].table, 0);
    assert_int_equal(s->slots[2].table, 0);
    assert_int_equal(s->slots[3].table, 0);
    assert_int_equal(s->slots[4].table, s->slots[0].table);
    assert_ptr_equal(s->tables[1].config, &c->tables[1]);
    assert_true(s->tables[0].salt == hash_table_salt("goods"));
    schema_free(&s);
    config_free(&c);
}

static void things_are_found_by_name(void **state)
{
    (void)state;
    config *c = load(0, NULL);
    schema *s = NULL;

    assert_int_equal(schema_new(&s, c), OK);
    assert_int_equal(schema_find_table(s, "user"), 1);
    assert_int_equal(schema_find_slot(s, "history.goods"), 2);
    assert_int_equal(schema_find_sequence(s, "seen"), 1);
    assert_int_equal(schema_find_float(s, "price"), 0);
    assert_int_equal(schema_find_table(s, "price"), -1);
    assert_int_equal(schema_find_slot(s, "history"), -1);
    assert_int_equal(schema_find_slot(s, "history.time"), -1);
    assert_int_equal(schema_find_sequence(s, "goods"), -1);
    assert_int_equal(schema_find_float(s, "goods"), -1);
    schema_free(&s);
    config_free(&c);
}

static void the_hash_changes_with_what_a_checkpoint_holds_and_nothing_else(void **state)
{
    (void)state;
    uint64_t plain = hash_with(NULL);

    assert_true(hash_with("tables.goods.dim=9") != plain);
    assert_true(hash_with("tables.goods.optimizer=adam") != plain);
    assert_true(hash_with("tables.more.dim=4") != plain);
    assert_true(hash_with("tables.goods.lr=1") == plain);
    assert_true(hash_with("features.history.max_len=7") == plain);
    assert_true(hash_with("features.fresh.table=user") == plain);
}

static void the_hash_does_not_depend_on_the_order_of_tables(void **state)
{
    (void)state;
    static const char *const orders[] = {"tables: {a: {dim: 1}, b: {dim: 2}}",
                                         "tables: {b: {dim: 2}, a: {dim: 1}}"};
    uint64_t                 hash[2];

    for (int i = 0; i < 2; i++) {
        config *c = NULL;
        schema *s = NULL;
        assert_int_equal(config_parse(&c, "run.yaml", orders[i], strlen(orders[i]), 0, NULL),
                         OK);
        assert_int_equal(schema_new(&s, c), OK);
        hash[i] = s->hash;
        schema_free(&s);
        config_free(&c);
    }
    assert_true(hash[0] == hash[1]);
}

static void a_feature_of_no_table_is_refused_by_name(void **state)
{
    (void)state;
    config *c = load(0, NULL);
    schema *s = NULL;

    strcpy(c->features[3].columns[0].table, "gone");
    assert_int_equal(schema_new(&s, c), ERR_CONFIG);
    assert_string_equal(err_text(), "feature history.goods: there is no table 'gone'");
    assert_null(s);
    config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_stand_in_the_order_of_the_configuration),
        cmocka_unit_test(slots_may_share_a_table),
        cmocka_unit_test(things_are_found_by_name),
        cmocka_unit_test(the_hash_changes_with_what_a_checkpoint_holds_and_nothing_else),
        cmocka_unit_test(the_hash_does_not_depend_on_the_order_of_tables),
        cmocka_unit_test(a_feature_of_no_table_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
