#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ps/slab_array.h"

static const slab_shape shapes[] = {{0, 6}, {2, 20}, {3, 6}, {3, 10}, {5, 3}};

#define SHAPES (sizeof shapes / sizeof *shapes)

/* Blocks as the head of the file tells them, one after another. */
static void elements_lie_where_the_blocks_are_in_turn(void **unused)
{
    (void)unused;

    for (size_t k = 0; k < SHAPES; k++) {
        uint32_t element = 0;
        for (uint32_t block = 0; element < 100000; block++) {
            uint32_t singles = UINT32_C(2) << shapes[k].steps;
            int bits = block < singles ? 0 : (int)((block - singles) >> shapes[k].steps) + 1;
            if (bits > shapes[k].most)
                bits = shapes[k].most;
            slab_array a = {.n_blocks = block};
            assert_int_equal(slab_array_length(&a, shapes[k]), element);
            assert_int_equal(slab_array_next_bits(&a, shapes[k]), bits);
            for (uint32_t i = 0; i < UINT32_C(1) << bits; i++) {
                assert_int_equal(slab_array_block(shapes[k], element), block);
                assert_int_equal(slab_array_block_bits(shapes[k], element), bits);
                element++;
            }
        }
    }
}

/* Two arrays that grow in turns keep their elements apart and in their places. */
static void an_array_keeps_its_elements_while_it_grows(void **unused)
{
    (void)unused;
    enum { N = 5000 };

    for (size_t k = 0; k < SHAPES; k++) {
        slab       elements, directories;
        slab_array arrays[2] = {0};
        uint32_t  *first[2]  = {0};
        slab_init(&elements, sizeof(uint32_t), "a test");
        slab_init(&directories, sizeof(uint32_t), "a test");
        for (uint32_t i = 0; i < N; i++)
            for (uint32_t which = 0; which < 2; which++) {
                slab_array *a = &arrays[which];
                assert_int_equal(
                    slab_array_reserve(a, shapes[k], i + 1, &elements, &directories), OK);
                uint32_t *x  = slab_at(&elements, slab_array_number(a, shapes[k], i));
                *x           = 2 * i + which;
                first[which] = i ? first[which] : x;
            }
        for (uint32_t i = 0; i < N; i++)
            for (uint32_t which = 0; which < 2; which++)
                assert_int_equal(
                    *(uint32_t *)slab_at(&elements,
                                         slab_array_number(&arrays[which], shapes[k], i)),
                    2 * i + which);
        assert_ptr_equal(first[0],
                         slab_at(&elements, slab_array_number(&arrays[0], shapes[k], 0)));
        slab_clear(&elements);
        slab_clear(&directories);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_lie_where_the_blocks_are_in_turn),
        cmocka_unit_test(an_array_keeps_its_elements_while_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
