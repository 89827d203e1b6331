/* What holds of every model in every option (variants.h): the candidates of a request are
 * ranked as samples are predicted, a sample does not see the others of its batch, rows add what
 * their ids learn, and numbers stay finite where histories are very long or empty and scores
 * very large. And the variants turn every option that a model has. */
#include "tests/worker/variants.h"

#include <math.h>
#include <stdlib.h>

#include "common/config_option.h"

#define NEAR (sizeof(real) < sizeof(double) ? 1e-5 : 1e-12)
#define JOINED (sizeof(real) < sizeof(double) ? 1e-3 : 1e-10)

/* ---- requests with candidates ---- */

/* Of the same model, in the same state: what is shared, and what is not. */
static void check_ranking(world *w)
{
    static const int counts[] = {3, 1, 7, 0};
    requests         r;

    world_requests(w, &r, COUNT(counts), counts, 5);
    size_t n     = (size_t)r.each.B;
    real  *alone = malloc((n + 1) * sizeof *alone);
    assert_non_null(alone);
    memcpy(alone, world_rank(w, &r, true), n * sizeof *alone);
    const real *together = world_rank(w, &r, false);
    for (size_t i = 0; i < n; i++)
        assert_near((double)together[i], (double)alone[i], NEAR);
    free(alone);
}

static bool rank_variant(const model *m, const variant *v)
{
    bool taken = true;

    for (size_t i = 0; taken && i < COUNT(shapes); i++) {
        world w;
        taken = open_variant(&w, m, v);
        if (taken) {
            set_batch(&w, &shapes[i], i, .7);
            check_ranking(&w);
        }
        world_close(&w);
    }
    return taken;
}

/* ---- a sample of a batch ---- */

static void *room(world *w, size_t bytes)
{
    void *piece = NULL;

    MUST(arena_take_zero(&w->inputs, bytes, &piece));
    return piece;
}

/* n offsets and the one behind them, counted from the first. */
static int *from_zero(world *w, const int *offsets, int n)
{
    int *own = room(w, (size_t)(n + 1) * sizeof *own);

    for (int i = 0; i <= n; i++)
        own[i] = offsets[i] - offsets[0];
    return own;
}

/* Rows first .. first + rows - 1. */
static batch_slot part_of_slot(world *w, const batch_slot *all, int first, int rows)
{
    batch_slot part = {.rows = rows, .n = rows, .distinct = all->distinct + first};

    if (all->offsets) {
        part.offsets  = from_zero(w, all->offsets + first, rows);
        part.n        = part.offsets[rows];
        part.distinct = all->distinct + all->offsets[first];
    }
    return part;
}

/* w's batch becomes sample b of `all`. */
static void keep_sample(world *w, const batch *all, int b)
{
    const schema *s     = w->schema;
    batch        *alone = &w->batch;

    *alone           = (batch){.B = 1, .weight_sum = 1, .first = (uint64_t)b};
    alone->label     = all->label + b;
    alone->time      = all->time + b;
    alone->slots     = room(w, (size_t)s->n_slots * sizeof *alone->slots);
    alone->sequences = room(w, (size_t)s->n_sequences * sizeof *alone->sequences);
    alone->floats    = room(w, (size_t)s->n_floats * sizeof *alone->floats);
    for (int i = 0; i < s->n_sequences; i++) {
        const batch_sequence *of = &all->sequences[i];
        alone->sequences[i] = (batch_sequence){.events  = of->offsets[b + 1] - of->offsets[b],
                                               .offsets = from_zero(w, of->offsets + b, 1),
                                               .time    = of->time + of->offsets[b]};
    }
    for (int i = 0; i < s->n_slots; i++) {
        int q           = s->slots[i].sequence;
        alone->slots[i] = q < 0 ? part_of_slot(w, &all->slots[i], b, 1)
                                : part_of_slot(w, &all->slots[i], all->sequences[q].offsets[b],
                                               alone->sequences[q].events);
    }
    for (int i = 0; i < s->n_floats; i++)
        alone->floats[i] = (batch_float){.width = all->floats[i].width,
                                         .x     = all->floats[i].x + b * all->floats[i].width};
}

/* What a batch's samples have together, each has alone: no length, place or padding of another
 * one enters. Statistics are moving ones. */
static bool part_variant(const model *m, const variant *v)
{
    static const shape many = {7, 3, {3, 0, 70}, false};
    world              w;
    real               together[7];
    bool               taken = open_variant(&w, m, v);

    if (taken) {
        set_batch(&w, &many, 0, .7);
        w.training = false;
        world_loss(&w);
        memcpy(together, w.logits, sizeof together);
        batch all = w.batch;
        for (int b = 0; b < all.B; b++) {
            keep_sample(&w, &all, b);
            world_loss(&w);
            assert_near((double)w.logits[0], (double)together[b], NEAR);
        }
    }
    world_close(&w);
    return taken;
}

/* ---- rows ---- */

/* The ids of row 1 get row 0, those of row 3 row 2. */
static void join_rows(world *w, int row)
{
    for (int k = 0; k < w->schema->n_slots; k++)
        for (int i = 0; i < w->batch.slots[k].n; i++)
            if (w->batch.slots[k].distinct[i] == row)
                w->batch.slots[k].distinct[i] = row - 1;
}

static size_t dim_of(const world *w, int table)
{
    return (size_t)w->schema->tables[table].config->dim;
}

/* As set by the last pass; lent by the world. */
static void keep_gradients(world *w, real *kept[MAX_TABLES])
{
    for (int t = 0; t < w->schema->n_tables; t++) {
        kept[t] = room(w, world_row_numbers(w, t) * sizeof(real));
        memcpy(kept[t], w->gradients[t], world_row_numbers(w, t) * sizeof(real));
    }
}

/* Row 0 has what rows 0 and 1 had apart; rows 1 and 3, which no id names, nothing at all. */
static void check_joined(const world *w, int t, const real *apart)
{
    size_t      dim = dim_of(w, t);
    const real *g   = w->gradients[t];

    for (size_t d = 0; d < dim; d++) {
        assert_near((double)g[d], (double)apart[d] + (double)apart[dim + d], JOINED);
        assert_true(g[dim + d] == 0 && g[3 * dim + d] == 0 && apart[3 * dim + d] == 0);
    }
}

/* Two ids whose rows are alike learn together what one id in their places learns. */
static bool add_variant(const model *m, const variant *v)
{
    world w;
    real *apart[MAX_TABLES];
    bool  taken = open_variant(&w, m, v);

    if (taken) {
        set_batch(&w, &shapes[0], 0, .7);
        for (int t = 0; t < w.schema->n_tables; t++)
            memcpy(w.rows[t] + dim_of(&w, t), w.rows[t], dim_of(&w, t) * sizeof(real));
        join_rows(&w, 3);
        world_backward(&w);
        keep_gradients(&w, apart);
        join_rows(&w, 1);
        world_backward(&w);
        for (int t = 0; t < w.schema->n_tables; t++)
            check_joined(&w, t, apart[t]);
    }
    world_close(&w);
    return taken;
}

/* ---- extremes ---- */

/* Embeddings of some size give scores of about its square, and more in a cross of three. */
typedef struct extreme {
    double rows;
    shape  of;
} extreme;

static const extreme extremes[] = {{1, {2, 2, {1000, 0}, false}},   {1, {1, 1, {1000}, false}},
                                   {100, {3, 3, {0, 1, 50}, true}}, {100, {1, 1, {2}, false}},
                                   {1e4, {2, 2, {3, 1}, false}},    {0, {1, 1, {5}, false}},
                                   {100, {1, 1, {0}, false}}};

static void check_finite(const real *x, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite((double)x[i]))
            fail_msg("%s[%zu] is %g", what, i, (double)x[i]);
}

/* Logits in training and without, and all gradients. */
static void check_numbers(world *w)
{
    w->training = true;
    assert_true(isfinite(world_backward(w)));
    for (int i = 0; i < dense_count(w->dense); i++)
        check_finite(dense_at(w->dense, i)->g, dense_at(w->dense, i)->count,
                     dense_at(w->dense, i)->name);
    for (int t = 0; t < w->schema->n_tables; t++)
        check_finite(w->gradients[t], world_row_numbers(w, t),
                     w->schema->tables[t].config->name);
    w->training = false;
    world_loss(w);
    check_finite(w->logits, (size_t)w->batch.B, "logits");
}

static bool extreme_variant(const model *m, const variant *v)
{
    world w;
    bool  taken = open_variant(&w, m, v);

    for (size_t i = 0; taken && i < COUNT(extremes); i++) {
        set_batch(&w, &extremes[i].of, i, extremes[i].rows);
        check_numbers(&w);
    }
    world_close(&w);
    return taken;
}

/* ---- the variants ---- */

#define MAX_OPTIONS 64
#define ROOM        1024

/* The values that variants gave an option of a model, as ";none;softmax;". */
static struct {
    const option *of;
    char          values[ROOM];
} turned[MAX_OPTIONS];

static bool has(const char *values, const char *value)
{
    char   between[256];
    size_t n = strlen(value);

    assert_true(n + 3 < sizeof between);
    snprintf(between, sizeof between, ";%s;", value);
    return strstr(values, between) != NULL;
}

static void note(char values[ROOM], const option *o, const config *c)
{
    char  *text = NULL;
    size_t size = 0, n = strlen(values);
    FILE  *to = open_memstream(&text, &size);

    assert_non_null(to);
    option_print(o, c, to);
    fclose(to);
    if (!has(values, text)) {
        assert_true(n + size + 2 < ROOM);
        snprintf(values + n, ROOM - n, "%s%s;", n ? "" : ";", text);
    }
    free(text);
}

/* Names are the user's; a model's kind is models[]. */
static bool is_turned(const option *o)
{
    return !strncmp(o->key, "model.", 6) && o->kind != OPTION_NAME && o->kind != OPTION_NAMES;
}

static bool note_variant(const model *m, const variant *v)
{
    world w;
    bool  taken = open_variant(&w, m, v);

    for (int i = 0, n = 0; taken && i < option_count; i++)
        if (is_turned(&option_table[i])) {
            assert_true(n < MAX_OPTIONS);
            turned[n].of = &option_table[i];
            note(turned[n].values, turned[n].of, w.config);
            n++;
        }
    world_close(&w);
    return taken;
}

/* Each word of an enumeration; of anything else, two values. Whether all are there. */
static bool check_turned(const option *o, const char *values)
{
    bool all = strchr(values + 1, ';')[1] != 0;

    if (!all)
        print_message("all variants have %s = %s\n", o->key, values);
    for (int i = 0; o->kind == OPTION_ENUM && i < o->n_words; i++)
        if (o->words[i] && !has(values, o->words[i])) {
            print_message("no variant has %s = %s\n", o->key, o->words[i]);
            all = false;
        }
    return all;
}

static void check_models(check_function *check)
{
    for (const model *const *m = models; *m; m++)
        each_variant(*m, check);
}

static void variants_turn_every_option_of_a_model(void **state)
{
    bool all = true;

    (void)state;
    memset(turned, 0, sizeof turned);
    check_models(note_variant);
    for (int i = 0; i < MAX_OPTIONS && turned[i].of; i++)
        all &= check_turned(turned[i].of, turned[i].values);
    assert_true(all);
}

/* ---- all of them ---- */

static void candidates_of_a_request_are_ranked_as_samples_are(void **state)
{
    (void)state;
    check_models(rank_variant);
}

static void samples_do_not_see_each_other(void **state)
{
    (void)state;
    check_models(part_variant);
}

static void a_row_learns_the_sum_of_what_its_ids_do(void **state)
{
    (void)state;
    check_models(add_variant);
}

static void numbers_stay_finite_at_extremes(void **state)
{
    (void)state;
    check_models(extreme_variant);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variants_turn_every_option_of_a_model),
        cmocka_unit_test(candidates_of_a_request_are_ranked_as_samples_are),
        cmocka_unit_test(samples_do_not_see_each_other),
        cmocka_unit_test(a_row_learns_the_sum_of_what_its_ids_do),
        cmocka_unit_test(numbers_stay_finite_at_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
