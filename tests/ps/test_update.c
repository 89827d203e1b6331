/* What a step does to rows: gradients of all workers, the penalty of DIN's equation 7, the
 * rule; told to shards by messages. */
#include "common/bf16.h"
#include "harness.h"

#define COUNTS inside("counts.safetensors")
#define DIM    2

/* A run's YAML with one table, `more` being the rest of its options. */
static world *make(int shards, const char *more, const char *counts)
{
    char yaml[1024];

    snprintf(yaml, sizeof yaml,
             "tables: {t: {dim: %d, %slr: 0.5, %s}}\nfeatures: {f: {table: t}}\n", DIM,
             strstr(more, "optimizer") ? "" : "optimizer: sgd, ", more);
    return world_new(yaml, shards, counts);
}

/* One step at clock step: worker k trains needs[k] with gradients[k] (sums). */
static void train(world *w, uint64_t step, const need *needs, real *const *gradients,
                  const double *samples)
{
    real rows[64 * DIM], *at[] = {rows};

    for (int k = 0; k < w->workers; k++)
        ask(w, WIRE_PULL, k, step, step, &needs[k]);
    deliver_all(w);
    for (int k = 0; k < w->workers; k++) {
        take_rows(w, k, step, &needs[k], at);
        push(w, k, step, step + 1, samples[k], true, &needs[k], &gradients[k]);
    }
    deliver_all(w);
    for (int i = 0; i < w->n_shards; i++)
        assert_int_equal(shard_clock(w->shards[i]), step + 1);
}

static void bear(world *w, const need *n)
{
    net_message m;

    ask(w, WIRE_BIRTH, 0, 0, 0, n);
    deliver_all(w);
    for (int i = 0; i < w->n_shards; i++) {
        expect_answer(w, i, 0, WIRE_DONE, 0, &m);
        net_message_clear(&m);
    }
}

static void set_row(world *w, uint64_t id, const real *x)
{
    const row *r = row_of(w, 0, id);

    memcpy((real *)(uintptr_t)r->x, x, DIM * sizeof *x);
}

static void check(const real *got, const double *want, int n, double tolerance)
{
    for (int i = 0; i < n; i++)
        if (fabs((double)got[i] - want[i]) > tolerance)
            fail_msg("number %d is %.17g, wanted %.17g", i, (double)got[i], want[i]);
}

/* ---- the golden step ---- */

static const uint64_t golden_ids[]    = {0, 1, 2, 3, 4};
static const uint32_t golden_counts[] = {1000, 10, 4, 2, 1};

/* Rows (j+1)/10, -(j+1)/10; samples [1,2,2], [2,3], [0]; labels 1, 0, 1; a logit is the
 * sum of the looked-up w . (1, 2). The gradient of the summed loss by row, from the rows. */
static void golden_gradients(real g[5][DIM], const real w[5][DIM])
{
    const int    batch[3][3] = {{1, 2, 2}, {2, 3, -1}, {0, -1, -1}};
    const double labels[3]   = {1, 0, 1};

    memset(g, 0, 5 * sizeof *g);
    for (int s = 0; s < 3; s++) {
        double z = 0;
        for (int i = 0; i < 3; i++)
            if (batch[s][i] >= 0)
                z += (double)w[batch[s][i]][0] + 2 * (double)w[batch[s][i]][1];
        double d = 1 / (1 + exp(-z)) - labels[s];
        for (int i = 0; i < 3; i++)
            if (batch[s][i] >= 0) {
                g[batch[s][i]][0] += (real)d;
                g[batch[s][i]][1] += (real)(2 * d);
            }
    }
}

static void the_penalty_makes_the_golden_step(void **unused)
{
    (void)unused;
    static const double want[] = {.18749603124649,
                                  .07499356249298,
                                  .314895746854602,
                                  .030091493709204,
                                  .474314455737232,
                                  .049753911474464,
                                  .343697962028028,
                                  -.509604075943945,
                                  .5,
                                  -.5};
    write_counts(COUNTS, "t", golden_ids, golden_counts, 5);
    for (int shards = 1; shards <= 3; shards++) {
        world *w   = make(shards, "penalty: {kind: minibatch_aware, lambda: 0.01}", COUNTS);
        need   all = {5, golden_ids, NULL}, batch = {4, golden_ids, NULL};
        real   rows[5][DIM], g[5][DIM], *at[] = {rows[0]}, *gradients[] = {g[0]};
        world_begin(w, 1, NULL, 0);
        bear(w, &all);
        for (int j = 0; j < 5; j++)
            set_row(w, (uint64_t)j, (real[]){(real)(j + 1) / 10, -(real)(j + 1) / 10});
        read_rows(w, 0, &all, at);
        golden_gradients(g, (const real(*)[DIM])rows);
        train(w, 0, &batch, gradients, (double[]){3});
        read_rows(w, 1, &all, at);
        check(rows[0], want, 10, sizeof(real) == 8 ? 1e-12 : 1e-6);
        world_free(w);
    }
}

/* ---- the penalty of a row, by closed forms ---- */

/* Train the ids with gradients of zero. */
static void train_without_gradient(world *w, uint64_t step, const uint64_t *ids, uint32_t n)
{
    need  needs[]     = {{n, ids, NULL}};
    real  g[64 * DIM] = {0};
    real *gradients[] = {g};

    train(w, step, needs, gradients, (double[]){1});
}

static void a_batch_is_charged_the_squared_norm_over_n(void **unused)
{
    (void)unused;
    const uint64_t ids[]        = {7, UINT64_MAX};
    const uint32_t counts[]     = {2, 5};
    const real     rows[2][DIM] = {{1, 0}, {3, 4}}; /* squared norms 1 and 25 */
    need           both         = {2, ids, NULL};
    real           after[2][DIM], *at[] = {after[0]};
    double         charge = 0;

    write_counts(COUNTS, "t", ids, counts, 2);
    world *w = make(2, "penalty: {kind: minibatch_aware, lambda: 2}", COUNTS);
    world_begin(w, 1, NULL, 0);
    bear(w, &both);
    for (int i = 0; i < 2; i++)
        set_row(w, ids[i], rows[i]);
    train_without_gradient(w, 0, ids, 2); /* lr lambda = 1 */
    read_rows(w, 1, &both, at);
    for (int i = 0; i < 2; i++)
        for (int d = 0; d < DIM; d++)
            charge += (double)(rows[i][d] * (rows[i][d] - after[i][d]));
    assert_true(fabs(charge - (1. / 2 + 25. / 5)) < 32 * (double)REAL_EPSILON);
    world_free(w);
}

/* One sample per step: a row with n samples is charged lambda / n n times, so that equation
 * 5 sums up to equation 4 whatever n is. */
static void an_epoch_of_single_samples_charges_lambda_to_every_row(void **unused)
{
    (void)unused;
    const uint64_t ids[]    = {1, 2, 3};
    const uint32_t counts[] = {1, 4, 16};
    need           all      = {3, ids, NULL};
    real           rows[3][DIM], *at[] = {rows[0]};
    uint64_t       step = 0;

    write_counts(COUNTS, "t", ids, counts, 3);
    world *w = make(1, "penalty: {kind: minibatch_aware, lambda: 0.01}", COUNTS);
    world_begin(w, 1, NULL, 0);
    bear(w, &all);
    for (int i = 0; i < 3; i++) {
        set_row(w, ids[i], (real[]){1, -1});
        for (uint32_t sample = 0; sample < counts[i]; sample++)
            train_without_gradient(w, step++, &ids[i], 1);
    }
    read_rows(w, step, &all, at);
    for (int i = 0; i < 3; i++) {
        double left = pow(1 - 0.5 * 0.01 / counts[i], counts[i]);
        check(rows[i], (double[]){left, -left}, DIM, 32 * (double)REAL_EPSILON);
    }
    world_free(w);
}

/* The head is in each of 50 steps, in 20 samples a step; the tail once, in one. */
static void the_tail_decays_more_than_the_head(void **unused)
{
    (void)unused;
    const uint64_t ids[]    = {1, 2};
    const uint32_t counts[] = {1000, 1};
    need           both     = {2, ids, NULL};
    real           rows[2][DIM], *at[] = {rows[0]};

    write_counts(COUNTS, "t", ids, counts, 2);
    world *w = make(1, "penalty: {kind: minibatch_aware, lambda: 0.1}", COUNTS);
    world_begin(w, 1, NULL, 0);
    bear(w, &both);
    for (int i = 0; i < 2; i++)
        set_row(w, ids[i], (real[]){1, 1});
    for (uint64_t step = 0; step < 50; step++)
        train_without_gradient(w, step, ids, step == 25 ? 2 : 1);
    read_rows(w, 50, &both, at);
    double head = pow(1 - 0.5 * 0.1 / 1000, 50), tail = 1 - 0.5 * 0.1;
    check(rows[0], (double[]){head, head}, DIM, 64 * (double)REAL_EPSILON);
    check(rows[1], (double[]){tail, tail}, DIM, 64 * (double)REAL_EPSILON);
    assert_true(rows[1][0] < rows[0][0]);
    world_free(w);
}

static void two_workers_are_charged_once(void **unused)
{
    (void)unused;
    const uint64_t ids[]    = {9};
    const uint32_t counts[] = {10};
    need           needs[]  = {{1, ids, NULL}, {1, ids, NULL}};
    real           g0[] = {4, 6}, g1[] = {-2, 6}, rows[DIM];
    real          *gs[] = {g0, g1}, *at[] = {rows};

    write_counts(COUNTS, "t", ids, counts, 1);
    world *w = make(3, "penalty: {kind: minibatch_aware, lambda: 0.01}", COUNTS);
    world_begin(w, 2, NULL, 0);
    bear(w, &needs[1]);
    set_row(w, 9, (real[]){1, 2});
    train(w, 0, needs, gs, (double[]){5, 3});
    read_rows(w, 1, &needs[1], at);
    check(rows,
          (double[]){1 - .5 * ((4. - 2) / 8 + .001 * 1), 2 - .5 * ((6. + 6) / 8 + .001 * 2)},
          DIM, 16 * (double)REAL_EPSILON);
    world_free(w);
}

/* A pull must not name an id twice. Of one that does, whether alone or beside others, known
 * rows and unborn ones alike, the first gradient counts. */
static void of_an_id_that_a_pull_repeats_the_first_gradient_counts(void **unused)
{
    (void)unused;
    const uint64_t ids[]   = {9, 9, 4, 9, 4};
    need           needs[] = {{5, ids, NULL}, {1, ids, NULL}};

    for (int workers = 1; workers <= 2; workers++)
        for (int known = 0; known < 2; known++) {
            real   g0[] = {4, 6, 100, 100, 8, 8, 100, 100, 100, 100}, g1[] = {-2, 6};
            real  *gs[] = {g0, g1};
            world *w    = make(1, "init: {kind: zero}", NULL);
            world_begin(w, workers, NULL, 0);
            if (known)
                bear(w, &needs[0]);
            train(w, 0, needs, gs, (double[]){4, 4});
            double n = 4 * workers, other = workers - 1;
            check(row_of(w, 0, 9)->x,
                  (double[]){-.5 * (4 - 2 * other) / n, -.5 * (6 + 6 * other) / n}, DIM,
                  16 * (double)REAL_EPSILON);
            check(row_of(w, 0, 4)->x, (double[]){-.5 * 8 / n, -.5 * 8 / n}, DIM,
                  16 * (double)REAL_EPSILON);
            assert_int_equal(w->shards[0]->tables[0].repeated, 3);
            assert_int_equal(rows_held_by_all(w, 0), 2);
            world_free(w);
        }
}

static void the_running_count_is_that_of_the_steps_before(void **unused)
{
    (void)unused;
    const uint64_t id[]    = {5};
    uint32_t       three[] = {3}, two[] = {2};
    need           needs[] = {{1, id, three}, {1, id, two}};
    real           g0[DIM] = {0}, g1[DIM] = {0}, *gs[] = {g0, g1};
    double         left = 1;

    write_counts(COUNTS, "t", id, &(uint32_t){1000}, 1); /* there, but not asked for */
    world *w = make(1, "penalty: {kind: minibatch_aware, lambda: 0.1, count: running}", COUNTS);
    world_begin(w, 2, NULL, 0);
    bear(w, needs);
    set_row(w, 5, (real[]){1, 1});
    for (uint64_t step = 0; step < 4; step++) {
        double n = step ? 5. * (double)step : 1; /* 3 + 2 samples a step; at least 1 */
        left *= 1 - 0.5 * 0.1 / n;
        train(w, step, needs, gs, (double[]){4, 4});
        assert_int_equal(row_of(w, 0, 5)->count, 5 * (step + 1));
        check(row_of(w, 0, 5)->x, (double[]){left, left}, DIM, 16 * (double)REAL_EPSILON);
    }
    world_free(w);
}

static void decoupled_the_penalty_comes_after_the_rule(void **unused)
{
    (void)unused;
    const uint64_t id[] = {5};
    need           n    = {1, id, NULL};
    real           g[] = {3, -6}, *gs[] = {g};

    world *w = make(1, "penalty: {kind: l2, lambda: 0.2, decoupled: true}", NULL);
    world_begin(w, 1, NULL, 0);
    bear(w, &n);
    set_row(w, 5, (real[]){1, 2});
    train(w, 0, &n, gs, (double[]){3});
    check(row_of(w, 0, 5)->x,
          (double[]){(1 - 0.5 * 1) * (1 - 0.5 * 0.2), (2 + 0.5 * 2) * (1 - 0.5 * 0.2)}, DIM,
          16 * (double)REAL_EPSILON);
    world_free(w);
}

/* Train rows (1, -2) and (0.0625, 0) of ids 5 and 6 once with gradients (3, -6) and (0, 0) of
 * three samples at lr 0.5 under the penalty. */
static void expect_after_penalty(const char *penalty, const double *first, const double *second)
{
    const uint64_t ids[] = {5, 6};
    need           n     = {2, ids, NULL};
    real           g[] = {3, -6, 0, 0}, *gs[] = {g};

    world *w = make(1, penalty, NULL);
    world_begin(w, 1, NULL, 0);
    bear(w, &n);
    set_row(w, 5, (real[]){1, -2});
    set_row(w, 6, (real[]){(real)0.0625, 0});
    train(w, 0, &n, gs, (double[]){3});
    check(row_of(w, 0, 5)->x, first, DIM, 16 * (double)REAL_EPSILON);
    check(row_of(w, 0, 6)->x, second, DIM, 16 * (double)REAL_EPSILON);
    world_free(w);
}

static void l1_adds_the_sign_to_the_gradient(void **unused)
{
    (void)unused;
    expect_after_penalty("penalty: {kind: l1, lambda: 0.25}",
                         (double[]){1 - .5 * (1 + .25), -2 - .5 * (-2 - .25)},
                         (double[]){.0625 - .5 * .25, 0});
}

static void decoupled_l1_stops_at_zero(void **unused)
{
    (void)unused;
    expect_after_penalty("penalty: {kind: l1, lambda: 0.25, decoupled: true}",
                         (double[]){1 - .5 - .125, -2 + 1 + .125}, (double[]){0, 0});
}

/* ---- decay ---- */

enum { DECAYING = 30, DECAY_STEPS = 60 };

/* The plain model: every row that is born decays in every step; then the step's rows move. */
typedef struct eager {
    bool   born[DECAYING];
    double w[DECAYING][DIM], sum[DECAYING][DIM];
} eager;

static void eager_step(eager *e, double lr, double lambda, const uint64_t *ids, uint32_t n,
                       const real *g, bool adagrad)
{
    for (uint32_t i = 0; i < n; i++)
        e->born[ids[i]] = true;
    for (int i = 0; i < DECAYING; i++)
        for (int d = 0; e->born[i] && d < DIM; d++)
            e->w[i][d] *= 1 - lr * lambda;
    for (uint32_t i = 0; i < n; i++)
        for (int d = 0; d < DIM; d++) {
            double x = (double)g[i * DIM + (uint32_t)d], *sum = &e->sum[ids[i]][d];
            *sum += x * x;
            e->w[ids[i]][d] -= adagrad ? lr * x / (sqrt(*sum) + 1e-10) : lr * x;
        }
}

/* Steps in which rows are touched at random, some after long; after each of them what READ
 * tells of all rows is compared with the plain model. */
static void decay_for_a_while(const char *rule, int workers, int shards)
{
    rng      r = rng_named(11, RNG_TEST, 0, 0);
    eager    e = {0};
    real     rows[DECAYING][DIM], *at[] = {rows[0]};
    uint64_t all_ids[DECAYING];
    need     all = {DECAYING, all_ids, NULL};
    char     more[256];

    snprintf(more, sizeof more,
             "optimizer: %s, init: {scale: 1}, penalty: {kind: decay, lambda: 0.0625}", rule);
    world *w = make(shards, more, NULL);
    world_begin(w, workers, NULL, 0);
    for (uint64_t i = 0; i < DECAYING; i++)
        all_ids[i] = i;
    read_rows(w, 0, &all, at);
    for (int i = 0; i < DECAYING * DIM; i++)
        e.w[i / DIM][i % DIM] = (double)rows[i / DIM][i % DIM];
    for (uint64_t step = 0; step < DECAY_STEPS; step++) {
        uint64_t ids[DECAYING];
        real     g[DECAYING * DIM], zero[DECAYING * DIM] = {0}, *gs[] = {g, zero};
        uint32_t n = 0;
        for (uint64_t i = 0; i < DECAYING; i++)
            if (rng_below(&r, 1 + i) == 0) /* id 0 in every step, id 29 in few */
                ids[n++] = i;
        for (uint32_t i = 0; i < n * DIM; i++)
            g[i] = (real)rng_normal(&r);
        need needs[] = {{n, ids, NULL}, {n, ids, NULL}};
        eager_step(&e, 0.5, 0.0625, ids, n, g, !strcmp(rule, "adagrad"));
        train(w, step, needs, gs, workers == 1 ? (double[]){1} : (double[]){.5, .5});
        read_rows(w, step + 1, &all, at);
        for (int i = 0; i < DECAYING; i++)
            check(rows[i], e.w[i], DIM, 100 * (double)REAL_EPSILON);
    }
    world_free(w);
}

static void lazy_decay_is_that_of_every_row_in_every_step(void **unused)
{
    (void)unused;
    decay_for_a_while("sgd", 1, 1);
    decay_for_a_while("adagrad", 1, 3);
    decay_for_a_while("sgd", 2, 2);
}

/* Steps 0 and 1 at lr 0.5, steps 2 and 3 at 0.25; row 5 is touched by steps 0 and 2. What is
 * made up for is so at the rate of the last step. */
static void decay_is_made_up_for_at_the_rate_of_the_last_step(void **unused)
{
    (void)unused;
    const uint64_t ids[] = {5, 6};
    need           both = {2, ids, NULL}, other = {1, ids + 1, NULL};
    real           rows[2][DIM], *at[] = {rows[0]}, g[2 * DIM] = {0}, *gs[] = {g};

    world *w = world_new("tables: {t: {dim: 2, optimizer: sgd, lr: 0.5,"
                         " penalty: {kind: decay, lambda: 0.5}}}\n"
                         "features: {f: {table: t}}\n"
                         "schedule: {kind: step, rate: 0.5, every: 2}\n",
                         1, NULL);
    world_begin(w, 1, NULL, 0);
    bear(w, &both);
    set_row(w, 5, (real[]){1, -1});
    train(w, 0, &both, gs, (double[]){1});
    train(w, 1, &other, gs, (double[]){1});
    read_rows(w, 2, &both, at);
    check(rows[0], (double[]){.75 * .75, -.75 * .75}, DIM, 4 * (double)REAL_EPSILON);
    train(w, 2, &both, gs, (double[]){1});
    train(w, 3, &other, gs, (double[]){1});
    double left = .75 * .875 * .875;
    check(row_of(w, 0, 5)->x, (double[]){left, -left}, DIM, 4 * (double)REAL_EPSILON);
    read_rows(w, 4, &both, at);
    check(rows[0], (double[]){left * .875, -left * .875}, DIM, 4 * (double)REAL_EPSILON);
    world_free(w);
}

/* A row that is born at clock 3 has decayed for no more steps than have passed since. */
static void a_row_is_as_old_as_its_birth(void **unused)
{
    (void)unused;
    const uint64_t ids[] = {5, 6};
    need           both = {2, ids, NULL}, old = {1, ids, NULL}, young = {1, ids + 1, NULL};
    real           rows[2][DIM], birth[DIM], *at[] = {rows[0]}, *at_birth[] = {birth};
    real           g[2 * DIM] = {0}, *gs[] = {g};

    world *w = make(1, "init: {scale: 1}, penalty: {kind: decay, lambda: 0.5}", NULL);
    world_begin(w, 1, NULL, 0);
    for (uint64_t step = 0; step < 3; step++)
        train(w, step, &old, gs, (double[]){1});
    read_rows(w, 3, &young, at_birth);
    train(w, 3, &both, gs, (double[]){1});
    train(w, 4, &old, gs, (double[]){1});
    read_rows(w, 5, &both, at);
    check(rows[1], (double[]){(double)birth[0] * .75 * .75, (double)birth[1] * .75 * .75}, DIM,
          4 * (double)REAL_EPSILON);
    world_free(w);
}

static void a_row_is_clipped_after_dividing_and_before_the_penalty(void **unused)
{
    (void)unused;
    const uint64_t ids[] = {5, 6};
    need           n     = {2, ids, NULL};
    real           g[] = {12, 16, 3, 4}, *gs[] = {g}; /* norms 5 and 1.25 after dividing */

    world *w = world_new("tables: {t: {dim: 2, optimizer: sgd, lr: 0.5,"
                         " penalty: {kind: l2, lambda: 0.1}}}\n"
                         "features: {f: {table: t}}\nclip: {row_norm: 2}\n",
                         1, NULL);
    world_begin(w, 1, NULL, 0);
    bear(w, &n);
    set_row(w, 5, (real[]){1, 2});
    set_row(w, 6, (real[]){0, 0});
    train(w, 0, &n, gs, (double[]){4});
    check(row_of(w, 0, 5)->x, (double[]){1 - 0.5 * (1.2 + 0.1 * 1), 2 - 0.5 * (1.6 + 0.1 * 2)},
          DIM, 16 * (double)REAL_EPSILON);
    check(row_of(w, 0, 6)->x, (double[]){-0.5 * 0.75, -0.5 * 1}, DIM,
          16 * (double)REAL_EPSILON);
    world_free(w);
}

static void the_schedule_scales_the_learning_rate(void **unused)
{
    (void)unused;
    const uint64_t id[] = {5};
    need           n    = {1, id, NULL};
    real           g0[] = {1, 1}, g1[] = {1, 1}, *gs[] = {g0};

    world *w = world_new("tables: {t: {dim: 2, optimizer: sgd, lr: 0.5}}\n"
                         "features: {f: {table: t}}\n"
                         "schedule: {kind: step, rate: 0.1, every: 1}\n",
                         1, NULL);
    world_begin(w, 1, NULL, 0);
    bear(w, &n);
    set_row(w, 5, (real[]){1, 1});
    train(w, 0, &n, gs, (double[]){1});
    gs[0] = g1;
    train(w, 1, &n, gs, (double[]){1});
    check(row_of(w, 0, 5)->x, (double[]){0.45, 0.45}, DIM, 16 * (double)REAL_EPSILON);
    world_free(w);
}

/* ---- which rows a step changes ---- */

static void rows_outside_the_step_keep_every_bit(void **unused)
{
    (void)unused;
    uint64_t      ids[40];
    unsigned char before[20][sizeof(row)];
    real          x[20][DIM], g[20 * DIM], *gs[] = {g};
    uint32_t      counts[40];

    for (uint64_t i = 0; i < 40; i++) {
        ids[i]    = i * 65536;
        counts[i] = (uint32_t)i;
    }
    write_counts(COUNTS, "t", ids, counts, 40);
    world *w   = make(3, "penalty: {kind: minibatch_aware, lambda: 0.1}", COUNTS);
    need   all = {40, ids, NULL}, half = {20, ids + 20, counts};
    world_begin(w, 1, NULL, 0);
    bear(w, &all);
    for (int i = 0; i < 20; i++) {
        memcpy(before[i], row_of(w, 0, ids[i]), sizeof(row));
        memcpy(x[i], row_of(w, 0, ids[i])->x, sizeof x[i]);
    }
    for (uint64_t step = 0; step < 5; step++) {
        for (int i = 0; i < 20 * DIM; i++)
            g[i] = (real)i;
        train(w, step, &half, gs, (double[]){20});
    }
    for (int i = 0; i < 20; i++) {
        const row *r = row_of(w, 0, ids[i]);
        assert_memory_equal(r, before[i], sizeof *r);
        assert_memory_equal(r->x, x[i], sizeof x[i]);
    }
    for (int i = 20; i < 40; i++) {
        assert_int_equal(row_of(w, 0, ids[i])->touched, 5);
        assert_int_equal(row_of(w, 0, ids[i])->count, i); /* exact, whatever was seen */
    }
    world_free(w);
}

static void a_row_is_born_by_its_first_step(void **unused)
{
    (void)unused;
    const uint64_t id[]  = {1234567};
    uint32_t       one[] = {1};
    need           n     = {1, id, one};
    real           g[] = {4, 8}, *gs[] = {g}, birth[DIM], *at[] = {birth};

    world *w = make(2, "init: {kind: uniform, scale: 0.5}", NULL);
    world_begin(w, 1, NULL, 0);
    read_rows(w, 0, &n, at);
    assert_null(row_of(w, 0, id[0]));
    assert_true(birth[0] != 0 && fabs_real(birth[0]) <= (real)0.5);
    train(w, 0, &n, gs, (double[]){4});
    const row *r = row_of(w, 0, id[0]);
    check(r->x, (double[]){(double)birth[0] - 0.5, (double)birth[1] - 1}, DIM,
          16 * (double)REAL_EPSILON);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->touched, 1);
    world_free(w);
}

/* What a pull tells of an id without a row is what its row holds once it is born, to the bit:
 * also where the row is rounded. */
static void a_row_is_born_as_the_pull_told(void **unused)
{
    (void)unused;
    static const char *const tables[] = {
        "init: {kind: normal, scale: 0.5}",
        "init: {kind: normal, scale: 0.5}, precision: bf16",
        "init: {kind: uniform, scale: 0.5}, precision: bf16",
    };
    uint64_t ids[64];
    need     all = {64, ids, NULL};

    for (uint64_t i = 0; i < 64; i++)
        ids[i] = i * i;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        real   told[64][DIM], held[64][DIM], *at_told[] = {told[0]}, *at_held[] = {held[0]};
        world *w = make(2, tables[i], NULL);
        world_begin(w, 1, NULL, 0);
        read_rows(w, 0, &all, at_told);
        assert_int_equal(rows_held_by_all(w, 0), 0);
        bear(w, &all);
        assert_int_equal(rows_held_by_all(w, 0), 64);
        read_rows(w, 0, &all, at_held);
        assert_memory_equal(told, held, sizeof told);
        world_free(w);
    }
}

/* 400 steps of 1/4096 each on a bf16 from 1 down, whose neighbours are 1/256 apart: rounded to
 * the nearest it would stand still. By chance it walks 400/4096, give or take: each step's
 * rounding has a variance of at most 1/128 x 1/4096, so that 5 deviations are 0.14 of one row
 * and 0.0077 of the mean of 320. */
static void a_bf16_row_follows_steps_below_its_spacing(void **unused)
{
    (void)unused;
    enum { N = 32, STEPS = 400 };
    uint64_t ids[N];
    need     all  = {N, ids, NULL};
    double   mean = 0;

    for (uint64_t i = 0; i < N; i++)
        ids[i] = i;
    for (int run = 0; run < 5; run++) {
        char yaml[256];
        snprintf(yaml, sizeof yaml,
                 "tables: {t: {dim: %d, optimizer: sgd, lr: 0.5, precision: bf16, init: {kind: "
                 "zero}}}\nfeatures: {f: {table: t}}\ntrain: {seed: %d}\n",
                 DIM, run + 1);
        world *w = world_new(yaml, 1, NULL);
        world_begin(w, 1, NULL, 0);
        for (uint64_t step = 0; step <= STEPS; step++) {
            real g[N * DIM], *gs[] = {g};
            for (int i = 0; i < N * DIM; i++)
                g[i] = step ? (real)(1. / 2048) : -2; /* first to 1, then down */
            train(w, step, &all, gs, (double[]){1});
        }
        real rows[N * DIM], *at[] = {rows};
        read_rows(w, STEPS + 1, &all, at);
        for (int i = 0; i < N * DIM; i++) {
            double walked = 1 - (double)rows[i];
            assert_true(fabs(walked - STEPS / 4096.) < 0.14);
            mean += walked / (5 * N * DIM);
        }
        world_free(w);
    }
    assert_true(fabs(mean - STEPS / 4096.) < 0.0077);
}

/* After step t a bf16 row is rounded by the stream of t + 1 steps: not by that of its birth,
 * nor by that of another table, step or id. */
static void each_step_rounds_by_a_stream_of_its_own(void **unused)
{
    (void)unused;
    uint64_t ids[40];
    need     all = {40, ids, NULL};
    real     rows[40][DIM], g[40][DIM], want[DIM], *at[] = {rows[0]}, *gs[] = {g[0]};
    uint16_t half[DIM];

    for (uint64_t i = 0; i < 40; i++)
        ids[i] = i << 20;
    world *w = make(2, "precision: bf16, init: {scale: 1}", NULL);
    world_begin(w, 1, NULL, 0);
    for (uint64_t step = 0; step < 3; step++) {
        read_rows(w, step, &all, at);
        for (int i = 0; i < 40 * DIM; i++)
            g[i / DIM][i % DIM] = (real)(i + 1) / 3000;
        train(w, step, &all, gs, (double[]){1});
        for (int i = 0; i < 40; i++) {
            uint64_t salt = w->schema->tables[0].salt;
            for (int d = 0; d < DIM; d++)
                rows[i][d] -= (real)0.5 * ((real)(i * DIM + d + 1) / 3000);
            bf16_round_plain(half, rows[i], rng_named(1, RNG_ROUND, salt + step + 1, ids[i]),
                             DIM);
            bf16_widen(want, half, DIM);
            table_read_weights(&w->shards[owner_of(w, 0, ids[i])]->tables[0],
                               row_of(w, 0, ids[i]), rows[i]);
            assert_memory_equal(rows[i], want, sizeof want);
        }
    }
    world_free(w);
}

/* Pushes of which one's flag (of worker `bad`; -1: none) or whose samples forbid the step. */
static void push_and_look(int bad, double samples)
{
    const uint64_t id[]    = {3};
    need           needs[] = {{1, id, NULL}, {1, id, NULL}};
    real           rows[DIM], g[] = {1, 1}, *gs[] = {g}, *at[] = {rows};

    world *w = make(2, "init: {scale: 1}", NULL);
    world_begin(w, 2, NULL, 0);
    for (int k = 0; k < 2; k++)
        ask(w, WIRE_PULL, k, 0, 0, &needs[k]);
    deliver_all(w);
    for (int k = 0; k < 2; k++) {
        take_rows(w, k, 0, &needs[k], at);
        push(w, k, 0, 1, samples, k != bad, &needs[k], gs);
    }
    deliver_all(w);
    for (int i = 0; i < w->n_shards; i++)
        assert_int_equal(shard_clock(w->shards[i]), 1);
    assert_int_equal(rows_held_by_all(w, 0), 0);
    world_free(w);
}

static void one_bad_flag_skips_the_step_but_moves_the_clock(void **unused)
{
    (void)unused;
    push_and_look(0, 5);
    push_and_look(1, 5);
}

static void a_step_without_samples_is_not_applied(void **unused)
{
    (void)unused;
    push_and_look(-1, 0);
}

static void an_id_below_min_count_gets_zeros_and_never_a_row(void **unused)
{
    (void)unused;
    const uint64_t ids[]    = {1, 2, 3};
    const uint32_t counts[] = {1, 2};
    need           all      = {3, ids, NULL};
    real rows[3][DIM], g[3 * DIM] = {1, 1, 1, 1, 1, 1}, *gs[] = {g}, *at[] = {rows[0]};

    write_counts(COUNTS, "t", ids, counts, 2); /* 3 does not occur at all */
    world *w = make(2, "init: {scale: 1}, admit: {min_count: 2}", COUNTS);
    world_begin(w, 1, NULL, 0);
    bear(w, &all);
    for (uint64_t step = 0; step < 2; step++) {
        read_rows(w, step, &all, at);
        assert_true(rows[0][0] == 0 && rows[0][1] == 0 && rows[2][0] == 0 && rows[2][1] == 0);
        assert_true(rows[1][0] != 0);
        train(w, step, &all, gs, (double[]){1});
    }
    assert_null(row_of(w, 0, 1));
    assert_null(row_of(w, 0, 3));
    assert_int_equal(row_of(w, 0, 2)->touched, 2);
    world_free(w);
}

/* ---- sums ---- */

/* Random steps whose gradients are multiples of 1/64: their sums are exact, so how they
 * are dealt to workers cannot show. Each step of S samples has ids 0 .. 19 of 40. */
static world *train_randomly(int workers, int shards, const char *more)
{
    world *w = make(shards, more, NULL);
    rng    r = rng_named(3, RNG_TEST, 0, 0);

    world_begin(w, workers, NULL, 0);
    for (uint64_t step = 0; step < 20; step++) {
        uint64_t ids[4][20];
        real     g[4][20 * DIM] = {{0}}, *gs[4];
        need     needs[4]       = {{0}};
        double   samples[4]     = {0};
        for (int k = 0; k < 4; k++) { /* four shares of the step, dealt in turn */
            int to = k % workers;
            for (uint64_t i = 0; i < 20; i++) {
                ids[to][i] = (i * 2 + step % 2) << (step % 3 * 8);
                for (int d = 0; d < DIM; d++)
                    g[to][i * DIM + (uint64_t)d] += ((real)rng_below(&r, 64) - 32) / 64;
            }
            needs[to] = (need){20, ids[to], NULL};
            gs[to]    = g[to];
            samples[to] += 2;
        }
        train(w, step, needs, gs, samples);
    }
    return w;
}

static void expect_same_rows(const world *a, const world *b)
{
    assert_int_equal(rows_held_by_all(a, 0), rows_held_by_all(b, 0));
    for (uint64_t i = 0; i < 40; i++)
        for (int shift = 0; shift <= 16; shift += 8) {
            const row *x = row_of(a, 0, i << shift), *y = row_of(b, 0, i << shift);
            assert_true(!x == !y);
            if (x)
                assert_memory_equal(x, y, sizeof *x + DIM * sizeof(real));
        }
}

static void several_workers_are_as_one(void **unused)
{
    (void)unused;
    static const char *const tables[] = {
        "penalty: {kind: minibatch_aware, lambda: 0.1, count: running}",
        "optimizer: adam",
        "optimizer: ftrl, l1: 0.001",
        "optimizer: rowwise_adagrad, penalty: {kind: l2, lambda: 0.01}",
        "optimizer: rowwise_adagrad, precision: bf16",
        "optimizer: adagrad, penalty: {kind: decay, lambda: 0.01}, precision: bf16",
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        world *one = train_randomly(1, 1, tables[i]);
        for (int workers = 2; workers <= 4; workers += 2) {
            world *many = train_randomly(workers, 2, tables[i]);
            expect_same_rows(one, many);
            world_free(many);
        }
        world_free(one);
    }
}

/* 1 + B is B: what is left of the 1 tells the order. The pushes arrive backwards. */
static void gradients_are_added_in_the_order_of_ranks(void **unused)
{
    (void)unused;
    const uint64_t id[] = {5};
    need           n    = {1, id, NULL};
    real           big = 8 / (real)REAL_EPSILON, x[DIM], *at[] = {x};
    real           g[3][DIM] = {{1, big}, {big, -big}, {-big, 1}};

    world *w = make(1, "init: {kind: zero}", NULL);
    world_begin(w, 3, NULL, 0);
    for (int k = 0; k < 3; k++)
        ask(w, WIRE_PULL, k, 0, 0, &n);
    deliver_all(w);
    for (int k = 2; k >= 0; k--) {
        real *gs[] = {g[k]};
        take_rows(w, k, 0, &n, at);
        push(w, k, 0, 1, k == 0, true, &n, gs);
    }
    deliver_all(w);
    check(row_of(w, 0, 5)->x, (double[]){0, -0.5}, DIM, 0);
    world_free(w);
}

static void a_lambda_of_zero_is_plain_sgd_bit_for_bit(void **unused)
{
    (void)unused;
    world *plain = train_randomly(2, 1, "penalty: {kind: none}");
    world *zero =
        train_randomly(2, 1, "penalty: {kind: minibatch_aware, lambda: 0, count: running}");

    expect_same_rows(plain, zero);
    world_free(plain);
    world_free(zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_penalty_makes_the_golden_step),
        cmocka_unit_test(a_batch_is_charged_the_squared_norm_over_n),
        cmocka_unit_test(an_epoch_of_single_samples_charges_lambda_to_every_row),
        cmocka_unit_test(the_tail_decays_more_than_the_head),
        cmocka_unit_test(two_workers_are_charged_once),
        cmocka_unit_test(of_an_id_that_a_pull_repeats_the_first_gradient_counts),
        cmocka_unit_test(the_running_count_is_that_of_the_steps_before),
        cmocka_unit_test(decoupled_the_penalty_comes_after_the_rule),
        cmocka_unit_test(l1_adds_the_sign_to_the_gradient),
        cmocka_unit_test(decoupled_l1_stops_at_zero),
        cmocka_unit_test(lazy_decay_is_that_of_every_row_in_every_step),
        cmocka_unit_test(decay_is_made_up_for_at_the_rate_of_the_last_step),
        cmocka_unit_test(a_row_is_as_old_as_its_birth),
        cmocka_unit_test(a_row_is_clipped_after_dividing_and_before_the_penalty),
        cmocka_unit_test(the_schedule_scales_the_learning_rate),
        cmocka_unit_test(rows_outside_the_step_keep_every_bit),
        cmocka_unit_test(a_row_is_born_by_its_first_step),
        cmocka_unit_test(a_row_is_born_as_the_pull_told),
        cmocka_unit_test(a_bf16_row_follows_steps_below_its_spacing),
        cmocka_unit_test(each_step_rounds_by_a_stream_of_its_own),
        cmocka_unit_test(one_bad_flag_skips_the_step_but_moves_the_clock),
        cmocka_unit_test(a_step_without_samples_is_not_applied),
        cmocka_unit_test(an_id_below_min_count_gets_zeros_and_never_a_row),
        cmocka_unit_test(several_workers_are_as_one),
        cmocka_unit_test(gradients_are_added_in_the_order_of_ranks),
        cmocka_unit_test(a_lambda_of_zero_is_plain_sgd_bit_for_bit),
    };
    log_threshold(LOG_ERROR); /* what is hostile is warned of */
    return cmocka_run_group_tests(tests, room_open, room_close);
}
