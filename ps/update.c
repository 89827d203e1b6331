#include "ps/update.h"

#include <math.h>

#include "common/optim.h"

#define AHEAD 12 /* rows between a prefetch and its use */

/* A row of this step, its gradient so far, and in how many of the step's samples it is. */
typedef struct member {
    uint32_t number;
    uint32_t count;
    real    *g;
} member;

/* The rows of this step, each once. Which member a row is stands in the row itself, in
 * touched, until the step is done: a row whose touched leads to a member that leads back
 * is one (Briggs and Torczon 1993), so nothing has to be cleared before or after. */
typedef struct step_rows {
    member  *members;
    uint32_t n;
} step_rows;

/* ---- births ---- */

/* Bear the rows that the part's pull did not find. An earlier step or an earlier worker's
 * part may have borne some of them since. */
static err_t bear_missing(table *t, update_part *part, arena *scratch)
{
    uint64_t *ids;
    uint32_t *rows;
    size_t    n = 0, m = 0;

    for (size_t i = 0; i < part->n; i++)
        n += part->rows[i] == ROW_NONE;
    if (!n)
        return OK;
    TRY(arena_take(scratch, n * sizeof *ids, &ids));
    TRY(arena_take(scratch, n * sizeof *rows, &rows));
    for (size_t i = 0; i < part->n; i++)
        if (part->rows[i] == ROW_NONE)
            ids[m++] = part->ids[i];
    TRY(table_bear(t, ids, n, rows));
    m = 0;
    for (size_t i = 0; i < part->n; i++)
        if (part->rows[i] == ROW_NONE)
            part->rows[i] = rows[m++];
    return OK;
}

/* ---- the workers' gradients ---- */

static void add(real *restrict sum, const real *restrict g, int dim)
{
    for (int d = 0; d < dim; d++)
        sum[d] += g[d];
}

static uint32_t add_counts(uint32_t a, uint32_t b)
{
    return a + b < a ? UINT32_MAX : a + b;
}

/* A row's first gradient stays where the message has it; later ones are added to it. */
static void merge_one(const table *t, step_rows *rows, uint32_t number, real *g, uint32_t count)
{
    row *r = row_store_at(t->rows, number);

    if (r->touched < rows->n && rows->members[r->touched].number == number) {
        member *m = &rows->members[r->touched];
        add(m->g, g, t->config->dim);
        m->count = add_counts(m->count, count);
        return;
    }
    r->touched               = rows->n;
    rows->members[rows->n++] = (member){number, count, g};
}

static void merge_part(const table *t, step_rows *rows, const update_part *part)
{
    size_t dim = (size_t)t->config->dim;

    for (size_t i = 0; i < part->n; i++) {
        if (i + AHEAD < part->n && part->rows[i + AHEAD] != ROW_REFUSED)
            row_store_prefetch(t->rows, part->rows[i + AHEAD]);
        if (part->rows[i] != ROW_REFUSED)
            merge_one(t, rows, part->rows[i], part->gradients + i * dim,
                      part->counts ? part->counts[i] : 0);
    }
}

/* ---- one row ---- */

/* g = g / samples, then shortened to row_norm. */
static void average(real *g, int dim, const update_step *step)
{
    real   samples = (real)step->samples;
    double squares = 0;

    for (int d = 0; d < dim; d++)
        g[d] /= samples;
    if (step->row_norm == 0)
        return;
    for (int d = 0; d < dim; d++)
        squares += (double)g[d] * (double)g[d];
    if (squares <= step->row_norm * step->row_norm)
        return;
    real scale = (real)(step->row_norm / sqrt(squares));
    for (int d = 0; d < dim; d++)
        g[d] *= scale;
}

/* lambda / n_j, lambda, or 0: the share of w that the penalty adds to its gradient. */
static double penalty_of(const penalty_config *p, const row *r)
{
    switch (p->kind) {
    case PENALTY_MINIBATCH_AWARE:
        return p->lambda / (r->count > 1 ? r->count : 1);
    case PENALTY_L2:
        return p->lambda;
    case PENALTY_NONE:
        break;
    }
    return 0;
}

static void update_row(const table *t, const member *m, const update_step *step)
{
    const table_config *c       = t->config;
    row                *r       = row_store_at(t->rows, m->number);
    real               *g       = m->g;
    double              penalty = penalty_of(&c->penalty, r);
    real                wide[CONFIG_DIM_MAX], *w = r->x;

    if (c->precision != PRECISION_FP32) {
        table_read_weights(t, r, wide);
        w = wide;
    }
    average(g, c->dim, step);
    if (penalty != 0 && !c->penalty.decoupled)
        for (int d = 0; d < c->dim; d++)
            g[d] += (real)penalty * w[d];
    optim_update(&t->rule, step->lr, w, r->x + t->state_at, g, (size_t)c->dim);
    if (penalty != 0 && c->penalty.decoupled)
        for (int d = 0; d < c->dim; d++)
            w[d] -= (real)(step->lr * penalty) * w[d];
    if (w == wide)
        table_write_weights(t, r, w, (uint64_t)step->step + 1);
    if (!t->exact)
        r->count = add_counts(r->count, m->count);
    r->touched = (uint32_t)(step->step + 1);
}

err_t update_apply(table *t, update_part *parts, int n_parts, const update_step *step,
                   arena *scratch)
{
    step_rows rows = {0};
    size_t    most = 0;

    for (int i = 0; i < n_parts; i++) {
        TRY(bear_missing(t, &parts[i], scratch));
        most += parts[i].n;
    }
    TRY(arena_take(scratch, most * sizeof *rows.members, &rows.members));
    for (int i = 0; i < n_parts; i++)
        merge_part(t, &rows, &parts[i]);
    for (uint32_t i = 0; i < rows.n; i++) {
        if (i + AHEAD < rows.n)
            row_store_prefetch(t->rows, rows.members[i + AHEAD].number);
        update_row(t, &rows.members[i], step);
    }
    return OK;
}
