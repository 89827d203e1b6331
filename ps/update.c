#include "ps/update.h"

#include "common/bf16.h"
#include "common/rng.h"
#include "ps/gradient.h"
#include "ps/sample_count.h"
#include "ps/table_cut.h"

#define AHEAD        16 /* rows between a prefetch and its use: 8 is too few, 40 no better */
#define LINE         64 /* bytes of a cache line */
#define MEMBERS_MOST (UINT32_C(1) << 30)
#define FETCH_MOST   512 /* bytes of a row that are asked for; the rest follows by itself */

/* What all rows of the step share. */
typedef struct plan {
    table             *t;
    const update_step *step;
    size_t             dim;
    size_t             bytes;     /* of a row, to be prefetched */
    real               share;     /* 1 / samples */
    uint64_t           roundings; /* family of the streams that round the step's weights */
} plan;

static plan plan_of(table *t, const update_step *step)
{
    size_t bytes = sizeof(row) + (size_t)t->reals * sizeof(real);

    return (plan){
        .t         = t,
        .step      = step,
        .dim       = (size_t)t->config->dim,
        .bytes     = bytes < FETCH_MOST ? bytes : FETCH_MOST,
        .share     = (real)(1 / step->samples),
        .roundings = rng_family(t->seed, RNG_ROUND, t->salt + (uint64_t)step->step + 1),
    };
}

static void prefetch_row(const plan *p, uint32_t number)
{
    if (number == ROW_REFUSED)
        return;
    const char *r = (const char *)row_store_at(p->t->rows, number);
    for (size_t at = 0; at < p->bytes; at += LINE)
        __builtin_prefetch(r + at, 1);
    __builtin_prefetch(r + p->bytes - 1, 1); /* rows seldom begin at a line's boundary */
}

/* A gradient lies behind the last one, but so many other rows are read between them that the
 * processor does not see that by itself. */
static void prefetch_gradient(const plan *p, const real *g)
{
    const char *at = (const char *)g;

    for (size_t done = 0; done < p->dim * sizeof *g && done < FETCH_MOST; done += LINE)
        __builtin_prefetch(at + done);
}

/* ---- one row ---- */

/* lambda / n_j, or lambda. */
static double strength_of(const penalty_config *p, const row *r)
{
    return p->kind == PENALTY_MINIBATCH_AWARE ? p->lambda / (r->count > 1 ? r->count : 1)
                                              : p->lambda;
}

/* What the penalty does before the rule. */
static void penalize_before(const plan *p, const row *r, real *w, real *g)
{
    const penalty_config *c        = &p->t->config->penalty;
    double                strength = strength_of(c, r);

    if (c->kind == PENALTY_DECAY)
        weights_scale(w, (real)table_decay_since(p->t, r->touched), p->dim);
    else if (c->decoupled || strength == 0)
        return;
    else if (c->kind == PENALTY_L1)
        gradient_add_l1(g, w, (real)strength, p->dim);
    else
        gradient_add_l2(g, w, (real)strength, p->dim);
}

static void penalize_after(const plan *p, const row *r, real *w)
{
    const penalty_config *c = &p->t->config->penalty;

    if (!c->decoupled || c->kind == PENALTY_DECAY)
        return;
    double by_rate = p->step->lr * strength_of(c, r);
    if (by_rate == 0)
        return;
    if (c->kind == PENALTY_L1)
        weights_shrink(w, (real)by_rate, p->dim);
    else
        weights_scale(w, (real)(1 - by_rate), p->dim);
}

/* sum: of the workers' gradients */
static void update_row(const plan *p, row *r, const real *sum, uint32_t count)
{
    table              *t = p->t;
    const table_config *c = t->config;
    real                g[CONFIG_DIM_MAX], wide[CONFIG_DIM_MAX], *w = r->x;

    if (c->precision != PRECISION_FP32) {
        bf16_widen(wide, (const void *)r->x, p->dim);
        w = wide;
    }
    gradient_share(g, sum, p->share, p->step->row_norm, p->dim);
    if (c->penalty.kind != PENALTY_NONE)
        penalize_before(p, r, w, g);
    optim_update(&t->rule, p->step->lr, w, r->x + t->state_at, g, p->dim);
    if (c->penalty.kind != PENALTY_NONE)
        penalize_after(p, r, w);
    if (w == wide)
        bf16_round((void *)r->x, w, rng_member(p->roundings, r->id), p->dim);
    if (!t->exact)
        r->count = sample_count_add(r->count, count);
    r->touched = (uint32_t)t->clock;
}

/* ---- one worker alone ---- */

static uint32_t count_of(const update_part *part, size_t i)
{
    return part->counts ? part->counts[i] : 0;
}

/* One pass. A row that bears this step's mark already is named a second time. */
static void apply_alone(const plan *p, const update_part *part)
{
    for (size_t i = 0; i < part->n; i++) {
        if (i + AHEAD < part->n) {
            prefetch_row(p, part->rows[i + AHEAD]);
            prefetch_gradient(p, part->gradients + (i + AHEAD) * p->dim);
        }
        if (part->rows[i] == ROW_REFUSED)
            continue;
        row *r = row_store_at(p->t->rows, part->rows[i]);
        if (r->touched == p->t->clock)
            p->t->repeated++;
        else
            update_row(p, r, part->gradients + i * p->dim, count_of(part, i));
    }
}

/* ---- several workers ---- */

/* A gradient of a row besides its first. */
typedef struct another {
    const real *g;
    uint32_t    next; /* place of the one that follows; the last one's: of the first */
} another;

/* A row of this step, its gradients, and in how many of the step's samples it is. */
typedef struct member {
    uint32_t    number;
    uint32_t    count;
    const real *g;    /* of the first worker that named it */
    uint32_t    last; /* place + 1 of the last of the others', which are a ring; 0: none */
    int         part; /* the last one that named it */
} member;

/* The rows of this step, each once, and where the member of a row stands: an open-addressed
 * index that stays in the cache while rows do not. Gradients stay where they came, and are
 * added when the row is updated. */
typedef struct step_rows {
    member   *members;
    another  *others;
    uint32_t  n, n_others;
    uint32_t *slots; /* (2^bits) a member's place + 1; 0: empty */
    int       bits;
} step_rows;

/* Room for n members and gradients. */
static err_t step_rows_init(step_rows *rows, size_t n, arena *scratch)
{
    *rows = (step_rows){.bits = 4};
    if (n > MEMBERS_MOST)
        return err_set(ERR_MEMORY,
                       "a step with gradients for %zu rows of a table in one shard; "
                       "it may have %u",
                       n, MEMBERS_MOST);
    while (((size_t)1 << rows->bits) < 2 * n)
        rows->bits++;
    TRY(arena_take_zero(scratch, sizeof *rows->slots << rows->bits, &rows->slots));
    TRY(arena_take(scratch, n * sizeof *rows->others, &rows->others));
    return arena_take(scratch, n * sizeof *rows->members, &rows->members);
}

static uint32_t place_of(const step_rows *rows, uint32_t number)
{
    return number * UINT32_C(0x9e3779b1) >> (32 - rows->bits);
}

/* The slot of the row's member, or the empty one where it belongs. */
static uint32_t *find_slot(const step_rows *rows, uint32_t number)
{
    uint32_t mask = (UINT32_C(1) << rows->bits) - 1, at = place_of(rows, number);

    while (rows->slots[at] && rows->members[rows->slots[at] - 1].number != number)
        at = (at + 1) & mask;
    return &rows->slots[at];
}

static void add_other(step_rows *rows, member *m, const real *g)
{
    uint32_t at    = rows->n_others++;
    another *other = &rows->others[at];

    *other = (another){.g = g, .next = at};
    if (m->last) {
        another *last = &rows->others[m->last - 1];
        other->next   = last->next;
        last->next    = at;
    }
    m->last = at + 1;
}

static void merge_one(const plan *p, step_rows *rows, const member *new)
{
    uint32_t *slot = find_slot(rows, new->number);

    if (!*slot) {
        rows->members[rows->n++] = *new;
        *slot                    = rows->n;
        return;
    }
    member *m = &rows->members[*slot - 1];
    if (m->part == new->part) {
        p->t->repeated++;
        return;
    }
    m->count = sample_count_add(m->count, new->count);
    m->part  = new->part;
    add_other(rows, m, new->g);
}

static void merge_part(const plan *p, step_rows *rows, const update_part *part, int index)
{
    for (size_t i = 0; i < part->n; i++) {
        member new = {.number = part->rows[i],
                      .count  = count_of(part, i),
                      .g      = part->gradients + i * p->dim,
                      .part   = index};
        if (i + AHEAD < part->n)
            __builtin_prefetch(&rows->slots[place_of(rows, part->rows[i + AHEAD])], 1);
        if (new.number != ROW_REFUSED)
            merge_one(p, rows, &new);
    }
}

static void prefetch_member(const plan *p, const step_rows *rows, const member *m)
{
    prefetch_row(p, m->number);
    prefetch_gradient(p, m->g);
    if (m->last)
        prefetch_gradient(p, rows->others[m->last - 1].g);
}

/* The sum of a row's gradients in the order of workers: in sum, or where its only one came. */
static const real *sum_of(const plan *p, const step_rows *rows, const member *m, real *sum)
{
    if (!m->last)
        return m->g;
    uint32_t at = rows->others[m->last - 1].next;
    gradient_join(sum, m->g, rows->others[at].g, p->dim);
    while (at != m->last - 1) {
        at = rows->others[at].next;
        gradient_add(sum, rows->others[at].g, p->dim);
    }
    return sum;
}

static void apply_members(const plan *p, const step_rows *rows)
{
    real sum[CONFIG_DIM_MAX];

    for (uint32_t i = 0; i < rows->n; i++) {
        const member *m = &rows->members[i];
        if (i + AHEAD < rows->n)
            prefetch_member(p, rows, &rows->members[i + AHEAD]);
        update_row(p, row_store_at(p->t->rows, m->number), sum_of(p, rows, m, sum), m->count);
    }
}

/* ---- the step ---- */

/* The one part that has rows, NULL where several have; any of them where none has. */
static const update_part *part_alone(const update_part *parts, int n_parts)
{
    const update_part *alone = NULL;

    for (int i = 0; i < n_parts; i++) {
        if (alone && alone->n > 0 && parts[i].n > 0)
            return NULL;
        if (!alone || parts[i].n > 0)
            alone = &parts[i];
    }
    return alone;
}

static err_t apply_all(const plan *p, const update_part *parts, int n_parts, arena *scratch)
{
    step_rows rows;
    size_t    n = 0;

    for (int i = 0; i < n_parts; i++)
        n += parts[i].n;
    TRY(step_rows_init(&rows, n, scratch));
    for (int i = 0; i < n_parts; i++)
        merge_part(p, &rows, &parts[i], i);
    apply_members(p, &rows);
    return OK;
}

err_t update_apply(table *t, update_part *parts, int n_parts, const update_step *step,
                   arena *scratch)
{
    plan p = plan_of(t, step);

    if (t->cut)
        TRY(table_cut_keep_parts(t, parts, n_parts));
    for (int i = 0; i < n_parts; i++)
        TRY(table_bear_missing(t, parts[i].ids, parts[i].n, parts[i].rows));
    table_set_clock(t, (uint64_t)step->step + 1, step->lr);
    const update_part *alone = part_alone(parts, n_parts);
    if (!alone || step->shared)
        return apply_all(&p, parts, n_parts, scratch);
    apply_alone(&p, alone);
    return OK;
}
