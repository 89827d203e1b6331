/* The dense parameters: first values, a step's arithmetic, files. */
#include "tests/worker/fixture.h"

#include "tests/room.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEAR (sizeof(real) == sizeof(float) ? 1e-6 : 1e-14)

/* A dense of one weight (2, 1), one bias (1) and one moments of 2 channels. */
typedef struct small {
    config  *config;
    dense   *dense;
    comm    *workers;
    param   *weight, *bias;
    moments *moments;
} small;

static void open_small(small *s, const char *yaml)
{
    MUST(config_parse(&s->config, "test", yaml, strlen(yaml), 0, NULL));
    MUST(comm_self(&s->workers));
    MUST(dense_new(&s->dense, s->config));
    MUST(
        dense_param(s->dense, &s->weight, "a.weight", 2, (int[2]){2, 1}, FILL_XAVIER, 0, true));
    MUST(dense_param(s->dense, &s->bias, "a.bias", 1, (int[2]){1, 1}, FILL_CONSTANT, .25,
                     false));
    MUST(dense_moments(s->dense, &s->moments, "a", 2, .9));
    MUST(dense_seal(s->dense, 1));
}

static void close_small(small *s)
{
    dense_free(&s->dense);
    comm_close(&s->workers);
    config_free(&s->config);
}

#define SGD "model: {kind: base}\ndense: {optimizer: sgd, lr: 0.5}\n"

static void set_gradient(small *s, double g0, double g1, double bias)
{
    s->weight->g[0] = (real)g0;
    s->weight->g[1] = (real)g1;
    s->bias->g[0]   = (real)bias;
}

static void weights_are_drawn_by_seed_and_name(void **state)
{
    small   s, again;
    config *c;
    dense  *d;
    param  *large, *other;
    double  sum = 0, squares = 0, most = 0;

    (void)state;
    open_small(&s, SGD);
    open_small(&again, SGD);
    assert_memory_equal(s.weight->w, again.weight->w, 2 * sizeof(real));
    assert_true(s.bias->w[0] == (real).25);
    assert_true(s.moments->mean[1] == 0 && s.moments->var[1] == 1);
    assert_true(dense_hash(s.dense) == dense_hash(again.dense));
    again.weight->w[1] += (real).001;
    assert_true(dense_hash(s.dense) != dense_hash(again.dense));

    c = s.config;
    MUST(dense_new(&d, c));
    MUST(dense_param(d, &large, "large", 2, (int[2]){200, 100}, FILL_XAVIER, 0, true));
    MUST(dense_param(d, &other, "other", 2, (int[2]){200, 100}, FILL_XAVIER, 0, true));
    assert_int_equal(dense_param(d, &other, "large", 2, (int[2]){1, 1}, FILL_XAVIER, 0, true),
                     ERR_CONFIG);
    MUST(dense_seal(d, 1));
    for (size_t k = 0; k < large->count; k++) {
        double w = (double)large->w[k];
        sum += w;
        squares += w * w;
        most = fmax(most, fabs(w));
    }
    /* Uniform on +-a has variance a^2 / 3; a = sqrt(6 / (fan_in + fan_out)). */
    assert_true(most <= sqrt(6. / 300) && most > .999 * sqrt(6. / 300));
    assert_true(fabs(squares / (double)large->count - 2. / 300) < 1e-4);
    assert_true(fabs(sum / (double)large->count) < 3e-3);
    assert_memory_not_equal(large->w, other->w, 100 * sizeof(real));
    dense_free(&d);
    close_small(&s);
    close_small(&again);
}

static void a_step_averages_over_samples(void **state)
{
    small      s;
    dense_step step = {.samples = 4, .loss = 10};
    double     before;

    (void)state;
    open_small(&s, SGD);
    before = (double)s.weight->w[0];
    set_gradient(&s, 8, 0, 2);
    MUST(dense_reduce(s.dense, s.workers, &step));
    assert_true(step.samples == 4 && step.loss == 10 && step.bad == 0);
    dense_update(s.dense, 0);
    assert_near((double)s.weight->w[0], before - .5 * 2, NEAR);
    assert_near((double)s.bias->w[0], .25 - .5 * .5, NEAR);
    close_small(&s);
}

/* By 1 - momentum = .1 of the batch's; not at all where it had fewer than two rows. */
static void moments_move_with_the_update(void **state)
{
    small      s;
    dense_step step = {.samples = 1};

    (void)state;
    open_small(&s, SGD);
    for (int rows = 3; rows >= 1; rows -= 2) {
        s.moments->rows          = rows;
        s.moments->batch_mean[0] = 100;
        s.moments->batch_var[0]  = 3;
        MUST(dense_reduce(s.dense, s.workers, &step));
        assert_near((double)s.moments->mean[0], rows == 3 ? 0 : 10, NEAR);
        dense_update(s.dense, 0);
        assert_near((double)s.moments->mean[0], 10, NEAR);
        assert_near((double)s.moments->var[0], .9 + .3,
                    sizeof(real) == sizeof(float) ? 1e-4 : 1e-12);
    }
    close_small(&s);
}

/* clip_grad_norm_: (3, 4) of norm 5 is scaled by 1 / (5 + 1e-6); the penalty comes after. */
static void clipping_scales_to_the_norm_and_l2_follows(void **state)
{
    small  s;
    double w, scale = 1 / (5 + 1e-6);

    (void)state;
    open_small(&s, "model: {kind: base}\nclip: {dense_norm: 1}\n"
                   "dense: {optimizer: sgd, lr: 0.5, l2: 0.5}\n");
    w = (double)s.weight->w[0];
    set_gradient(&s, 3, 0, 4);
    dense_update(s.dense, 0);
    assert_near((double)s.weight->w[0], w - .5 * (3 * scale + .5 * w), NEAR);
    assert_near((double)s.bias->w[0], .25 - .5 * 4 * scale, NEAR);
    close_small(&s);
}

static void a_gradient_that_is_not_finite_is_noticed(void **state)
{
    small s;

    (void)state;
    open_small(&s, SGD);
    assert_true(dense_finite(s.dense));
    s.bias->g[0] = (real)INFINITY;
    assert_false(dense_finite(s.dense));
    s.bias->g[0]             = 0;
    s.moments->rows          = 5;
    s.moments->batch_mean[1] = (real)NAN;
    assert_false(dense_finite(s.dense));
    close_small(&s);
}

/* ---- files ---- */

#define ADAM "model: {kind: base}\ndense: {optimizer: adam, lr: 0.5}\n"

static void train(small *s, int64_t from, int64_t to)
{
    for (int64_t t = from; t < to; t++) {
        dense_step step = {.samples = 2};
        set_gradient(s, (double)t - 1, .5, 2);
        s->moments->rows          = 4;
        s->moments->batch_mean[0] = (real)t;
        s->moments->batch_var[0]  = 2;
        MUST(dense_reduce(s->dense, s->workers, &step));
        dense_update(s->dense, t);
    }
}

static void a_saved_dense_goes_on_as_though_nothing_was(void **state)
{
    small       s, resumed;
    const char *path = inside("resumed");

    (void)state;
    open_small(&s, ADAM);
    open_small(&resumed, ADAM);
    train(&s, 0, 3);
    MUST(dense_save(s.dense, path, NULL));
    MUST(dense_load(resumed.dense, path));
    train(&s, 3, 6);
    train(&resumed, 3, 6);
    assert_true(dense_hash(s.dense) == dense_hash(resumed.dense));
    assert_memory_equal(s.weight->w, resumed.weight->w, 2 * sizeof(real));
    close_small(&resumed);
    close_small(&s);
}

static void check_load_refused(dense *d, const char *path, const char *sentence)
{
    uint64_t before = dense_hash(d);

    assert_int_equal(dense_load(d, path), ERR_FORMAT);
    if (!strstr(err_text(), sentence))
        fail_msg("'%s' does not contain '%s'", err_text(), sentence);
    assert_true(dense_hash(d) == before);
}

static void a_file_of_another_model_is_refused_by_name(void **state)
{
    small       s, adam;
    dense      *wider, *more;
    param      *p;
    const char *path = inside("refused");

    (void)state;
    open_small(&s, SGD);
    open_small(&adam, ADAM);
    MUST(dense_save(s.dense, path, NULL));
    check_load_refused(adam.dense, path, "a.weight@m");

    MUST(dense_new(&wider, s.config));
    MUST(dense_param(wider, &p, "a.weight", 2, (int[2]){3, 1}, FILL_XAVIER, 0, true));
    MUST(dense_seal(wider, 1));
    check_load_refused(wider, path, "a.weight");

    MUST(dense_new(&more, s.config));
    MUST(dense_param(more, &p, "a.weight", 2, (int[2]){2, 1}, FILL_XAVIER, 0, true));
    MUST(dense_seal(more, 1));
    check_load_refused(more, path, "4 tensors, this model has 1");
    dense_free(&more);
    dense_free(&wider);
    close_small(&adam);
    close_small(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_drawn_by_seed_and_name),
        cmocka_unit_test(a_step_averages_over_samples),
        cmocka_unit_test(moments_move_with_the_update),
        cmocka_unit_test(clipping_scales_to_the_norm_and_l2_follows),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_noticed),
        cmocka_unit_test(a_saved_dense_goes_on_as_though_nothing_was),
        cmocka_unit_test(a_file_of_another_model_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, room_open, room_close);
}
