/* A model that learns can fit a few samples by heart. */
#include "tests/worker/fixture.h"

#define FEATURES                                                                               \
    "tables: {user: {dim: 4}, item: {dim: 8}, cate: {dim: 4}}\n"                               \
    "features:\n"                                                                              \
    "  user: {table: user}\n"                                                                  \
    "  item: {table: item}\n"                                                                  \
    "  cate: {table: cate}\n"                                                                  \
    "  history: {columns: {item: {table: item}, cate: {table: cate}}}\n"                       \
    "dense: {optimizer: adam, lr: 0.01}\n"

static void overfit(const char *yaml)
{
    world            w;
    double           loss      = 0;
    static const int lengths[] = {0, 1, 5, 12};

    world_open(&w, yaml);
    world_rows(&w, 40, .1);
    world_draw(&w, 64, 4, lengths, 9);
    for (int step = 0; step < 300; step++) {
        loss = world_backward(&w) / 64;
        world_update(&w, loss * 64, 1);
    }
    print_message("log loss after 300 steps: %.6f\n", loss);
    assert_true(loss < .01);
    world_close(&w);
}

static void din_learns_64_samples_by_heart(void **state)
{
    (void)state;
    overfit(FEATURES
            "model: {kind: din, profile: [user], candidate: [item, cate], history: history, "
            "attention: {units: [16, 8]}, mlp: {units: [32, 16]}}\n");
}

static void base_learns_64_samples_by_heart(void **state)
{
    (void)state;
    overfit(FEATURES
            "model: {kind: base, profile: [user], candidate: [item, cate], history: history, "
            "pool: mean, mlp: {units: [32, 16], activation: prelu}}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(din_learns_64_samples_by_heart),
        cmocka_unit_test(base_learns_64_samples_by_heart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
