/* DSIN's layers: sessions by hand, attention and normalisation against plain loops, memories in
 * their limits, and what must hold of the model whatever its weights are. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "worker/kernels/heads.h"
#include "worker/kernels/layer_norm.h"
#include "worker/kernels/lstm.h"
#include "worker/kernels/session.h"
#include "worker/layers/layers.h"

#define NEAR (sizeof(real) == sizeof(float) ? 2e-5 : 1e-11)

/* ---- where sessions lie ---- */

#define HOUR ((int64_t)3600)

static void check_cut(const session_rule *r, int n, const int64_t *time, int count,
                      const session *want)
{
    session got[16];

    assert_int_equal(session_cut(got, r, time, n), count);
    for (int i = 0; i < count; i++) {
        assert_int_equal(got[i].first, want[i].first);
        assert_int_equal(got[i].n, want[i].n);
    }
}

#define CUT(rule, times, count, ...)                                                           \
    check_cut(&(session_rule)rule, (int)(sizeof(times) / sizeof *(times)), times, count,       \
              (session[])__VA_ARGS__)
#define RULE(...)                                                                              \
    {                                                                                          \
        __VA_ARGS__                                                                            \
    }

static void a_session_ends_where_the_gap_is_exceeded(void **state)
{
    (void)state;
    /* a gap of exactly 1800 s; of 1801; the clock turned back by an hour; and on */
    const int64_t times[] = {0, 1800, 3601, 3601, 3601 - HOUR, 2};

    CUT(RULE(1800, 9, 9, 1), times, 3, {{0, 2}, {2, 2}, {4, 2}});
    CUT(RULE(1801, 9, 9, 1), times, 2, {{0, 4}, {4, 2}});
    CUT(RULE(0, 9, 9, 1), times, 5, {{0, 1}, {1, 1}, {2, 2}, {4, 1}, {5, 1}});
    check_cut(&(session_rule){1800, 9, 9, 1}, 0, times, 0, NULL);
}

static void the_newest_sessions_and_events_are_kept(void **state)
{
    (void)state;
    const int64_t times[] = {1, 2, 3, 9 * HOUR, 20 * HOUR, 20 * HOUR, 30 * HOUR};

    CUT(RULE(HOUR, 2, 9, 1), times, 2, {{4, 2}, {6, 1}});
    CUT(RULE(HOUR, 9, 2, 1), times, 4, {{1, 2}, {3, 1}, {4, 2}, {6, 1}});
    CUT(RULE(HOUR, 9, 9, 2), times, 2, {{0, 3}, {4, 2}});
    CUT(RULE(HOUR, 1, 1, 3), times, 1, {{2, 1}});
    CUT(RULE(HOUR, 9, 9, 4), times, 0, {{0, 0}});
}

static void any_times_may_be_compared(void **state)
{
    (void)state;
    const int64_t times[] = {INT64_MIN, INT64_MAX, INT64_MAX, INT64_MIN};

    CUT(RULE((int64_t)1e15, 9, 9, 1), times, 3, {{0, 1}, {1, 2}, {3, 1}});
}

/* ---- heads against plain loops ---- */

#define T_MOST 70
#define WIDE   6

static real draw(rng *r, double deviation)
{
    return (real)(deviation * rng_normal(r));
}

/* Row t's weights of head i: softmax over the rows it may see. */
static void plain_weights(double *a, const real *qkv, int stride, int t, int i, int H,
                          bool blinding, int T)
{
    int    d    = WIDE / H;
    double most = -HUGE_VAL, sum = 0;

    for (int j = 0; j < T; j++) {
        a[j] = 0;
        for (int c = i * d; c < (i + 1) * d; c++)
            a[j] +=
                (double)qkv[t * stride + c] * (double)qkv[j * stride + WIDE + c] / sqrt(WIDE);
        if (!(blinding && j == t))
            most = fmax(most, a[j]);
    }
    for (int j = 0; j < T; j++)
        sum += a[j] = blinding && j == t ? 0 : exp(a[j] - most);
    for (int j = 0; j < T && sum > 0; j++)
        a[j] /= sum;
}

static heads open_heads(int H, bool blinding, int T, real *memory)
{
    size_t area = (size_t)T * (size_t)padded(T), wide = WIDE * (size_t)padded(T);

    return (heads){.H        = H,
                   .D        = WIDE,
                   .scale    = (real)(1 / sqrt(WIDE)),
                   .blinding = blinding,
                   .A        = memory,
                   .gA       = memory + area,
                   .Kt       = memory + 2 * area,
                   .Vt       = memory + 2 * area + wide};
}

static void check_heads(int T, int H, bool blinding, double deviation)
{
    enum { STRIDE = 3 * WIDE + 2 };
    static real qkv[T_MOST * STRIDE], O[T_MOST * WIDE],
        memory[4 * (T_MOST + 16) * (T_MOST + 16)];
    static double a[T_MOST];
    rng           r = rng_named(3, RNG_TEST, (uint64_t)T, (uint64_t)H);
    heads         h = open_heads(H, blinding, T, memory);

    for (int i = 0; i < T * STRIDE; i++)
        qkv[i] = draw(&r, deviation);
    heads_forward(O, WIDE, &h, qkv, STRIDE, T);
    for (int t = 0; t < T; t++)
        for (int c = 0; c < WIDE; c++) {
            double want = 0;
            plain_weights(a, qkv, STRIDE, t, c / (WIDE / H), H, blinding, T);
            for (int j = 0; j < T; j++)
                want += a[j] * (double)qkv[j * STRIDE + 2 * WIDE + c];
            assert_near((double)O[t * WIDE + c], want, NEAR * deviation * deviation);
        }
}

static void heads_attend_as_plain_loops_do(void **state)
{
    static const int lengths[] = {1, 2, 3, 8, 15, 16, 17, 33, T_MOST};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int H = 1; H <= WIDE; H += H) {
            if (WIDE % H != 0)
                continue;
            check_heads(lengths[i], H, false, 1);
            check_heads(lengths[i], H, true, 1);
        }
    check_heads(5, WIDE, true, 1);
}

/* Scores of some 1e4: all weight lies on one row, or is shared by equal ones. */
static void heads_stand_extreme_scores(void **state)
{
    (void)state;
    check_heads(9, 3, false, 150);
    check_heads(9, 3, true, 150);
}

static void a_row_alone_that_is_blind_finds_nothing(void **state)
{
    real  qkv[3 * WIDE] = {0}, memory[512], O[WIDE], gO[WIDE], g[3 * WIDE];
    heads h             = open_heads(2, true, 1, memory);

    (void)state;
    for (int i = 0; i < 3 * WIDE; i++)
        qkv[i] = (real)(i + 1);
    for (int i = 0; i < WIDE; i++)
        O[i] = gO[i] = 7;
    heads_forward(O, WIDE, &h, qkv, 3 * WIDE, 1);
    for (int i = 0; i < WIDE; i++)
        assert_true(O[i] == 0);
    heads_backward(g, O, gO, WIDE, &h, qkv, 3 * WIDE, 1);
    for (int i = 0; i < 3 * WIDE; i++)
        assert_true(g[i] == 0);
}

/* ---- layer normalisation ---- */

static void rows_are_normalised_by_themselves(void **state)
{
    real x[2][4] = {{1, 3, 5, 7}, {2, 2, 2, 2}}, gamma[] = {1, 2, 3, 4}, beta[] = {0, 0, 1, 0};
    real y[2][4], mean[2], inv[2];

    (void)state;
    layer_norm_forward(y[0], 4, mean, inv, x[0], 4, gamma, beta, (real)1e-6, 2, 4);
    for (int d = 0; d < 4; d++) { /* mean 4, variance 5 */
        double xh = ((double)x[0][d] - 4) / sqrt(5 + 1e-6);
        assert_near((double)y[0][d], (double)gamma[d] * xh + (double)beta[d], NEAR);
        assert_near((double)y[1][d], (double)beta[d], NEAR); /* nothing to divide by */
    }
}

/* ---- memories ---- */

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static void a_step_of_a_memory_is_its_equations(void **state)
{
    real z[]   = {(real).3, (real)-.7, (real)1.1, (real).4},
         p[]   = {(real).5, (real)-.2, (real).9};
    real   c_0 = (real).6, h, c;
    double i = logistic(.3 + .5 * .6), f = logistic(-.7 - .2 * .6), g = tanh(1.1);
    double c_1 = f * .6 + i * g, o = logistic(.4 + .9 * c_1);

    (void)state;
    lstm_forward(&h, &c, z, &c_0, p, 1, 1);
    assert_near((double)c, c_1, NEAR);
    assert_near((double)h, o * tanh(c_1), NEAR);
    real plain[] = {(real).3, (real)-.7, (real)1.1, (real).4};
    lstm_forward(&h, &c, plain, NULL, NULL, 1, 1);
    assert_near((double)c, logistic(.3) * tanh(1.1), NEAR);
    assert_near((double)h, logistic(.4) * tanh((double)c), NEAR);
}

/* ---- the model ---- */

#define FEATURES                                                                               \
    "tables: {user: {dim: 2}, item: {dim: 4}, cate: {dim: 2}}\n"                               \
    "features:\n"                                                                              \
    "  user: {table: user}\n"                                                                  \
    "  item: {table: item}\n"                                                                  \
    "  cate: {table: cate}\n"                                                                  \
    "  history: {columns: {item: {table: item}, cate: {table: cate}, time: {kind: time}}}\n"
#define DSIN(rest)                                                                             \
    FEATURES                                                                                   \
    "model: {kind: dsin, profile: [user], candidate: [item, cate], history: history, "         \
    "mlp: {units: [3], activation: prelu}, " rest "}\n"

#define SAMPLES 8

static const int lengths[] = {9, 0, 1, 12, 4, 2, 12, 5};

static void scatter_params(world *w)
{
    rng r = rng_named(11, RNG_TEST, 2, 0);

    for (int i = 0; i < dense_count(w->dense); i++)
        for (size_t k = 0; k < dense_at(w->dense, i)->count; k++)
            dense_at(w->dense, i)->w[k] = draw(&r, .5);
}

/* Every sample has an event an hour, but for every third two minutes. */
static void set_times(world *w)
{
    batch_sequence *s = &w->batch.sequences[0];

    for (int b = 0; b < w->batch.B; b++)
        for (int t = s->offsets[b], k = 0; t < s->offsets[b + 1]; t++, k++)
            s->time[t] = k / 3 * HOUR + k % 3 * 120;
}

static void open_drawn(world *w, const char *yaml)
{
    world_open(w, yaml);
    scatter_params(w);
    world_rows(w, 6, 1);
    world_draw(w, SAMPLES, SAMPLES, lengths, 3);
    set_times(w);
    world_loss(w);
}

static int *column(world *w, const char *name)
{
    return w->batch.slots[schema_find_slot(w->schema, name)].distinct;
}

/* Draw the ids of n events from `first` on anew. */
static void redraw(world *w, int first, int n)
{
    for (int i = first; i < first + n; i++) {
        column(w, "history.item")[i] = (column(w, "history.item")[i] + 1) % 6;
        column(w, "history.cate")[i] = (column(w, "history.cate")[i] + 2) % 6;
    }
}

static void assert_moved(world *w, int b, double before, bool moved)
{
    world_loss(w);
    if (moved)
        assert_true(fabs((double)w->logits[b] - before) > 1e-6);
    else
        assert_true((double)w->logits[b] == before);
}

/* Sample 3 has 12 events, from 10 on, in sessions of 3. */
static void what_is_not_kept_is_not_read(void **state)
{
    world  w;
    double before;

    (void)state;
    open_drawn(&w, DSIN("sessions: {keep: 2, max_len: 2}"));
    before = (double)w.logits[3];
    redraw(&w, 10, 6); /* the first two sessions */
    assert_moved(&w, 3, before, false);
    redraw(&w, 16, 1); /* the first events of the last two */
    redraw(&w, 19, 1);
    assert_moved(&w, 3, before, false);
    redraw(&w, 17, 1);
    assert_moved(&w, 3, before, true);
    world_backward(&w);
    world_close(&w);
}

/* The same events in another order within a session: only an encoding can tell. */
static void check_order(const char *yaml, bool matters)
{
    world  w;
    double before;

    open_drawn(&w, yaml);
    before    = (double)w.logits[3];
    int *item = column(&w, "history.item"), *cate = column(&w, "history.cate");
    item[13] = 5, item[14] = 1, cate[13] = 4, cate[14] = 0;
    world_loss(&w);
    before   = (double)w.logits[3];
    item[13] = 1, item[14] = 5, cate[13] = 0, cate[14] = 4;
    world_loss(&w);
    if (matters)
        assert_true(fabs((double)w.logits[3] - before) > 1e-5);
    else
        assert_near((double)w.logits[3], before, NEAR);
    world_close(&w);
}

static void the_order_within_a_session_is_seen_by_an_encoding_alone(void **state)
{
    (void)state;
    check_order(DSIN("sessions: {encoding: none}"), false);
    check_order(DSIN("sessions: {encoding: none}, transformer: {blinding: true}"), false);
    check_order(DSIN("sessions: {encoding: bias}"), true);
    check_order(DSIN("sessions: {encoding: sinusoid}"), true);
}

/* Samples 3 and 6 have twelve events each: swapped, their logits are. */
static void samples_do_not_see_each_other(void **state)
{
    world  w;
    double third, sixth;

    (void)state;
    open_drawn(&w, DSIN("transformer: {blinding: true}"));
    third = (double)w.logits[3];
    sixth = (double)w.logits[6];
    for (int k = 0; k < w.schema->n_slots; k++) {
        bool event = w.schema->slots[k].sequence >= 0;
        int *x = w.batch.slots[k].distinct, n = event ? 12 : 1;
        for (int i = 0; i < n; i++) {
            int *a = x + (event ? 10 : 3) + i, *b = x + (event ? 28 : 6) + i, kept = *a;
            *a = *b;
            *b = kept;
        }
    }
    world_loss(&w);
    assert_near((double)w.logits[3], sixth, NEAR);
    assert_near((double)w.logits[6], third, NEAR);
    world_close(&w);
}

static void copy_params(world *to, const char *from_place, const char *to_place)
{
    static const char *const parts[] = {"input.weight", "recurrent.weight", "bias",
                                        "peepholes"};
    char                     a[128], b[128];

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(a, sizeof a, "%s.%s", from_place, parts[i]);
        snprintf(b, sizeof b, "%s.%s", to_place, parts[i]);
        param *x = dense_find(to->dense, a), *y = dense_find(to->dense, b);
        assert_non_null(x);
        memcpy(y->w, x->w, x->count * sizeof *x->w);
    }
}

static lstm_config memory_options;

/* One number for each event: the memories' first unit forward, less the first backward. */
static tensor *memories_of_events(graph *g)
{
    tensor *x = embed_slots(g, 1, (int[]){schema_find_slot(graph_schema(g), "history.item")});
    tensor *y = bidirectional_lstm(g, x, &memory_options, "lstm");

    return linear(g, pool_events(g, y, POOL_SUM, 0, false), 1, "output");
}

/* Where every session is alone, both directions make one step: the same, with the same
 * weights; else they differ. */
static void check_directions(const int *of, double difference_at_least, bool same)
{
    world w;

    memory_options =
        (lstm_config){.units = 1, .layers = 1, .peepholes = true, .join = JOIN_CONCAT};
    world_open_graph(&w, DSIN(""), memories_of_events);
    scatter_params(&w);
    copy_params(&w, "lstm.forward.0", "lstm.backward.0");
    param *out                               = dense_find(w.dense, "output.weight");
    out->w[0]                                = 1;
    out->w[1]                                = -1;
    dense_find(w.dense, "output.bias")->w[0] = 0;
    world_rows(&w, 6, 1);
    world_draw(&w, 4, 1, of, 3);
    world_loss(&w);
    for (int b = 0; b < 4; b++) {
        if (same)
            assert_near((double)w.logits[b], 0, NEAR);
        else
            assert_true(fabs((double)w.logits[b]) > difference_at_least);
    }
    world_close(&w);
}

static void memories_of_one_step_are_the_same_in_both_directions(void **state)
{
    (void)state;
    check_directions((int[]){1}, 0, true);
    check_directions((int[]){0}, 0, true);
    check_directions((int[]){5}, 1e-6, false);
}

/* ---- numbers that are hard ---- */

static void assert_finite(world *w)
{
    double loss = world_backward(w);

    assert_true(isfinite(loss));
    for (int i = 0; i < dense_count(w->dense); i++) {
        const param *p = dense_at(w->dense, i);
        for (size_t k = 0; p->trained && k < p->count; k++)
            assert_true(isfinite((double)p->g[k]));
    }
    for (int t = 0; t < w->schema->n_tables; t++)
        for (size_t k = 0; k < world_row_numbers(w, t); k++)
            assert_true(isfinite((double)w->gradients[t][k]));
}

static void check_extreme(const char *yaml, double rows, int B, int length)
{
    world w;

    world_open(&w, yaml);
    world_rows(&w, 6, rows);
    scatter_params(&w);
    world_draw(&w, B, 1, &length, 5);
    for (int i = 0; i < w.batch.sequences[0].events; i++)
        w.batch.sequences[0].time[i] = i;
    assert_finite(&w);
    w.training = false;
    world_loss(&w);
    for (int b = 0; b < B; b++)
        assert_true(isfinite((double)w.logits[b]));
    world_close(&w);
}

#define ALL_IN_ONE  DSIN("sessions: {max_len: 1000}")
#define ONE_IN_EACH DSIN("sessions: {gap: 0, keep: 1000}")
#define NO_NORM                                                                                \
    DSIN("sessions: {gap: 0, keep: 1000}, transformer: {layer_norm: false, blinding: true}")

static void a_thousand_events_and_extreme_scores_stay_finite(void **state)
{
    (void)state;
    check_extreme(ALL_IN_ONE, 1, 2, 1000);
    check_extreme(ONE_IN_EACH, 1, 2, 1000);
    check_extreme(ALL_IN_ONE, 150, 2, 50); /* scores of some 1e4 */
    check_extreme(ONE_IN_EACH, 150, 1, 50);
    check_extreme(NO_NORM, 150, 1, 7);
    check_extreme(ALL_IN_ONE, 1, 3, 0);
    check_extreme(ALL_IN_ONE, 0, 1, 5); /* rows of zeros: no deviation to divide by */
}

/* ---- refusals ---- */

static void what_dsin_cannot_do_is_said(void **state)
{
    world w;

    (void)state;
    world_refused(DSIN("transformer: {heads: 4}"), "heads is 4, which does not divide the 6");
    world_refused(DSIN("attention: {groups: separate}"), "groups is separate");
    world_refused("tables: {item: {dim: 2}}\n"
                  "features: {item: {table: item}, history: {columns: {item: {table: item}}}}\n"
                  "model: {kind: dsin, candidate: [item], history: history}\n",
                  "no column of kind time");
    world_refused(FEATURES "model: {kind: dsin, candidate: [user], history: history}",
                  "shares a table");
    open_drawn(&w, DSIN(""));
    w.batch.sequences[0].time = NULL;
    pass p                    = {.batch = &w.batch, .rows = w.rows, .arena = &w.step};
    assert_int_equal(graph_forward(w.graph, &p, &w.logits), ERR_DATA);
    assert_non_null(strstr(err_text(), "time"));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_ends_where_the_gap_is_exceeded),
        cmocka_unit_test(the_newest_sessions_and_events_are_kept),
        cmocka_unit_test(any_times_may_be_compared),
        cmocka_unit_test(heads_attend_as_plain_loops_do),
        cmocka_unit_test(heads_stand_extreme_scores),
        cmocka_unit_test(a_row_alone_that_is_blind_finds_nothing),
        cmocka_unit_test(rows_are_normalised_by_themselves),
        cmocka_unit_test(a_step_of_a_memory_is_its_equations),
        cmocka_unit_test(what_is_not_kept_is_not_read),
        cmocka_unit_test(the_order_within_a_session_is_seen_by_an_encoding_alone),
        cmocka_unit_test(samples_do_not_see_each_other),
        cmocka_unit_test(memories_of_one_step_are_the_same_in_both_directions),
        cmocka_unit_test(a_thousand_events_and_extreme_scores_stay_finite),
        cmocka_unit_test(what_dsin_cannot_do_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
