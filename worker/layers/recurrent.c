/* Gated recurrent units over each sample's events (Cho et al. 2014), and DIEN's, in which
 * attention decides how far a state moves (Zhou et al. 2019, eq. 2 to 5 and 9 to 12).
 *
 * A step of a group of samples is a few products of what lies in the caches: of [x_t | h_t-1],
 * made by copying rows, with the weights of u and r, and of its halves with those of n. The
 * input's products are not made for the whole batch at once: written to memory and read again
 * they would cost more than one large product saves. Forward keeps of each event u, r, n and m
 * (recurrent.h), by group and step, and its state; backward turns them into gradients, from
 * the last step to the first, and multiplies them where they are. */
#include <stdio.h>

#include "worker/kernels/product.h"
#include "worker/kernels/recurrent.h"
#include "worker/kernels/rows.h"
#include "worker/layers/gru_gate.h"
#include "worker/layers/served_gru.h"
#include "worker/layers/time_major.h"

enum { WEIGHT_X, WEIGHT_H, BIAS };

typedef struct gru_config {
    gru_kind kind;
    int      units;
    bool     last; /* the output is each sample's last state */
} gru_config;

/* One node and batch; all in the step's arena. What is H wide is padded to P, with zeros. */
typedef struct unit {
    gru_kind    kind;
    bool        last, learns;
    const real *x, *a;
    int         D, H, P, stride; /* stride: of rows [x | h] */
    int         z_stride, n_stride;
    time_major  order;
    real       *K, *W, *U;    /* (D + H, 2 P), (D, n_stride), (H, n_stride): of u and r; of n */
    real       *b;            /* (3 P) */
    real       *xh;           /* (a group, stride) */
    real       *z;            /* (events, z_stride), or of one step where nothing is learned */
    real       *states;       /* (events, H) by event; NULL: nobody reads them again */
    real       *p, *q;        /* (a group) */
    real       *Kt, *Ut, *Wt; /* (2 P, stride), (P, n_stride), (P, x_stride) */
    int         x_stride;
    real       *gK, *gW, *gU; /* (2 P, stride), (P, D), (P, P) */
    real       *gb, *ones;    /* (3 P), (a group) */
    real       *g, *gm;       /* (a group, stride), (a group, P) */
    real       *gp, *gq;      /* (a group) */
    ahead       next;         /* what the next step touches */
    int        *place;        /* (a group) */
} unit;

/* ---- weights ---- */

/* to (cols, P) = the transpose of from (H, cols) */
static void transpose(real *to, int to_stride, const real *from, int H, int cols)
{
    for (int j = 0; j < H; j++)
        for (int d = 0; d < cols; d++)
            to[(size_t)d * (size_t)to_stride + (size_t)j] =
                from[(size_t)j * (size_t)cols + (size_t)d];
}

static void copy_rows(real *to, int to_stride, const real *from, int H, int cols)
{
    for (int j = 0; j < H; j++)
        memcpy(ROW(to, j, to_stride), ROW(from, j, cols), (size_t)cols * sizeof *to);
}

static void add_rows(real *to, int cols, const real *from, int from_stride, int H)
{
    for (int j = 0; j < H; j++)
        for (int d = 0; d < cols; d++)
            ROW(to, j, cols)[d] += ROW(from, j, from_stride)[d];
}

static err_t take(pass *p, real **out, int rows, int cols)
{
    return arena_take_zero(p->arena, (size_t)rows * (size_t)cols * sizeof **out, out);
}

static err_t open_weights(unit *u, const node *n, pass *p)
{
    const real *x = n->params[WEIGHT_X]->w, *h = n->params[WEIGHT_H]->w;
    const real *b = n->params[BIAS]->w;
    int         D = u->D, H = u->H, P = u->P;

    TRY(take(p, &u->K, D + H, 2 * P));
    TRY(take(p, &u->W, D, u->n_stride));
    TRY(take(p, &u->U, H, u->n_stride));
    TRY(take(p, &u->b, 3, P));
    for (int gate = 0; gate < 2; gate++) {
        transpose(u->K + gate * P, 2 * P, ROW(x, gate * H, D), H, D);
        transpose(ROW(u->K, D, 2 * P) + gate * P, 2 * P, ROW(h, gate * H, H), H, H);
    }
    transpose(u->W, u->n_stride, ROW(x, 2 * H, D), H, D);
    transpose(u->U, u->n_stride, ROW(h, 2 * H, H), H, H);
    copy_rows(u->b, P, b, 3, H);
    return OK;
}

/* ---- the next step ---- */

/* Nothing, until step t of a group is listed: n rows of z, and by event. */
static void list_nothing(unit *u)
{
    u->next.n = u->next.next = 0;
}

static void list_gates(unit *u, const real *z, int n)
{
    ahead_range(&u->next, z, (size_t)n * (size_t)u->z_stride * sizeof *z);
}

static void list_events(unit *u, const time_group *group, const real *rows, int cols, int t,
                        int n)
{
    if (!rows || t < 0)
        return;
    for (int i = 0; i < n; i++)
        u->place[i] = group->first[i] + t;
    ahead_rows(&u->next, rows, u->place, n, cols);
}

/* ---- a step ---- */

/* The inputs of step t of the group's first n sequences. */
static void gather_inputs(unit *u, const time_group *group, int t, int n)
{
    for (int i = 0; i < n; i++) {
        int         event = group->first[i] + t;
        const real *x     = ROW(u->x, event, u->D);
        real       *to = ROW(u->xh, i, u->stride), a = u->a ? u->a[event] : 1;
        gru_gate(u->kind, a, &u->p[i], &u->q[i]);
        if (u->kind != GRU_AIGRU)
            memcpy(to, x, (size_t)u->D * sizeof *to);
        else
            rows_scale(to, 0, &a, x, 0, false, 1, u->D);
    }
}

/* The states before step t; zero before the first. */
static void gather_states(unit *u, const time_group *group, int t, int n)
{
    for (int i = 0; i < n; i++) {
        real *h = ROW(u->xh, i, u->stride) + u->D;
        if (t == 0)
            memset(h, 0, (size_t)u->P * sizeof *h);
        else
            memcpy(h, ROW(u->states, group->first[i] + t - 1, u->H), (size_t)u->H * sizeof *h);
    }
}

/* The states after step t; sequences n_next .. n-1 end with it. */
static void scatter_states(const unit *u, const time_group *group, int t, int n, int n_next,
                           real *last)
{
    size_t bytes = (size_t)u->H * sizeof(real);

    for (int i = 0; i < n && u->states; i++)
        memcpy(ROW(u->states, group->first[i] + t, u->H), ROW(u->xh, i, u->stride) + u->D,
               bytes);
    for (int i = n_next; i < n && u->last; i++)
        memcpy(ROW(last, group->owner[i], u->H), ROW(u->xh, i, u->stride) + u->D, bytes);
}

/* ---- forward ---- */

/* z of step t; before the first, h is zero. */
static void forward_step(unit *u, real *z, int t, int n)
{
    int   D = u->D, H = t > 0 ? u->H : 0, P = u->P, S = u->z_stride;
    real *x = u->xh, *h = u->xh + D;

    product_ahead(&u->next, z, S, u->b, 0, rows_of(x, u->stride), u->K, 2 * P, n, 2 * P, D + H);
    product(z + 2 * P, S, u->b + 2 * P, 0, rows_of(x, u->stride), u->W, u->n_stride, n, P, D);
    if (gru_resets_input(u->kind)) {
        gru_reset_forward(z, S, h, u->stride, n, P);
        product(z + 2 * P, S, z + 2 * P, S, rows_of(z + 3 * P, S), u->U, u->n_stride, n, P, H);
        gru_input_forward(z, S, h, u->stride, u->p, u->q, n, P);
    } else {
        product(z + 3 * P, S, NULL, 0, rows_of(h, u->stride), u->U, u->n_stride, n, P, H);
        gru_forward(z, S, h, u->stride, u->p, u->q, n, P);
    }
}

/* For step t + 1, that has n_next rows: its gates behind those of t, its inputs; and the room
 * of t's states. */
static void list_forward(unit *u, const time_group *group, const real *z, int t, int n,
                         int n_next)
{
    list_nothing(u);
    if (u->learns)
        list_gates(u, ROW(z, n, u->z_stride), n_next);
    list_events(u, group, u->states, u->H, t, n);
    list_events(u, group, u->x, u->D, t + 1, n_next);
}

static void forward_group(unit *u, const time_group *group, real *z, real *last)
{
    gather_states(u, group, 0, group->n);
    for (int t = 0, n = group->n, next; t < group->steps; t++, n = next) {
        next = time_group_at(group, t + 1);
        gather_inputs(u, group, t, n);
        list_forward(u, group, z, t, n, next);
        forward_step(u, z, t, n);
        scatter_states(u, group, t, n, next, last);
        if (u->learns)
            z += (size_t)n * (size_t)u->z_stride;
    }
}

static err_t open_unit(unit *u, const node *n, pass *p)
{
    const gru_config *c = n->config;
    const tensor     *x = n->inputs[0];

    *u = (unit){.kind   = c->kind,
                .last   = c->last,
                .learns = pass_learns(p),
                .x      = x->x,
                .a      = n->n_inputs > 1 ? n->inputs[1]->x : NULL,
                .D      = x->cols,
                .H      = c->units,
                .P      = padded(c->units)};
    /* rows of a power of two would lie upon each other in the cache */
    u->stride   = padded(u->D + u->P) + VECTOR;
    u->z_stride = 4 * u->P + VECTOR;
    u->n_stride = odd_vectors(u->P);
    u->x_stride = odd_vectors(u->D);
    TRY(time_major_sort(&u->order, pass_offsets(p, x->per), pass_parent_rows(p, x->per),
                        p->arena));
    TRY(open_weights(u, n, p));
    TRY(take(p, &u->xh, GROUP_SEQUENCES, u->stride));
    TRY(take(p, &u->p, 1, GROUP_SEQUENCES));
    TRY(take(p, &u->q, 1, GROUP_SEQUENCES));
    TRY(arena_take(p->arena, GROUP_SEQUENCES * sizeof *u->place, &u->place));
    TRY(arena_take(p->arena, AHEAD_LINES * sizeof *u->next.lines, &u->next.lines));
    size_t kept = u->learns ? (size_t)x->rows : GROUP_SEQUENCES;
    TRY(arena_take(p->arena, kept * (size_t)u->z_stride * sizeof *u->z, &u->z));
    if (!u->last)
        u->states = n->output->x;
    else if (u->learns)
        TRY(arena_take(p->arena, (size_t)x->rows * (size_t)u->H * sizeof *u->states,
                       &u->states));
    return OK;
}

static err_t forward_served(node *n, pass *p)
{
    const gru_config *c = n->config;
    const served_gru  u = {c->kind, c->units, n->params[WEIGHT_X], n->params[WEIGHT_H],
                           n->params[BIAS]};

    return served_gru_forward(n->output, &u, n->inputs[0], n->inputs[1], p);
}

static err_t gru_forward_layer(node *n, pass *p)
{
    tensor *y = n->output;
    unit   *u;

    TRY(graph_output(n, p, pass_rows(p, y->per)));
    if (pass_shares(p, n, 0))
        return forward_served(n, p);
    TRY(arena_take(p->arena, sizeof *u, &u));
    TRY(open_unit(u, n, p));
    if (u->last)
        memset(y->x, 0, (size_t)y->rows * (size_t)y->cols * sizeof *y->x);
    real *z = u->z;
    for (int i = 0; i < u->order.n; i += GROUP_SEQUENCES) {
        time_group group = time_major_group(&u->order, i);
        forward_group(u, &group, z, y->x);
        if (u->learns)
            z += (size_t)group.events * (size_t)u->z_stride;
    }
    n->scratch = u;
    return OK;
}

/* ---- backward ---- */

/* The gradient of the states after step t: of sequences n_next .. n-1 it begins here. */
static void gather_gradient(const unit *u, const time_group *group, const real *gy, int t,
                            int n, int n_next)
{
    for (int i = 0; i < n; i++) {
        real *g = ROW(u->g, i, u->stride) + u->D;
        if (i >= n_next)
            memset(g, 0, (size_t)u->P * sizeof *g);
        if (u->last && i < n_next)
            continue;
        const real *from = ROW(gy, u->last ? group->owner[i] : group->first[i] + t, u->H);
        rows_scale(g, 0, &(real){1}, from, 0, true, 1, u->H);
    }
}

/* From z of the gates to z and g of their gradients, and what m's product adds to g: of [x | h]
 * where all is done; its x half is overwritten. */
static void backward_gates(unit *u, real *z, int n)
{
    int   P = u->P, S = u->z_stride;
    real *h = u->xh + u->D, *gh = u->g + u->D, *gn = z + 2 * P, *gm = z + 3 * P;

    if (gru_resets_input(u->kind)) {
        gru_input_backward(z, S, gh, u->stride, h, u->stride, u->p, u->q, u->gp, u->gq, n, P);
        product(u->gm, P, NULL, 0, rows_of(gn, S), u->Ut, u->n_stride, n, P, u->H);
        gru_reset_backward(z, S, gh, u->stride, u->gm, P, h, u->stride, n, P);
    } else {
        gru_backward(z, S, gh, u->stride, h, u->stride, u->p, u->q, u->gp, u->gq, n, P);
        product(gh, u->stride, gh, u->stride, rows_of(gm, S), u->Ut, u->n_stride, n, P, u->H);
    }
    product(u->g, u->stride, NULL, 0, rows_of(gn, S), u->Wt, u->x_stride, n, u->D, u->H);
    product_ahead(&u->next, u->g, u->stride, u->g, u->stride, rows_of(z, S), u->Kt, u->stride,
                  n, u->D + P, 2 * P);
}

/* The weights' gradients of a step: those of U from m's gradient and h, or from n's and m. */
static void backward_weights(unit *u, const real *z, int n)
{
    int         P = u->P, S = u->z_stride, in = u->stride;
    const real *gn = z + 2 * P, *m = z + 3 * P, *h = u->xh + u->D;

    product(u->gK, in, u->gK, in, columns_of(z, S), u->xh, in, 2 * P, u->D + P, n);
    product(u->gW, u->D, u->gW, u->D, columns_of(gn, S), u->xh, in, P, u->D, n);
    if (gru_resets_input(u->kind))
        product(u->gU, P, u->gU, P, columns_of(gn, S), m, S, P, P, n);
    else
        product(u->gU, P, u->gU, P, columns_of(m, S), h, in, P, P, n);
    product(u->gb, 3 * P, u->gb, 3 * P, rows_of(u->ones, n), z, S, 1, 3 * P, n);
}

static void scatter_gradients(const unit *u, const node *n, const time_group *group, int t,
                              int count)
{
    tensor *x = n->inputs[0], *a = n->n_inputs > 1 ? n->inputs[1] : NULL;
    bool    wants_a = a && a->wants_gradient;

    for (int i = 0; i < count; i++) {
        int         event = group->first[i] + t, D = u->D;
        const real *gx = ROW(u->g, i, u->stride), *x_i = ROW(u->x, event, D);
        real        ga = u->kind == GRU_AGRU    ? u->gp[i]
                         : u->kind == GRU_AUGRU ? u->gq[i]
                                                : u->gp[i] - u->gq[i];
        if (u->kind == GRU_AIGRU)
            rows_dot(&ga, gx, 0, x_i, 0, 1, D);
        if (wants_a)
            a->g[event] = (n->fresh[1] ? 0 : a->g[event]) + ga;
        if (x->wants_gradient)
            rows_scale(ROW(x->g, event, D), 0, u->kind == GRU_AIGRU ? &u->a[event] : &(real){1},
                       gx, 0, !n->fresh[0], 1, D);
    }
}

/* For step t - 1, n_next rows: its gates before z, what it reads by event, and what it adds to.
 */
static void list_backward(unit *u, const node *n, const time_group *group, const real *z, int t,
                          int n_next)
{
    const tensor *x = n->inputs[0];

    list_nothing(u);
    if (t == 0)
        return;
    list_gates(u, z - (size_t)n_next * (size_t)u->z_stride, n_next);
    if (!u->last)
        list_events(u, group, n->output->g, u->H, t - 1, n_next);
    list_events(u, group, u->x, u->D, t - 1, n_next);
    list_events(u, group, u->states, u->H, t - 2, n_next);
    if (x->wants_gradient)
        list_events(u, group, x->g, u->D, t - 1, n_next);
}

/* z: behind the group's last row. */
static void backward_group(unit *u, const node *n, const time_group *group, real *z)
{
    for (int t = group->steps - 1, before = 0, count; t >= 0; t--, before = count) {
        count = time_group_at(group, t);
        z -= (size_t)count * (size_t)u->z_stride;
        gather_gradient(u, group, n->output->g, t, count, before);
        gather_inputs(u, group, t, count);
        gather_states(u, group, t, count);
        list_backward(u, n, group, z, t, t > 0 ? time_group_at(group, t - 1) : 0);
        backward_gates(u, z, count);
        backward_weights(u, z, count);
        scatter_gradients(u, n, group, t, count);
    }
}

static err_t open_backward(unit *u, const node *n, pass *p)
{
    const real *x = n->params[WEIGHT_X]->w, *h = n->params[WEIGHT_H]->w;
    int         D = u->D, H = u->H, P = u->P;

    TRY(take(p, &u->Kt, 2 * P, u->stride));
    TRY(take(p, &u->Ut, P, u->n_stride));
    TRY(take(p, &u->Wt, P, u->x_stride));
    TRY(take(p, &u->gK, 2 * P, u->stride));
    TRY(take(p, &u->gW, P, D));
    TRY(take(p, &u->gU, P, P));
    TRY(take(p, &u->gb, 3, P));
    TRY(take(p, &u->g, GROUP_SEQUENCES, u->stride));
    TRY(take(p, &u->gm, GROUP_SEQUENCES, P));
    TRY(take(p, &u->gp, 1, GROUP_SEQUENCES));
    TRY(take(p, &u->gq, 1, GROUP_SEQUENCES));
    TRY(take(p, &u->ones, 1, GROUP_SEQUENCES));
    for (int i = 0; i < GROUP_SEQUENCES; i++)
        u->ones[i] = 1;
    for (int gate = 0; gate < 2; gate++) {
        copy_rows(ROW(u->Kt, gate * P, u->stride), u->stride, ROW(x, gate * H, D), H, D);
        copy_rows(ROW(u->Kt, gate * P, u->stride) + D, u->stride, ROW(h, gate * H, H), H, H);
    }
    copy_rows(u->Wt, u->x_stride, ROW(x, 2 * H, D), H, D);
    copy_rows(u->Ut, u->n_stride, ROW(h, 2 * H, H), H, H);
    return OK;
}

static void close_backward(const unit *u, const node *n)
{
    real *x = n->params[WEIGHT_X]->g, *h = n->params[WEIGHT_H]->g, *b = n->params[BIAS]->g;
    int   D = u->D, H = u->H, P = u->P;

    for (int gate = 0; gate < 2; gate++) {
        add_rows(ROW(x, gate * H, D), D, ROW(u->gK, gate * P, u->stride), u->stride, H);
        add_rows(ROW(h, gate * H, H), H, ROW(u->gK, gate * P, u->stride) + D, u->stride, H);
    }
    add_rows(ROW(x, 2 * H, D), D, u->gW, D, H);
    add_rows(ROW(h, 2 * H, H), H, u->gU, P, H);
    add_rows(b, H, u->gb, P, 3);
}

static err_t gru_backward_layer(node *n, pass *p)
{
    unit *u = n->scratch;
    real *z = u->z;

    TRY(open_backward(u, n, p));
    for (int i = 0; i < u->order.n; i += GROUP_SEQUENCES) {
        time_group group = time_major_group(&u->order, i);
        z += (size_t)group.events * (size_t)u->z_stride;
        backward_group(u, n, &group, z);
    }
    close_backward(u, n);
    return OK;
}

static const layer gru_layer = {.name       = "recurrent",
                                .forward    = gru_forward_layer,
                                .backward   = gru_backward_layer,
                                .overwrites = true};

/* Of last states: many candidates' attention may go over the states of one request. */
static const layer gru_last_layer = {.name       = "recurrent, last state",
                                     .forward    = gru_forward_layer,
                                     .backward   = gru_backward_layer,
                                     .overwrites = true,
                                     .shares     = 1 << 0};

/* ---- building ---- */

static tensor *build(graph *g, tensor *x, tensor *a, gru_config c, const char *name)
{
    bool wants_attention = c.kind != GRU_PLAIN && c.kind != GRU_RESET_INPUT;

    if (!x || (wants_attention && !a))
        return NULL;
    int   per = c.last ? graph_parent(g, x->per) : x->per;
    node *n   = graph_add(g, c.last ? &gru_last_layer : &gru_layer, wants_attention ? 2 : 1,
                          (tensor *[]){x, a}, c.units, per, sizeof c);
    if (!n)
        return NULL;
    *(gru_config *)n->config = c;
    char place[2 * CONFIG_NAME_MAX];
    snprintf(place, sizeof place, "%s.input", name);
    node_weight(g, n, WEIGHT_X, place, 3 * c.units, x->cols);
    snprintf(place, sizeof place, "%s.recurrent", name);
    node_weight(g, n, WEIGHT_H, place, 3 * c.units, c.units);
    node_vector(g, n, BIAS, name, "bias", 3 * c.units, 0);
    return node_output(n);
}

tensor *gru(graph *g, tensor *x, tensor *a, gru_kind kind, int units, const char *name)
{
    return build(g, x, a, (gru_config){kind, units, false}, name);
}

tensor *gru_last(graph *g, tensor *x, tensor *a, gru_kind kind, int units, const char *name)
{
    return build(g, x, a, (gru_config){kind, units, true}, name);
}
