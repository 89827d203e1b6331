/* Groups of rows side by side by time: worked out by hand. */
#include "tests/worker/fixture.h"

#include <string.h>

#include "worker/layers/packing.h"

/* Lengths 3, 1, 2, 0, 3: rows 0 1 2 | 3 | 4 5 | | 6 7 8. */
static const int offsets[] = {0, 3, 4, 6, 6, 9};

#define GROUPS 5
#define ROWS   9

static arena memory;

static packing pack(const int *groups_of, int groups, bool backwards)
{
    static axis  axes[1];
    static batch b;
    packing      k;
    pass         p = {.batch = &b, .arena = &memory, .axes = axes};

    b       = (batch){.B = groups};
    axes[0] = (axis){.parent = PER_SAMPLE};
    pass_set_axis(&p, 0, groups_of);
    MUST(packing_take(&k, 0, backwards, &p));
    return k;
}

static int clear(void **state)
{
    (void)state;
    arena_clear(&memory);
    return 0;
}

#define assert_list(list, ...)                                                                 \
    assert_memory_equal(list, ((int[]){__VA_ARGS__}), sizeof((int[]){__VA_ARGS__}))

static void the_longest_groups_come_first_in_every_step(void **state)
{
    (void)state;
    packing k = pack(offsets, GROUPS, false);

    assert_int_equal(k.steps, 3);
    assert_int_equal(k.rows, ROWS);
    assert_list(k.starts, 0, 4, 7, 9);
    assert_list(k.row, 0, 6, 4, 3, 1, 7, 5, 2, 8);
    assert_int_equal(packing_width(&k, 1), 3);
}

static void backwards_every_group_begins_with_its_last_row(void **state)
{
    (void)state;
    packing k = pack(offsets, GROUPS, true);

    assert_list(k.starts, 0, 4, 7, 9);
    assert_list(k.row, 2, 8, 5, 3, 1, 7, 4, 0, 6);
}

static void nothing_packs_to_nothing(void **state)
{
    (void)state;
    packing none = pack(offsets, 0, false), empty = pack((int[]){0, 0, 0}, 2, true);

    assert_int_equal(none.steps, 0);
    assert_int_equal(none.rows, 0);
    assert_int_equal(empty.steps, 0);
    assert_int_equal(empty.rows, 0);
}

static void what_is_gathered_is_scattered_back(void **state)
{
    (void)state;
    packing k = pack(offsets, GROUPS, true);
    real    x[ROWS][2], packed[ROWS][2], back[ROWS][2];

    for (int i = 0; i < ROWS; i++)
        for (int d = 0; d < 2; d++)
            x[i][d] = (real)(10 * i + d);
    packing_gather(packed[0], &k, x[0], 2);
    assert_true(packed[4][1] == 11); /* row 1 */
    packing_scatter(back[0], &k, packed[0], false, 2);
    assert_memory_equal(back, x, sizeof x);
    packing_scatter(back[0], &k, packed[0], true, 2);
    assert_true(back[8][1] == 162);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_longest_groups_come_first_in_every_step, clear),
        cmocka_unit_test_teardown(backwards_every_group_begins_with_its_last_row, clear),
        cmocka_unit_test_teardown(nothing_packs_to_nothing, clear),
        cmocka_unit_test_teardown(what_is_gathered_is_scattered_back, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
