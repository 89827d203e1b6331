#include "launch/report/summary.h"

#include <math.h>
#include <stdio.h>

#include "common/metrics.h"

typedef enum { MORE_IS_BETTER = 1, NEITHER = 0, LESS_IS_BETTER = -1 } direction;

/* A column's cells are a text, a value, or one value of a curve. */
typedef struct column {
    const char *group, *title;
    const char *format; /* of a value */
    direction   better;
    size_t      curve; /* its place within a run */
    double (*of_curve)(const curve *c);
    double (*value)(const run *r, const run *first); /* first: what others are compared to */
    const char *(*text)(const run *r);
} column;

static const char *name_of(const run *r)
{
    return r->name;
}

static const char *model_of(const run *r)
{
    return r->config->model.kind;
}

static double steps_of(const run *r, const run *first)
{
    (void)first;
    return r->steps;
}

static double speed_of(const run *r, const run *first)
{
    (void)first;
    return r->median_speed;
}

static double rela_impr(const run *r, const run *first)
{
    return r == first ? (double)NAN
                      : metrics_rela_impr(curve_max(&r->auc), curve_max(&first->auc));
}

#define AUC     .format = "%.4f", .better = MORE_IS_BETTER, .curve = offsetof(run, auc)
#define GAUC    .format = "%.4f", .better = MORE_IS_BETTER, .curve = offsetof(run, gauc)
#define LOGLOSS .format = "%.4f", .better = LESS_IS_BETTER, .curve = offsetof(run, logloss)

/* clang-format off */
static const column columns[SUMMARY_COLUMNS] = {
    {"",         "run",       .text = name_of},
    {"",         "model",     .text = model_of},
    {"",         "steps",     "%.0f", .value = steps_of},
    {"AUC",      "best",      AUC, .of_curve = curve_max},
    {"AUC",      "last",      AUC, .of_curve = curve_last},
    {"GAUC",     "best",      GAUC, .of_curve = curve_max},
    {"GAUC",     "last",      GAUC, .of_curve = curve_last},
    {"log loss", "best",      LOGLOSS, .of_curve = curve_min},
    {"log loss", "last",      LOGLOSS, .of_curve = curve_last},
    {"",         "RelaImpr",  "%+.2f%%", .value = rela_impr},
    {"",         "samples/s", "%.0f", .better = MORE_IS_BETTER, .value = speed_of},
};
/* clang-format on */

const char *summary_title(int i)
{
    return columns[i].title;
}

const char *summary_group(int i)
{
    return columns[i].group;
}

bool summary_is_text(int i)
{
    return columns[i].text != NULL;
}

static double value_of(const column *c, const run *r, const run *first)
{
    if (c->text)
        return (double)NAN;
    return c->value ? c->value(r, first)
                    : c->of_curve((const curve *)((const char *)r + c->curve));
}

static void fill_cell(summary_cell *cell, const column *c, const run *r, const run *first)
{
    double value = value_of(c, r, first);

    if (c->text)
        snprintf(cell->text, sizeof cell->text, "%s", c->text(r));
    else if (isfinite(value))
        snprintf(cell->text, sizeof cell->text, c->format, value);
    else
        snprintf(cell->text, sizeof cell->text, "-");
    cell->best = false;
}

/* The first of the best ones. */
static void mark_best(summary_row *rows, int i, const run *runs, int n)
{
    const column *c    = &columns[i];
    int           best = -1;
    double        most = 0;

    for (int k = 0; k < n; k++) {
        double value = value_of(c, &runs[k], runs) * (double)c->better;
        if (isfinite(value) && (best < 0 || value > most)) {
            best = k;
            most = value;
        }
    }
    if (best >= 0)
        rows[best].cells[i].best = true;
}

void summary_make(summary_row *rows, const run *runs, int n)
{
    for (int i = 0; i < SUMMARY_COLUMNS; i++) {
        for (int k = 0; k < n; k++)
            fill_cell(&rows[k].cells[i], &columns[i], &runs[k], runs);
        if (n > 1 && columns[i].better != NEITHER)
            mark_best(rows, i, runs, n);
    }
}
