/* Every number of every parameter and row of every model by central differences, over
 * configurations that together use every option (variants.h). New models are covered by being
 * in models[]. In the float build differences are too coarse: skipped there. */
#include "tests/worker/variants.h"

#include <math.h>

#define STEP      1e-6
#define FLOOR     1e-4
#define TOLERANCE 1e-5

static double slope_at(world *w, real *x, double step)
{
    real old = *x;

    *x           = old + (real)step;
    double above = world_loss(w);
    *x           = old - (real)step;
    double below = world_loss(w);
    *x           = old;
    return (above - below) / (2 * step * w->batch.B);
}

static bool agree(double g, double slope)
{
    return fabs(slope - g) / fmax(FLOOR, fabs(g)) < TOLERANCE;
}

/* A step ten times as wide has a tenth of the rounding, which small gradients drown in. */
static void check_number(world *w, real *x, real gradient, const char *what, size_t k)
{
    double g = (double)gradient / w->batch.B, slope = slope_at(w, x, STEP);

    if (!agree(g, slope) && !agree(g, slope = slope_at(w, x, 10 * STEP)))
        fail_msg("%s[%zu]: gradient %.10g, by differences %.10g", what, k, g, slope);
}

/* Of the mean loss; a batch of nothing has no gradient to compare, but must run. */
static void check_all(world *w)
{
    world_backward(w);
    if (w->batch.B == 0)
        return;
    for (int i = 0; i < dense_count(w->dense); i++) {
        param *p = dense_at(w->dense, i);
        for (size_t k = 0; p->trained && k < p->count; k++)
            check_number(w, &p->w[k], p->g[k], p->name, k);
    }
    for (int t = 0; t < w->schema->n_tables; t++)
        for (size_t k = 0; k < world_row_numbers(w, t); k++)
            check_number(w, &w->rows[t][k], w->gradients[t][k],
                         w->schema->tables[t].config->name, k);
}

static bool check_variant(const model *m, const variant *v)
{
    world w;
    bool  taken = open_variant(&w, m, v);

    if (!taken)
        print_message("%s refuses {%s}: %s\n", m->name, v->model, err_text());
    for (size_t i = 0; taken && i < COUNT(shapes); i++) {
        set_batch(&w, &shapes[i], i, .7);
        check_all(&w);
    }
    world_close(&w);
    return taken;
}

static void every_gradient_is_what_differences_say(void **state)
{
    (void)state;
    if (sizeof(real) < sizeof(double)) {
        print_message("skipped: needs the double build\n");
        skip();
    }
    for (const model *const *m = models; *m; m++)
        each_variant(*m, check_variant);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gradient_is_what_differences_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
