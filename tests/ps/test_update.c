/* What a step does to rows: gradients of all workers, the penalty of DIN's equation 7, the
 * rule; told to shards by messages. */
#include "harness.h"

#define COUNTS "test_update-counts.safetensors"
#define DIM    2
#define STEPS  200

/* A run's YAML with one table, `more` being the rest of its options. */
static world *make(int shards, const char *more, const char *counts)
{
    char yaml[1024];

    snprintf(yaml, sizeof yaml,
             "tables: {t: {dim: %d, optimizer: sgd, lr: 0.5, %s}}\n"
             "features: {f: {table: t}}\n",
             DIM, more);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_penalty_makes_the_golden_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
