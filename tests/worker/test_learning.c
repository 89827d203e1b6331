/* A model that learns can fit a few samples by heart, and finds in a planted world what its
 * simpler sibling cannot see. */
#include "tests/worker/fixture.h"

#include <math.h>

#include "common/rng.h"

#define FEATURES                                                                               \
    "tables: {user: {dim: 4}, item: {dim: 8}, cate: {dim: 4}}\n"                               \
    "features:\n"                                                                              \
    "  user: {table: user}\n"                                                                  \
    "  item: {table: item}\n"                                                                  \
    "  cate: {table: cate}\n"                                                                  \
    "  history: {columns: {item: {table: item}, cate: {table: cate}}}\n"                       \
    "dense: {optimizer: adam, lr: 0.01}\n"

#define TIMED                                                                                  \
    "tables: {user: {dim: 4}, item: {dim: 8}, cate: {dim: 4}}\n"                               \
    "features: {user: {table: user}, item: {table: item}, cate: {table: cate},\n"              \
    "  history: {columns: {item: {table: item}, cate: {table: cate}, time: {kind: time}}}}\n"  \
    "dense: {optimizer: adam, lr: 0.01}\n"

#define CROSSED                                                                                \
    "tables: {user: {dim: 8}, item: {dim: 8}, cate: {dim: 8}}\n"                               \
    "features: {user: {table: user}, item: {table: item}, cate: {table: cate},\n"              \
    "           history: {columns: {item: {table: item}}}}\n"                                  \
    "dense: {optimizer: adam, lr: 0.01}\n"
#define CROSSED_INPUTS "profile: [user], candidate: [item, cate], history: history, pool: mean"

static void overfit(const char *yaml, int steps)
{
    world            w;
    double           loss      = 0;
    static const int lengths[] = {0, 1, 5, 12};

    world_open(&w, yaml);
    world_rows(&w, 40, .1);
    world_draw(&w, 64, 4, lengths, 9);
    for (int step = 0; step < steps; step++) {
        loss = world_backward(&w) / 64;
        world_update(&w, loss * 64, 1);
    }
    print_message("log loss after %d steps: %.6f\n", steps, loss);
    assert_true(loss < .01);
    world_close(&w);
}

static void din_learns_64_samples_by_heart(void **state)
{
    (void)state;
    overfit(FEATURES
            "model: {kind: din, profile: [user], candidate: [item, cate], history: history, "
            "attention: {units: [16, 8]}, mlp: {units: [32, 16]}}\n",
            300);
}

static void base_learns_64_samples_by_heart(void **state)
{
    (void)state;
    overfit(FEATURES
            "model: {kind: base, profile: [user], candidate: [item, cate], history: history, "
            "pool: mean, mlp: {units: [32, 16], activation: prelu}}\n",
            300);
}

static void fm_and_afm_learn_64_samples_by_heart(void **state)
{
    (void)state;
    overfit(CROSSED "model: {kind: fm, " CROSSED_INPUTS "}\n", 600);
    overfit(CROSSED "model: {kind: afm, " CROSSED_INPUTS "}\n", 600);
}

static void dien_learns_64_samples_by_heart(void **state)
{
    (void)state;
    overfit(TIMED
            "model: {kind: dien, profile: [user], candidate: [item, cate], history: history, "
            "auxiliary: {kind: none}, mlp: {units: [32, 16]}}\n",
            300);
}

static void dsin_learns_64_samples_by_heart(void **state)
{
    (void)state;
    overfit(TIMED
            "model: {kind: dsin, profile: [user], candidate: [item, cate], history: history, "
            "sessions: {gap: 3000}, mlp: {units: [32, 16]}}\n",
            300);
}

static void dstn_learns_64_samples_by_heart(void **state)
{
    (void)state;
    overfit(FEATURES "model: {kind: dstn, profile: [user], candidate: [item, cate], "
                     "contextual: history, dstn: {hidden: 16}, mlp: {units: [32, 16]}}\n",
            300);
}

/* ---- planted worlds ---- */

/* Labels of w's batch by chance, with odds e^logit(w, b); seed: of the chance. */
static void plant(world *w, double (*logit)(const world *w, int b), uint64_t seed)
{
    rng r = rng_named(seed, RNG_TEST, 4, 0);

    for (int b = 0; b < w->batch.B; b++)
        w->batch.label[b] = rng_uniform(&r) < 1 / (1 + exp(-logit(w, b)));
}

/* Train on `train` samples of the world, all in one batch; the least log loss of `test` others
 * that is seen on the way. The world stays open. */
static double train_planted(world *w, const char *yaml, double (*logit)(const world *w, int b),
                            int train, int test, int steps, double row_lr)
{
    static const int lengths[] = {1, 3, 2};
    double           least     = INFINITY;
    batch            trained, tested;

    world_open(w, yaml);
    world_rows(w, 12, .1);
    world_draw(w, test, 3, lengths, 23);
    plant(w, logit, 24);
    tested = w->batch;
    world_draw(w, train, 3, lengths, 21);
    plant(w, logit, 22);
    trained = w->batch;
    for (int step = 1; step <= steps; step++) {
        world_update(w, world_backward(w), row_lr);
        if (step % 10)
            continue;
        w->batch    = tested;
        w->training = false;
        least       = fmin(least, world_loss(w) / test);
        w->batch    = trained;
        w->training = true;
    }
    return least;
}

/* 1 or -1 of the id in the slot. */
static double sign_of(const world *w, int slot, int b)
{
    return w->batch.slots[slot].distinct[b] % 2 ? 1 : -1;
}

/* Of the 28 crosses of eight fields two decide. */
static double two_crosses(const world *w, int b)
{
    return 2 * sign_of(w, 0, b) * sign_of(w, 1, b) + 2 * sign_of(w, 2, b) * sign_of(w, 3, b);
}

#define EIGHT                                                                                  \
    "tables: {t0: {dim: 5}, t1: {dim: 5}, t2: {dim: 5}, t3: {dim: 5}, t4: {dim: 5},\n"         \
    "         t5: {dim: 5}, t6: {dim: 5}, t7: {dim: 5}}\n"                                     \
    "features: {f0: {table: t0}, f1: {table: t1}, f2: {table: t2}, f3: {table: t3},\n"         \
    "           f4: {table: t4}, f5: {table: t5}, f6: {table: t6}, f7: {table: t7}}\n"         \
    "dense: {optimizer: adam, lr: 0.02}\n"
#define ALL_EIGHT "profile: [f0, f1, f2, f3], candidate: [f4, f5, f6, f7]"

/* Mean over training of the weights of the crosses (0, 1) and (2, 3), and of the 26 others. */
static void mean_weights(const world *w, double *signal, double *noise)
{
    const param *mean = dense_find(w->dense, "attention.mean");

    *signal = *noise = 0;
    for (size_t p = 0; p < mean->count; p++)
        *(p == 0 || p == 13 ? signal : noise) += (double)mean->w[p];
    *signal /= 2;
    *noise /= 26;
}

static void afm_tells_signal_from_noise_and_beats_fm(void **state)
{
    world  w;
    double signal, noise;

    (void)state;
    double fm = train_planted(&w, EIGHT "model: {kind: fm, " ALL_EIGHT "}\n", two_crosses, 4000,
                              2000, 200, 2);
    world_close(&w);
    double afm = train_planted(&w, EIGHT "model: {kind: afm, " ALL_EIGHT "}\n", two_crosses,
                               4000, 2000, 250, 20);
    mean_weights(&w, &signal, &noise);
    world_close(&w);
    print_message("log loss: FM %.4f, AFM %.4f; mean weight: signal %.4f, noise %.4f\n", fm,
                  afm, signal, noise);
    assert_true(afm < fm - .005);
    assert_true(signal > 1.5 * noise);
}

/* An ad of the candidate's kind above it on the page takes the click. */
static double competition(const world *w, int b)
{
    const int *above  = w->batch.sequences[0].offsets;
    int        rivals = 0;

    for (int i = above[b]; i < above[b + 1]; i++)
        rivals += w->batch.slots[1].distinct[i] % 3 == w->batch.slots[0].distinct[b] % 3;
    return 2 - 4 * (rivals > 0);
}

#define PAGE                                                                                   \
    "tables: {ad: {dim: 4}}\n"                                                                 \
    "features: {ad: {table: ad}, above: {columns: {ad: {table: ad}}}}\n"                       \
    "dense: {optimizer: adam, lr: 0.02}\n"                                                     \
    "model: {kind: dstn, candidate: [ad], contextual: above, mlp: {units: [16, 8]}, dstn: {"

static void dstn_sees_which_ads_compete(void **state)
{
    world w;

    (void)state;
    double none = train_planted(&w, PAGE "mode: none}}\n", competition, 2000, 2000, 150, 5);
    world_close(&w);
    double interactive =
        train_planted(&w, PAGE "hidden: 16}}\n", competition, 2000, 2000, 150, 5);
    world_close(&w);
    print_message("log loss: none %.4f, interactive %.4f\n", none, interactive);
    assert_true(interactive < none - .1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(din_learns_64_samples_by_heart),
        cmocka_unit_test(base_learns_64_samples_by_heart),
        cmocka_unit_test(fm_and_afm_learn_64_samples_by_heart),
        cmocka_unit_test(dien_learns_64_samples_by_heart),
        cmocka_unit_test(dsin_learns_64_samples_by_heart),
        cmocka_unit_test(dstn_learns_64_samples_by_heart),
        cmocka_unit_test(afm_tells_signal_from_noise_and_beats_fm),
        cmocka_unit_test(dstn_sees_which_ads_compete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
