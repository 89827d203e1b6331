#include "worker/layers/served_gru.h"

#include "worker/kernels/gemm.h"
#include "worker/kernels/product.h"
#include "worker/kernels/recurrent.h"
#include "worker/layers/gru_gate.h"
#include "worker/layers/served_product.h"
#include "worker/serve.h"

#define GROUP 96 /* candidates that go through the steps together */

/* What is H wide is padded to P, with zeros. */
typedef struct serving {
    const served_gru *u;
    const tensor     *x, *a;
    int               D, H, P;
    int               z_stride;    /* of u | r | n, and m where the reset stands before U */
    served_weights    gates, late; /* of h: u | r | n; or u | r, and of r * h: n */
    served_rows       states, reset;
    real             *b;         /* (3 P) */
    real             *w;         /* (events of a request, 3 P): W x, with b where U is late */
    real             *h, *z;     /* (GROUP, P), (GROUP, z_stride) */
    real             *p, *q, *s; /* (GROUP) the gate e = p + q u, and the input's factor */
} serving;

static err_t take(pass *p, real **at, int rows, int cols)
{
    return arena_take_zero(p->arena, (size_t)rows * (size_t)cols * sizeof **at, at);
}

/* to (H, stride), from its column on: the transpose of U's gate. */
static void turn_gate(real *to, int stride, const param *U, int gate, int H)
{
    for (int j = 0; j < H; j++) {
        const real *row = ROW(U->w, gate * H + j, H);
        for (int d = 0; d < H; d++)
            ROW(to, d, stride)[j] = row[d];
    }
}

static err_t open_weights(serving *v, pass *p)
{
    int   H = v->H, P = v->P, early = gru_resets_input(v->u->kind) ? 2 : 3;
    bool  split = served_product_splits();
    real *U;

    TRY(take(p, &U, H, 3 * P));
    for (int gate = 0; gate < 3; gate++)
        turn_gate(U + gate * P, 3 * P, v->u->recurrent, gate, H);
    TRY(served_weights_open(&v->gates, H, early * P, split, p));
    TRY(served_weights_open(&v->late, H, P, split && early == 2, p));
    TRY(served_rows_open(&v->states, GROUP, &v->gates, p));
    TRY(served_rows_open(&v->reset, GROUP, &v->late, p));
    served_weights_set(&v->gates, U, 3 * P);
    served_weights_set(&v->late, U + 2 * P, 3 * P);
    TRY(take(p, &v->b, 3, P));
    for (int gate = 0; gate < 3; gate++)
        memcpy(v->b + gate * P, v->u->bias->w + gate * H, (size_t)H * sizeof *v->b);
    return OK;
}

static err_t open_serving(serving *v, const served_gru *u, const tensor *x, const tensor *a,
                          pass *p)
{
    *v = (serving){.u = u, .x = x, .a = a, .D = x->cols, .H = u->units, .P = padded(u->units)};
    v->z_stride = 4 * v->P + VECTOR;
    TRY(open_weights(v, p));
    TRY(take(p, &v->h, GROUP, v->P));
    TRY(take(p, &v->z, GROUP, v->z_stride));
    TRY(take(p, &v->p, 1, GROUP));
    TRY(take(p, &v->q, 1, GROUP));
    return take(p, &v->s, 1, GROUP);
}

/* w of the T events that begin at event begin of the requests. */
static err_t project_events(serving *v, int begin, int T, pass *p)
{
    int D = v->D, H = v->H, P = v->P;

    TRY(take(p, &v->w, T, 3 * P));
    for (int gate = 0; gate < 3; gate++)
        gemm(v->w + gate * P, 3 * P, plain(ROW(v->x->x, begin, D), D),
             transposed(ROW(v->u->input->w, gate * H, D), D), T, H, D, false);
    for (int t = 0; t < T && gru_resets_input(v->u->kind); t++)
        for (int d = 0; d < 3 * P; d++)
            ROW(v->w, t, 3 * P)[d] += v->b[d];
    return OK;
}

/* ---- a step of N candidates ---- */

static void open_gates(serving *v, const int *offsets, int first, int t, int N)
{
    for (int i = 0; i < N; i++) {
        real a = v->a->x[offsets[first + i] + t];
        gru_gate(v->u->kind, a, &v->p[i], &v->q[i]);
        v->s[i] = v->u->kind == GRU_AIGRU ? a : 1;
    }
}

static void step(serving *v, const real *w, int N)
{
    int P = v->P, S = v->z_stride;

    served_rows_set(&v->states, v->h, P, N);
    served_product(v->z, S, NULL, 0, &v->states, 0, &v->gates, N);
    gru_forward_shared(v->h, P, v->z, S, w, v->b, v->s, v->p, v->q, N, P);
}

/* Of the kinds whose reset gate stands before U; their inputs are the events as they are. */
static void step_of_reset(serving *v, const real *w, int N)
{
    int P = v->P, S = v->z_stride;

    served_rows_set(&v->states, v->h, P, N);
    served_product(v->z, S, w, 0, &v->states, 0, &v->gates, N);
    gru_reset_forward(v->z, S, v->h, P, N, P);
    served_rows_set(&v->reset, v->z + 3 * P, S, N);
    served_product(v->z + 2 * P, S, w + 2 * P, 0, &v->reset, 0, &v->late, N);
    gru_input_forward(v->z, S, v->h, P, v->p, v->q, N, P);
}

/* Candidates first .. first+N-1, from the first event to the last. */
static void run_group(serving *v, real *y, const int *offsets, int first, int T, int N)
{
    memset(v->h, 0, (size_t)N * (size_t)v->P * sizeof *v->h);
    for (int t = 0; t < T; t++) {
        open_gates(v, offsets, first, t, N);
        if (gru_resets_input(v->u->kind))
            step_of_reset(v, ROW(v->w, t, 3 * v->P), N);
        else
            step(v, ROW(v->w, t, 3 * v->P), N);
    }
    for (int i = 0; i < N; i++)
        memcpy(ROW(y, first + i, v->H), ROW(v->h, i, v->P), (size_t)v->H * sizeof *y);
}

err_t served_gru_forward(tensor *y, const served_gru *u, const tensor *x, const tensor *a,
                         pass *p)
{
    const int *offsets = pass_offsets(p, x->per);
    serving    v;

    TRY(open_serving(&v, u, x, a, p));
    for (int first = 0; first < y->rows;) {
        served_group g = serve_group(p, x->per, first, y->rows);
        TRY(project_events(&v, g.begin, g.rows, p));
        for (; first < g.end; first += GROUP)
            run_group(&v, y->x, offsets, first, g.rows, least(GROUP, g.end - first));
        first = g.end;
    }
    return OK;
}
